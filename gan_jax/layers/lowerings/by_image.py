"""Sums over images of products with the patches of one image, which stay in the cache."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.layers.lowerings.form import padding


def summed(product: Callable[[Array, Array], Array], x: Array, y: Array) -> Array:
    """The sum of the products of all images, one after the other."""
    like = jax.eval_shape(product, x[0], y[0])

    def add(total: Array, image: tuple[Array, Array]) -> tuple[Array, None]:
        return total + product(*image), None

    return jax.lax.scan(add, jnp.zeros(like.shape, like.dtype), (x, y))[0]


def planes(image: Array, shape: tuple[int, int], stride: int, *, turned: bool = False) -> Array:
    """What each tap of a kernel of `shape`, or of the one turned round, meets: (k * l * c, h / stride * w / stride)."""
    h, w, _ = image.shape
    pads = [padding(size, stride)[:: -1 if turned else 1] for size in shape]
    channels = jnp.pad(image, (*pads, (0, 0))).transpose(2, 0, 1)
    taps = [
        channels[:, r : r + h - stride + 1 : stride, q : q + w - stride + 1 : stride]
        for r in range(shape[0])
        for q in range(shape[1])
    ]
    return jnp.stack(taps).reshape(-1, (h // stride) * (w // stride))
