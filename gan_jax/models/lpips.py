"""LPIPS, a distance between images that follows people's judgements (Zhang et al. 2018, arXiv:1801.03924), version 0.1."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from gan_jax.models.alexnet import AlexNet
from gan_jax.models.imagenet import torchvision_input
from gan_jax.models.squeezenet import SqueezeNet
from gan_jax.models.vgg import VGG

_TINY = 1e-10  # pixels without any activation have no direction


class LPIPS(nn.Module):
    """Images x and y (b, h, w, 3) in [-1, 1] to distances (b,).

        d(x, y) = sum over layers l of the mean over pixels of w_l . (f_l(x) - f_l(y))^2        (eq. 1)

    f_l are the activations `net` has there, of length 1 at every pixel, and w_l >= 0 is learnt. "alex" is the one to report,
    "vgg" the one to minimise. Raises `InputError` for images that are too small: under 31x31 ("alex"), 16x16 ("vgg"),
    17x17 ("squeeze").
    """

    net: Literal["alex", "vgg", "squeeze"] = "alex"

    @nn.compact
    def __call__(self, x: Float[Array, "b h w 3"], y: Float[Array, "b h w 3"]) -> Float[Array, " b"]:
        backbone = _BACKBONES[self.net]
        maps = backbone.module(name="net")(torchvision_input(jnp.concatenate([x, y])))
        distance = jnp.zeros(len(x))
        for i, name in enumerate(backbone.names):
            of_x, of_y = jnp.split(directions(maps[name]), 2)  # b h w c
            apart = jnp.mean((of_x - of_y) ** 2, axis=(1, 2))  # b c
            weights = self.param(f"lin{i}", nn.initializers.uniform(1.0), apart.shape[1:])
            distance += jnp.sum(apart * weights[None], axis=-1)
        return distance


def directions(h: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Divided by their length over the channels; with finite gradients where that is 0."""
    square = jnp.sum(h**2, axis=-1, keepdims=True)
    return h * lax.rsqrt(jnp.maximum(square, _TINY**2))


class _Backbone(NamedTuple):
    module: Callable[..., nn.Module]
    names: tuple[str, ...]


_VGG_NAMES = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
_BACKBONES = {
    "alex": _Backbone(AlexNet, ("relu1", "relu2", "relu3", "relu4", "relu5")),
    "vgg": _Backbone(partial(VGG, 16, _VGG_NAMES), _VGG_NAMES),
    "squeeze": _Backbone(partial(SqueezeNet, "torchvision"), ("conv1", "fire3", "fire5", "fire6", "fire7", "fire8", "fire9")),
}
