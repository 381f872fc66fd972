"""The residual networks of SNGAN for 32x32, 64x64 and 128x128 (Miyato et al. 2018, arXiv:1802.05957, appendix B.4).

The networks for 64x64 and the initial weights are those of the authors' code (github.com/pfnet-research/sngan_projection):
Glorot's uniform initialisation, times sqrt(2) for the 3x3 kernels in blocks. Labels enter as in Miyato & Koyama 2018,
arXiv:1802.05637.
"""

from functools import partial
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float, Int

from gan_jax.layers.conv import Conv, conv, conv_transpose
from gan_jax.layers.head import Minibatch, head
from gan_jax.layers.norm import ConditionalBatchNorm, batch_norm, maybe_spectral, require_labels
from gan_jax.models import sizes

_GENERATOR = {32: (1, 1, 1, 1), 64: (16, 8, 4, 2, 1), 128: (16, 16, 8, 4, 2, 1)}  # channels at 4x4, 8x8, ... in widths
_DISCRIMINATOR = {32: (1, 1, 1, 1), 64: (1, 2, 4, 8, 16), 128: (1, 2, 4, 8, 16, 16)}  # channels of each block in widths
_HALVINGS = {32: 2, 64: 5, 128: 5}  # the first so many blocks end at half the size

_batch_norm = partial(batch_norm, scale_init=nn.initializers.ones)
_glorot = nn.initializers.glorot_uniform()
_glorot_sqrt2 = nn.initializers.variance_scaling(2.0, "fan_avg", "uniform")


class Generator(nn.Module):
    """Latents (b, z) to images (b, h, w, c) in [-1, 1]: a projection to 4x4, then one residual block a doubling.

    `size` is (32, 32), (64, 64) or (128, 128), `width` the channels before the last layer (None: the paper's, 256 at 32x32
    and 64 above). With `num_classes` the label enters through the blocks' batch norm (`label="batch_norm"`) or as a one-hot
    vector beside z. `dtype` is the type of the computation; parameters are float32. Biases before batch norm,
    which cancels them, are kept: the parameters are those of the authors' code.
    """

    size: tuple[int, int] = (32, 32)
    channels: int = 3
    width: int | None = None
    num_classes: int = 0
    label: Literal["batch_norm", "concat"] = "batch_norm"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, z: Float[Array, "b z"], y: Int[Array, " b"] | None = None, *, train: bool) -> Float[Array, "b h w c"]:
        side = _side(*self.size)
        width = self.width or (256 if side == 32 else 64)
        coarsest, *finer = [width * n for n in _GENERATOR[side]]
        if self.num_classes and self.label == "concat":
            z = jnp.concatenate([z, jax.nn.one_hot(require_labels(y), self.num_classes)], axis=-1)
        classes = self.num_classes if self.label == "batch_norm" else 0

        x = nn.Dense(4 * 4 * coarsest, kernel_init=_glorot, dtype=self.dtype)(z.astype(self.dtype))
        x = x.reshape(-1, 4, 4, coarsest)  # b 4 4 c
        for features in finer:
            x = UpBlock(features, classes, self.dtype)(x, y, train=train)  # b 2h 2w c
        x = nn.relu(_batch_norm(use_running_average=not train, dtype=self.dtype)(x))
        x = Conv(self.channels, kernel_size=3, stride=1, kernel_init=_glorot, dtype=self.dtype)(x)  # b h w c
        return jnp.tanh(x.astype(jnp.float32))


class Discriminator(nn.Module):
    """Images (b, h, w, c) to logits (b,): residual blocks, the sum over all pixels, then `gan_jax.layers.head`.

    `width` is the channels of the first block (None: the paper's, 128 at 32x32 and 64 above). Every kernel is divided by its
    largest singular value unless `spectral_norm=False`. With `num_classes` the label enters by an inner product with the
    features (Miyato & Koyama 2018, eq. 3). `minibatch` adds features of the whole batch to the sums; the paper has none.
    Differs: Flax's spectral normalisation divides the initial weights, too.
    """

    width: int | None = None
    num_classes: int = 0
    spectral_norm: bool = True
    minibatch: Minibatch = "none"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], y: Int[Array, " b"] | None = None, *, train: bool) -> Float[Array, " b"]:
        side = _side(*x.shape[1:3])
        width = self.width or (128 if side == 32 else 64)

        x = x.astype(self.dtype)
        for i, n in enumerate(_DISCRIMINATOR[side]):
            block = DownBlock(
                width * n, first=i == 0, halve=i < _HALVINGS[side], spectral_norm=self.spectral_norm, dtype=self.dtype
            )
            x = block(x, train=train)  # b h/2 w/2 c, later b h w c
        h = jnp.sum(nn.relu(x), axis=(1, 2))  # b c
        return head(
            self,
            h,
            y,
            train=train,
            num_classes=self.num_classes,
            minibatch=self.minibatch,
            spectral_norm=self.spectral_norm,
            kernel_init=_glorot,
            dtype=self.dtype,
        )


