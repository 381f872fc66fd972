"""Convolutions in groups of channels (Xie et al. 2016, arXiv:1611.05431), as one product of many convolutions.

Group i of the outputs sees group i of the inputs alone: x (b, h, w, g c), kernel (k, l, c, g o), y (b, i, j, g o). Mapped over
the groups, XLA's convolutions become its own grouped ones on accelerators. On CPUs the gradients of these run up to 60 times
slower than the products of the other forms, so that groups are computed together there until they are wide enough for them: a
kernel of `pack` groups is block diagonal, of which all but 1 / pack is 0.
"""

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.layers.lowerings.form import Form


def grouped(form: Form, groups: int, pack: int = 1) -> Form:
    """`form` over groups of channels, `pack` of which are computed together; `pack` divides `groups`."""
    packs = groups // pack

    def conv(x: Array, kernel: Array, stride: int) -> Array:
        y = jax.vmap(lambda x, k: form.conv(x, k, stride), (3, 3), 3)(_split(x, packs), _blocks(kernel, packs, pack))
        return _joined(y)

    def adjoint(y: Array, kernel: Array, stride: int) -> Array:
        x = jax.vmap(lambda y, k: form.adjoint(y, k, stride), (3, 3), 3)(_split(y, packs), _blocks(kernel, packs, pack))
        return _joined(x)

    def correlate(x: Array, y: Array, stride: int, shape: tuple[int, int]) -> Array:
        x, y = _split(x, packs), _split(y, packs)
        kernels = jax.vmap(lambda x, y: form.correlate(x, y, stride, shape), (3, 3), 3)(x, y)
        return _diagonal(kernels, pack)

    return Form(conv, adjoint, correlate)


def packing(channels: int, groups: int, wide: int = 32, most: int = 4) -> int:
    """The number of groups of `channels` that reach the width of 32 together: a divisor of `groups`, at most 4, or else 1."""
    return next((n for n in range(1, most + 1) if groups % n == 0 and n * channels >= wide), 1)


def _split(x: Array, packs: int) -> Array:
    """(b, h, w, packs c) to (b, h, w, packs, c)."""
    return x.reshape(*x.shape[:-1], packs, -1)


def _joined(x: Array) -> Array:
    """(b, h, w, packs, c) to (b, h, w, packs c)."""
    return x.reshape(*x.shape[:-2], -1)


def _blocks(kernel: Array, packs: int, pack: int) -> Array:
    """(k, l, c, packs pack o) to block-diagonal kernels (k, l, pack c, packs, pack o)."""
    k, rows, c, _ = kernel.shape
    apart = kernel.reshape(k, rows, 1, c, packs, pack, -1)
    mask = jnp.eye(pack, dtype=kernel.dtype).reshape(1, 1, pack, 1, 1, pack, 1)
    return (apart * mask).reshape(k, rows, pack * c, packs, -1)


def _diagonal(kernels: Array, pack: int) -> Array:
    """The blocks on the diagonals of (k, l, pack c, packs, pack o), as (k, l, c, packs pack o)."""
    k, rows, wide, packs, _ = kernels.shape
    apart = kernels.reshape(k, rows, pack, wide // pack, packs, pack, -1)
    own = jnp.stack([apart[:, :, i, :, :, i] for i in range(pack)], axis=4)  # k l c packs pack o
    return own.reshape(k, rows, wide // pack, -1)
