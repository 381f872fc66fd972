"""The kernel distance between features: KID, if the features are Inception's."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from gan_jax.errors import InputError
from gan_jax.metrics.checks import require_features


class Estimate(NamedTuple):
    """A mean and the standard deviation over subsets or splits."""

    mean: float
    std: float


def kernel_distance(
    real: Float[np.ndarray | Array, "n d"],
    fake: Float[np.ndarray | Array, "m d"],
    subsets: int = 100,
    size: int = 1000,
    seed: int = 2020,
) -> Estimate:
    """KID (Binkowski et al. 2018, arXiv:1801.01401): the squared MMD of the kernel (x.y / d + 1)^3 over random subsets.

    Unbiased for any number of examples, and so it may be negative. The subsets are those of torch-fidelity for the same seed
    with the generated examples as its first input. Computed in float64. Raises `InputError` for fewer than `size` examples,
    and for features that are not finite.
    """
    require_features("the kernel distance", 2, real, fake)
    if size > min(len(real), len(fake)) or size < 2 or subsets < 1:
        raise InputError(
            f"{subsets} subsets of {size} cannot be drawn from {len(real)} real and {len(fake)} generated examples: choose "
            "one subset or more, each of 2 examples or more, and no more than there are"
        )
    generator = np.random.RandomState(seed)
    found = []
    with jax.enable_x64(True):
        real, fake = jnp.asarray(real), jnp.asarray(fake)
        for _ in range(subsets):
            x = fake[generator.choice(len(fake), size, replace=False)]
            y = real[generator.choice(len(real), size, replace=False)]
            found.append(_squared_mmd(x, y))
        values = np.asarray(jnp.stack(found))
    return Estimate(float(values.mean()), float(values.std()))


@jax.jit
def _squared_mmd(x: Float[Array, "m d"], y: Float[Array, "m d"]) -> Float[Array, ""]:
    x, y = x.astype(jnp.float64), y.astype(jnp.float64)
    m = x.shape[0]
    within = _others(_kernel(x, x)) + _others(_kernel(y, y))
    return within / (m * (m - 1)) - 2 * jnp.mean(_kernel(x, y))


def _kernel(x: Array, y: Array) -> Array:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _others(kernel: Array) -> Array:
    return jnp.sum(kernel) - jnp.trace(kernel)
