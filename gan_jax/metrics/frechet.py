"""The Fréchet distance between Gaussians fitted to features: FID, if the features are Inception's."""

from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from gan_jax.errors import InputError
from gan_jax.metrics.checks import require_features
from gan_jax.rows import chunks


class Moments(NamedTuple):
    """Number of examples, their mean (d,) and scatter (d, d), the sum of (x - mean)(x - mean)^T, in float64."""

    n: int
    mean: np.ndarray | Array
    scatter: np.ndarray | Array

    @property
    def covariance(self) -> np.ndarray:
        """scatter / (n - 1), (d, d)."""
        return np.asarray(self.scatter) / (self.n - 1)


def moments(features: Float[np.ndarray | Array, "n d"], chunk: int = 10_000) -> Moments:
    """Moments of features of any float type, summed in float64 on the device, `chunk` rows at a time.

    Raises `InputError` without examples, and for features that are not finite.
    """
    require_features("the Fréchet distance", 1, features)
    return reduce(merge, (_moments(features[rows]) for rows in chunks(len(features), chunk)))


def _moments(x: np.ndarray | Array) -> Moments:
    xp = _array_library()
    with jax.enable_x64(True):
        x = xp.asarray(x, xp.float64)
        mean = xp.mean(x, axis=0)
        x = x - mean[None]
        return Moments(len(x), mean, x.T @ x)


def _array_library() -> Any:
    """NumPy where JAX would compute on the CPU, `jax.numpy` elsewhere.

    NumPy's BLAS computes x^T x with half the multiplications, and eigenvalues without eigenvectors: half of XLA's time.
    """
    return np if jax.default_backend() == "cpu" else jnp


def merge(a: Moments, b: Moments) -> Moments:
    """Moments of both sets together (Chan, Golub & LeVeque 1979): for streams, and for sets divided among processes."""
    with jax.enable_x64(True):
        n, shift = a.n + b.n, b.mean - a.mean
        scatter = a.scatter + b.scatter + shift[:, None] * shift[None] * (a.n * b.n / n)
        return Moments(n, a.mean + shift * (b.n / n), scatter)


def frechet_distance(a: Moments, b: Moments) -> float:
    """|mean_a - mean_b|^2 + Tr(A + B - 2 (A B)^(1/2)) (Heusel et al. 2017, arXiv:1706.08500, eq. 6), covariances with n - 1.

    The eigenvalues of A B are those of the symmetric R^T B R, where A = R R^T, and so they are real; no multiple of the
    identity is added. Biased upwards by about `frechet_bias`. Raises `InputError` for fewer than 2 examples.
    """
    if min(a.n, b.n) < 2:
        raise InputError(f"the Fréchet distance needs at least 2 examples of each, not {min(a.n, b.n)}")
    xp = _array_library()
    with jax.enable_x64(True):
        gap = xp.asarray(a.mean) - xp.asarray(b.mean)
        cov_a, cov_b = xp.asarray(a.scatter) / (a.n - 1), xp.asarray(b.scatter) / (b.n - 1)
        values, vectors = xp.linalg.eigh(cov_a)
        root = vectors * xp.sqrt(xp.maximum(values, 0.0))[None]
        common = xp.linalg.eigvalsh(root.T @ cov_b @ root)
        trace = xp.trace(cov_a) + xp.trace(cov_b) - 2 * xp.sum(xp.sqrt(xp.maximum(common, 0.0)))
        return max(0.0, float(gap @ gap + trace))  # rounding errors of equal sets may lie below 0


def frechet_bias(reference: Moments, n: int) -> float:
    """The mean Fréchet distance of `n` examples of the reference's own Gaussian: the bias of small samples.

    To first order it is (1/n + 1/m) times Tr C, for the means, plus the sum over i, j of c_i c_j / (2 (c_i + c_j)) with the
    diagonal counted twice, for the covariances; c are the eigenvalues of the covariance C, m is the number of reference
    examples. For C = I the factor is d + d (d + 1) / 4.
    """
    c = np.maximum(np.linalg.eigvalsh(reference.covariance), 0)
    c = c[c > c[-1] * 1e-12]
    pairs = c[:, None] * c[None] / (2 * (c[:, None] + c[None]))
    return float((np.sum(c) + np.sum(pairs) + np.trace(pairs)) * (1 / n + 1 / reference.n))
