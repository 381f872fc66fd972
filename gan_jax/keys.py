"""Typed keys among other arrays: what cannot hold them holds their data."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


def is_key(x: Any) -> bool:
    """Whether x is an array of typed keys."""
    return hasattr(x, "dtype") and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)


def data(x: Any) -> Any:
    """The uint32 data of typed keys; other arrays unchanged."""
    return jax.random.key_data(x) if is_key(x) else x


def on_data(function: Callable[[Any], Any], x: Any) -> Any:
    """`function(x)`, of typed keys applied to their data."""
    return wrapped(function(jax.random.key_data(x)), x) if is_key(x) else function(x)


def wrapped(x: Array | np.ndarray, like: Any) -> Array | np.ndarray:
    """x, as keys where `like` holds keys."""
    return jax.random.wrap_key_data(jnp.asarray(x), impl=jax.random.key_impl(like)) if is_key(like) else x
