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


def to_rgb(images: Array | np.ndarray) -> Float[Array, "*b h w 3"]:
    """Images of 0 to 255 as RGB in float32: grey repeated, transparent ones composed over white."""
    x = jnp.asarray(images, jnp.float32)
    if x.shape[-1] == 1:
        return jnp.repeat(x, 3, axis=-1)
    if x.shape[-1] == 4:
        alpha = x[..., 3:] / 255
        return x[..., :3] * alpha + 255 * (1 - alpha)
    return x
