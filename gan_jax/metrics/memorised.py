"""Memorisation: samples that are near copies of training examples."""

from typing import NamedTuple

import numpy as np
from jax import Array
from jaxtyping import Float, Int

from gan_jax.metrics.checks import require_features
from gan_jax.metrics.neighbours import nearest


class Memorised(NamedTuple):
    """`share` of the samples whose nearest training example is within `threshold`; `expected` of the held-out ones are.

    `distances` (n,) of the samples to their nearest training examples, whose indices are `which` (n,).
    """

    share: float
    expected: float
    threshold: float
    distances: Float[np.ndarray, " n"]
    which: Int[np.ndarray, " n"]


def memorised(
    fake: Float[np.ndarray | Array, "n d"],
    train: Float[np.ndarray | Array, "m d"],
    held_out: Float[np.ndarray | Array, "k d"],
    expected: float = 0.05,
) -> Memorised:
    """The share of samples that are nearer to a training example than independent data are.

    The threshold is the `expected`-quantile of the distances of held-out examples to their nearest training examples. A
    generator of the data's distribution scores about `expected`, one that repeats training examples 1, and noise, which is
    far from all examples, 0. Raises `InputError` for features that are not (n, d), equal in d and finite.

    Differs from Meehan et al. 2020 (arXiv:2004.05675), who compare the same distances by a rank test.
    """
    require_features("the share of memorised samples", 1, fake, train, held_out)
    distances, which = nearest(fake, train)
    threshold = float(np.quantile(nearest(held_out, train)[0], expected))
    return Memorised(float(np.mean(distances < threshold)), expected, threshold, distances, which)
