"""For CPUs and stride 1, where one side has many more channels: the kernel's gradient as a matrix product for each image.

Patches of the side with fewer channels are the rows, few enough of one image to stay in the cache. XLA's own form of that
gradient has the output channels as its innermost dimension, and at the end of a generator their number fills no vector unit.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.layers.lowerings.form import Form, padding
from gan_jax.layers.lowerings.subpixel import adjoint, conv


def correlate(x: Array, y: Array, stride: int, shape: tuple[int, int]) -> Array:
    """`Form.correlate` for stride 1."""
    c, o = x.shape[-1], y.shape[-1]
    pads = [padding(size, 1) for size in shape]
    if c <= o:
        return _summed(lambda x, y: _patches(x, shape, pads) @ y.reshape(-1, o), x, y).reshape(*shape, c, o)
    turned = [(after, before) for before, after in pads]
    flipped = _summed(lambda x, y: _patches(y, shape, turned) @ x.reshape(-1, c), x, y).reshape(*shape, o, c)
    return jnp.flip(flipped, (0, 1)).swapaxes(2, 3)


def _summed(product: Callable[[Array, Array], Array], x: Array, y: Array) -> Array:
    """The sum of the products of all images, one after the other."""
    like = jax.eval_shape(product, x[0], y[0])

    def add(total: Array, image: tuple[Array, Array]) -> tuple[Array, None]:
        return total + product(*image), None

    return jax.lax.scan(add, jnp.zeros(like.shape, like.dtype), (x, y))[0]


def _patches(image: Array, shape: tuple[int, int], pads: list[tuple[int, int]]) -> Array:
    """The image at every tap: (height * width * c, h * w), zeros beyond its border."""
    h, w, _ = image.shape
    planes = jnp.pad(image, (*pads, (0, 0))).transpose(2, 0, 1)
    taps = [planes[:, r : r + h, q : q + w] for r in range(shape[0]) for q in range(shape[1])]
    return jnp.stack(taps).reshape(-1, h * w)


per_image = Form(conv, adjoint, correlate)
