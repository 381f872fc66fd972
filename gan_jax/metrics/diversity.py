"""How much samples differ from one another."""

import numpy as np
from jax import Array
from jaxtyping import Float

from gan_jax.metrics.checks import require_features


def spread(features: Float[np.ndarray | Array, "n d"]) -> float:
    """The root mean square distance of an example to the mean: 0 if all are equal.

    Over sqrt(2) it is the root mean square distance of two examples.
    """
    require_features("the spread", 2, features)
    x = np.asarray(features, np.float64)
    return float(np.sqrt(np.mean(np.sum((x - x.mean(axis=0)) ** 2, axis=1))))
