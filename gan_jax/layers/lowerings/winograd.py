"""Strided convolutions by fewer multiplications (Winograd 1980; Lavin & Gray 2015, arXiv:1509.09308), as matrix products.

A convolution of stride s is one of stride 1 over the s * s phases of the image, stacked as channels. Its outputs are made in
tiles of 2x2: with r taps a side, after the phases are taken apart, what `Form` differentiates becomes

    <conv(x, kernel), y> = sum over points p of <V_p U_p, W_p>,    (r + 1)^2 points,

where V = points of x's tiles (tiles, s s c), U = points of the kernel (s s c, o) and W = points of y's tiles (tiles, o) are
sums and differences. Each of the three derivatives of the form is one product per point, then a transposed transform:
9/16 of the multiplications for r = 2 (4x4 kernels of stride 2), 4/9 for r = 3 (3x3 kernels of stride 1). Interpolation at 0,
1, -1 and infinity only, so that rounding errors stay those of plain convolutions.
"""

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.lax import optimization_barrier

from gan_jax.layers.lowerings.form import Form, padding

Matrix = tuple[tuple[float | int, ...], ...]


class Transforms(NamedTuple):
    """One axis: rows are points, columns the r + 1 inputs of a tile, the r taps, its 2 outputs."""

    x: Matrix
    kernel: Matrix
    y: Matrix


