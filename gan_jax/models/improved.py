"""The networks of Salimans et al. 2016 (arXiv:1606.03498) for CIFAR-10 at 32x32 and ImageNet at 128x128, as released.

(github.com/openai/improved-gan, mnist_svhn_cifar10/train_cifar_minibatch_discrimination.py and imagenet/).

Differs from the programs: strided 3x3 convolutions have their zeros after the image, not around it; latents are U(-1, 1) at
32x32 too, not U(0, 1), which batch norm makes the same; at 128x128 the discriminator's batch norm is over [real; generated].
"""

import math
from functools import partial
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float

from gan_jax import batch_axis
from gan_jax.errors import InputError
from gan_jax.layers.conv import Conv, ConvTranspose, conv, conv_transpose
from gan_jax.layers.head import DISCRIMINATIONS, Minibatch
from gan_jax.layers.minibatch import append_stddev
from gan_jax.layers.norm import VirtualBatchNorm, batch_norm
from gan_jax.models import sizes

SIZES = (32, 128)
_CHANNELS = {32: (4, 2, 1), 128: (8, 4, 2, 1, 1, 1)}  # of the generator at 4x4, 8x8, ... in widths
_NOISE = (1, 1, 1 / 2, 1 / 4, 1 / 8, 1 / 8)  # maps of noise beside these at 128x128, in widths


class Generator(nn.Module):
    """Latents (b, z) to images (b, h, w, c) in [-1, 1]: a projection to 4x4, then fractionally strided 5x5 convolutions.

    `size` is (32, 32) or (128, 128), `width` the channels before the last layer (None: 128 at 32x32, 64 at 128x128). At 128x128
    maps of noise stand beside the features of each size: the end of z, `noise_dim` numbers. `weight_norm` is that of the last
    layer (`WeightNorm`). `norm="virtual"` is virtual batch norm by `reference` latents, as in `gan_jax.models.dcgan`. Raises
    `InputError` for other sizes and for latents that are shorter than the noise.
    """

    size: tuple[int, int] = (32, 32)
    channels: int = 3
    width: int | None = None
    norm: Literal["batch", "virtual", "none"] = "batch"
    weight_norm: bool = True
    reference: int = 64
    dtype: DTypeLike = jnp.float32

    @property
    def init_rows(self) -> int:
        """The latents that it is to be initialised with; 0 where their number does not matter."""
        return self.reference if self.norm == "virtual" else 0

    @property
    def noise_dim(self) -> int:
        """The length of the end of z that is maps of noise."""
        return sum(side * side * maps for side, maps in self._maps())

    def _maps(self) -> list[tuple[int, int]]:
        """Sides and numbers of the maps of noise."""
        if side_of(*self.size) == 32:
            return []
        width = self.width or 64
        return [(4 * 2**i, max(math.floor(width * share), 1)) for i, share in enumerate(_NOISE)]

    @nn.compact
    def __call__(self, z: Float[Array, "b z"], *, train: bool) -> Float[Array, "b h w c"]:
        side, code = side_of(*self.size), z.shape[-1] - self.noise_dim
        if code < 1:
            raise InputError(
                f"latents of {z.shape[-1]} numbers hold no code beside {self.noise_dim} of noise: make them longer"
            )
        coarsest, *finer = [(self.width or (128 if side == 32 else 64)) * n for n in _CHANNELS[side]]
        zs = [z.astype(self.dtype)]
        if self.norm == "virtual":
            zs.insert(0, self.variable("reference", "z", lambda: z).value.astype(self.dtype))
        init, use_bias = nn.initializers.normal(0.05 if side == 32 else 0.02), self.norm == "none"
        up = partial(ConvTranspose, kernel_size=5, kernel_init=init, dtype=self.dtype)

        dense = nn.Dense(16 * coarsest, use_bias=use_bias, kernel_init=init, dtype=self.dtype)
        xs = [dense(each[:, :code]).reshape(-1, 4, 4, coarsest) for each in zs]
        xs = self._stage(xs, zs, code, 0, train)
        for i, features in enumerate(finer, 1):
            layer = up(features, use_bias=use_bias)
            xs = self._stage([layer(x) for x in xs], zs, code, i, train)  # b 2h 2w c
        stride = 2 if side == 32 else 1
        if self.weight_norm:
            last = WeightNorm(self.channels, 5, stride, transpose=True, first_std=0.1, train_gain=True, dtype=self.dtype)
            return jnp.tanh(last(xs[-1]).astype(jnp.float32))
        if side == 128:
            dark = {"kernel_init": nn.initializers.normal(0.075), "bias_init": nn.initializers.constant(-0.45)}
            up = partial(up, **dark)
        return jnp.tanh(up(self.channels, stride=stride)(xs[-1]).astype(jnp.float32))

    def _stage(self, xs: list[Array], zs: list[Array], code: int, i: int, train: bool) -> list[Array]:
        """Normalised, after a ReLU, with the noise beside them."""
        if self.norm == "virtual":
            xs = list(VirtualBatchNorm(dtype=self.dtype)(xs[0], xs[1]))
        elif self.norm == "batch":
            xs = [batch_norm(use_running_average=not train, use_scale=False, dtype=self.dtype)(xs[-1])]
        xs = [nn.relu(x) for x in xs]
        if not self._maps():
            return xs
        first = code + sum(side * side * maps for side, maps in self._maps()[:i])
        side, maps = self._maps()[i]
        noise = [z[:, first : first + side * side * maps].reshape(-1, side, side, maps) for z in zs]
        return [jnp.concatenate(pair, axis=-1) for pair in zip(xs, noise, strict=True)]


