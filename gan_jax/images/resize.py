"""Changes of size as the reference implementations of scores make them; a score is comparable for one of them only.

Parmar, Zhang & Zhu 2022 (arXiv:2104.11222) show how far apart they are. All are linear and separable: two matrix products.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Num

from gan_jax.errors import InputError

HALF_SIZE = 2.0  # of the cubic kernel, in pixels


@partial(jax.jit, static_argnames=("size", "mode"))
def resize(images: Num[Array, "b h w c"], size: tuple[int, int], mode: str) -> Float[Array, "b i j c"]:
    """Images, whole numbers or floats whose values stay as they are (such as 0 to 255), to `size` (height, width).

    `mode` is one of `RESIZES`. Raises `InputError` for another one, and for sizes of 0.
    """
    if mode not in RESIZES:
        raise InputError(f"there is no resize mode {mode!r}: choose one of {', '.join(RESIZES)}")
    if 0 in (*images.shape[1:3], *size):
        raise InputError(f"images of {images.shape[1]}x{images.shape[2]} cannot be made {size[0]}x{size[1]}")
    rows, columns = (_weights(mode, old, new) for old, new in zip(images.shape[1:3], size, strict=True))
    product = partial(jnp.einsum, precision=lax.Precision.HIGHEST)
    x = product("jw,bhwc->bhjc", columns, images.astype(jnp.float32))
    x = product("ih,bhjc->bijc", rows, x)
    return jnp.clip(x, 0, 255) if RESIZES[mode].clips else x


def _tf1(old: int, new: int) -> np.ndarray:
    """TensorFlow 1's default: bilinear, pixel i at i * old / new, nothing averaged. FID's Inception is fed so."""
    return _bilinear(np.arange(new, dtype=np.float32) * np.float32(old / new), old)


def _pytorch(old: int, new: int) -> np.ndarray:
    """`torch.nn.functional.interpolate`: bilinear between the middles of pixels, nothing averaged. pytorch-fid's."""
    at = (np.arange(new) + 0.5) * np.float64(np.float32(old / new)) - 0.5  # rounded once, by fused multiply-add
    return _bilinear(np.maximum(at, 0).astype(np.float32), old)


def _bilinear(at: np.ndarray, old: int) -> np.ndarray:
    """Weights of the two pixels around each place. Places are float32, rounded as the references round them."""
    low = np.minimum(at.astype(int), old - 1)
    high, share, row = np.minimum(low + 1, old - 1), at - low, np.arange(len(at))
    weights = np.zeros((len(at), old), np.float32)
    weights[row, low] += 1 - share
    weights[row, high] += share  # both are the same pixel at the end
    return weights


def _clean(old: int, new: int) -> np.ndarray:
    """Pillow's bicubic, whose kernel (a = -1/2) widens when the image shrinks; what reaches outside is left out."""
    scale = old / new
    width = max(scale, 1.0)
    middle = (np.arange(new)[:, None] + 0.5) * scale
    pixel = np.arange(old)[None, :]
    first = np.maximum((middle - HALF_SIZE * width + 0.5).astype(int), 0)
    end = np.minimum((middle + HALF_SIZE * width + 0.5).astype(int), old)
    weights = np.where((pixel >= first) & (pixel < end), cubic((pixel + 0.5 - middle) / width), 0)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def cubic(x: np.ndarray) -> np.ndarray:
    """Keys 1981 (doi:10.1109/TASSP.1981.1163711) with a = -1/2."""
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < HALF_SIZE, far, 0))


class Resize(NamedTuple):
    """`weights(old, new)` is a matrix (new, old); what leaves 0 to 255 is cut if `clips`."""

    weights: Callable[[int, int], np.ndarray]
    clips: bool = False


@lru_cache(maxsize=64)
def _weights(mode: str, old: int, new: int) -> np.ndarray:
    return RESIZES[mode].weights(old, new)


RESIZES = {"tf1": Resize(_tf1), "pytorch": Resize(_pytorch), "clean": Resize(_clean, clips=True)}
