"""Mode coverage for known modes: points in the plane, or classes."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int


class ModeCoverage(NamedTuple):
    """Coverage of known modes in the plane by a set of points.

    `modes`: modes that are nearest to at least one high-quality point; `high_quality`: the share of points within three
    standard deviations of their nearest mode; `reverse_kl`: KL(p || uniform) in nats, p the frequencies of the modes among
    high-quality points; `covered`: which modes have such a point.
    """

    modes: Array
    high_quality: Array
    reverse_kl: Array
    covered: Array


def mode_coverage(points: Float[Array, "n 2"], means: Float[Array, "k 2"], sigma: float) -> ModeCoverage:
    """Coverage by the protocol of VEEGAN (Srivastava et al. 2017, arXiv:1705.07761) and PacGAN (arXiv:1712.04086).

    The `high_quality` of an ideal sampler is 0.989, since P(within 3 sigma) = 1 - exp(-9/2) in the plane. Without any
    high-quality point `reverse_kl` is infinite.
    """
    squared = jnp.sum((points[:, None] - means[None]) ** 2, axis=-1)  # n k
    good = jnp.min(squared, axis=1) <= (3 * sigma) ** 2
    found = class_coverage(jnp.argmin(squared, axis=1), jnp.full(len(means), 1 / len(means)), good)
    return ModeCoverage(found.modes, jnp.mean(good), found.kl, found.covered)


class ClassCoverage(NamedTuple):
    """Coverage of the classes of the data by a set of samples.

    `modes`: classes that are not lost; `covered`: which these are; `kl`: KL(p || q) in nats, p the frequencies of the classes
    among the samples and q among the data, infinite without any sample.
    """

    modes: Array
    covered: Array
    kl: Array


def class_coverage(
    labels: Int[np.ndarray | Array, " n"],
    frequencies: Float[np.ndarray | Array, " k"],
    good: Bool[np.ndarray | Array, " n"] | None = None,
    least: float = 0.0,
) -> ClassCoverage:
    """Coverage of k classes, of known `frequencies` in the data, by the predicted labels of n samples.

    Only samples that are `good` count (default all), such as those that a classifier is sure of. A class is covered that has
    a sample, and at least `least` times as many of n as the data have. `kl` of n samples of a perfect generator is about
    (k - 1) / (2 n).
    """
    labels, q = jnp.asarray(labels), jnp.asarray(frequencies)
    counts = jnp.zeros(len(q)).at[labels].add(1 if good is None else good)
    covered = (counts > 0) & (counts >= least * q * len(labels))
    p = counts / jnp.maximum(jnp.sum(counts), 1)
    seen = p > 0
    kl = jnp.sum(jnp.where(seen, p * jnp.log(jnp.where(seen, p, 1) / jnp.where(seen, q, 1)), 0))
    return ClassCoverage(jnp.sum(covered), covered, jnp.where(jnp.sum(counts) > 0, kl, jnp.inf))


class StackedCoverage(NamedTuple):
    """Coverage of the 1,000 modes of stacked digits by n pictures, each read as three digits.

    `modes`: modes that are read at least once; `kl`: KL(p || q) in nats, p the frequencies of the modes among the pictures
    and q uniform, as in papers; `kl_data`: q their frequencies in the data instead. Both depend on n: see `stacked_floor`.
    """

    modes: float
    kl: float
    kl_data: float


def stacked_coverage(digits: Int[np.ndarray, "n c"], frequencies: Float[np.ndarray, "c k"]) -> StackedCoverage:
    """Coverage by the protocol of Metz et al. 2016 (arXiv:1611.02163, section 3.3.1), VEEGAN (Srivastava et al. 2017,
    arXiv:1705.07761, section 5.1) and PacGAN (Lin et al. 2017, arXiv:1712.04086).

    `digits` are the classes 0 to k - 1 read in the c channels of n >= 1 pictures, `frequencies` those of the classes in each
    channel of the data, whose channels are independent: k^c modes.
    """
    channels, classes = frequencies.shape
    modes = np.ravel_multi_index(tuple(digits.T), (classes,) * channels)
    p = np.bincount(modes, minlength=classes**channels) / len(digits)
    data = _product(frequencies)
    seen = p > 0
    entropy = -np.sum(p[seen] * np.log(p[seen]))
    with np.errstate(divide="ignore"):  # a mode that the data lack gives infinity
        cross = -np.sum(p[seen] * np.log(data[seen]))
    return StackedCoverage(float(np.sum(seen)), float(np.log(p.size) - entropy), float(cross - entropy))


def stacked_floor(n: int, frequencies: Float[np.ndarray, "c k"], repeats: int = 10, seed: int = 0) -> StackedCoverage:
    """What n real pictures score on average: classes drawn by their frequencies, means over `repeats` of such draws."""
    generator = np.random.Generator(np.random.Philox(key=seed))
    found = []
    for _ in range(repeats):
        channels = [generator.choice(len(row), size=n, p=row / np.sum(row)) for row in frequencies]
        found.append(stacked_coverage(np.stack(channels, axis=-1), frequencies))
    return StackedCoverage(*(float(np.mean(values)) for values in zip(*found, strict=True)))


def _product(frequencies: np.ndarray) -> np.ndarray:
    """The frequencies (k^c,) of all combinations of independent classes, the first channel's the slowest."""
    product = np.ones(1)
    for row in frequencies:
        product = np.multiply.outer(product, row).reshape(-1)
    return product