class Discriminator(nn.Module):
    """Images (b, h, w, c) to logits: (b,) for `outputs=0`, else (b, outputs), for `gan_jax.objectives.class_gan`.

    At 32x32: nine convolutions, each with weight norm if `weight_norm`, `dropout` after those of stride 2, the mean over all
    pixels. At 128x128: seven with batch norm, and a layer of 40 widths. `width` is the channels of the first (None: 96 and 64).
    Then the features of the minibatch: "discrimination_scaled" is that of the program at 32x32, "discrimination_groups" at
    128x128. With `dropout` it needs a `key` in training, at 32x32. The features are sown as "features".
    """

    outputs: int = 0
    width: int | None = None
    weight_norm: bool = True
    dropout: float = 0.5
    minibatch: Minibatch = "none"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], key: Array | None = None, *, train: bool) -> Float[Array, "b ..."]:
        side = side_of(x.shape[1], x.shape[2])
        x = x.astype(self.dtype)
        h = self._small(x, key, train) if side == 32 else self._large(x, train)
        h = h.astype(jnp.float32)
        if self.minibatch == "stddev":
            h = append_stddev(h)
        elif self.minibatch != "none":
            h = DISCRIMINATIONS[self.minibatch]()(h)
        self.sow("intermediates", "features", h)
        if self.weight_norm and side == 32:
            logits = WeightNorm(self.outputs or 1, first_std=0.1, train_gain=True)(h)
        else:
            init = nn.initializers.normal(0.05 if side == 32 else 0.02)
            logits = nn.Dense(self.outputs or 1, kernel_init=init)(h)
        return logits if self.outputs else logits[:, 0]

    def _small(self, x: Array, key: Array | None, train: bool) -> Array:
        width = self.width or 96
        layers = [(1, 3, 1), (1, 3, 1), (1, 3, 2), (2, 3, 1), (2, 3, 1), (2, 3, 2), (2, 3, 1), (2, 1, 1), (2, 1, 1)]
        for i, (n, size, stride) in enumerate(layers):
            border = int(i == 6)  # layer 6 is without zeros around the image: 8x8 to 6x6
            if self.weight_norm:
                x = WeightNorm(width * n, size, stride, border=border, dtype=self.dtype)(x)
            else:
                init = nn.initializers.he_normal()
                x = _inner(Conv(width * n, size, stride, kernel_init=init, dtype=self.dtype)(x), border)
            x = nn.leaky_relu(x, 0.2)
            if stride == 2 and self.dropout:
                noise = jax.random.fold_in(key, i) if key is not None else None
                x = nn.Dropout(self.dropout, deterministic=not train)(x, rng=noise)
        return jnp.mean(x, axis=(1, 2))

    def _large(self, x: Array, train: bool) -> Array:
        width, init = self.width or 64, nn.initializers.normal(0.02)
        norm = partial(batch_norm, use_running_average=not train, dtype=self.dtype)
        for n, stride in ((1, 2), (2, 2), (4, 2), (4, 1), (4, 1), (8, 2), (8, 2)):
            x = Conv(width * n, 3, stride, use_bias=False, kernel_init=init, dtype=self.dtype)(x)
            x = nn.leaky_relu(norm()(x), 0.2)
        x = nn.Dense(40 * width, use_bias=False, kernel_init=init, dtype=self.dtype)(x.reshape(x.shape[0], -1))
        return nn.leaky_relu(norm()(x), 0.2)


