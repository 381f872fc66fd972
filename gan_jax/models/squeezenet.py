"""SqueezeNet 1.1 (Iandola et al. 2016, arXiv:1602.07360; github.com/forresti/SqueezeNet) without its classifier."""

from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Num, PyTree

from gan_jax.errors import InputError
from gan_jax.layers.frozen import convolve, max_pool
from gan_jax.models.imagenet import caffe_input, torchvision_input

FEATURES_SIZE = 96  # pixels a side to which small images are enlarged
Layout = Literal["caffe", "torchvision"]
LEAST: dict[Layout, int] = {"caffe": 31, "torchvision": 17}  # pixels a side that the pools leave something of

_conv = partial(nn.Conv, conv_general_dilated=convolve, precision=lax.Precision.HIGHEST)  # alike on every device


class SqueezeNet(nn.Module):
    """Images (b, h, w, 3) to activations by name: conv1, fire2 to fire9, all after their ReLU.

    Images come by `gan_jax.models.imagenet`: `layout="caffe"` is for the authors' weights, which Keras has too,
    "torchvision" for torchvision's, whose pools do not leave out a last row or column. Raises `InputError` for images under
    31x31, or 17x17 in torchvision's layout.
    """

    layout: Layout = "caffe"

    @nn.compact
    def __call__(self, x: Float[Array, "b h w 3"]) -> dict[str, Float[Array, "b _ _ _"]]:
        least = LEAST[self.layout]
        if min(x.shape[1:3]) < least:
            raise InputError(f"SqueezeNet needs images of {least}x{least} or more, not {x.shape[1]}x{x.shape[2]}: resize them")
        conv1 = _conv(64, (3, 3), 2, padding="VALID", name="conv1")
        x = nn.relu(conv1(x))  # b h/2 w/2 64
        found = {"conv1": x}
        for i, width in enumerate((16, 16, 32, 32, 48, 48, 64, 64), 2):
            if i in (2, 4, 6):
                x = max_pool(x, ceil=self.layout == "torchvision")
            x = found[f"fire{i}"] = Fire(width, name=f"fire{i}")(x)  # b h w 8*width
        return found


class Fire(nn.Module):
    """A 1x1 convolution to `width` channels, then a 1x1 and a 3x3, each to four times as many, side by side."""

    width: int

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w o"]:
        x = nn.relu(_conv(self.width, (1, 1), name="squeeze1x1")(x))
        one = _conv(4 * self.width, (1, 1), name="expand1x1")(x)
        three = _conv(4 * self.width, (3, 3), name="expand3x3")(x)
        return nn.relu(jnp.concatenate([one, three], axis=-1))


def features(variables: PyTree, images: Num[Array, "b h w 3"], layout: Layout = "caffe") -> Float[Array, "b 512"]:
    """Means of the last maps, for scores of images in [0, 255]: a small stand-in for Inception's.

    Small images should be enlarged to `FEATURES_SIZE` or more: of 1,000 pictures of CIFAR-10 a linear classifier, taught by
    2,000 others, knows 0.71 at 96x96 and 0.38 at 32x32 with the authors' weights, 0.32 and 0.26 with random ones.
    """
    x = caffe_input(images) if layout == "caffe" else torchvision_input(images.astype(jnp.float32) / 127.5 - 1)
    maps: Any = SqueezeNet(layout).apply(variables, x)
    return jnp.mean(maps["fire9"], axis=(1, 2))
