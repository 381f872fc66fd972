"""The birthday paradox test: the support size of a generator, from near duplicates among its samples."""

import math
from typing import NamedTuple

import numpy as np
from jax import Array
from jaxtyping import Float

from gan_jax.metrics.checks import require_features
from gan_jax.metrics.neighbours import nearest_other, pairs_within


class Birthday(NamedTuple):
    """The estimated `support` size, from `pairs` of samples that are at most `threshold` apart.

    `at_least`: there was no such pair, and `support` is a lower bound. `batch`: the number of samples that contain a near
    duplicate with probability 1/2.
    """

    support: float
    batch: float
    pairs: int
    at_least: bool
    threshold: float


def birthday(
    fake: Float[np.ndarray | Array, "n d"], real: Float[np.ndarray | Array, "m d"], threshold: float | None = None
) -> Birthday:
    """The support size of a generator by the birthday paradox (Arora & Zhang 2017, arXiv:1706.08224).

    support = (n (n - 1) / 2) / duplicates: two uniform draws from s pictures are equal with probability 1/s, two draws of any
    other distribution on them more often. Without a duplicate, 3 are assumed, which gives a lower bound (95 % confidence for
    independent pairs).

    Two samples are duplicates if they are nearer than `threshold`. By default this is just below the distance of the closest
    pair among as many real examples, exact copies left out; if there are more samples than real examples, the first len(real)
    samples are used. Samples must be drawn independently, not without replacement from a folder. The lower bound grows with
    n: compare estimates at equal n only. Raises `InputError` for features that are not (n, d), equal in d and finite.

    Differs: the paper shows the nearest pairs of a batch to a person, and estimates batch^2 from the batch size at which a
    duplicate is as likely as not; here all pairs count (at that size, support = batch^2 / (2 ln 2)).
    """
    require_features("the birthday paradox", 2, fake, real)
    if threshold is None:
        n = min(len(fake), len(real))
        order = np.random.Generator(np.random.Philox(key=0)).permutation(len(real))[:n]
        fake, distances = fake[:n], nearest_other(real[np.sort(order)])[0]
        different = distances[distances > 1e-6 * np.max(distances)]  # real data hold exact copies
        threshold = float(np.min(different, initial=np.inf)) * (1 - 1e-9) if len(different) else 0.0
    pairs = int(pairs_within(fake, np.array([threshold]))[0])
    support = len(fake) * (len(fake) - 1) / 2 / max(pairs, 3 if pairs == 0 else 1)
    batch = (1 + math.sqrt(1 + 8 * math.log(2) * support)) / 2
    return Birthday(support, batch, pairs, pairs == 0, threshold)
