"""For CPUs and stride 1, where one side has many more channels: the kernel's gradient as a matrix product for each image.

Patches of the side with fewer channels are the rows, few enough of one image to stay in the cache. XLA's own form of that
gradient has the output channels as its innermost dimension, and at the end of a generator their number fills no vector unit.
"""

import jax.numpy as jnp
from jax import Array

from gan_jax.layers.lowerings.by_image import planes, summed
from gan_jax.layers.lowerings.form import Form
from gan_jax.layers.lowerings.subpixel import adjoint, conv


def correlate(x: Array, y: Array, stride: int, shape: tuple[int, int]) -> Array:
    """`Form.correlate` for stride 1."""
    c, o = x.shape[-1], y.shape[-1]
    if c <= o:
        return summed(lambda x, y: planes(x, shape, 1) @ y.reshape(-1, o), x, y).reshape(*shape, c, o)
    flipped = summed(lambda x, y: planes(y, shape, 1, turned=True) @ x.reshape(-1, c), x, y).reshape(*shape, o, c)
    return jnp.flip(flipped, (0, 1)).swapaxes(2, 3)


per_image = Form(conv, adjoint, correlate)
