"""Samples that are copies of training pictures."""

from typing import NamedTuple

import numpy as np
from jax import Array
from jaxtyping import Float, Int

from gan_jax.metrics.checks import require_features
from gan_jax.metrics.neighbours import nearest


class Memorised(NamedTuple):
    """`share` of the samples that are nearer to a training example than all but `expected` of the held-out ones are.

    `distances` (n,) of the samples to their nearest training examples `which` (n,), and the `threshold`.
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
    """The share of samples that lie suspiciously near a training example.

    Held-out examples of the same source say how near one comes by chance: the threshold is their `expected`-quantile of the
    distance to the nearest training example. A generator that has learned the distribution scores about `expected`, one that
    repeats training examples 1; noise, far from all, 0. The idea is that of Meehan et al. 2020 (arXiv:2004.05675), which
    compares the same distances by a rank test.
    """
    require_features("the share of memorised samples", 1, fake, train, held_out)
    distances, which = nearest(fake, train)
    threshold = float(np.quantile(nearest(held_out, train)[0], expected))
    return Memorised(float(np.mean(distances < threshold)), expected, threshold, distances, which)
