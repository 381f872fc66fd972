"""The birthday paradox: how many different pictures a generator makes, from the duplicates in a batch of them."""

import math
from typing import NamedTuple

import numpy as np
from jax import Array
from jaxtyping import Float

from gan_jax.metrics.checks import require_features
from gan_jax.metrics.neighbours import nearest_other, pairs_within


class Birthday(NamedTuple):
    """Estimates of the support from `pairs` near duplicates; `support` is `at_least` a bound if there was none.

    `batch`: so many samples contain a near duplicate with probability 1/2.
    """

    support: float
    batch: float
    pairs: int
    at_least: bool
    threshold: float


def birthday(
    fake: Float[np.ndarray | Array, "n d"], real: Float[np.ndarray | Array, "m d"], threshold: float | None = None
) -> Birthday:
    """The support of a generator by the birthday paradox (Arora & Zhang 2017, arXiv:1706.08224).

    Samples must be drawn independently: a folder of pictures, each looked at once, has no birthdays. Samples nearer than
    `threshold` count as duplicates; by default than the closest pair of as many real examples, in place of the paper's human
    eye (exact copies among these left out; of more samples than real examples as many are looked at). Two samples of a
    uniform choice from s pictures are the same with probability 1/s, of any other choice more often; so the support is
    estimated as the number of pairs over that of duplicates, from all pairs and not only from the batch at which a duplicate
    is as likely as not (there it is batch^2 / (2 ln 2), the paper's rule batch^2 to a factor). Without any duplicate it is at
    least what three would have given (95 % confidence for independent pairs), and a bound of more samples is larger: compare
    estimates with as many samples only.
    """
    require_features("the birthday paradox", 2, fake, real)
    if threshold is None:
        n = min(len(fake), len(real))
        order = np.random.Generator(np.random.Philox(key=0)).permutation(len(real))[:n]
        fake, distances = fake[:n], nearest_other(real[np.sort(order)])[0]
        different = distances[distances > 1e-6 * np.max(distances)]  # real sets have pictures twice
        threshold = float(np.min(different, initial=np.inf)) * (1 - 1e-9) if len(different) else 0.0
    pairs = int(pairs_within(fake, np.array([threshold]))[0])
    support = len(fake) * (len(fake) - 1) / 2 / max(pairs, 3 if pairs == 0 else 1)
    batch = (1 + math.sqrt(1 + 8 * math.log(2) * support)) / 2
    return Birthday(support, batch, pairs, pairs == 0, threshold)
