"""Diversity of samples: distances between their features."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from gan_jax.metrics.checks import require_features


def rms_distance(features: Float[np.ndarray | Array, "n d"]) -> float:
    """The root mean square distance of an example to the mean, sqrt(E |x - E x|^2): 0 if all are equal.

    Times sqrt(2) it is the root mean square distance of two independent examples. Raises `InputError` for fewer than 2
    examples, and for features that are not finite.
    """
    require_features("the rms distance", 2, features)
    x = np.asarray(features, np.float64)
    return float(np.sqrt(np.mean(np.sum((x - x.mean(axis=0)) ** 2, axis=1))))


def rms_within_classes(features: Float[Array, "n d"], labels: Int[Array, " n"], classes: int) -> Float[Array, ""]:
    """The root mean square distance of an example to the mean of its class: 0 if those of each class are all equal.

    A class of one example counts as equal to its mean.
    """
    of_class = jax.nn.one_hot(labels, classes, dtype=features.dtype)  # n k
    means = of_class.T @ features / jnp.maximum(jnp.sum(of_class, axis=0), 1)[:, None]
    return jnp.sqrt(jnp.mean(jnp.sum((features - means[labels]) ** 2, axis=1)))
