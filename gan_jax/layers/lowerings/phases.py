"""For CPUs, strides above 1 and images of few channels: the pixels of a cell stacked as its channels.

A convolution of stride s is one of stride 1 over cells of s * s pixels, whose channels fill vector units where those of the
pixels do not. The adjoint is the sub-pixel form, the same sum from the other side; the kernel's gradient is summed over
products of single images.
"""

import jax.numpy as jnp
from jax import Array, lax

from gan_jax.layers.lowerings.form import Form, padding
from gan_jax.layers.lowerings.per_image import correlate
from gan_jax.layers.lowerings.plain import NHWC
from gan_jax.layers.lowerings.subpixel import adjoint


def conv(x: Array, kernel: Array, stride: int) -> Array:
    """`Form.conv` as a convolution of stride 1 over cells."""
    (b, h, w, c), (k, n, _, o), s = x.shape, kernel.shape, stride
    rows, columns = -(-k // s), -(-n // s)  # cells under the kernel
    high, wide = h // s + rows - 1, w // s + columns - 1
    pads = [(low := padding(size, s)[0], s * cells - side - low) for size, cells, side in ((k, high, h), (n, wide, w))]
    pixels = jnp.pad(x, ((0, 0), *pads, (0, 0))).reshape(b, high, s, wide, s, c)
    cells = pixels.transpose(0, 1, 3, 2, 4, 5).reshape(b, high, wide, s * s * c)
    taps = jnp.pad(kernel, ((0, s * rows - k), (0, s * columns - n), (0, 0), (0, 0))).reshape(rows, s, columns, s, c, o)
    stacked = taps.transpose(0, 2, 1, 3, 4, 5).reshape(rows, columns, s * s * c, o)
    return lax.conv_general_dilated(cells, stacked, (1, 1), "VALID", dimension_numbers=NHWC)


phases = Form(conv, adjoint, correlate)
