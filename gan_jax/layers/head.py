"""The end of a discriminator: features of the batch, the linear unit, the label's projection."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float, Int

from gan_jax.layers.minibatch import MinibatchDiscrimination, append_stddev
from gan_jax.layers.norm import maybe_spectral, require_labels

Minibatch = Literal["none", "stddev", "discrimination", "discrimination_scaled", "discrimination_groups"]
DISCRIMINATIONS: dict[str, Callable[[], MinibatchDiscrimination]] = {
    "discrimination": MinibatchDiscrimination,
    "discrimination_scaled": partial(MinibatchDiscrimination, kernels=100, dims=5, scaled=True),
    "discrimination_groups": partial(MinibatchDiscrimination, kernels=300, dims=50, groups=True, stddev=0.02),
}
_default_init = nn.initializers.lecun_normal()


def head(
    module: nn.Module,
    x: Float[Array, "b ... c"],
    y: Int[Array, " b"] | None = None,
    *,
    train: bool,
    num_classes: int = 0,
    minibatch: Minibatch = "none",
    spectral_norm: bool = False,
    kernel_init: nn.initializers.Initializer = _default_init,
    dtype: DTypeLike = jnp.float32,
    condition: Float[Array, "b t"] | None = None,
) -> Float[Array, " b"]:
    """Feature maps (b, h, w, c) or vectors (b, c) to logits (b,): psi(h) + <embedding(y), h> with h = features of x.

    h is x as vectors, with the batch's standard deviation (Karras et al. 2017, arXiv:1710.10196, section 3) or minibatch
    discrimination (Salimans et al. 2016, arXiv:1606.03498, section 3.2) as `minibatch` says: 50 x 5 as in the paper, or one of
    the authors' two programs, see `gan_jax.layers.minibatch`; with the groups of the second, x is [real; generated] in equal
    halves (`image_gan` shows them so). `module` sows h as "features".
    psi is linear. With `num_classes` the label's embedding is projected on h (Miyato & Koyama 2018, arXiv:1802.05637, eq. 3);
    with a `condition`, such as the embedding of a caption, a linear map of that.
    `spectral_norm` divides both kernels by their largest singular value (Miyato et al. 2018, arXiv:1802.05957).

    Called from the compact method of `module`, which owns the parameters: they are named as if they were made there. Raises
    `InputError` if there are classes and no labels, and with features of the batch for a batch of 1.
    """
    layer = partial(maybe_spectral, spectral=spectral_norm, train=train)
    if minibatch == "stddev":
        x = append_stddev(x)
    h = x.reshape(x.shape[0], -1)
    if minibatch in DISCRIMINATIONS:
        h = DISCRIMINATIONS[minibatch]()(h)
    module.sow("intermediates", "features", h)
    logits = layer(nn.Dense(1, kernel_init=kernel_init, dtype=dtype))(h)[:, 0].astype(jnp.float32)
    if num_classes:
        embedding = nn.Embed(num_classes, h.shape[-1], embedding_init=kernel_init, dtype=dtype)
        logits += jnp.sum(layer(embedding)(require_labels(y)) * h, axis=-1, dtype=jnp.float32)
    if condition is not None:
        direction = layer(nn.Dense(h.shape[-1], use_bias=False, kernel_init=kernel_init, dtype=dtype))(condition)
        logits += jnp.sum(direction * h, axis=-1, dtype=jnp.float32)
    return logits
