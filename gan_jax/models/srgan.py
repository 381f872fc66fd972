"""Super-resolution: SRResNet and SRGAN's discriminator (Ledig et al. 2016, arXiv:1609.04802), and what came after them.

A picture of any size becomes one `factor` times as large. Resolution is no parameter of the weights: a generator trained on
windows enlarges whole pictures.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float

from gan_jax.errors import InputError
from gan_jax.images.imresize import imresize
from gan_jax.layers.conv import Conv
from gan_jax.layers.head import head
from gan_jax.layers.norm import batch_norm

Trunk = Literal["batch", "plain", "rrdb"]
STAGES = {1: (), 2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}  # factor -> enlargements, one after the other
_PLAIN_SCALE = 0.1  # of a residual without batch norm: EDSR, section 3.3
_RRDB_SCALE = 0.2  # beta of ESRGAN, section 3.1
_ones = nn.initializers.ones

_he = nn.initializers.he_normal()


def require_factor(factor: int) -> None:
    """Raises `InputError` for an enlargement that there is no generator of."""
    if factor not in STAGES:
        raise InputError(f"pictures are enlarged {', '.join(map(str, STAGES))} times, not {factor}")


class Generator(nn.Module):
    """Pictures (b, h, w, c) in [-1, 1] to (b, factor h, factor w, c), about [-1, 1]; not cut.

    k9 - PReLU - `blocks` residual blocks - k3, skip - for each enlargement k3 to `width` r^2, pixel shuffle, PReLU - k9, as in
    the paper (figure 4), where the input is brought to [0, 1]. `trunk` says what a block is:
    batch: k3 - BN - PReLU - k3 - BN, the paper's.
    plain: k3 - ReLU - k3, times 0.1, without batch norm, which costs contrast (EDSR, Lim et al. 2017, arXiv:1707.02921).
    rrdb: three dense blocks of five convolutions with `growth` channels, leaky ReLU, residuals times 0.2, without batch norm
    (ESRGAN, Wang et al. 2018, arXiv:1809.00219, figure 4; there 23 blocks).
    `upsample="resize"` enlarges by nearest neighbours and a k3 to `width`, as ESRGAN does, in place of the pixel shuffle: the
    pixels that a low one becomes cannot take a value each, which a game drives to patterns of that grid.
    `icnr` begins with pixel shuffles that repeat pixels, without checkerboards (Aitken et al. 2017, arXiv:1707.02937).
    With `bicubic` the network makes what is missing from the bicubic enlargement, at first nothing, as VDSR does (Kim et al.
    2015, arXiv:1511.04587): a short training is never worse than that.

    Differs: PReLU has a slope for each channel (the paper does not say); rrdb keeps the kernels of SRResNet. Raises
    `InputError` for a factor that is none of `STAGES`.
    """

    factor: int = 4
    channels: int = 3
    width: int = 64
    blocks: int = 16
    trunk: Trunk = "batch"
    growth: int = 32
    upsample: Literal["shuffle", "resize"] = "shuffle"
    icnr: bool = False
    bicubic: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b _ _ c"]:
        require_factor(self.factor)
        low, last = x, nn.initializers.zeros if self.bicubic else nn.initializers.lecun_normal()
        conv = partial(Conv, kernel_size=3, stride=1, dtype=self.dtype, kernel_init=_he)
        x = conv(self.width, kernel_size=9)((x.astype(self.dtype) + 1) / 2)  # b h w width
        first = x = PReLU()(x)
        for i in range(self.blocks):
            x = self._block(x, f"block{i}", train)
        x = self._normalised(conv(self.width, use_bias=self.trunk != "batch")(x), train) + first
        for r in STAGES[self.factor]:
            x = PReLU()(self._enlarged(conv, x, r))  # b r*h r*w width
        x = conv(self.channels, kernel_size=9, kernel_init=last)(x).astype(jnp.float32)
        return x + imresize(low.astype(jnp.float32), float(self.factor)) if self.bicubic else x

    def _enlarged(self, conv: Callable[..., Any], x: Array, r: int) -> Array:
        if self.upsample == "resize":
            return conv(self.width)(jnp.repeat(jnp.repeat(x, r, axis=1), r, axis=2))
        init = icnr(_he, r) if self.icnr else _he
        return pixel_shuffle(conv(self.width * r * r, kernel_init=init)(x), r)

    def _block(self, x: Array, name: str, train: bool) -> Array:
        conv = partial(Conv, kernel_size=3, stride=1, dtype=self.dtype, kernel_init=_he)
        if self.trunk == "rrdb":
            dense = partial(DenseBlock, self.growth, dtype=self.dtype)
            h = dense(name=f"{name}_3")(dense(name=f"{name}_2")(dense(name=f"{name}_1")(x)))
            return x + _RRDB_SCALE * h
        if self.trunk == "plain":
            h = nn.relu(conv(self.width, name=f"{name}_1")(x))
            return x + _PLAIN_SCALE * conv(self.width, name=f"{name}_2")(h)
        h = self._normalised(conv(self.width, use_bias=False, name=f"{name}_1")(x), train)
        h = conv(self.width, use_bias=False, name=f"{name}_2")(PReLU()(h))
        return x + self._normalised(h, train)

    def _normalised(self, x: Array, train: bool) -> Array:
        if self.trunk != "batch":
            return x
        return batch_norm(use_running_average=not train, scale_init=_ones, dtype=self.dtype)(x)

    @property
    def reach(self) -> int:
        """How many pixels of the input around a pixel its enlargement depends on, at most, each way."""
        each = {"batch": 2, "plain": 2, "rrdb": 15}[self.trunk]
        reach, scale = 4.0 + each * self.blocks + 1, 1
        for r in STAGES[self.factor]:
            reach, scale = reach + 1 / scale, scale * r
        return math.ceil(reach + 4 / scale)


class DenseBlock(nn.Module):
    """Four convolutions, each of all that came before, and a fifth to the input's width: x + 0.2 h (ESRGAN, figure 4)."""

    growth: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        small = nn.initializers.variance_scaling(0.2, "fan_in", "normal")  # a tenth of He's: ESRGAN, section 3.1
        conv = partial(Conv, kernel_size=3, stride=1, dtype=self.dtype, kernel_init=small)
        known = [x]
        for _ in range(4):
            known.append(nn.leaky_relu(conv(self.growth)(jnp.concatenate(known, axis=-1)), 0.2))
        return x + _RRDB_SCALE * conv(x.shape[-1])(jnp.concatenate(known, axis=-1))


