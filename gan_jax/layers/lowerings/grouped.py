"""Convolutions in groups of channels (Xie et al. 2016, arXiv:1611.05431), as convolutions of the groups.

Group i of the outputs sees group i of the inputs alone: x (b, h, w, g c), kernel (k, l, c, g o), y (b, i, j, g o). `mapped`
over the groups, XLA's convolutions become its own grouped ones, as accelerators want them. On CPUs the gradients of these run
up to 60 times slower than the products of the other forms, and those forms, mapped, spend most of their time on the order of
the data: `grouped` computes one group after the other there.
"""

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.layers.lowerings.form import Form


def mapped(form: Form, groups: int) -> Form:
    """`form` over groups of channels, as one computation."""

    def conv(x: Array, kernel: Array, stride: int) -> Array:
        return _joined(jax.vmap(lambda x, k: form.conv(x, k, stride), (3, 3), 3)(_split(x, groups), _split(kernel, groups)))

    def adjoint(y: Array, kernel: Array, stride: int) -> Array:
        return _joined(jax.vmap(lambda y, k: form.adjoint(y, k, stride), (3, 3), 3)(_split(y, groups), _split(kernel, groups)))

    def correlate(x: Array, y: Array, stride: int, shape: tuple[int, int]) -> Array:
        kernels = jax.vmap(lambda x, y: form.correlate(x, y, stride, shape), (3, 3), 3)(_split(x, groups), _split(y, groups))
        return _joined(kernels)

    return Form(conv, adjoint, correlate)


def grouped(form: Form, groups: int, pack: int = 1) -> Form:
    """`form` over groups of channels, one after the other, `pack` of which are computed together; it divides `groups`.

    A kernel of `pack` groups is block diagonal: all but 1 / pack of it is 0.
    """
    packs = groups // pack

    def conv(x: Array, kernel: Array, stride: int) -> Array:
        parts = zip(jnp.split(x, packs, axis=3), _kernels(kernel, packs, pack), strict=True)
        return jnp.concatenate([form.conv(x, k, stride) for x, k in parts], axis=3)

    def adjoint(y: Array, kernel: Array, stride: int) -> Array:
        parts = zip(jnp.split(y, packs, axis=3), _kernels(kernel, packs, pack), strict=True)
        return jnp.concatenate([form.adjoint(y, k, stride) for y, k in parts], axis=3)

    def correlate(x: Array, y: Array, stride: int, shape: tuple[int, int]) -> Array:
        parts = zip(jnp.split(x, packs, axis=3), jnp.split(y, packs, axis=3), strict=True)
        return jnp.concatenate([_diagonal(form.correlate(x, y, stride, shape), pack) for x, y in parts], axis=3)

    return Form(conv, adjoint, correlate)


def packing(groups: int, most: int = 8) -> int:
    """How many of the groups are computed together, so that there are at most `most` computations: many compile slowly."""
    return next(n for n in range(1, groups + 1) if groups % n == 0 and groups // n <= most)


def _split(x: Array, groups: int) -> Array:
    """(..., groups c) to (..., groups, c)."""
    return x.reshape(*x.shape[:-1], groups, -1)


def _joined(x: Array) -> Array:
    """(..., groups, c) to (..., groups c)."""
    return x.reshape(*x.shape[:-2], -1)


def _kernels(kernel: Array, packs: int, pack: int) -> list[Array]:
    """(k, l, c, packs pack o) to block-diagonal kernels (k, l, pack c, pack o)."""
    return [_blocks(each, pack) for each in jnp.split(kernel, packs, axis=3)]


def _blocks(kernel: Array, pack: int) -> Array:
    """(k, l, c, pack o) to the block-diagonal (k, l, pack c, pack o)."""
    k, rows, c, _ = kernel.shape
    mask = jnp.eye(pack, dtype=kernel.dtype).reshape(1, 1, pack, 1, pack, 1)
    return (kernel.reshape(k, rows, 1, c, pack, -1) * mask).reshape(k, rows, pack * c, -1)


def _diagonal(kernel: Array, pack: int) -> Array:
    """The blocks on the diagonal of (k, l, pack c, pack o), as (k, l, c, pack o)."""
    k, rows, wide, _ = kernel.shape
    apart = kernel.reshape(k, rows, pack, wide // pack, pack, -1)
    return jnp.concatenate([apart[:, :, i, :, i] for i in range(pack)], axis=3)
