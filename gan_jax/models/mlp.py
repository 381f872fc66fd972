"""Players for points in the plane."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from gan_jax.layers.head import Minibatch, head
from gan_jax.layers.norm import batch_norm

PIECES = 5  # linear units of a maxout unit
Kernels = Literal["lecun", "normal", "orthogonal"]


def initializer(kernels: Kernels, gain: float) -> nn.initializers.Initializer:
    """Of kernels: variance 1 / inputs, a normal distribution of standard deviation `gain`, or orthogonal ones times `gain`."""
    if kernels == "lecun":
        return nn.initializers.lecun_normal()
    return nn.initializers.normal(gain) if kernels == "normal" else nn.initializers.orthogonal(gain)


class Generator(nn.Module):
    """Latents (b, z) to points (b, features) through `depth` hidden layers; `scale` multiplies the output.

    `kernels` and `gain` say how they begin, see `initializer`.
    """

    features: int = 2
    width: int = 256
    depth: int = 3
    scale: float = 1.0
    norm: Literal["batch", "none"] = "none"
    activation: Literal["relu", "tanh"] = "relu"
    kernels: Kernels = "lecun"
    gain: float = 1.0

    @nn.compact
    def __call__(self, z: Float[Array, "b z"], y: None = None, *, train: bool) -> Float[Array, "b features"]:
        x, kernel_init = z, initializer(self.kernels, self.gain)
        for _ in range(self.depth):
            x = nn.Dense(self.width, use_bias=self.norm == "none", kernel_init=kernel_init)(x)
            if self.norm == "batch":
                x = batch_norm(use_running_average=not train)(x)
            x = nn.relu(x) if self.activation == "relu" else jnp.tanh(x)
        return self.scale * nn.Dense(self.features, kernel_init=kernel_init)(x)


class Discriminator(nn.Module):
    """Points (b, features) to logits (b,) through `depth` hidden layers; `scale` divides the input first.

    `minibatch` adds features of the whole batch before the linear unit, see `gan_jax.layers.head`. "maxout" takes the largest
    of five linear units for each hidden unit (Goodfellow et al. 2013, arXiv:1302.4389). `kernels` and `gain` say how they
    begin, see `initializer`.
    """

    width: int = 256
    depth: int = 3
    scale: float = 1.0
    activation: Literal["leaky_relu", "relu", "tanh", "maxout"] = "leaky_relu"
    minibatch: Minibatch = "none"
    kernels: Kernels = "lecun"
    gain: float = 1.0

    @nn.compact
    def __call__(self, x: Float[Array, "b features"], y: None = None, *, train: bool) -> Float[Array, " b"]:
        x, kernel_init = x / self.scale, initializer(self.kernels, self.gain)
        for _ in range(self.depth):
            units = self.width * PIECES if self.activation == "maxout" else self.width
            x = ACTIVATIONS[self.activation](nn.Dense(units, kernel_init=kernel_init)(x))
        return head(self, x, train=train, minibatch=self.minibatch, kernel_init=kernel_init)


def _maxout(x: Float[Array, "b units"]) -> Float[Array, "b width"]:
    return jnp.max(x.reshape(x.shape[0], -1, PIECES), axis=-1)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "leaky_relu": partial(nn.leaky_relu, negative_slope=0.2),
    "relu": nn.relu,
    "tanh": jnp.tanh,
    "maxout": _maxout,
}
