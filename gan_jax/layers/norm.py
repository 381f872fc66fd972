"""Normalisation of activations and of kernels."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float, Int

from gan_jax import batch_axis
from gan_jax.errors import InputError


def _gain(key: Array, shape: Sequence[int], dtype: DTypeLike = jnp.float32) -> Array:
    return 1 + 0.02 * jax.random.normal(key, shape, dtype)


def batch_norm(**changes: Any) -> nn.BatchNorm:
    """Batch normalisation as DCGAN uses it, over the whole batch, also where that is sharded; gains are drawn from
    N(1, 0.02).

    Differs: epsilon 1e-5 (the paper's code has 1e-8), and running statistics are kept for sampling.
    """
    exact = {"use_fast_variance": False}  # E (x - E x)^2: E x^2 - (E x)^2 cancels where the mean is large, and is no faster
    usual = {"momentum": 0.9, "epsilon": 1e-5, "scale_init": _gain, "axis_name": batch_axis.name()}
    return nn.BatchNorm(**{**exact, **usual, **changes})


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation whose gain and bias depend on the class (Dumoulin et al. 2016, arXiv:1610.07629)."""

    num_classes: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], y: Int[Array, " b"], *, train: bool) -> Float[Array, "b h w c"]:
        x = batch_norm(use_scale=False, use_bias=False, use_running_average=not train, dtype=self.dtype)(x)
        gain = nn.Embed(self.num_classes, x.shape[-1], embedding_init=_gain, dtype=self.dtype, name="gain")(y)
        bias = nn.Embed(self.num_classes, x.shape[-1], embedding_init=nn.initializers.zeros, dtype=self.dtype, name="bias")(y)
        return x * gain[:, None, None] + bias[:, None, None]


def maybe_spectral(layer: nn.Module, *, spectral: bool, train: bool):
    """The layer, its kernel divided by its largest singular value if `spectral` (Miyato et al. 2018, arXiv:1802.05957).

    In training one power iteration from the vectors that are kept, before each use. Differs from PyTorch's `spectral_norm`,
    which keeps the vectors of every forward pass in training mode: here those of the generator's turn are not kept, since
    that turn leaves the discriminator unchanged.
    """
    return partial(nn.SpectralNorm(layer), update_stats=train) if spectral else layer


def require_labels(y: Array | None) -> Array:
    """y unchanged; raises `InputError` where a class-conditional network is given no labels."""
    if y is None:
        raise InputError("this network is class-conditional (num_classes > 0): it needs labels y of shape (b,)")
    return y
