"""Retrieval: whether a picture's own caption is nearer to it than others, in a joint embedding."""

import numpy as np
from jaxtyping import Bool, Float, Int

from gan_jax.errors import InputError


def r_precision(
    pictures: Float[np.ndarray, "n d"],
    texts: Float[np.ndarray, "m d"],
    own: Int[np.ndarray, " n"],
    fits: Bool[np.ndarray, "n m"],
    among: int = 100,
    seed: int = 0,
) -> float:
    """The share of pictures i to which text `own[i]` is the nearest of `among`, by the cosine.

    The others are drawn at random of the texts that do not fit picture i (`fits[i]` False). With 100 this is R-precision at
    R = 1 (Xu et al. 2018, arXiv:1711.10485, section 4); the share of chance is 1 / among. A tie counts against the picture.
    Raises `InputError` where a picture has fewer texts that do not fit.
    """
    wrong = _wrong(fits, own)
    if (least := int(wrong.sum(axis=1).min())) < among - 1:
        raise InputError(
            f"a picture's caption is ranked among {among}, and only {least} others do not fit: take more pictures, or fewer"
        )
    generator = np.random.Generator(np.random.Philox(key=seed))
    order = np.where(wrong, generator.random(wrong.shape), 2.0)
    others = np.argpartition(order, among - 2, axis=1)[:, : among - 1]
    cosines = _directions(pictures) @ _directions(texts).T
    best = np.take_along_axis(cosines, others, axis=1).max(axis=1)
    return float(np.mean(cosines[np.arange(len(own)), own] > best))


def most_among(fits: Bool[np.ndarray, "n m"], own: Int[np.ndarray, " n"], among: int) -> int:
    """The number of texts that `r_precision` can rank every picture's among: `among`, or half as often as is needed."""
    least = int(_wrong(fits, own).sum(axis=1).min())
    while among > least + 1:
        among //= 2
    return among


def _wrong(fits: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Which texts do not fit which pictures, (n, m): a picture's own one is none of them, whatever `fits` says."""
    wrong = ~fits
    wrong[np.arange(len(own)), own] = False
    return wrong


def _directions(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-6)
