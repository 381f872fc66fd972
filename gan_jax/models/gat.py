"""Transformers as both players, on patches of pixels (GAT, Hyun et al. 2025, arXiv:2509.24935, small).

A picture is a sequence of square patches. The generator's tokens begin as learned positions, of unit variance so that patches
differ from the first round on; what a mapping network makes of z modulates the norm before every attention and every pair of
dense layers. The discriminator reads the patches, and a token of its own gives the logit. Blocks normalise first; nothing is
convolved.

The paper plays it with `losses.relativistic_paired`, penalties, Adam with b1 = 0, and a learning rate that falls with the
width. Differs: pixels in place of a VAE's codes, and no images out of the generator's early blocks.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float, Int

from gan_jax.errors import InputError
from gan_jax.layers.norm import require_labels

_HEAD = 32  # channels of an attention head
_position = nn.initializers.normal(0.02)


class Generator(nn.Module):
    """Latents (b, z) to images (b, h, w, c) in [-1, 1], by `depth` blocks on tokens of `width` channels.

    A token makes `patch` x `patch` pixels. With `num_classes` an embedding of the label is added to what the mapping network
    makes of z. Raises `InputError` for sides that are no multiples of the patch and for a width that is no multiple of 32.
    """

    size: tuple[int, int] = (32, 32)
    channels: int = 3
    width: int = 128
    depth: int = 4
    patch: int = 4
    num_classes: int = 0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, z: Float[Array, "b z"], y: Int[Array, " b"] | None = None, *, train: bool) -> Float[Array, "b h w c"]:
        require_size(*self.size, self.patch, self.width)
        style = nn.Dense(self.width)(z)
        if self.num_classes:
            style += nn.Embed(self.num_classes, self.width, embedding_init=nn.initializers.normal(1.0))(require_labels(y))
        style = nn.Dense(self.width)(nn.gelu(nn.Dense(self.width)(nn.gelu(style))))
        rows, columns = (side // self.patch for side in self.size)
        position = self.param("position", nn.initializers.normal(1.0), (rows * columns, self.width))
        x = jnp.broadcast_to(position.astype(self.dtype), (len(z), *position.shape))  # b n width
        for _ in range(self.depth):
            x = Block(self.depth, self.dtype)(x, style)
        x = _modulated(x, style, self.dtype)
        pixels = nn.Dense(self.patch**2 * self.channels, dtype=self.dtype)(x).astype(jnp.float32)
        return jnp.tanh(unpatched(pixels, self.patch, rows))


class Discriminator(nn.Module):
    """Images (b, h, w, c) to logits (b,), by `depth` blocks on tokens of `width` channels and one of its own.

    With `num_classes` the inner product with an embedding of the label is the logit. Raises as the generator.
    """

    width: int = 128
    depth: int = 4
    patch: int = 4
    num_classes: int = 0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], y: Int[Array, " b"] | None = None, *, train: bool) -> Float[Array, " b"]:
        require_size(x.shape[1], x.shape[2], self.patch, self.width)
        tokens = nn.Dense(self.width, dtype=self.dtype)(patched(x.astype(self.dtype), self.patch))
        own = jnp.broadcast_to(self.param("token", _position, (1, 1, self.width)), (len(x), 1, self.width))
        tokens = jnp.concatenate([own.astype(self.dtype), tokens], axis=1)  # b 1+n width
        tokens += self.param("position", _position, tokens.shape[1:]).astype(self.dtype)[None]
        for _ in range(self.depth):
            tokens = Block(self.depth, self.dtype)(tokens)
        h = nn.LayerNorm()(tokens[:, 0].astype(jnp.float32))
        self.sow("intermediates", "features", h)
        if not self.num_classes:
            return nn.Dense(1)(h)[:, 0]
        embedding = nn.Embed(self.num_classes, self.width, embedding_init=nn.initializers.normal(self.width**-0.5))
        return jnp.sum(nn.Dense(self.width)(h) * embedding(require_labels(y)), axis=-1)


class Block(nn.Module):
    """x + attention(norm(x)), then x + dense(gelu(dense(norm(x)))), of four times the width inside; norms modulated by a style.

    The last map of either begins with weights that are smaller by sqrt(2 depth), so that the sum of all blocks does not grow.
    """

    depth: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b n c"], style: Float[Array, "b c"] | None = None) -> Float[Array, "b n c"]:
        c = x.shape[-1]
        last = nn.initializers.variance_scaling(1 / (2 * self.depth), "fan_in", "truncated_normal")
        attention = nn.MultiHeadDotProductAttention(c // _HEAD, dtype=self.dtype, out_kernel_init=last)
        x = x + attention(_modulated(x, style, self.dtype))
        h = nn.gelu(nn.Dense(4 * c, dtype=self.dtype)(_modulated(x, style, self.dtype)))
        return x + nn.Dense(c, dtype=self.dtype, kernel_init=last)(h)


def _modulated(x: Float[Array, "b n c"], style: Float[Array, "b c"] | None, dtype: DTypeLike) -> Float[Array, "b n c"]:
    """Layer norm, and with a style (1 + s) x + t in place of learned scale and shift, s and t linear in the style (adaLN)."""
    if style is None:
        return nn.LayerNorm(dtype=dtype)(x)
    scale, shift = jnp.split(nn.Dense(2 * x.shape[-1])(nn.gelu(style)).astype(dtype)[:, None], 2, axis=-1)
    return nn.LayerNorm(use_scale=False, use_bias=False, dtype=dtype)(x) * (1 + scale) + shift


def patched(x: Float[Array, "b h w c"], side: int) -> Float[Array, "b n d"]:
    """Square patches, row by row, as vectors of side * side * c."""
    b, h, w, c = x.shape
    return x.reshape(b, h // side, side, w // side, side, c).transpose(0, 1, 3, 2, 4, 5).reshape(b, -1, side * side * c)


def unpatched(x: Float[Array, "b n d"], side: int, rows: int) -> Float[Array, "b h w c"]:
    """The picture of `rows` rows of patches: the inverse of `patched`."""
    b, n, d = x.shape
    x = x.reshape(b, rows, n // rows, side, side, d // side**2).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, rows * side, n // rows * side, -1)


def require_size(height: int, width: int, patch: int = 4, channels: int = _HEAD) -> None:
    """Raises `InputError` unless pictures of that size are made of whole patches, and `channels` of whole heads."""
    if height % patch or width % patch:
        raise InputError(f"image size {height}x{width} is not made of patches of {patch}x{patch}: choose multiples of {patch}")
    if channels % _HEAD:
        raise InputError(f"a width of {channels} is not made of attention heads of {_HEAD}: choose a multiple of {_HEAD}")