class WeightNorm(nn.Module):
    """A convolution whose kernel has the direction v and a length of its own: y = g (v * x) / ||v|| + b for each output.

    (Salimans & Kingma 2016, arXiv:1602.07868.) As released, g is learned with `train_gain` only, and in the first minibatch
    each output has mean 0 and the standard deviation `first_std`, whatever the images are. Differs as `MinibatchDiscrimination`
    does: what that minibatch gives (of the program 500 images) is kept in the collection "weight_norm", and g and b are learned
    from 1 and 0 on top of it. Of images a `border` of so many pixels is left out of the result. Of vectors (b, c) it is a dense
    layer.
    """

    features: int
    kernel_size: int = 1
    stride: int = 1
    transpose: bool = False
    border: int = 0
    first_std: float = 1.0
    train_gain: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b *p c"]) -> Float[Array, "b *q o"]:
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        v = self.param("kernel", nn.initializers.normal(0.05), shape)
        kernel = (v * jax.lax.rsqrt(1e-6 + jnp.sum(v**2, axis=(0, 1, 2), keepdims=True))).astype(self.dtype)
        x = x.astype(self.dtype)
        convolve = conv_transpose if self.transpose else conv
        y = x @ kernel[0, 0] if x.ndim == 2 else _inner(convolve(x, kernel, self.stride), self.border)
        mean, scale = self._measured(jax.lax.stop_gradient(y).astype(jnp.float32))
        if self.train_gain:
            scale = scale * self.param("gain", nn.initializers.ones, (self.features,))
        bias = self.param("bias", nn.initializers.zeros, (self.features,)) - mean * scale
        full = (1,) * (y.ndim - 1) + (-1,)
        return y * scale.reshape(full).astype(self.dtype) + bias.reshape(full).astype(self.dtype)

    def _measured(self, y: Array) -> tuple[Array, Array]:
        """The mean of each output, and `first_std` over its standard deviation, in the first minibatch."""
        begun = self.has_variable("weight_norm", "seen")
        seen = self.variable("weight_norm", "seen", jnp.zeros, ())
        mean = self.variable("weight_norm", "mean", jnp.zeros, (self.features,))
        scale = self.variable("weight_norm", "scale", jnp.ones, (self.features,))
        axes = tuple(range(y.ndim - 1))
        found = batch_axis.mean(jnp.mean(y, axes))
        square = batch_axis.mean(jnp.mean((y - found.reshape((1,) * len(axes) + (-1,))) ** 2, axes))
        first = jnp.where(seen.value > 0, mean.value, found)
        stretch = jnp.where(seen.value > 0, scale.value, self.first_std * jax.lax.rsqrt(square + 1e-12))
        if not begun or not self.is_mutable_collection("weight_norm"):
            return mean.value, scale.value
        seen.value, mean.value, scale.value = jnp.ones(()), first, stretch
        return first, stretch


def _inner(x: Array, border: int) -> Array:
    """Images (b, h, w, c) without a border of so many pixels."""
    return x[:, border : x.shape[1] - border, border : x.shape[2] - border]


def side_of(height: int, width: int) -> int:
    """The side of the images, 32 or 128; raises `InputError` for other sizes."""
    return sizes.side_of(height, width, SIZES, "Improved GAN's")
