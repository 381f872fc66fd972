"""Features of the whole minibatch, from which a discriminator can tell that samples are too similar."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from gan_jax import batch_axis


class MinibatchDiscrimination(nn.Module):
    """Features (b, a) with `kernels` similarities to all other examples appended: (b, a + kernels).

    o(x_i)_k = sum over j != i of exp(-||M_ik - M_jk||_1), M = f(x) T with T (a, kernels, dims) (Salimans et al. 2016,
    arXiv:1606.03498, section 3.2). As in the authors' code the example itself is left out. The sum runs over the whole
    batch, also where that is sharded over devices.
    """

    kernels: int = 50
    dims: int = 5

    @nn.compact
    def __call__(self, f: Float[Array, "b a"]) -> Float[Array, "b a_and_kernels"]:
        tensor = self.param("tensor", nn.initializers.normal(0.05), (f.shape[-1], self.kernels * self.dims))
        mine = (f.astype(jnp.float32) @ tensor).reshape(-1, self.kernels, self.dims)  # b kernels dims
        everyone = batch_axis.gather(mine)  # n kernels dims
        distances = jnp.sum(jnp.abs(mine[:, None] - everyone[None]), axis=-1)  # b n kernels
        similarity = jnp.sum(jnp.exp(-distances), axis=1) - 1  # b kernels; an example's similarity to itself is 1
        return jnp.concatenate([f, similarity.astype(f.dtype)], axis=-1)


def append_stddev(x: Float[Array, "b ... c"], epsilon: float = 1e-8) -> Float[Array, "b ... c_and_1"]:
    """The standard deviation over the batch, averaged over positions and channels, as one more channel that is constant.

    A feature map for (b, h, w, c), a number for (b, c) (Karras et al. 2017, arXiv:1710.10196, section 3). The group is the
    whole batch, also where that is sharded over devices.
    """
    mean = batch_axis.mean(jnp.mean(x.astype(jnp.float32), axis=0))
    variance = batch_axis.mean(jnp.mean(jnp.square(x.astype(jnp.float32) - mean[None]), axis=0))
    value = jnp.mean(jnp.sqrt(variance + epsilon)).astype(x.dtype)
    channel = jnp.broadcast_to(jax.lax.expand_dims(value, range(x.ndim)), (*x.shape[:-1], 1))
    return jnp.concatenate([x, channel], axis=-1)