# y_i = sum_u d_{i+u} k_u for i = 0, 1 is sum_p (x d)_p (kernel k)_p (y e_i)_p; F(2, 2) and F(2, 3) of Winograd.
_TRANSFORMS = {
    2: Transforms(
        x=((1, -1, 0), (0, 1, 0), (0, -1, 1)),
        kernel=((1, 0), (1, 1), (0, 1)),
        y=((1, 0), (1, 1), (0, 1)),
    ),
    3: Transforms(
        x=((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
        kernel=((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1)),
        y=((1, 0), (1, 1), (1, -1), (0, -1)),
    ),
}


def taps(size: int, stride: int) -> int:
    """Taps a side of each phase's kernel."""
    return -(-size // stride)


def possible(size: int, stride: int, outputs: tuple[int, ...], channels: tuple[int, int]) -> bool:
    """Whether a square kernel of `size` can be taken this way, and whether that pays: wide layers, and outputs in 2x2 tiles."""
    worth = 2 * (taps(size, stride) + 1) * stride < 2 * 2 * size  # multiplications along an axis, against plain ones
    return taps(size, stride) in _TRANSFORMS and worth and not (outputs[0] % 2 or outputs[1] % 2) and min(channels) >= 16


def conv(x: Array, kernel: Array, stride: int) -> Array:
    b, h, w, _ = x.shape
    pairs = zip(_image_points(x, len(kernel), stride), _kernel_points(kernel, stride), strict=True)
    return _output([v @ u for v, u in pairs], (b, h // stride // 2, w // stride // 2), taps(len(kernel), stride))


def adjoint(y: Array, kernel: Array, stride: int) -> Array:
    b, i, j, _ = y.shape
    pairs = zip(_output_points(y, taps(len(kernel), stride)), _kernel_points(kernel, stride), strict=True)
    return _image([w @ u.T for w, u in pairs], (b, i // 2, j // 2), len(kernel), stride)


def correlate(x: Array, y: Array, stride: int, shape: tuple[int, int]) -> Array:
    size = shape[0]
    pairs = zip(_image_points(x, size, stride), _output_points(y, taps(size, stride)), strict=True)
    return _kernel([_inner(v, w) for v, w in pairs], size, stride)


winograd = Form(conv, adjoint, correlate)


def _inner(v: Array, w: Array) -> Array:
    """v^T w over their many rows; the narrower one is transposed in memory first, which XLA's products on a CPU like better."""
    return (optimization_barrier(w.T) @ v).T if w.shape[1] <= v.shape[1] else optimization_barrier(v.T) @ w


def _sum(coefficients: Sequence[float | int], terms: Sequence[Array]) -> Array:
    """The linear combination, without the terms that are multiplied by 0."""
    total = None
    for a, term in zip(coefficients, terms, strict=True):
        if a:
            scaled = term if abs(a) == 1 else abs(a) * term
            total = (scaled if a > 0 else -scaled) if total is None else (total + scaled if a > 0 else total - scaled)
    assert total is not None  # no row of a transform is zero
    return total


def _transposed(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


def _image_points(x: Array, size: int, stride: int) -> list[Array]:
    """V: for each point (tiles, s s c)."""
    b, h, w, c = x.shape
    r, (low, _), cell = taps(size, stride), padding(size, stride), 2 * stride  # a tile begins at every `cell` pixels
    t, u = h // cell, w // cell
    padded = jnp.pad(x, ((0, 0), (low, cell - low), (low, cell - low), (0, 0)))
    cells = padded.reshape(b, t + 1, 2, stride, u + 1, 2, stride, c)

    def row(i: int) -> Array:
        return cells[:, i // 2 : i // 2 + t, i % 2]  # b t s u+1 2 s c

    def column(a: Array, j: int) -> Array:
        return a[:, :, :, j // 2 : j // 2 + u, j % 2]  # b t s u s c

    points = []
    for over_rows in _TRANSFORMS[r].x:
        a = _sum(over_rows, [row(i) for i in range(r + 1)])
        for over_columns in _TRANSFORMS[r].x:
            v = _sum(over_columns, [column(a, j) for j in range(r + 1)])
            points.append(v.transpose(0, 1, 3, 2, 4, 5).reshape(b * t * u, stride * stride * c))
    return points


def _image(products: Sequence[Array], tiles: tuple[int, int, int], size: int, stride: int) -> Array:
    """The transpose of `_image_points`: tiles overlap, and what overlaps is added."""
    (b, t, u), r, (low, _) = tiles, taps(size, stride), padding(size, stride)
    c = products[0].shape[-1] // stride**2
    parts = [p.reshape(b, t, u, stride, stride, c) for p in products]
    back = _transposed(_TRANSFORMS[r].x)

    def along(parts: Sequence[Array], axis: int) -> list[Array]:
        """The two halves of every cell, from points of one axis."""
        halves = []
        for first, second in ((0, 2), (1, 3)):
            here = _shifted(_sum(back[first], parts), axis, 0)
            halves.append(here + _shifted(_sum(back[second], parts), axis, 1) if second <= r else here)
        return halves

    rows = [along(parts[(r + 1) * p : (r + 1) * (p + 1)], 2) for p in range(r + 1)]  # [row's point][half of the column]
    cells = [along([row[v] for row in rows], 1) for v in range(2)]  # [half of the column][half of the row]: b t+1 u+1 s s c
    stacked = jnp.stack([jnp.stack([cells[v][i] for v in range(2)], axis=3) for i in range(2)], axis=2)  # b t+1 2 u+1 2 s s c
    pixels = stacked.transpose(0, 1, 2, 5, 3, 4, 6, 7).reshape(b, 2 * stride * (t + 1), 2 * stride * (u + 1), c)
    return pixels[:, low : low + 2 * stride * t, low : low + 2 * stride * u]


def _shifted(x: Array, axis: int, by: int) -> Array:
    """One place longer along the axis: zeros behind, or before if shifted by 1."""
    pads = [(0, 0)] * x.ndim
    pads[axis] = (by, 1 - by)
    return jnp.pad(x, pads)


def _kernel_points(kernel: Array, stride: int) -> list[Array]:
    """U: for each point (s s c, o)."""
    size, _, c, o = kernel.shape
    r = taps(size, stride)
    padded = jnp.pad(kernel, ((0, r * stride - size), (0, r * stride - size), (0, 0), (0, 0)))
    phases = padded.reshape(r, stride, r, stride, c, o).transpose(0, 2, 1, 3, 4, 5).reshape(r, r, stride * stride * c, o)
    return _points(_TRANSFORMS[r].kernel, lambda i, j: phases[i, j], r)


def _kernel(products: Sequence[Array], size: int, stride: int) -> Array:
    """The transpose of `_kernel_points`."""
    r, o = taps(size, stride), products[0].shape[-1]
    c = products[0].shape[0] // stride**2
    parts = _from_points(_TRANSFORMS[r].kernel, products, r)
    phases = jnp.stack(parts).reshape(r, r, stride, stride, c, o)
    return phases.transpose(0, 2, 1, 3, 4, 5).reshape(r * stride, r * stride, c, o)[:size, :size]


def _output_points(y: Array, r: int) -> list[Array]:
    """W: for each point (tiles, o)."""
    b, i, j, o = y.shape
    pairs = y.reshape(b, i // 2, 2, j // 2, 2, o)
    points = _points(_TRANSFORMS[r].y, lambda i, j: pairs[:, :, i, :, j], 2)
    return [p.reshape(b * (i // 2) * (j // 2), o) for p in points]


def _output(products: Sequence[Array], tiles: tuple[int, int, int], r: int) -> Array:
    """The transpose of `_output_points`."""
    b, t, u = tiles
    o = products[0].shape[-1]
    parts = _from_points(_TRANSFORMS[r].y, [p.reshape(b, t, u, o) for p in products], 2)
    rows = [jnp.stack(parts[2 * i : 2 * i + 2], axis=3) for i in range(2)]  # b t u 2 o
    return jnp.stack(rows, axis=2).reshape(b, 2 * t, 2 * u, o)


def _points(matrix: Matrix, part: Callable[[int, int], Array], n: int) -> list[Array]:
    """Both axes transformed: points from n x n parts."""
    rows = [[_sum(coefficients, [part(i, j) for i in range(n)]) for j in range(n)] for coefficients in matrix]
    return [_sum(coefficients, row) for row, coefficients in product(rows, matrix)]


def _from_points(matrix: Matrix, points: Sequence[Array], n: int) -> list[Array]:
    """The transpose of `_points`: n x n parts."""
    back, size = _transposed(matrix), len(matrix)
    rows = [[_sum(coefficients, points[size * p : size * (p + 1)]) for coefficients in back] for p in range(size)]
    return [_sum(back[i], [row[j] for row in rows]) for i, j in product(range(n), range(n))]