class UpBlock(nn.Module):
    """Doubles the size: batch norm, ReLU, enlargement, 3x3, batch norm, ReLU, 3x3, beside a 1x1 shortcut.

    The shortcut is enlarged after its convolution, which gives the same for a quarter of the work.
    """

    features: int
    num_classes: int = 0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], y: Int[Array, " b"] | None = None, *, train: bool
    ) -> Float[Array, "b i j o"]:
        three = partial(Conv, self.features, kernel_size=3, stride=1, kernel_init=_glorot_sqrt2, dtype=self.dtype)
        one = Conv(self.features, kernel_size=1, stride=1, kernel_init=_glorot, dtype=self.dtype)
        h = nn.relu(self._normalise(x, y, train))
        h = EnlargedConv(self.features, kernel_init=_glorot_sqrt2, dtype=self.dtype)(h)  # b 2h 2w o
        h = three()(nn.relu(self._normalise(h, y, train)))
        return h + jnp.repeat(jnp.repeat(one(x), 2, axis=1), 2, axis=2)

    def _normalise(self, x: Array, y: Array | None, train: bool) -> Array:
        if self.num_classes:
            return ConditionalBatchNorm(self.num_classes, dtype=self.dtype)(x, require_labels(y), train=train)
        return _batch_norm(use_running_average=not train, dtype=self.dtype)(x)


class DownBlock(nn.Module):
    """ReLU, 3x3, ReLU, 3x3, average of 2x2 if `halve`, beside a shortcut; the `first` block takes the image without a ReLU.

    The shortcut, 1x1 where its shape changes, is averaged before its convolution: the same for a quarter of the work.
    """

    features: int
    first: bool = False
    halve: bool = True
    spectral_norm: bool = True
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b i j o"]:
        layer = partial(maybe_spectral, spectral=self.spectral_norm, train=train)
        three = partial(Conv, kernel_size=3, stride=1, kernel_init=_glorot_sqrt2, dtype=self.dtype)
        hidden = self.features if self.first else x.shape[-1]
        h = layer(three(hidden))(x if self.first else nn.relu(x))
        last = AveragedConv(self.features, kernel_init=_glorot_sqrt2, dtype=self.dtype) if self.halve else three(self.features)
        h = layer(last)(nn.relu(h))  # b h/2 w/2 o
        if self.halve:
            b, rows, cols, c = x.shape
            x = jnp.mean(x.reshape(b, rows // 2, 2, cols // 2, 2, c), axis=(2, 4))  # b h/2 w/2 c
        if self.halve or x.shape[-1] != self.features:
            x = layer(Conv(self.features, kernel_size=1, stride=1, kernel_init=_glorot, dtype=self.dtype))(x)
        return h + x


class EnlargedConv(Conv):
    """Nearest-neighbour enlargement to twice the size, then a 3x3 convolution: (b, h, w, c) to (b, 2h, 2w, o).

    Computed as one fractionally strided convolution by the 4x4 kernel that is the sum of the 3x3 one at its four shifts by a
    pixel: the same with 4/9 of the multiplications (as in the code of Karras et al. 2017, arXiv:1710.10196).
    """

    kernel_size: int = 3

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j o"]:
        kernel, bias = self.parameters(x.shape[-1])
        y = conv_transpose(x.astype(self.dtype), _shifted_sum(kernel), 2)
        return y if bias is None else y + bias[None, None, None]


class AveragedConv(Conv):
    """A 3x3 convolution, then the average of 2x2 pixels: (b, h, w, c) to (b, h/2, w/2, o); computed as `EnlargedConv` is."""

    kernel_size: int = 3

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j o"]:
        kernel, bias = self.parameters(x.shape[-1])
        y = conv(x.astype(self.dtype), _shifted_sum(kernel) / 4, 2)
        return y if bias is None else y + bias[None, None, None]


def _shifted_sum(kernel: Float[Array, "k l c o"]) -> Float[Array, "k+1 l+1 c o"]:
    """The sum of the kernel at its four shifts by one pixel."""
    tall = jnp.pad(kernel, ((0, 1), (0, 0), (0, 0), (0, 0))) + jnp.pad(kernel, ((1, 0), (0, 0), (0, 0), (0, 0)))
    return jnp.pad(tall, ((0, 0), (0, 1), (0, 0), (0, 0))) + jnp.pad(tall, ((0, 0), (1, 0), (0, 0), (0, 0)))


def require_size(height: int, width: int) -> None:
    """Raises `InputError` unless these networks make and judge images of that size."""
    _side(height, width)


def _side(height: int, width: int) -> int:
    return sizes.side_of(height, width, _GENERATOR, "SNGAN's residual")
