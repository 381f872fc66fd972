"""For CPUs, stride 1 and images of few channels: matrix products with the input patches as rows (im2col)."""

import jax.numpy as jnp
from jax import Array

from gan_jax.layers.lowerings.form import Form, padding
from gan_jax.layers.lowerings.per_image import correlate


def conv(x: Array, kernel: Array, stride: int) -> Array:
    """`Form.conv` as one matrix product."""
    b, h, w, _ = x.shape
    rows = _patches(x, kernel.shape[:2], stride) @ kernel.reshape(-1, kernel.shape[-1])
    return rows.reshape(b, h // stride, w // stride, -1)


def adjoint(y: Array, kernel: Array, stride: int) -> Array:
    """`Form.adjoint`: overlapping patches are added, on a grid of cells of stride x stride pixels."""
    (b, i, j, o), (height, width, c, _) = y.shape, kernel.shape
    rows, columns = -(-height // stride), -(-width // stride)  # cells under a patch
    kernel = jnp.pad(kernel, ((0, rows * stride - height), (0, columns * stride - width), (0, 0), (0, 0)))
    cells = kernel.reshape(rows, stride, columns, stride, c, o).transpose(0, 2, 1, 3, 4, 5).reshape(-1, o)
    parts = (y.reshape(-1, o) @ cells.T).reshape(b, i, j, rows, columns, stride, stride * c)
    total = jnp.zeros((), y.dtype)
    for r in range(rows):
        for q in range(columns):
            total = total + jnp.pad(parts[:, :, :, r, q], ((0, 0), (r, rows - 1 - r), (q, columns - 1 - q), (0, 0), (0, 0)))
    pixels = total.transpose(0, 1, 3, 2, 4).reshape(b, (i + rows - 1) * stride, (j + columns - 1) * stride, c)
    (top, _), (left, _) = padding(height, stride), padding(width, stride)
    needed = ((0, 0), (0, max(top + i * stride - pixels.shape[1], 0)), (0, max(left + j * stride - pixels.shape[2], 0)), (0, 0))
    return jnp.pad(pixels, needed)[:, top : top + i * stride, left : left + j * stride]


def _patches(x: Array, shape: tuple[int, ...], stride: int) -> Array:
    """The input patch of every output as a row: (b * outputs, k * l * c)."""
    b, h, w, c = x.shape
    pads = [padding(size, stride) for size in shape[:2]]
    padded = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    taps = [
        padded[:, r : r + h - stride + 1 : stride, q : q + w - stride + 1 : stride]
        for r in range(shape[0])
        for q in range(shape[1])
    ]
    return jnp.concatenate(taps, axis=-1).reshape(b * (h // stride) * (w // stride), shape[0] * shape[1] * c)


patches = Form(conv, adjoint, correlate)
