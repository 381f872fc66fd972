"""Networks of one's own in Flax's nnx: classes with layers as attributes, given to gan_jax by Flax's bridge.

python -m experiments.research.nnx_networks    # scikit-learn's digits at 32x32
"""

import jax
import numpy as np
import optax
from flax import nnx

from gan_jax import Players, draw, image_gan, init_state, jit_step, latents, losses, make_step, penalties, sampling_variables
from gan_jax.data import digits


class Generator(nnx.Module):
    """Latents (b, z) to pictures (b, 32, 32, 1) in [-1, 1]; its batch norm is told by nnx whether it trains."""

    def __init__(self, z: int, width: int, *, rngs: nnx.Rngs):
        self.project = nnx.Linear(z, 8 * 8 * 2 * width, rngs=rngs)
        self.norm = nnx.BatchNorm(2 * width, momentum=0.9, rngs=rngs)
        self.up = nnx.ConvTranspose(2 * width, width, (4, 4), (2, 2), rngs=rngs)
        self.end = nnx.ConvTranspose(width, 1, (4, 4), (2, 2), rngs=rngs)

    def __call__(self, z):
        x = nnx.relu(self.norm(self.project(z).reshape(z.shape[0], 8, 8, -1)))
        return nnx.tanh(self.end(nnx.relu(self.up(x))))


class Discriminator(nnx.Module):
    """Pictures (b, 32, 32, 1) to logits (b,). What it sows as features is watched by the doctor."""

    def __init__(self, width: int, *, rngs: nnx.Rngs):
        self.first = nnx.Conv(1, width, (4, 4), (2, 2), rngs=rngs)
        self.second = nnx.Conv(width, 2 * width, (4, 4), (2, 2), rngs=rngs)
        self.end = nnx.Linear(8 * 8 * 2 * width, 1, rngs=rngs)

    def __call__(self, x):
        h = nnx.leaky_relu(self.second(nnx.leaky_relu(self.first(x), 0.2)), 0.2).reshape(x.shape[0], -1)
        self.sow("intermediates", "features", h)
        return self.end(h)[:, 0]


def main(steps: int = 500, batch: int = 64, width: int = 16):
    """Train; returns 16 samples (16, 32, 32, 1) in [-1, 1] and the last metrics."""
    networks = nnx.bridge.to_linen(Generator, 64, width), nnx.bridge.to_linen(Discriminator, width)
    gan = image_gan(*networks, losses.non_saturating, latents.Normal(64), penalties=((1.0, penalties.r1),))
    tx = Players(gen=optax.adam(2e-3, b1=0.0), disc=optax.adam(2e-3, b1=0.0))
    pictures, random = digits().train["image"], np.random.default_rng(0)
    state = init_state(gan, tx, jax.random.key(0), {"image": pictures[:2]})
    step = jit_step(make_step(gan, tx, ema=0.99))
    for _ in range(steps):
        state, metrics = step(state, {"image": pictures[random.integers(len(pictures), size=batch)]})
    return draw(gan.sampler, sampling_variables(state), {"row": np.zeros(16)}, jax.random.key(1))[0], metrics


if __name__ == "__main__":
    print({name: round(float(value), 3) for name, value in main()[1].items()})
