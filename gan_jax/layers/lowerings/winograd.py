"""Strided convolutions by fewer multiplications (Winograd 1980; Lavin & Gray 2015, arXiv:1509.09308), as matrix products.

A convolution of stride s is one of stride 1 over the s * s phases of the image, stacked as channels. Its outputs are made in
tiles of 2x2: with r taps a side, after the phases are taken apart, what `Form` differentiates becomes

    <conv(x, kernel), y> = sum over points p of <V_p U_p, W_p>,    (r + 1)^2 points,

where V = points of x's tiles (tiles, s s c), U = points of the kernel (s s c, o) and W = points of y's tiles (tiles, o) are
sums and differences. Each of the three derivatives of the form is one product per point, then a transposed transform:
9/16 of the multiplications for r = 2 (4x4 kernels of stride 2), 4/9 for r = 3 (3x3 kernels of stride 1). Interpolation at 0,
1, -1 and infinity only: rounding errors in float32 are 0.7 to 2.1 times those of plain convolutions. In bfloat16 they would be
4 times the rounding of the result, which is all that plain convolutions lose: `gan_jax.layers.conv` computes in float32 then.
"""

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from gan_jax.errors import InputError
from gan_jax.layers.lowerings.form import Form, Side, padding

Matrix = tuple[tuple[float | int, ...], ...]


class Transforms(NamedTuple):
    """One axis, F(m, r): rows are points, columns the m + r - 1 inputs of a tile, the r taps, its m outputs.

    y_i = sum_u d_{i+u} k_u for i < m is sum_p (x d)_p (kernel k)_p (y e_i)_p. By Cook and Toom: `kernel` and `y` evaluate
    polynomials at the points, infinity last, `x` is the transposed inverse for their product's coefficients.
    """

    x: Matrix
    kernel: Matrix
    y: Matrix


