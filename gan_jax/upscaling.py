"""Whole pictures enlarged by a generator of super-resolution, in tiles so that memory stays bounded."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax import host_memory
from gan_jax.core import Sampler, Variables
from gan_jax.errors import InputError
from gan_jax.images.imresize import imresize
from gan_jax.images.tiles import in_tiles

TILE, MARGIN, MOST_MARGIN = 256, 40, 64  # pixels of the low picture
_ALPHA_MARGIN = 4  # of the cubic kernel, generously
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_COPIES = 3  # of the result: put together, joined with its opacity, and written by PIL
_TILE_BYTES = 4 * 64 * 8  # a pixel of an enlarged tile: 64 channels of floats, and what lies between layers


def upscaled(
    sampler: Sampler, variables: Variables, picture: np.ndarray, channels: int, *, margin: int = MARGIN, tile: int = TILE
) -> np.ndarray:
    """A picture (h, w) or (h, w, c) enlarged, of its own type and kind; see `enlarged` for `margin` and `tile`.

    Whole numbers without a sign have black 0 and white their largest, floats -1 and 1. Of 2 or 4 channels the last is opacity,
    which is enlarged by MATLAB's bicubic `imresize`. A grey picture passes a generator of three `channels` as three equal
    colours, whose brightness comes back; colours pass one of a single channel one after the other. Raises `InputError` for
    other types and shapes, where memory is too small for the result, and as `enlarged` does.
    """
    h, w, c = (*picture.shape, 1) if picture.ndim == 2 else picture.shape if picture.ndim == 3 else (0, 0, 0)
    if picture.dtype not in (np.uint8, np.uint16, np.float32) or not 1 <= c <= 4 or 0 in (h, w):
        raise InputError(
            f"a picture is uint8, uint16 or float32 (h, w) or (h, w, c) of 1 to 4 channels, not {picture.dtype} {picture.shape}"
        )
    factor = factor_of(sampler, variables, channels)
    result = h * w * factor**2 * c * picture.itemsize
    needed = _COPIES * result + min(tile, h) * min(tile, w) * factor**2 * _TILE_BYTES
    cure = "shrink it, or cut it into parts"
    host_memory.require(needed, host_memory.free_memory(), f"a picture of {factor * h:,}x{factor * w:,} pixels", cure)
    planes = picture.reshape(h, w, c)
    colour = planes[..., : c - 1] if c in (2, 4) else planes
    show = partial(enlarged, sampler, variables, margin=margin, tile=tile)
    made = _colours(show, colour, channels)
    if c in (2, 4):
        alpha = in_tiles(partial(_bicubic, factor), planes[..., -1:], factor, 2 * tile, _ALPHA_MARGIN)
        made = np.concatenate([made, alpha], axis=-1)
    return made[..., 0] if picture.ndim == 2 else made


def enlarged(
    sampler: Sampler,
    variables: Variables,
    low: np.ndarray,
    *,
    margin: int = MARGIN,
    tile: int = TILE,
    finish: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> np.ndarray:
    """The picture (h, w, c), uint8 or float32 in [-1, 1], as many times larger as the generator makes it.

    The generator is shown `tile` x `tile` pixels at a time, normalised by the statistics of `variables`, and of each tile
    `margin` pixels at every side are not kept where the picture goes on: tiles equal the whole up to rounding if the generator
    reaches no further (`margin_for`). A picture that fits is shown whole. `finish` is applied to every tile of floats
    (h, w, c), about [-1, 1]. Raises `InputError` for a generator that asks for anything but `low`, and for tiles that keep
    nothing.
    """
    factor = factor_of(sampler, variables, low.shape[-1])

    def one(part: np.ndarray) -> np.ndarray:
        return finish(np.asarray(_made(sampler, variables, np.ascontiguousarray(part)[None]), np.float32)[0])

    return in_tiles(one, low, factor, tile, margin)


def margin_for(reach: int) -> int:
    """The margin of tiles for a generator whose pixels depend on others up to `reach` away; 0 stands for one not known.

    Not above 64 pixels, so that tiles stay small: a deeper network (16 blocks reach 40, ESRGAN's 23 reach 353) has tiles that
    are not equal to the whole, though what lies so far away changes little.
    """
    return min(reach or MARGIN, MOST_MARGIN)


def factor_of(sampler: Sampler, variables: Variables, channels: int) -> int:
    """How many times a generator enlarges pictures; raises `InputError` for one that asks for anything but `low`."""
    if sampler.needs != ("low",):
        asks = f"is asked by {', '.join(sampler.needs)}" if sampler.needs else "makes pictures of noise alone"
        raise InputError(f"only a run of super-resolution enlarges pictures, and this one {asks}")
    shape = jax.ShapeDtypeStruct((1, 8, 8, channels), np.float32)
    return int(jax.eval_shape(partial(_made, sampler), variables, shape).shape[1] // 8)


@partial(jax.jit, static_argnums=0)
def _made(sampler: Sampler, variables: Variables, low: Array) -> Array:
    key = jax.random.key(0)
    return sampler.sample(variables, sampler.inputs(key, {"low": jnp.asarray(low)}), key, False)[0]


def _colours(show: Callable[..., np.ndarray], colour: np.ndarray, channels: int) -> np.ndarray:
    """The colours (h, w, 1 or 3) by a generator of so many channels."""
    low, dtype = _floats(colour), colour.dtype
    if low.shape[-1] == channels:
        return show(low, finish=partial(_as, dtype))
    if channels == 1:
        each = [show(low[..., i : i + 1], finish=partial(_as, dtype)) for i in range(low.shape[-1])]
        return np.concatenate(each, axis=-1)
    return show(np.repeat(low, channels, axis=-1), finish=lambda x: _as(dtype, (x @ _LUMA)[..., None]))


def _floats(x: np.ndarray) -> np.ndarray:
    """In [-1, 1]; uint8 stays, which the generator brings there itself."""
    return x.astype(np.float32) / 32767.5 - 1 if x.dtype == np.uint16 else x


def _as(dtype: np.dtype, x: np.ndarray) -> np.ndarray:
    """From [-1, 1] to the whole range of the type, rounded and cut."""
    if dtype == np.float32:
        return x
    peak = np.iinfo(dtype).max
    return np.clip(np.rint((x + 1) * (peak / 2)), 0, peak).astype(dtype)


def _bicubic(factor: int, part: np.ndarray) -> np.ndarray:
    return np.asarray(imresize(np.ascontiguousarray(part)[None], float(factor)))[0]
