"""XLA's own convolutions and their transposes, which cuDNN and TPUs implement."""

import jax
from jax import Array, lax

from gan_jax.layers.lowerings.form import Form, padding

NHWC = ("NHWC", "HWIO", "NHWC")


def conv(x: Array, kernel: Array, stride: int) -> Array:
    """`Form.conv` by `lax.conv_general_dilated`."""
    pads = [padding(size, stride) for size in kernel.shape[:2]]
    return lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=NHWC)


def adjoint(y: Array, kernel: Array, stride: int) -> Array:
    """`Form.adjoint` as the transpose of `conv`."""
    b, i, j, _ = y.shape
    x = jax.ShapeDtypeStruct((b, i * stride, j * stride, kernel.shape[2]), y.dtype)
    return jax.linear_transpose(lambda x: conv(x, kernel, stride), x)(y)[0]


def correlate(x: Array, y: Array, stride: int, shape: tuple[int, int]) -> Array:
    """`Form.correlate` as the transpose of `conv`."""
    kernel = jax.ShapeDtypeStruct((*shape, x.shape[-1], y.shape[-1]), x.dtype)
    return jax.linear_transpose(lambda kernel: conv(x, kernel, stride), kernel)(y)[0]


plain = Form(conv, adjoint, correlate)
