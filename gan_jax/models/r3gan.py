"""R3GAN's residual networks without normalisation, for 32x32 to 256x256 (Huang et al. 2024, arXiv:2501.05441, config E).

As in the authors' code (github.com/brownvc/R3GAN, R3GAN/Networks.py and Resamplers.py): a stage is a bilinear resampling, with
a 1x1 convolution where the channels change, and blocks of 1x1 to twice the channels, 3x3 in groups of 16 channels, and 1x1
back. Convolutions have no bias, activations have: lrelu(x + b), slope 0.2. In a network of L blocks the first two
convolutions of a block begin with the gain sqrt(2 / (1 + 0.2^2)) L^(-1/4) and the last one with 0, so that all blocks begin as
the identity (Zhang et al. 2019, arXiv:1901.09321).

The paper plays it with `losses.relativistic_paired`, R1 and R2, Adam with b1 = 0, and an average of the generator's weights.
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float, Int

from gan_jax.errors import InputError
from gan_jax.layers.conv import Conv
from gan_jax.layers.norm import require_labels
from gan_jax.models import sizes

_WIDTHS = {  # channels at 4x4, 8x8, ... in widths, and the paper's width: 768 channels up to 32x32, then half at each doubling
    32: ((1, 1, 1, 1), 768),
    64: ((2, 2, 2, 2, 1), 384),
    128: ((4, 4, 4, 4, 2, 1), 192),
    256: ((8, 8, 8, 8, 4, 2, 1), 96),
}
_SLOPE = 0.2
_GAIN = math.sqrt(2 / (1 + _SLOPE**2))  # keeps the mean square through lrelu
_EXPANSION = 2  # channels inside a block over those outside


def _normal(gain: float = 1.0) -> nn.initializers.Initializer:
    """N(0, gain^2 / fan in)."""
    return nn.initializers.variance_scaling(gain**2, "fan_in", "normal") if gain else nn.initializers.zeros


class Generator(nn.Module):
    """Latents (b, z) to images (b, h, w, c), which a trained one leaves in [-1, 1] but for single pixels: there is no tanh.

    `size` is (32, 32), (64, 64), (128, 128) or (256, 256), `width` the channels next to the image (None: the paper's, 768 at
    32x32, 384 at 64x64 and 96 at 256x256; 192 at 128x128, which the paper has not). With `num_classes` an embedding of the
    label, of the length of z, stands beside z. `dtype` is the type of the computation, which float16 overflows (paper, appendix
    D); parameters are float32. Raises `InputError` for other sizes.
    """

    size: tuple[int, int] = (32, 32)
    channels: int = 3
    width: int | None = None
    num_classes: int = 0
    blocks: int = 2
    group: int = 16
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, z: Float[Array, "b z"], y: Int[Array, " b"] | None = None, *, train: bool) -> Float[Array, "b h w c"]:
        coarsest, *finer = _channels(*self.size, self.width)
        if self.num_classes:
            embedding = nn.Embed(self.num_classes, z.shape[-1], embedding_init=_of_one_hot(self.num_classes))
            z = jnp.concatenate([z, embedding(require_labels(y))], axis=-1)
        basis = self.param("basis", nn.initializers.normal(1.0), (4, 4, coarsest))
        code = nn.Dense(coarsest, use_bias=False, kernel_init=_normal())(z)
        x = (basis[None] * code[:, None, None]).astype(self.dtype)  # b 4 4 c

        total = self.blocks * (1 + len(finer))
        x = _blocks(self, x, total)
        for features in finer:
            if features != x.shape[-1]:
                x = _one_by_one(features, dtype=self.dtype)(x)
            x = _blocks(self, enlarged(x), total)  # b 2h 2w c
        return _one_by_one(self.channels, dtype=self.dtype)(x).astype(jnp.float32)


class Discriminator(nn.Module):
    """Images (b, h, w, c) to logits (b,): the generator's stages turned round.

    `width` is the channels next to the image, as in `Generator`. The last feature maps, 4x4, are summed by a weight for each
    pixel and channel, then mapped to the logit, or with `num_classes` to a vector whose inner product with the label's
    embedding is the logit. The sums are sown as "features".
    """

    width: int | None = None
    num_classes: int = 0
    blocks: int = 2
    group: int = 16
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], y: Int[Array, " b"] | None = None, *, train: bool) -> Float[Array, " b"]:
        *finer, coarsest = reversed(_channels(x.shape[1], x.shape[2], self.width))
        total = self.blocks * (1 + len(finer))
        x = _one_by_one(finer[0], dtype=self.dtype)(x.astype(self.dtype))
        for features in [*finer[1:], coarsest]:
            x = reduced(_blocks(self, x, total))  # b h/2 w/2 c
            if features != x.shape[-1]:
                x = _one_by_one(features, dtype=self.dtype)(x)
        x = _blocks(self, x, total).astype(jnp.float32)  # b 4 4 c

        basis = self.param("basis", nn.initializers.normal(1 / 4), x.shape[1:])
        h = jnp.sum(x * basis[None], axis=(1, 2))  # b c
        self.sow("intermediates", "features", h)
        if not self.num_classes:
            return nn.Dense(1, use_bias=False, kernel_init=_normal())(h)[:, 0]
        direction = nn.Dense(coarsest, use_bias=False, kernel_init=_normal())(h)
        first = _of_one_hot(self.num_classes, gain=1 / math.sqrt(coarsest))
        embedding = nn.Embed(self.num_classes, coarsest, embedding_init=first)
        return jnp.sum(direction * embedding(require_labels(y)), axis=-1)


class Block(nn.Module):
    """x + 1x1(lrelu(3x3(lrelu(1x1(x) + b)) + b')), 3x3 in groups and of twice the channels (Xie et al. 2016, arXiv:1611.05431).

    `total` is the number of blocks of the network, which its initial weights depend on, `group` the channels of a group: of
    fewer channels there is one group. Raises `InputError` where the groups cannot be equal.
    """

    total: int
    group: int = 16
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        hidden = _EXPANSION * x.shape[-1]
        if hidden > self.group and hidden % self.group:
            raise InputError(
                f"{x.shape[-1]} channels make {hidden} inside a block of R3GAN, which are no groups of {self.group}: choose a "
                f"width that is a multiple of {self.group // math.gcd(self.group, _EXPANSION)}"
            )
        gain = _GAIN * self.total ** (-1 / 4)
        groups = max(hidden // self.group, 1)
        three = Conv(hidden, 3, 1, use_bias=False, dtype=self.dtype, kernel_init=_normal(gain), groups=groups)
        y = _one_by_one(hidden, gain, dtype=self.dtype)(x)
        y = self._activated(y, "bias_0")
        y = self._activated(three(y), "bias_1")
        return x + _one_by_one(x.shape[-1], 0.0, dtype=self.dtype)(y)

    def _activated(self, x: Array, name: str) -> Array:
        bias = self.param(name, nn.initializers.zeros, x.shape[-1:]).astype(self.dtype)
        return nn.leaky_relu(x + bias[None, None, None], _SLOPE)


def _blocks(network: Generator | Discriminator, x: Array, total: int) -> Array:
    for _ in range(network.blocks):
        x = Block(total, network.group, network.dtype)(x)
    return x


def _one_by_one(features: int, gain: float = 1.0, *, dtype: DTypeLike) -> nn.Dense:
    """A 1x1 convolution, as the matrix product that it is."""
    return nn.Dense(features, use_bias=False, kernel_init=_normal(gain), dtype=dtype)


def _of_one_hot(classes: int, gain: float = 1.0) -> nn.initializers.Initializer:
    """Of an embedding: N(0, gain^2 / classes), as of a linear map of one-hot vectors."""
    return nn.initializers.normal(gain / math.sqrt(classes))


def enlarged(x: Float[Array, "b h w c"]) -> Float[Array, "b i j c"]:
    """Twice the size by bilinear interpolation, (x_{i-1} + 3 x_i) / 4 and (3 x_i + x_{i+1}) / 4, with zeros around the image.

    The adjoint of `reduced`, times 4.
    """
    for axis in (1, 2):
        before, after = _neighbours(x, axis)
        pair = jnp.stack([(before + 3 * x) / 4, (3 * x + after) / 4], axis=axis + 1)
        x = pair.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
    return x


def reduced(x: Float[Array, "b h w c"]) -> Float[Array, "b i j c"]:
    """Half the size, (x_{2i-1} + 3 x_{2i} + 3 x_{2i+1} + x_{2i+2}) / 8 along each side, with zeros around the image."""
    for axis in (1, 2):
        pairs = x.reshape(*x.shape[:axis], x.shape[axis] // 2, 2, *x.shape[axis + 1 :])
        first, second = (jax.lax.index_in_dim(pairs, i, axis + 1, keepdims=False) for i in (0, 1))
        x = (_neighbours(second, axis)[0] + 3 * first + 3 * second + _neighbours(first, axis)[1]) / 8
    return x


def _neighbours(x: Array, axis: int) -> tuple[Array, Array]:
    """The values before and after each along an axis, 0 beyond the ends."""
    n = x.shape[axis]
    zero = jnp.zeros_like(jax.lax.slice_in_dim(x, 0, 1, axis=axis))
    before = jnp.concatenate([zero, jax.lax.slice_in_dim(x, 0, n - 1, axis=axis)], axis)
    return before, jnp.concatenate([jax.lax.slice_in_dim(x, 1, n, axis=axis), zero], axis)


def require_size(height: int, width: int) -> None:
    """Raises `InputError` unless these networks make and judge images of that size."""
    _channels(height, width, None)


def _channels(height: int, width: int, channels: int | None) -> Sequence[int]:
    """Channels at 4x4, 8x8, ..., with `channels` next to the image."""
    widths, papers = _WIDTHS[sizes.side_of(height, width, _WIDTHS, "R3GAN's")]
    return [(channels or papers) * n for n in widths]
