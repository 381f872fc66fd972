"""For CPUs, images of one or three channels: filled up with zeros to four.

The patches that XLA's convolution gathers are copied vector by vector where the channels are a multiple of four, else number by
number, which can take several times as long as the multiplications with the zeros.
"""

import jax.numpy as jnp
from jax import Array

from gan_jax.layers.lowerings import subpixel
from gan_jax.layers.lowerings.form import Form
from gan_jax.layers.lowerings.per_image import correlate

MULTIPLE = 4


def conv(x: Array, kernel: Array, stride: int) -> Array:
    """`Form.conv`, the channels of x filled up."""
    return subpixel.conv(_filled(x, 3), _filled(kernel, 2), stride)


def adjoint(y: Array, kernel: Array, stride: int) -> Array:
    """`Form.adjoint`, the channels of y filled up."""
    return subpixel.adjoint(_filled(y, 3), _filled(kernel, 3), stride)


def _filled(x: Array, axis: int) -> Array:
    return jnp.pad(x, [(0, -x.shape[axis] % MULTIPLE if each == axis else 0) for each in range(x.ndim)])


padded = Form(conv, adjoint, correlate)
