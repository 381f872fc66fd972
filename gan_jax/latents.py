"""Distributions of the latent code z: `latent(key, n)` draws n codes of length `latent.dim`."""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Literal

import jax
from jax import Array
from jaxtyping import Float

from gan_jax.errors import InputError

Latent = Callable[[Array, int], Float[Array, "n dim"]]  # (key, n) -> n codes


@dataclass(frozen=True)
class Normal:
    """z ~ N(0, I). Raises `InputError` unless `dim` is a whole number of at least 1."""

    dim: int

    def __post_init__(self) -> None:
        _require_size(self.dim)

    def __call__(self, key: Array, n: int) -> Float[Array, "n dim"]:
        return jax.random.normal(key, (n, self.dim))


@dataclass(frozen=True)
class Uniform:
    """z ~ U(-1, 1)^dim, as in DCGAN. Raises `InputError` unless `dim` is a whole number of at least 1."""

    dim: int

    def __post_init__(self) -> None:
        _require_size(self.dim)

    def __call__(self, key: Array, n: int) -> Float[Array, "n dim"]:
        return jax.random.uniform(key, (n, self.dim), minval=-1.0, maxval=1.0)


def _require_size(dim: object) -> None:
    if not isinstance(dim, Integral) or dim < 1:
        raise InputError(f"the length of a latent code is a whole number of at least 1, not {dim!r:.60}")


LATENTS: dict[str, Callable[[int], Latent]] = {"normal": Normal, "uniform": Uniform}

if TYPE_CHECKING:
    LatentName = str
else:  # a command line offers what the table has
    LatentName = Literal[tuple(LATENTS)]
