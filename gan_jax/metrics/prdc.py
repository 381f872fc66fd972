"""Precision and recall, density and coverage: quality and diversity of samples by nearest-neighbour balls."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float

from gan_jax.metrics.checks import require_features
from gan_jax.metrics.neighbours import in_blocks, nearer, neighbour_radii


class PrecisionRecall(NamedTuple):
    """Shares, from 0 to 1, of fakes in balls of reals, and of reals in balls of fakes."""

    precision: float
    recall: float


class DensityCoverage(NamedTuple):
    """`density`, 0 or more; `coverage`, from 0 to 1."""

    density: float
    coverage: float


def precision_recall(
    real: Float[np.ndarray | Array, "n d"], fake: Float[np.ndarray | Array, "m d"], k: int = 3
) -> PrecisionRecall:
    """Shares of the fakes that lie in a ball of the reals, and the reverse (Kynkaanniemi et al. 2019, arXiv:1904.06991, eq. 1).

    The radius of an example's ball is the distance to its k-th nearest other example. Raises `InputError` for fewer than k + 1
    examples. Differs: on the features given, not necessarily VGG-16's.
    """
    require_features("precision and recall", k + 1, real, fake)
    recall = in_blocks(_covered, real, fake, neighbour_radii(fake, k, centre=real))
    return PrecisionRecall(float(np.mean(among(fake, real, k))), float(np.mean(recall)))


def among(x: Float[np.ndarray | Array, "m d"], real: Float[np.ndarray | Array, "n d"], k: int = 3) -> Bool[np.ndarray, " m"]:
    """Which of x lie in a ball of the reals, as `precision_recall` counts them; raises `InputError` for too few reals."""
    require_features("being among real examples", k + 1, real)
    inside: np.ndarray = in_blocks(_covered, x, real, neighbour_radii(real, k), centre=real)
    return inside


@jax.jit
def _covered(rows: Array, first: Any, centres: Array, radii: Array) -> Array:
    return jnp.any(nearer(rows, centres, radii[None], or_equal=True), axis=1)


def density_coverage(
    real: Float[np.ndarray | Array, "n d"], fake: Float[np.ndarray | Array, "m d"], k: int = 5
) -> DensityCoverage:
    """Mean number of real balls that a fake lies in, over k, and the share of real balls that hold a fake (Naeem et al. 2020,
    arXiv:2002.09797, eq. 3 and 4).

    Expected for equal distributions: density 1 and, for large sets of equal size, coverage 1 - 2^-k. Raises `InputError` for
    fewer than k + 1 examples.
    """
    require_features("density and coverage", k + 1, real, fake)
    radii = neighbour_radii(real, k)
    balls, held = in_blocks(_balls, fake, real, radii, centre=real)
    return DensityCoverage(float(np.mean(balls) / k), float(np.mean(np.any(held, axis=0))))


@jax.jit
def _balls(rows: Array, first: Any, centres: Array, radii: Array) -> tuple[Array, Array]:
    """The number of balls that each row lies in, (b,), and whether each ball holds one of the rows, (1, n)."""
    inside = nearer(rows, centres, radii[None], or_equal=False)
    return jnp.sum(inside, axis=1), jnp.any(inside, axis=0)[None]
