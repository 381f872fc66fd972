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


class VirtualBatchNorm(nn.Module):
    """Normalisation of each example by a fixed reference batch and itself: (reference, x) to both, normalised.

    With n reference examples, mean_i = (m_i + n m) / (n + 1) and E[x^2]_i = (s_i + n s) / (n + 1), where m and s are the
    means of x and x^2 over the reference batch and its places, m_i and s_i over the places of example i;
    y = gain (x - mean_i) / sqrt(E[x^2]_i - mean_i^2 + 1e-5) + bias. The reference is normalised by its own statistics
    (Salimans et al. 2016, arXiv:1606.03498, section 3.4; the mixture is that of the authors' code). So no example depends on
    another of its minibatch, which may be on another device, and training and sampling are alike. Gains are drawn from
    N(1, 0.02).
    """

    epsilon: float = 1e-5
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, reference: Float[Array, "n *p c"], x: Float[Array, "b *p c"]
    ) -> tuple[Float[Array, "n *p c"], Float[Array, "b *p c"]]:
        gain = self.param("scale", _gain, x.shape[-1:])
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        n, places = len(reference), tuple(range(1, x.ndim - 1))
        mean = jnp.mean(reference.astype(jnp.float32), axis=(0, *places), keepdims=True)
        reference, x = (v.astype(jnp.float32) - mean for v in (reference, x))  # means of squares do not cancel then
        variance = jnp.mean(reference**2, axis=(0, *places), keepdims=True)
        own = jnp.mean(x, axis=places, keepdims=True) / (n + 1)
        square = (jnp.mean(x**2, axis=places, keepdims=True) + n * variance) / (n + 1)

        def scaled(x: Array, variance: Array) -> Array:
            normal = x * jax.lax.rsqrt(variance + self.epsilon)
            return (normal * _as_rank(gain, x.ndim) + _as_rank(bias, x.ndim)).astype(self.dtype)

        return scaled(reference, variance), scaled(x - own, square - own**2)


def _as_rank(values: Float[Array, " c"], rank: int) -> Array:
    return values.reshape(*(1,) * (rank - 1), -1)


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
