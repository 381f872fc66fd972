"""Players for points in the plane."""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from gan_jax.layers.head import Minibatch, head
from gan_jax.layers.norm import batch_norm


class Generator(nn.Module):
    """Latents (b, z) to points (b, features) through `depth` hidden layers; `scale` multiplies the output."""

    features: int = 2
    width: int = 256
    depth: int = 3
    scale: float = 1.0
    norm: Literal["batch", "none"] = "none"
    activation: Literal["relu", "tanh"] = "relu"

    @nn.compact
    def __call__(self, z: Float[Array, "b z"], y: None = None, *, train: bool) -> Float[Array, "b features"]:
        x = z
        for _ in range(self.depth):
            x = nn.Dense(self.width, use_bias=self.norm == "none")(x)
            if self.norm == "batch":
                x = batch_norm(use_running_average=not train)(x)
            x = nn.relu(x) if self.activation == "relu" else jnp.tanh(x)
        return self.scale * nn.Dense(self.features)(x)


class Discriminator(nn.Module):
    """Points (b, features) to logits (b,) through `depth` hidden layers; `scale` divides the input first.

    `minibatch` adds features of the whole batch before the linear unit, see `gan_jax.layers.head`.
    """

    width: int = 256
    depth: int = 3
    scale: float = 1.0
    activation: Literal["leaky_relu", "tanh"] = "leaky_relu"
    minibatch: Minibatch = "none"

    @nn.compact
    def __call__(self, x: Float[Array, "b features"], y: None = None, *, train: bool) -> Float[Array, " b"]:
        x = x / self.scale
        for _ in range(self.depth):
            x = nn.Dense(self.width)(x)
            x = nn.leaky_relu(x, 0.2) if self.activation == "leaky_relu" else jnp.tanh(x)
        return head(self, x, train=train, minibatch=self.minibatch)