_M = 2  # F(4, 2) needs 25/64 of the multiplications, but has ten times the rounding errors and was not faster on a CPU
_TRANSFORMS = {
    (2, 2): Transforms(  # at 0, 1
        x=((1, -1, 0), (0, 1, 0), (0, -1, 1)),
        kernel=((1, 0), (1, 1), (0, 1)),
        y=((1, 0), (1, 1), (0, 1)),
    ),
    (2, 3): Transforms(  # at 0, 1, -1
        x=((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
        kernel=((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
        y=((1, 0), (1, 1), (1, -1), (0, -1)),
    ),
}


class Tiling(NamedTuple):
    """A convolution cut into tiles: `m` outputs a side, `r` taps of each phase, `low` zeros before the image."""

    m: int
    r: int
    stride: int
    low: int

    @property
    def transforms(self) -> Transforms:
        return _TRANSFORMS[self.m, self.r]


def tiling(shape: tuple[int, ...], stride: int, outputs: tuple[Side, ...]) -> Tiling | None:
    """The tiling for kernels of `shape` (k, l, c, o) and `outputs` (height, width); None if there is none or it is slower."""
    size, taps = shape[0], -(-shape[0] // stride)
    if shape[0] != shape[1] or min(shape[2:]) < 32:  # the transforms cost more than narrow products save
        return None
    fits = (_M, taps) in _TRANSFORMS and not any(n % _M for n in outputs)
    pays = (_M + taps - 1) * stride < _M * size  # multiplications along an axis, against plain ones
    return Tiling(_M, taps, stride, padding(size, stride)[0]) if fits and pays else None


def conv(x: Array, kernel: Array, stride: int) -> Array:
    """`Form.conv`: products V U at each point."""
    cut = _required(kernel.shape, stride, (x.shape[1] // stride, x.shape[2] // stride))
    pairs = zip(_image_points(x, cut), _kernel_points(kernel, cut), strict=True)
    return _output([v @ u for v, u in pairs], x.shape, cut)


def adjoint(y: Array, kernel: Array, stride: int) -> Array:
    """`Form.adjoint`: products W U^T at each point."""
    cut = _required(kernel.shape, stride, y.shape[1:3])
    pairs = zip(_output_points(y, cut), _kernel_points(kernel, cut), strict=True)
    return _image([w @ u.T for w, u in pairs], y.shape, cut)


def correlate(x: Array, y: Array, stride: int, shape: tuple[int, int]) -> Array:
    """`Form.correlate`: products V^T W at each point."""
    cut = _required((*shape, x.shape[-1], y.shape[-1]), stride, y.shape[1:3])
    pairs = zip(_image_points(x, cut), _output_points(y, cut), strict=True)
    return _kernel([v.T @ w for v, w in pairs], shape[0], cut)


winograd = Form(conv, adjoint, correlate)


def _required(shape: tuple[int, ...], stride: int, outputs: tuple[Side, ...]) -> Tiling:
    cut = tiling(shape, stride, outputs)
    if cut is None:
        raise InputError(f"kernels {shape} of stride {stride} have no Winograd form: ask `tiling` first")
    return cut


def _sum(coefficients: Sequence[float | int], terms: Sequence[Array]) -> Array:
    """The linear combination, without the terms that are multiplied by 0."""
    (first, term), *rest = [(a, term) for a, term in zip(coefficients, terms, strict=True) if a]  # no row is all zeros
    total = _scaled(first, term) if first > 0 else -_scaled(-first, term)
    for a, term in rest:
        total = total + _scaled(a, term) if a > 0 else total - _scaled(-a, term)
    return total


def _scaled(a: float | int, x: Array) -> Array:
    return x if a == 1 else a * x


def _transposed(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


def _image_points(x: Array, cut: Tiling) -> list[Array]:
    """V: for each point (tiles, s s c)."""
    (b, h, w, c), (m, r, stride, low) = x.shape, cut
    side = m * stride  # a tile begins at every `side` pixels
    t, u = h // side, w // side
    padded = jnp.pad(x, ((0, 0), (low, side - low), (low, side - low), (0, 0)))
    cells = padded.reshape(b, t + 1, m, stride, u + 1, m, stride, c)
    rows = [cells[:, i // m : i // m + t, i % m] for i in range(m + r - 1)]  # b t s u+1 m s c

    points = []
    for over_rows in cut.transforms.x:
        a = _sum(over_rows, rows)
        columns = [a[:, :, :, j // m : j // m + u, j % m] for j in range(m + r - 1)]  # b t s u s c
        for over_columns in cut.transforms.x:
            v = _sum(over_columns, columns).transpose(0, 1, 3, 2, 4, 5)
            points.append(v.reshape(b * t * u, stride * stride * c))
    return points


def _image(products: Sequence[Array], y_shape: tuple[Side, ...], cut: Tiling) -> Array:
    """The transpose of `_image_points`: overlapping tiles are added."""
    m, r, stride, low = cut
    b, t, u = y_shape[0], y_shape[1] // m, y_shape[2] // m
    c, n = products[0].shape[-1] // stride**2, m + r - 1
    parts = [p.reshape(b, t, u, stride, stride, c) for p in products]
    back = _transposed(cut.transforms.x)

    def along(parts: Sequence[Array], axis: int) -> list[Array]:
        """The m positions of every cell, from points of one axis."""
        own = [_shifted(_sum(back[i], parts), axis, 0) for i in range(m)]
        return [own[i] + _shifted(_sum(back[i + m], parts), axis, 1) if i + m < n else own[i] for i in range(m)]

    rows = [along(parts[n * p : n * (p + 1)], 2) for p in range(n)]  # [row's point][position along the columns]
    cells = [along([row[v] for row in rows], 1) for v in range(m)]  # [position along the columns][along the rows]
    stacked = jnp.stack([jnp.stack([cells[v][i] for v in range(m)], axis=3) for i in range(m)], axis=2)  # b t+1 m u+1 m s s c
    pixels = stacked.transpose(0, 1, 2, 5, 3, 4, 6, 7).reshape(b, m * stride * (t + 1), m * stride * (u + 1), c)
    return pixels[:, low : low + m * stride * t, low : low + m * stride * u]


def _shifted(x: Array, axis: int, by: int) -> Array:
    """One longer along the axis: a zero after, or before if shifted by 1."""
    pads = [(0, 0)] * x.ndim
    pads[axis] = (by, 1 - by)
    return jnp.pad(x, pads)


def _kernel_points(kernel: Array, cut: Tiling) -> list[Array]:
    """U: for each point (s s c, o)."""
    (size, _, c, o), r, stride = kernel.shape, cut.r, cut.stride
    padded = jnp.pad(kernel, ((0, r * stride - size), (0, r * stride - size), (0, 0), (0, 0)))
    phases = padded.reshape(r, stride, r, stride, c, o).transpose(0, 2, 1, 3, 4, 5).reshape(r, r, stride * stride * c, o)
    return _points(cut.transforms.kernel, lambda i, j: phases[i, j], r)


def _kernel(products: Sequence[Array], size: int, cut: Tiling) -> Array:
    """The transpose of `_kernel_points`."""
    r, stride, o = cut.r, cut.stride, products[0].shape[-1]
    c = products[0].shape[0] // stride**2
    phases = jnp.stack(_from_points(cut.transforms.kernel, products, r)).reshape(r, r, stride, stride, c, o)
    return phases.transpose(0, 2, 1, 3, 4, 5).reshape(r * stride, r * stride, c, o)[:size, :size]


def _output_points(y: Array, cut: Tiling) -> list[Array]:
    """W: for each point (tiles, o)."""
    (b, i, j, o), m = y.shape, cut.m
    tiles = y.reshape(b, i // m, m, j // m, m, o)
    points = _points(cut.transforms.y, lambda i, j: tiles[:, :, i, :, j], m)
    return [p.reshape(b * (i // m) * (j // m), o) for p in points]


def _output(products: Sequence[Array], x_shape: tuple[Side, ...], cut: Tiling) -> Array:
    """The transpose of `_output_points`."""
    (b, h, w, _), m, o = x_shape, cut.m, products[0].shape[-1]
    t, u = h // (m * cut.stride), w // (m * cut.stride)
    parts = _from_points(cut.transforms.y, [p.reshape(b, t, u, o) for p in products], m)
    rows = [jnp.stack(parts[m * i : m * (i + 1)], axis=3) for i in range(m)]  # b t u m o
    return jnp.stack(rows, axis=2).reshape(b, m * t, m * u, o)


def _points(matrix: Matrix, part: Callable[[int, int], Array], n: int) -> list[Array]:
    """Both axes transformed: points from n x n parts."""
    rows = [[_sum(coefficients, [part(i, j) for i in range(n)]) for j in range(n)] for coefficients in matrix]
    return [_sum(coefficients, row) for row, coefficients in product(rows, matrix)]


def _from_points(matrix: Matrix, points: Sequence[Array], n: int) -> list[Array]:
    """The transpose of `_points`: n x n parts."""
    back, size = _transposed(matrix), len(matrix)
    rows = [[_sum(coefficients, points[size * p : size * (p + 1)]) for coefficients in back] for p in range(size)]
    return [_sum(back[i], [row[j] for row in rows]) for i, j in product(range(n), range(n))]
