"""Scores of super-resolution on test sets of pairs: PSNR and SSIM on Y and RGB, and a distance in SqueezeNet's features."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from gan_jax.data.pairs import PairSet
from gan_jax.images.convert import to_rgb
from gan_jax.images.imresize import imresize
from gan_jax.metrics.restoration import fidelity
from gan_jax.models.content import squeezenet_distance
from gan_jax.models.pretrained import read_weights
from gan_jax.models.squeezenet import LEAST

Restore = Callable[[np.ndarray], np.ndarray]  # a low picture uint8 (h, w, c) -> the high one


class Measures(NamedTuple):
    """What restored pictures are measured by: the border that is cut, in pixels, and weights of SqueezeNet, if any."""

    border: int
    squeezenet: PyTree | None = None

    def of(self, restored: np.ndarray, original: np.ndarray) -> dict[str, float]:
        """`psnr_y`, `ssim_y`, `psnr_rgb`, `ssim_rgb` of uint8 pictures (h, w, c); with SqueezeNet also `features`."""
        x, y = restored[None], original[None]
        found = _fidelity(jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32), self.border)
        if self.squeezenet is not None:
            found["features"] = feature_distance(self.squeezenet, x, y)
        return {name: float(value[0]) for name, value in found.items()}


def open_measures(factor: int, squeezenet: Path | None = None) -> Measures:
    """The custom for an enlargement by `factor`; raises `InputError` for weights that are not SqueezeNet's."""
    return Measures(factor, None if squeezenet is None else read_weights(squeezenet, "squeezenet")[0])


def feature_distance(squeezenet: PyTree, restored: np.ndarray, original: np.ndarray) -> np.ndarray:
    """`gan_jax.models.content.squeezenet_distance` of uint8 pictures (n, h, w, c), (n,).

    Grey and transparent ones as `gan_jax.images.to_rgb` shows them; below 31x31 each pixel is repeated.
    """
    times = -(-LEAST["caffe"] // min(original.shape[1:3]))
    shown = [to_rgb(each.repeat(times, axis=1).repeat(times, axis=2)) / 127.5 - 1 for each in (restored, original)]
    return np.asarray(_distance(squeezenet, *shown))


def score_sets(restore: Restore, sets: Sequence[PairSet], measures: Measures) -> dict[str, float]:
    """The mean of each measure over the pictures of each set, as NAME/measure."""
    means: dict[str, float] = {}
    for one in sets:
        rows = [measures.of(restore(pair.low), pair.high) for pair in one.pairs]
        means |= {f"{one.name.lower()}/{name}": float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return means


def bicubic(factor: int) -> Restore:
    """MATLAB's bicubic enlargement."""
    return lambda low: np.asarray(imresize(low[None], float(factor)))[0]


_fidelity = jax.jit(fidelity, static_argnums=2)
_distance = jax.jit(squeezenet_distance)
