"""Convolutions and pooling of pretrained networks, in the forms that XLA computes fastest on a CPU."""

import itertools
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from gan_jax.layers import lowerings
from gan_jax.layers.conv import conv


def convolve(
    x: Float[Array, "b h w c"], kernel: Float[Array, "k l c o"], strides: Any, padding: Any, **options: Any
) -> Float[Array, "b i j o"]:
    """Convolution for `flax.linen.Conv(conv_general_dilated=convolve)`: equals `lax.conv_general_dilated` up to rounding.

    1x1 kernels become matrix products; 3x3 kernels use `gan_jax.layers.conv`, which needs fewer multiplications, uses all
    cores and has fast gradients. XLA's own convolution uses one core for 128 output channels or fewer.
    """
    size, plain = kernel.shape[:2], set(strides) == {1} and isinstance(padding, str)
    if size == (1, 1) and plain:
        return jnp.matmul(x, kernel[0, 0], precision=options["precision"])
    if size == (3, 3) and plain and lowerings.tiling(kernel.shape, 1, (2, 2)):
        return _three_by_three(x, kernel, padding, options["precision"])
    return lax.conv_general_dilated(x, kernel, strides, padding, **options)


def _three_by_three(x: Array, kernel: Array, padding: str, precision: lax.Precision) -> Array:
    """The image is padded to an even number of rows and columns, which the Winograd form needs."""
    h, w = x.shape[1:3]
    even = jnp.pad(x, ((0, 0), (0, h % 2), (0, w % 2), (0, 0)))
    with jax.default_matmul_precision(precision.name.lower()):
        y = conv(even, kernel, 1)
    return y[:, 1 : h - 1, 1 : w - 1] if padding == "VALID" else y[:, :h, :w]


def max_pool(
    x: Float[Array, "b h w c"], size: int = 3, stride: int = 2, *, edge: int = 0, ceil: bool = False
) -> Float[Array, "b i j c"]:
    """Max pooling over size x size windows at every `stride`, of an image padded by `edge` on each side.

    With `ceil` the last window may be incomplete. Computed as maxima of shifted images: `flax.linen.max_pool` takes three to
    five times as long on a CPU.
    """
    for axis in (1, 2):
        n = x.shape[axis] + 2 * edge
        positions = (n - size + (stride - 1) * ceil) // stride + 1
        reach = (positions - 1) * stride + 1
        pads = [(0, 0)] * 4
        pads[axis] = (edge, edge + max(reach + size - 1 - n, 0))
        x = jnp.pad(x, pads, constant_values=-jnp.inf)
        x = reduce(jnp.maximum, [lax.slice_in_dim(x, i, i + reach, stride, axis) for i in range(size)])
    return x


def mean_3x3(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """3x3 average pooling with stride 1; padding is not counted."""
    _, h, w, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    total = reduce(jnp.add, [padded[:, i : i + h, j : j + w] for i, j in itertools.product(range(3), repeat=2)])
    rows, columns = (np.convolve(np.ones(n, np.float32), np.ones(3, np.float32), "same") for n in (h, w))
    return total / jnp.asarray(np.outer(rows, columns))[None, :, :, None]
