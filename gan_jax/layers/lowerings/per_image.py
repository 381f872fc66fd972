"""For CPUs, where one side has few or many more channels: the kernel's gradient as a matrix product for each image.

Patches of the side with fewer channels are the rows, few enough of one image to stay in the cache. XLA's own form of that
gradient has the output channels as its innermost dimension, and at the end of a generator their number fills no vector unit.
"""

import jax.numpy as jnp
from jax import Array

from gan_jax.layers.lowerings import subpixel
from gan_jax.layers.lowerings.by_image import planes, summed
from gan_jax.layers.lowerings.form import Form


def correlate(x: Array, y: Array, stride: int, shape: tuple[int, int]) -> Array:
    """`Form.correlate` for stride 1, and for any stride where y has no fewer channels than x."""
    c, o = x.shape[-1], y.shape[-1]
    if c <= o:
        return summed(lambda x, y: planes(x, shape, stride) @ y.reshape(-1, o), x, y).reshape(*shape, c, o)
    if stride > 1:
        return subpixel.correlate(x, y, stride, shape)
    flipped = summed(lambda x, y: planes(y, shape, 1, turned=True) @ x.reshape(-1, c), x, y).reshape(*shape, o, c)
    return jnp.flip(flipped, (0, 1)).swapaxes(2, 3)


per_image = Form(subpixel.conv, subpixel.adjoint, correlate)
