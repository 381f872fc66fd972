"""Inception v3 (Szegedy et al. 2016, arXiv:1512.00567) as FID, KID and the Inception score know it.

That is TensorFlow's graph of 2015-12-05, whose weights are not those of torchvision: 1,008 classes, averages that leave the
padding out, and a maximum in place of the average in the last block. Layers are named as in torch-fidelity and pytorch-fid.
"""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from gan_jax.layers.frozen import convolve, max_pool, mean_3x3

INPUT_SIZE = (299, 299)

_Size = int | tuple[int, int]
_PRECISION = lax.Precision.HIGHEST  # scores are to be the same on every device


class Features(NamedTuple):
    """What scores are made of: means of the last maps (b, 2048), and class logits (b, 1008) without the bias, which the
    Inception score's code leaves out.
    """

    pool3: Float[Array, "b 2048"]
    logits: Float[Array, "b 1008"]


class InceptionV3(nn.Module):
    """Images (b, 299, 299, 3), by `gan_jax.models.imagenet.inception_input` in [-1, 1), to `Features`.

    Differs: the batch norm after each convolution is part of its kernel and bias.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "b 299 299 3"]) -> Features:
        x = _conv(x, "Conv2d_1a_3x3", 32, 3, 2, "VALID")  # b 149 149 32
        x = _conv(x, "Conv2d_2a_3x3", 32, 3, 1, "VALID")  # b 147 147 32
        x = max_pool(_conv(x, "Conv2d_2b_3x3", 64, 3))  # b 73 73 64
        x = _conv(x, "Conv2d_3b_1x1", 80, 1)
        x = max_pool(_conv(x, "Conv2d_4a_3x3", 192, 3, 1, "VALID"))  # b 35 35 192
        for name, pooled in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
            x = MixedA(pooled, name=name)(x)  # b 35 35 256, later 288
        x = MixedB(name="Mixed_6a")(x)  # b 17 17 768
        for name, width in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
            x = MixedC(width, name=name)(x)
        x = MixedD(name="Mixed_7a")(x)  # b 8 8 1280
        x = MixedE(name="Mixed_7b")(x)  # b 8 8 2048
        x = MixedE(largest=True, name="Mixed_7c")(x)
        pool3 = jnp.mean(x, axis=(1, 2))  # b 2048
        return Features(pool3, nn.Dense(1008, use_bias=False, precision=_PRECISION, name="fc")(pool3))


class MixedA(nn.Module):
    """1x1, 5x5, two 3x3 and an average, side by side."""

    pooled: int

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w o"]:
        one = _conv(x, "branch1x1", 64, 1)
        five = _chain(x, "branch5x5", (48, 1), (64, 5))
        threes = _chain(x, "branch3x3dbl", (64, 1), (96, 3), (96, 3))
        pooled = _averaged(x, "branch_pool", self.pooled)
        return jnp.concatenate([one, five, threes, pooled], axis=-1)


class MixedB(nn.Module):
    """From 35x35 to 17x17."""

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j o"]:
        three = _conv(x, "branch3x3", 384, 3, 2, "VALID")
        threes = _chain(x, "branch3x3dbl", (64, 1), (96, 3))
        threes = _conv(threes, "branch3x3dbl_3", 96, 3, 2, "VALID")
        return jnp.concatenate([three, threes, max_pool(x)], axis=-1)


class MixedC(nn.Module):
    """1x1, one and two 7x7 cut into rows and columns, and an average."""

    width: int

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w 768"]:
        n = self.width
        one = _conv(x, "branch1x1", 192, 1)
        seven = _chain(x, "branch7x7", (n, 1), (n, (1, 7)), (192, (7, 1)))
        sevens = _chain(x, "branch7x7dbl", (n, 1), (n, (7, 1)), (n, (1, 7)), (n, (7, 1)), (192, (1, 7)))
        pooled = _averaged(x, "branch_pool", 192)
        return jnp.concatenate([one, seven, sevens, pooled], axis=-1)


class MixedD(nn.Module):
    """From 17x17 to 8x8."""

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j o"]:
        three = _conv(_conv(x, "branch3x3_1", 192, 1), "branch3x3_2", 320, 3, 2, "VALID")
        seven = _chain(x, "branch7x7x3", (192, 1), (192, (1, 7)), (192, (7, 1)))
        seven = _conv(seven, "branch7x7x3_4", 192, 3, 2, "VALID")
        return jnp.concatenate([three, seven, max_pool(x)], axis=-1)


class MixedE(nn.Module):
    """1x1, one and two 3x3 that end in a row and a column beside each other, and an average, or the `largest`."""

    largest: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w 2048"]:
        one = _conv(x, "branch1x1", 320, 1)
        three = _conv(x, "branch3x3_1", 384, 1)
        threes = _chain(x, "branch3x3dbl", (448, 1), (384, 3))
        crossed = [
            _conv(h, f"{name}{side}", 384, size)
            for h, name in ((three, "branch3x3_2"), (threes, "branch3x3dbl_3"))
            for side, size in (("a", (1, 3)), ("b", (3, 1)))
        ]
        last = ("branch_pool", 192)
        pooled = _conv(max_pool(x, 3, 1, edge=1), *last, 1) if self.largest else _averaged(x, *last)
        return jnp.concatenate([one, *crossed, pooled], axis=-1)


def _chain(x: Array, name: str, *layers: tuple[int, _Size]) -> Array:
    """Convolutions (features, size) one after the other, named `name`_1, `name`_2 and so on."""
    for i, (features, size) in enumerate(layers, 1):
        x = _conv(x, f"{name}_{i}", features, size)
    return x


def _conv(x: Array, name: str, features: int, size: _Size, stride: int = 1, padding: str = "SAME") -> Array:
    """A layer of the module that calls: convolution and ReLU."""
    return nn.relu(_linear(x, name, features, size, stride, padding))


def _averaged(x: Array, name: str, features: int) -> Array:
    """A 1x1 convolution of 3x3 averages. It comes first here, which is the same, and leaves fewer channels to average."""
    return nn.relu(mean_3x3(_linear(x, name, features, 1)))


def _linear(x: Array, name: str, features: int, size: _Size, stride: int = 1, padding: str = "SAME") -> Array:
    sizes = (size, size) if isinstance(size, int) else size
    return nn.Conv(features, sizes, stride, padding=padding, conv_general_dilated=convolve, precision=_PRECISION, name=name)(x)
