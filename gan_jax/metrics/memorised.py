"""Memorisation: samples that are near copies of training examples."""

from typing import NamedTuple

import numpy as np
from jax import Array
from jaxtyping import Float, Int

from gan_jax.metrics.checks import require_features
from gan_jax.metrics.diversity import rms_distance
from gan_jax.metrics.neighbours import nearest

COPY = 1e-4  # of the rms distance of the training examples: what is as near is the same picture, up to rounding in a network


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
    quantile: float = 0.05,
) -> Memorised:
    """The share of samples that are nearer to a training example than independent data are.

    The threshold is the `quantile` of the distances of held-out examples to their nearest training examples, without those
    that are copies of one, as are found in most collections of pictures: these would make it 0. A generator of the data's
    distribution scores about `expected`, one that repeats training examples 1, and noise, which is far from all examples, 0.
    Raises `InputError` for features that are not (n, d), equal in d and finite, and for a single training example.

    Differs from Meehan et al. 2020 (arXiv:2004.05675), who compare the same distances by a rank test.
    """
    require_features("the share of memorised samples", 1, fake, train, held_out)
    (distances, which), known = nearest(fake, train), nearest(held_out, train)[0]
    copy = COPY * rms_distance(train)
    independent = known[known > copy]
    threshold = float(np.quantile(independent, quantile)) if len(independent) else copy
    return Memorised(float(np.mean(distances <= threshold)), float(np.mean(known <= threshold)), threshold, distances, which)
