"""How often two classifiers agree on samples: what both recognise is there, what one alone is sure of may not be.

A classifier is sure of many pictures that show nothing: its confidence is calibrated on real ones. Two classifiers of different
kinds name the same class for those by chance only.
"""

import numpy as np
from jaxtyping import Float, Int

from gan_jax.metrics.intervals import Proportion

DRAWS = 2000  # of the bootstrap


def agreement_table(a: Int[np.ndarray, " n"], b: Int[np.ndarray, " n"], classes: int) -> Int[np.ndarray, "k k"]:
    """The number of pictures that one classifier takes for class i and the other for class j."""
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (a, b), 1)
    return table


def kappa(table: Float[np.ndarray, "*draws k k"] | Int[np.ndarray, "*draws k k"]) -> Float[np.ndarray, "*draws"]:
    """(p_o - p_e) / (1 - p_e) of the observed agreement and of that by chance (Cohen 1960, doi:10.1177/001316446002000104).

    0 where both name one class only.
    """
    shares = table / np.sum(table, axis=(-2, -1), keepdims=True)
    observed = np.trace(shares, axis1=-2, axis2=-1)
    chance = np.sum(np.sum(shares, axis=-1) * np.sum(shares, axis=-2), axis=-1)
    return np.asarray(np.where(chance < 1, observed - chance, 0.0) / np.where(chance < 1, 1 - chance, 1.0))


def recognisable(
    samples: Int[np.ndarray, "k k"], real: Int[np.ndarray, "k k"], seed: int = 0, confidence: float = 0.95
) -> Proportion:
    """The kappa of two classifiers on samples over that on held-out real pictures, with a bootstrap interval, cut to [0, 1].

    It is the share of samples that are recognisable if they agree on these as often as on real pictures, and on others by
    chance. Colours and textures alone make classifiers agree a little: it is rather too high. Raises `ValueError` for
    classifiers that do not agree on real pictures more often than by chance.
    """
    known = float(kappa(real))
    if known <= 0:
        raise ValueError("the classifiers agree on real pictures no more often than by chance: they tell nothing of samples")
    generator = np.random.default_rng(seed)

    def drawn(table: np.ndarray) -> np.ndarray:
        n = int(table.sum())
        return kappa(generator.multinomial(n, table.ravel() / n, size=DRAWS).reshape(DRAWS, *table.shape))

    ratios = drawn(samples) / np.maximum(drawn(real), 1e-9)
    low, high = np.quantile(ratios, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Proportion(*(float(np.clip(x, 0, 1)) for x in (float(kappa(samples)) / known, low, high)))
