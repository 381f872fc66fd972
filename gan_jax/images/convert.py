"""Images between the wire (uint8) and the networks (float in [-1, 1])."""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float


def to_float(x: Array | np.ndarray) -> Float[Array, "..."]:
    """uint8 to [-1, 1]; floats pass unchanged."""
    return jnp.asarray(x, jnp.float32) / 127.5 - 1 if x.dtype == jnp.uint8 else jnp.asarray(x)


def to_uint8(x: np.ndarray | Array) -> np.ndarray:
    """[-1, 1] to uint8, rounded and clipped."""
    return np.clip(np.rint((np.asarray(x, np.float32) + 1) * 127.5), 0, 255).astype(np.uint8)
