"""Mode coverage for known modes: points in the plane, or classes."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int


class ModeCoverage(NamedTuple):
    """Coverage of known modes by a set of points.

    `modes`: modes that are nearest to at least one high-quality point; `high_quality`: the share of points within three
    standard deviations of their nearest mode; `reverse_kl`: KL(p || uniform) in nats, p the frequencies of the modes among
    high-quality points.
    """

    modes: Array
    high_quality: Array
    reverse_kl: Array


def mode_coverage(points: Float[Array, "n 2"], means: Float[Array, "k 2"], sigma: float) -> ModeCoverage:
    """Coverage by the protocol of VEEGAN (Srivastava et al. 2017, arXiv:1705.07761) and PacGAN (arXiv:1712.04086).

    The `high_quality` of an ideal sampler is 0.989, since P(within 3 sigma) = 1 - exp(-9/2) in the plane. Without any
    high-quality point `reverse_kl` is infinite.
    """
    squared = jnp.sum((points[:, None] - means[None]) ** 2, axis=-1)  # n k
    good = jnp.min(squared, axis=1) <= (3 * sigma) ** 2
    counts = jnp.zeros(len(means)).at[jnp.argmin(squared, axis=1)].add(good)
    return ModeCoverage(jnp.sum(counts > 0), jnp.mean(good), _divergence(counts))


def class_coverage(labels: Int[np.ndarray | Array, " n"], classes: int) -> ModeCoverage:
    """Coverage of `classes` equally likely classes by the predicted labels of samples, such as stacked MNIST's 1,000
    (Srivastava et al. 2017, section 5.1).

    `reverse_kl` of n samples of a perfect generator is about (classes - 1) / (2 n).
    """
    counts = jnp.bincount(jnp.asarray(labels), length=classes)
    return ModeCoverage(jnp.sum(counts > 0), jnp.ones(()), _divergence(counts))


def _divergence(counts: Array) -> Array:
    """KL(p || uniform) in nats, p the frequencies; infinite if all counts are 0."""
    p = counts / jnp.maximum(jnp.sum(counts), 1)
    entropy = -jnp.sum(jnp.where(p > 0, p * jnp.log(jnp.where(p > 0, p, 1)), 0))
    return jnp.where(jnp.sum(counts) > 0, jnp.log(counts.shape[0]) - entropy, jnp.inf)
