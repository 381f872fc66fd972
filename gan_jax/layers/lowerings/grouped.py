"""Convolutions in groups of channels (Xie et al. 2016, arXiv:1611.05431), as convolutions of the groups.

Group i of the outputs sees group i of the inputs alone: x (b, h, w, g c), kernel (k, l, c, g o), y (b, i, j, g o). Mapped over
the groups, XLA's convolutions become its own grouped ones, as accelerators want them. On CPUs the gradients of these run up to
60 times slower than the products of the other forms, and those forms, mapped, spend most of their time on the order of the
data: few groups are computed one after the other there, many, whose program would take long to compile, mapped in packs.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.layers.lowerings.form import Form

MOST = 16  # groups that are computed one after the other


def grouped(form: Form, groups: int, pack: int = 1, most: int = MOST) -> Form:
    """`form` over groups of channels, `pack` of which, a divisor of `groups`, are computed together.

    A kernel of `pack` groups is block diagonal: all but 1 / pack of it is 0. More packs than `most` are mapped over.
    """
    packs = groups // pack

    def each(function: Callable[[Array, Array], Array], a: Array, b: Array) -> Array:
        if packs > most:
            return _joined(jax.vmap(function, (3, 3), 3)(_split(a, packs), _split(b, packs)))
        parts = zip(jnp.split(a, packs, axis=3), jnp.split(b, packs, axis=3), strict=True)
        return jnp.concatenate([function(a, b) for a, b in parts], axis=3)

    def conv(x: Array, kernel: Array, stride: int) -> Array:
        return each(lambda x, k: form.conv(x, _blocks(k, pack), stride), x, kernel)

    def adjoint(y: Array, kernel: Array, stride: int) -> Array:
        return each(lambda y, k: form.adjoint(y, _blocks(k, pack), stride), y, kernel)

    def correlate(x: Array, y: Array, stride: int, shape: tuple[int, int]) -> Array:
        return each(lambda x, y: _diagonal(form.correlate(x, y, stride, shape), pack), x, y)

    return Form(conv, adjoint, correlate)


def packing(channels: int, groups: int) -> int:
    """How many groups of `channels` are computed together: 1 of few groups, of many as reach a width of 32, at most 4."""
    if groups <= MOST:
        return 1
    return next((n for n in range(1, 5) if groups % n == 0 and n * channels >= 32), 1)


def _split(x: Array, groups: int) -> Array:
    """(..., groups c) to (..., groups, c)."""
    return x.reshape(*x.shape[:-1], groups, -1)


def _joined(x: Array) -> Array:
    """(..., groups, c) to (..., groups c)."""
    return x.reshape(*x.shape[:-2], -1)


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
