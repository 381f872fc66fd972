"""Distributions of the latent code z, as values: `latent(key, n)` draws n codes, `latent.dim` is their length."""

from collections.abc import Callable
from typing import NamedTuple

import jax
from jax import Array
from jaxtyping import Float


Latent = Callable[[Array, int], Float[Array, "n dim"]]  # (key, n) -> n codes


class Normal(NamedTuple):
    """z ~ N(0, I)."""

    dim: int

    def __call__(self, key: Array, n: int) -> Float[Array, "n dim"]:
        return jax.random.normal(key, (n, self.dim))


class Uniform(NamedTuple):
    """z ~ U(-1, 1)^dim, as in DCGAN."""

    dim: int

    def __call__(self, key: Array, n: int) -> Float[Array, "n dim"]:
        return jax.random.uniform(key, (n, self.dim), minval=-1.0, maxval=1.0)


LATENTS = {"normal": Normal, "uniform": Uniform}
