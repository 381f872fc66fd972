"""MATLAB's `imresize`, bicubic: how super-resolution shrinks pictures, and what it is compared with.

Scores depend on it: other bicubic resizing (Pillow, OpenCV) differs in the kernel, in antialiasing or at the borders.
"""

import math
from functools import lru_cache, partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Num

from gan_jax.errors import InputError
from gan_jax.images.resize import HALF_SIZE, cubic

Border = Literal["edge", "symmetric"]


@partial(jax.jit, static_argnames=("factor", "border"))
def imresize(images: Num[Array, "b h w c"], factor: float, border: Border = "edge") -> Num[Array, "b i j c"]:
    """`imresize(A, factor)` of MATLAB for each image: i = ceil(factor h), j = ceil(factor w), of the type of `images`.

    Output k (from 0) lies at (k + 1/2) / factor - 1/2, and is the sum of the inputs under the cubic kernel (Keys 1981,
    a = -1/2), which is widened by 1 / factor where that is above 1 (antialiasing); weights sum to 1. Rows first. Whole numbers
    are rounded, halves up, and cut to the range of their type after each axis, as MATLAB does; floats stay as they are.
    Beyond its border the image is continued by its last pixel ("edge", MATLAB as it was when the test sets Set5 and Set14 were
    shrunk: theirs are equal to the bit) or reflected, the last pixel included ("symmetric", MATLAB today).

    Raises `InputError` for a factor that is not above 0, and for images without pixels.
    """
    if not (factor > 0 and math.isfinite(factor)) or 0 in images.shape[1:3]:
        raise InputError(
            f"images of {images.shape[1]}x{images.shape[2]} cannot be resized by {factor}: choose a factor above 0"
        )
    rows, columns = (_weights(side, factor, border) for side in images.shape[1:3])
    product = partial(jnp.einsum, precision=lax.Precision.HIGHEST)
    x = _as(images.dtype, product("ih,bhwc->biwc", rows, images.astype(jnp.float32)))
    return _as(images.dtype, product("jw,biwc->bijc", columns, x.astype(jnp.float32)))


def _as(dtype: np.dtype, x: Array) -> Array:
    """Floats as the type: rounded and cut if that is of whole numbers."""
    if not jnp.issubdtype(dtype, jnp.integer):
        return x.astype(dtype)
    return jnp.clip(jnp.floor(x + 0.5), jnp.iinfo(dtype).min, jnp.iinfo(dtype).max).astype(dtype)


@lru_cache(maxsize=64)
def _weights(old: int, factor: float, border: Border) -> np.ndarray:
    """The matrix (new, old) of one axis."""
    new = math.ceil(factor * old - 1e-9)  # 0.1 * 30 is a little above 3
    widening = max(1 / factor, 1.0)
    middle = (np.arange(new) + 0.5) / factor - 0.5
    taps = math.ceil(2 * HALF_SIZE * widening) + 2
    pixel = np.floor(middle - HALF_SIZE * widening).astype(int)[:, None] + np.arange(taps)  # new taps
    weight = cubic((middle[:, None] - pixel) / widening)
    weight /= weight.sum(axis=1, keepdims=True)
    matrix = np.zeros((new, old))
    np.add.at(matrix, (np.arange(new)[:, None], _inside(pixel, old, border)), weight)
    return matrix.astype(np.float32)


def _inside(pixel: np.ndarray, n: int, border: Border) -> np.ndarray:
    """The pixel of the image that stands for each, which may lie beyond the border."""
    if border == "edge":
        return np.clip(pixel, 0, n - 1)
    around = np.mod(pixel, 2 * n)  # 0, 1, ..., n-1, n-1, ..., 1, 0, again
    return np.minimum(around, 2 * n - 1 - around)