class PReLU(nn.Module):
    """max(0, x) + a min(0, x) with a slope a for each channel, at first 0.25 (He et al. 2015, arXiv:1502.01852)."""

    @nn.compact
    def __call__(self, x: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
        slope = self.param("slope", nn.initializers.constant(0.25), x.shape[-1:]).astype(x.dtype)
        return jnp.where(x >= 0, x, x * slope.reshape(*(1,) * (x.ndim - 1), -1))


def pixel_shuffle(x: Float[Array, "b h w d"], r: int) -> Float[Array, "b i j c"]:
    """(b, h, w, r^2 c) to (b, r h, r w, c), channels in the order (row, column, c) (Shi et al. 2016, arXiv:1609.05158).

    Differs: PyTorch's order is (c, row, column).
    """
    b, h, w, d = x.shape
    cells = x.reshape(b, h, w, r, r, d // r**2).transpose(0, 1, 3, 2, 4, 5)
    return cells.reshape(b, h * r, w * r, d // r**2)


def icnr(init: nn.initializers.Initializer, r: int) -> nn.initializers.Initializer:
    """Kernels whose r^2 groups of channels are equal: `pixel_shuffle` by r then repeats pixels (arXiv:1707.02937)."""

    def start(key: Array, shape: Sequence[int], dtype: DTypeLike = jnp.float32) -> Array:
        one = init(key, (*shape[:-1], shape[-1] // r**2), dtype)
        return jnp.tile(one, (*(1,) * (len(shape) - 1), r**2))

    return start


class Discriminator(nn.Module):
    """Pictures (b, h, w, c) to logits (b,): SRGAN's, whose h and w are multiples of 16.

    Eight 3x3 convolutions, of `width` channels doubled three times, with stride 1 and 2 in turn, leaky ReLU of slope 0.2,
    batch norm on all but the first (`norm="none"`: on none); then 16 `width` dense units and `gan_jax.layers.head`. The first
    dense layer fixes the size of the pictures. Raises `InputError` for sides that are no multiples of 16.
    """

    width: int = 64
    norm: Literal["batch", "none"] = "batch"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, " b"]:
        if x.shape[1] % 16 or x.shape[2] % 16:
            raise InputError(f"the discriminator halves windows four times: {x.shape[1]}x{x.shape[2]} are no multiples of 16")
        x = x.astype(self.dtype)
        for i in range(8):
            normalised = self.norm == "batch" and i > 0
            features = self.width * 2 ** (i // 2)
            conv = Conv(features, 3, 1 + i % 2, use_bias=not normalised, kernel_init=_he, dtype=self.dtype)
            x = conv(x)  # b h/2^.. w/2^.. features
            if normalised:
                x = batch_norm(use_running_average=not train, dtype=self.dtype)(x)
            x = nn.leaky_relu(x, 0.2)
        dense = nn.Dense(16 * self.width, dtype=self.dtype)
        return head(self, nn.leaky_relu(dense(x.reshape(len(x), -1)), 0.2), train=train, dtype=self.dtype)


class PatchDiscriminator(nn.Module):
    """Pictures (b, h, w, c) to the logits of their overlapping patches, (b h/8 w/8,); h and w are multiples of 8.

    PatchGAN of 70x70 pixels (Isola et al. 2017, arXiv:1611.07004, appendix 6.1.2): 4x4 convolutions of `width`, 2 and 4 `width`
    channels with stride 2, of 8 `width` and of one logit with stride 1, leaky ReLU of slope 0.2. What is judged is texture, at
    every place, and few pictures have many patches. Differs: no batch norm, He's initial weights.
    """

    width: int = 64
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, " n"]:
        x = x.astype(self.dtype)
        for features, stride in ((1, 2), (2, 2), (4, 2), (8, 1)):
            x = nn.leaky_relu(Conv(features * self.width, 4, stride, kernel_init=_he, dtype=self.dtype)(x), 0.2)
        self.sow("intermediates", "features", x.reshape(-1, x.shape[-1]))
        return Conv(1, 4, 1, dtype=self.dtype)(x).reshape(-1).astype(jnp.float32)
