"""DCGAN (Radford, Metz & Chintala 2015, arXiv:1511.06434) for any size 4 * 2^n from 16 to 256."""

import math
from functools import partial
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float, Int

from gan_jax.errors import InputError
from gan_jax.layers.conv import Conv, ConvTranspose, ResizeConv, one_hot_planes
from gan_jax.layers.head import Minibatch, head
from gan_jax.layers.norm import ConditionalBatchNorm, VirtualBatchNorm, batch_norm, maybe_spectral, require_labels

_init = nn.initializers.normal(0.02)


def stages(height: int, width: int) -> tuple[int, tuple[int, int]]:
    """The number of doublings n and the coarsest grid, whose shorter side is 4: (64, 96) gives 4 and (4, 6).

    Raises `InputError` unless the shorter side is 4 * 2^n, 16 to 256, and 2^n divides the longer one.
    """
    short = min(height, width)
    n = round(math.log2(max(short, 1) / 4))
    if short != 4 * 2**n or not 16 <= short <= 256 or max(height, width) % 2**n:
        near = min((16, 32, 64, 128, 256), key=lambda size: abs(size - short))
        raise InputError(
            f"image size {height}x{width} is not one a DCGAN can make: the shorter side must be 16, 32, 64, 128 or 256 and "
            f"the longer side a multiple of a quarter of it; the nearest square size is {near}x{near}"
        )
    return n, (height // 2**n, width // 2**n)


def grids(size: tuple[int, int], halvings: int | None = None) -> tuple[tuple[int, int], ...]:
    """The sizes of the feature maps, finest first: each side halved, rounded up, `halvings` times: 28, 14, 7, 4, 2.

    Without `halvings` as often as `stages` says, which refuses sizes whose coarsest grid would be another.
    """
    n = stages(*size)[0] if halvings is None else halvings
    return tuple((-(-size[0] // 2**i), -(-size[1] // 2**i)) for i in range(n + 1))


def widths(width: int, n: int) -> tuple[int, ...]:
    """Channels from the finest to the coarsest hidden stage: doubled at each, at most 8 * width, as in the paper at 64x64."""
    return tuple(width * min(2**i, 8) for i in range(n))


class Generator(nn.Module):
    """Latents (b, z) to images (b, h, w, c) in [-1, 1]: a projection to the coarsest grid, then one doubling a stage.

    `size` is (height, width), `width` the channels before the last layer (128 in the paper, at 64x64). With `num_classes`
    the label enters as a one-hot vector beside z (`label="concat"`) or through conditional batch norm. `norm="none"` leaves
    batch norm out, `upsample="resize"` replaces fractional strides by nearest-neighbour resizing and a convolution.
    `norm="virtual"` is virtual batch norm (`gan_jax.layers.norm.VirtualBatchNorm`): the latents that the network is
    initialised with, `reference` of them in `image_gan`, are the reference batch, with random labels where there are classes;
    they are kept in the collection "reference" and pass the network beside every batch.
    `halvings` is the number of doublings where it is not the paper's, for any size (`grids`): a grid of an odd side is that of
    the doubled one without its first row or column. `end="same"` doubles the size before the last layer, which then has
    stride 1. `dtype` is the type of the computation; parameters are float32.
    """

    size: tuple[int, int] = (64, 64)
    channels: int = 3
    width: int = 128
    kernel_size: int = 5
    norm: Literal["batch", "virtual", "none"] = "batch"
    upsample: Literal["transpose", "resize"] = "transpose"
    spectral_norm: bool = False
    num_classes: int = 0
    label: Literal["concat", "batch_norm"] = "concat"
    reference: int = 64
    halvings: int | None = None
    end: Literal["double", "same"] = "double"
    dtype: DTypeLike = jnp.float32

    @property
    def init_rows(self) -> int:
        """The latents that it is to be initialised with; 0 where their number does not matter."""
        return self.reference if self.norm == "virtual" else 0

    @nn.compact
    def __call__(self, z: Float[Array, "b z"], y: Int[Array, " b"] | None = None, *, train: bool) -> Float[Array, "b h w c"]:
        fine, *hidden_grids, (rows, cols) = grids(self.size, self.halvings)
        if self.num_classes and self.label == "batch_norm" and self.norm != "batch":
            raise InputError('label="batch_norm" needs norm="batch": use label="concat" with other norms')
        same = self.end == "same"
        *hidden, coarsest = widths(self.width, len(hidden_grids) + 1 + same)
        up = partial(
            ConvTranspose if self.upsample == "transpose" else ResizeConv,
            kernel_size=self.kernel_size,
            kernel_init=_init,
            dtype=self.dtype,
        )
        layer = partial(maybe_spectral, spectral=self.spectral_norm, train=train)
        use_bias = self.norm == "none"
        if self.num_classes and self.label == "concat":
            z = jnp.concatenate([z, jax.nn.one_hot(require_labels(y), self.num_classes)], axis=-1)

        xs = [*self._reference(z), z.astype(self.dtype)]
        dense = layer(nn.Dense(rows * cols * coarsest, use_bias=use_bias, kernel_init=_init, dtype=self.dtype))
        xs = [dense(x).reshape(-1, rows, cols, coarsest) for x in xs]  # b h/2^n w/2^n c
        xs = [nn.relu(x) for x in self._normalise(xs, y, train)]
        for features, grid in zip(reversed(hidden), reversed([fine] * same + hidden_grids), strict=True):
            enlarge = layer(up(features, use_bias=use_bias))
            xs = [_cut(enlarge(x), grid) for x in xs]  # b 2h 2w c
            xs = [nn.relu(x) for x in self._normalise(xs, y, train)]
        x = _cut(layer(up(self.channels, stride=1 if same else 2))(xs[-1]), fine)  # b h w c
        return jnp.tanh(x.astype(jnp.float32))

    def _reference(self, z: Array) -> list[Array]:
        """The reference batch of virtual batch norm, if any: latents, and labels as one-hot vectors beside them."""
        if self.norm != "virtual":
            return []

        def first() -> Array:
            if not self.num_classes:
                return z
            y = jax.random.randint(self.make_rng("params"), z.shape[:1], 0, self.num_classes)
            return z.at[:, -self.num_classes :].set(jax.nn.one_hot(y, self.num_classes))

        return [self.variable("reference", "z", first).value.astype(self.dtype)]

    def _normalise(self, xs: list[Array], y: Array | None, train: bool) -> list[Array]:
        if self.norm == "none":
            return xs
        if self.norm == "virtual":
            return list(VirtualBatchNorm(dtype=self.dtype)(xs[0], xs[1]))
        if self.num_classes and self.label == "batch_norm":
            return [ConditionalBatchNorm(self.num_classes, dtype=self.dtype)(xs[-1], require_labels(y), train=train)]
        return [batch_norm(use_running_average=not train, dtype=self.dtype)(xs[-1])]


def _cut(x: Array, grid: tuple[int, int]) -> Array:
    """Without the first row or column where one is too many."""
    return x if x.shape[1:3] == grid else x[:, x.shape[1] - grid[0] :, x.shape[2] - grid[1] :]


def _evened(x: Array) -> Array:
    """With a row or column of zeros before the first where the number is odd, which gives the grid of `SAME` padding."""
    odd = x.shape[1] % 2, x.shape[2] % 2
    return jnp.pad(x, ((0, 0), (odd[0], 0), (odd[1], 0), (0, 0))) if any(odd) else x


def trunk(
    module: nn.Module,
    x: Float[Array, "b h w c"],
    *,
    train: bool,
    width: int,
    kernel_size: int = 5,
    norm: Literal["batch", "all", "none"] = "batch",
    spectral_norm: bool = False,
    halvings: int | None = None,
    slope: float = 0.2,
    dtype: DTypeLike = jnp.float32,
) -> Float[Array, "b i j o"]:
    """The strided convolutions of a discriminator: images to the maps of the coarsest grid; see `Discriminator`.

    Called from the compact method of `module`, which owns the parameters and sows the maps of each stage as "maps".
    """
    n = len(grids((x.shape[1], x.shape[2]), halvings)) - 1
    down = partial(Conv, kernel_size=kernel_size, kernel_init=_init, dtype=dtype)
    layer = partial(maybe_spectral, spectral=spectral_norm, train=train)
    x = x.astype(dtype)
    for i, features in enumerate(widths(width, n)):
        normalised = norm == "all" or (norm == "batch" and i > 0)
        x = layer(down(features, use_bias=not normalised))(_evened(x))  # b h/2 w/2 c
        if normalised:
            x = batch_norm(use_running_average=not train, dtype=dtype)(x)
        x = nn.leaky_relu(x, slope)
        module.sow("intermediates", "maps", x)
    return x


class Discriminator(nn.Module):
    """Images (b, h, w, c) to logits (b,): one halving a stage down to the coarsest grid, then `gan_jax.layers.head`.

    Batch norm everywhere but at the input, unless `norm="none"` (gradient penalties and batch norm do not go together);
    `norm="all"` also there. `halvings` is their number where it is not the paper's, for any size (`grids`), and `slope` that of
    the leaky units.
    With `num_classes` the label is concatenated as one-hot feature maps (`label="concat"`) or enters by an inner product
    with the features (`label="projection"`, Miyato & Koyama 2018, arXiv:1802.05637, eq. 3). `minibatch` adds features of the
    whole batch before the linear unit: its standard deviation or minibatch discrimination (`gan_jax.layers.minibatch`).
    The feature maps of each stage, finest first, are sown as the intermediates "maps".
    """

    width: int = 128
    kernel_size: int = 5
    norm: Literal["batch", "all", "none"] = "batch"
    spectral_norm: bool = False
    num_classes: int = 0
    label: Literal["concat", "projection"] = "concat"
    minibatch: Minibatch = "none"
    halvings: int | None = None
    slope: float = 0.2
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], y: Int[Array, " b"] | None = None, *, train: bool) -> Float[Array, " b"]:
        if self.num_classes and self.label == "concat":
            x = jnp.concatenate([x, one_hot_planes(require_labels(y), self.num_classes, *x.shape[1:3])], axis=-1)
        x = trunk(
            self,
            x,
            train=train,
            width=self.width,
            kernel_size=self.kernel_size,
            norm=self.norm,
            spectral_norm=self.spectral_norm,
            halvings=self.halvings,
            slope=self.slope,
            dtype=self.dtype,
        )
        return head(
            self,
            x,
            y,
            train=train,
            num_classes=self.num_classes if self.label == "projection" else 0,
            minibatch=self.minibatch,
            spectral_norm=self.spectral_norm,
            kernel_init=_init,
            dtype=self.dtype,
        )
