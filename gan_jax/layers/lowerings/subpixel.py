"""For CPUs, any size: the adjoint as a convolution on the coarse grid and a rearrangement of pixels.

XLA's own transpose of a strided convolution is a convolution over an input dilated with zeros; on CPUs it can run more than
ten times slower than the sub-pixel form of the same sum (Shi et al. 2016, arXiv:1609.05158).
"""

import jax.numpy as jnp
from jax import Array, lax

from gan_jax.layers.lowerings.form import Form, padding
from gan_jax.layers.lowerings.plain import NHWC, conv


def adjoint(y: Array, kernel: Array, stride: int) -> Array:
    """`Form.adjoint` as a convolution of stride 1 and a rearrangement of pixels."""
    lows = [padding(size, stride)[0] for size in kernel.shape[:2]]
    fronts = [-low % stride for low in lows]  # zeros that align the kernel's first tap with the coarse grid
    backs = [-(size + front) % stride for size, front in zip(kernel.shape[:2], fronts, strict=True)]
    kernel = jnp.pad(kernel, [*zip(fronts, backs, strict=True), (0, 0), (0, 0)])
    rows, cols, c, o = kernel.shape[0] // stride, kernel.shape[1] // stride, *kernel.shape[2:]
    phases = kernel.reshape(rows, stride, cols, stride, c, o)[::-1, :, ::-1]
    phases = phases.transpose(0, 2, 5, 1, 3, 4).reshape(rows, cols, o, stride * stride * c)
    aligned = [(low + front) // stride for low, front in zip(lows, fronts, strict=True)]
    pads = [(taps - 1 - high, high) for taps, high in zip((rows, cols), aligned, strict=True)]
    fine = lax.conv_general_dilated(y, phases, (1, 1), pads, dimension_numbers=NHWC)
    b, i, j, _ = fine.shape
    fine = fine.reshape(b, i, j, stride, stride, c).transpose(0, 1, 3, 2, 4, 5)
    return fine.reshape(b, i * stride, j * stride, c)


def correlate(x: Array, y: Array, stride: int, shape: tuple[int, int]) -> Array:
    """`Form.correlate` as a convolution over the batch, with explicit transposes.

    With dimension numbers in their place, XLA's CPU compiler emits a naive loop for the same sum inside `lax.scan`.
    """
    pads = [padding(size, stride) for size in shape]
    full = lax.conv_general_dilated(
        x.transpose(3, 1, 2, 0),
        y.transpose(1, 2, 0, 3),
        (1, 1),
        pads,
        rhs_dilation=(stride, stride),
        dimension_numbers=NHWC,
    )
    return full.transpose(1, 2, 0, 3)[: shape[0], : shape[1]]


subpixel = Form(conv, adjoint, correlate)
