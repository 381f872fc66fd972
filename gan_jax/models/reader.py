"""A network that reads several attributes of a picture at once."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from gan_jax.layers.conv import Conv


class Reader(nn.Module):
    """Images (b, h, w, c), sides multiples of 16, to (b, outputs): strided convolutions with a residual one after each."""

    outputs: int
    width: int = 24

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b outputs"]:
        for i, widen in enumerate((1, 2, 4, 6)):
            x = Conv(self.width * widen, kernel_size=4)(x)  # b h/2 w/2 c
            x = nn.relu(nn.GroupNorm(num_groups=4)(x))
            if i:
                y = Conv(self.width * widen, kernel_size=3, stride=1)(x)
                x = x + nn.relu(nn.GroupNorm(num_groups=4)(y))
        x = x.reshape(x.shape[0], -1)
        x = nn.relu(nn.Dense(256)(x))
        return nn.Dense(self.outputs)(x).astype(jnp.float32)
