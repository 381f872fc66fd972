"""Distributions of the latent code z: `latent(key, n)` draws n codes of length `latent.dim`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import jax
from jax import Array
from jaxtyping import Float

Latent = Callable[[Array, int], Float[Array, "n dim"]]  # (key, n) -> n codes


@dataclass(frozen=True)
class Normal:
    """z ~ N(0, I)."""

    dim: int

    def __call__(self, key: Array, n: int) -> Float[Array, "n dim"]:
        return jax.random.normal(key, (n, self.dim))


@dataclass(frozen=True)
class Uniform:
    """z ~ U(-1, 1)^dim, as in DCGAN."""

    dim: int

    def __call__(self, key: Array, n: int) -> Float[Array, "n dim"]:
        return jax.random.uniform(key, (n, self.dim), minval=-1.0, maxval=1.0)


LATENTS: dict[str, Callable[[int], Latent]] = {"normal": Normal, "uniform": Uniform}

if TYPE_CHECKING:
    LatentName = str
else:  # a command line offers what the table has
    LatentName = Literal[tuple(LATENTS)]
