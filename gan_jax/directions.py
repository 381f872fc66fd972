"""Directions in the space of latent codes: by principal components, and by a linear probe of an attribute."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float

from gan_jax.errors import InputError
from gan_jax.latents import rescaled

LEAST = 8  # examples with an attribute, and without it, that a probe needs


class Directions(NamedTuple):
    """Unit vectors (k, d), and the share of the variance that each explains, largest first."""

    vectors: np.ndarray
    shares: np.ndarray


class Probe(NamedTuple):
    """The unit vector (d,) towards an attribute.

    `accuracy` is the share of held-out codes that the probe tells rightly, `chance` that of the commoner answer.
    """

    vector: np.ndarray
    accuracy: float
    chance: float


def principal_directions(
    activations: Float[np.ndarray | Array, "n m"], codes: Float[np.ndarray | Array, "n d"], k: int
) -> Directions:
    """The directions of codes along which their activations vary most, k of them.

    Principal components x of the activations (n, m), regressed back to the codes: u = argmin sum_j |u x_j - z_j|^2
    (GANSpace, Harkonen et al. 2020, arXiv:2004.02546, section 2.2). With the codes as activations they are the principal
    components of the codes. Each sign is that with which the largest entry is positive. Raises `InputError` for more
    directions than there can be, and for activations that do not vary.
    """
    from sklearn.decomposition import PCA

    seen, z = np.asarray(activations, np.float64), np.asarray(codes, np.float64)
    most = min(len(z) - 1, seen.shape[1], z.shape[1])
    if not 1 <= k <= most:
        raise InputError(
            f"{len(z)} codes of length {z.shape[1]} with {seen.shape[1]} activations have 1 to {most} directions, not {k}"
        )
    pca = PCA(k, svd_solver="full")
    if not np.ptp(seen, axis=0).any():
        raise InputError("all activations are equal: no direction changes them")
    coordinates = pca.fit_transform(seen)
    vectors = coordinates.T @ (z - z.mean(axis=0))  # the components are uncorrelated: one regression each
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    signs = np.sign(vectors[np.arange(k), np.abs(vectors).argmax(axis=1)])
    return Directions((vectors * signs[:, None]).astype(np.float32), pca.explained_variance_ratio_.astype(np.float32))


def probe_direction(
    codes: Float[np.ndarray | Array, "n d"], attribute: Bool[np.ndarray, " n"], held_out: float = 0.25, seed: int = 0
) -> Probe:
    """The unit normal of the plane that tells codes with an attribute from those without: a logistic regression.

    As in InterFaceGAN (Shen et al. 2019, arXiv:1907.10786, section 3). Classes are weighted by their frequency; the share
    `held_out`, stratified by the attribute, is left out and tells the accuracy. Raises `InputError` where fewer than `LEAST`
    codes have the attribute, or have it not.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split

    positive = int(attribute.sum())
    if min(positive, len(attribute) - positive) < LEAST:
        raise InputError(
            f"{positive} of {len(attribute)} codes have the attribute: a probe needs {LEAST} with and {LEAST} without"
        )
    z, wanted = np.asarray(codes, np.float64), np.asarray(attribute)
    train, test, y_train, y_test = train_test_split(z, wanted, test_size=held_out, random_state=seed, stratify=wanted)
    model = LogisticRegression(class_weight="balanced", max_iter=1000).fit(train, y_train)
    vector = model.coef_[0] / np.linalg.norm(model.coef_[0])
    right = float(np.mean(model.predict(test) == y_test))
    return Probe(vector.astype(np.float32), right, float(max(y_test.mean(), 1 - y_test.mean())))


def along(
    code: Float[np.ndarray | Array, " d"],
    vector: Float[np.ndarray | Array, " d"],
    amounts: Float[np.ndarray | Array, " n"],
    keep_norm: bool = True,
) -> Float[Array, "n d"]:
    """z + a u for each amount a; with `keep_norm` rescaled to |z|, so that large amounts stay among codes of the prior."""
    codes = jnp.asarray(code)[None] + jnp.asarray(amounts)[:, None] * jnp.asarray(vector)[None]
    return rescaled(codes, jnp.linalg.norm(jnp.asarray(code))) if keep_norm else codes
