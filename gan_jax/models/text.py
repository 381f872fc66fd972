"""Networks of text to image: DCGAN's, told a caption by its embedding t (Reed et al. 2016, arXiv:1605.05396, section 4.1)."""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float

from gan_jax.errors import InputError
from gan_jax.layers.head import Minibatch, head
from gan_jax.layers.norm import batch_norm
from gan_jax.models import dcgan

_init = nn.initializers.normal(0.02)


class Generator(nn.Module):
    """Latents (b, z) and embeddings (b, t) to images (b, h, w, c): DCGAN's on [z; c], c = leaky ReLU of a linear map of t.

    Embeddings have a mean square of about 1. With `conditioning` c is drawn, c = mu(t) + sigma(t) e, where e are the last
    `project` numbers of z, and `conditioning` times KL(N(mu, sigma^2) || N(0, 1)), the mean over the numbers, is sown in
    "losses": conditioning augmentation (Zhang et al. 2016, arXiv:1612.03242, section 3.2; there the weight is 2). Differs: the
    paper's program has residual blocks at 4x4 and 8x8.
    """

    size: tuple[int, int] = (64, 64)
    channels: int = 3
    width: int = 128
    project: int = 128
    norm: Literal["batch", "none"] = "batch"
    upsample: Literal["transpose", "resize"] = "transpose"
    conditioning: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, z: Float[Array, "b z"], t: Float[Array, "b t"], *, train: bool) -> Float[Array, "b h w c"]:
        c = nn.leaky_relu(nn.Dense(self.project * (2 if self.conditioning else 1))(t), 0.2)
        if self.conditioning:
            if z.shape[1] <= self.project:
                raise InputError(f"conditioning takes {self.project} numbers of the code: it must be longer than {z.shape[1]}")
            mean, log_sigma = jnp.split(c, 2, axis=1)
            z, e = jnp.split(z, [z.shape[1] - self.project], axis=1)
            kl = jnp.mean(0.5 * (jnp.exp(2 * log_sigma) + mean**2 - 1) - log_sigma)
            self.sow("losses", "conditioning", self.conditioning * kl)
            c = mean + jnp.exp(log_sigma) * e
        base = dcgan.Generator(self.size, self.channels, self.width, norm=self.norm, upsample=self.upsample, dtype=self.dtype)
        return base(jnp.concatenate([z, c], axis=1), train=train)


class Discriminator(nn.Module):
    """Images (b, h, w, c) and embeddings (b, t) to logits (b,): DCGAN's convolutions, told t on their coarsest grid.

    `text="concat"`: `project` numbers made of t stand beside the features at each place, and a 1x1 convolution joins them,
    as in the paper. `text="projection"`: the inner product of the features and a linear map of these numbers is added to the
    logit (Miyato & Koyama 2018, arXiv:1802.05637). Differs: the paper's program has a residual block on the coarsest grid.
    """

    width: int = 128
    project: int = 128
    text: Literal["concat", "projection"] = "concat"
    norm: Literal["batch", "none"] = "batch"
    spectral_norm: bool = False
    minibatch: Minibatch = "none"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], t: Float[Array, "b t"], *, train: bool) -> Float[Array, " b"]:
        x = dcgan.trunk(
            self, x, train=train, width=self.width, norm=self.norm, spectral_norm=self.spectral_norm, dtype=self.dtype
        )
        c = self._joined(nn.Dense(self.project, use_bias=self.norm == "none", dtype=self.dtype)(t), train)
        if self.text == "concat":
            planes = jnp.broadcast_to(c[:, None, None], (*x.shape[:3], self.project))
            x = jnp.concatenate([x, planes], axis=-1)  # b 4 4 c
            features = x.shape[-1] - self.project
            x = self._joined(nn.Dense(features, use_bias=self.norm == "none", dtype=self.dtype)(x), train)
        return head(
            self,
            x,
            train=train,
            minibatch=self.minibatch,
            spectral_norm=self.spectral_norm,
            kernel_init=_init,
            dtype=self.dtype,
            condition=c if self.text == "projection" else None,
        )

    def _joined(self, x: Array, train: bool) -> Array:
        if self.norm == "batch":
            x = batch_norm(use_running_average=not train, dtype=self.dtype)(x)
        return nn.leaky_relu(x, 0.2)
