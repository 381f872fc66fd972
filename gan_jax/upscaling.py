"""Whole pictures enlarged by a generator of super-resolution, in tiles so that memory stays bounded."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.core import Sampler, Variables
from gan_jax.errors import InputError
from gan_jax.images.tiles import in_tiles

TILE, MARGIN, MOST_MARGIN = 256, 40, 64  # pixels of the low picture; a network that reaches further is cut there


def enlarged(
    sampler: Sampler,
    variables: Variables,
    low: np.ndarray,
    *,
    reach: int = MARGIN,
    tile: int = TILE,
    finish: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> np.ndarray:
    """The picture (h, w, c), uint8 or float32 in [-1, 1], as many times larger as the generator makes it.

    The generator is shown `tile` x `tile` pixels at a time, normalised by the statistics of `variables`; `reach` is how far
    its pixels depend on others, and tiles overlap twice as much, up to `MOST_MARGIN`, so that they equal the whole up to
    rounding. A picture that fits is shown whole. `finish` is applied to every tile of floats (h, w, c), about [-1, 1]. Raises
    `InputError` for a generator that asks for anything but `low`, and for tiles that keep nothing.
    """
    if sampler.needs != ("low",):
        asks = ", ".join(sampler.needs) or "nothing"
        raise InputError(f"only a run of super-resolution enlarges pictures, and this one asks for {asks}")
    shape = jax.ShapeDtypeStruct((1, 8, 8, low.shape[-1]), low.dtype)
    factor = jax.eval_shape(partial(_made, sampler), variables, shape).shape[1] // 8

    def one(part: np.ndarray) -> np.ndarray:
        return finish(np.asarray(_made(sampler, variables, np.ascontiguousarray(part)[None]), np.float32)[0])

    return in_tiles(one, low, factor, tile, min(reach, MOST_MARGIN))


@partial(jax.jit, static_argnums=0)
def _made(sampler: Sampler, variables: Variables, low: Array) -> Array:
    key = jax.random.key(0)
    return sampler.sample(variables, sampler.inputs(key, {"low": jnp.asarray(low)}), key, False)[0]
