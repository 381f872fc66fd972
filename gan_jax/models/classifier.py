"""A small convolutional classifier."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from gan_jax.layers.conv import Conv


class Classifier(nn.Module):
    """Images (b, h, w, c) to class logits (b, num_classes): three strided convolutions, two layers.

    Rows and columns are repeated at the end up to a multiple of 8. The 128 numbers of the first of the two layers are sown as
    the intermediate "features".
    """

    num_classes: int
    width: int = 32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool, key: Array | None = None) -> Float[Array, "b classes"]:
        x = jnp.pad(x, ((0, 0), (0, -x.shape[1] % 8), (0, -x.shape[2] % 8), (0, 0)), mode="edge")
        for i in range(3):
            x = nn.relu(Conv(self.width * 2**i, kernel_size=4)(x))  # b h/2 w/2 c
        x = x.reshape(x.shape[0], -1)
        x = nn.relu(nn.Dense(128)(x))
        self.sow("intermediates", "features", x)
        x = nn.Dropout(0.4, deterministic=not train)(x, rng=key)
        return nn.Dense(self.num_classes)(x).astype(jnp.float32)
