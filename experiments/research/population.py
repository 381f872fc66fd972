"""Hyper-parameters as an axis of arrays: 8 learning rates are 8 games of one program, by `jax.vmap`.

python -m experiments.research.population    # a ring of 8 Gaussians; a line for each rate
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax import Players, image_gan, init_population, latents, losses, make_step, penalties, vmap_step
from gan_jax.data.mixtures import ring
from gan_jax.metrics.modes import mode_coverage
from gan_jax.models.mlp import Discriminator, Generator

RATES = np.geomspace(1e-5, 1e-1, 8)


def main(steps: int = 1500, batch: int = 128, width: int = 32) -> np.ndarray:
    """Play all rates at once; returns the number of modes that each covers."""
    gan = image_gan(
        Generator(width=width),
        Discriminator(width=width),
        losses.relativistic_paired,
        latents.Normal(2),
        penalties=((0.1, penalties.r1), (0.1, penalties.r2)),
        real="point",
    )
    adam = optax.inject_hyperparams(optax.adam)(1e-3, b1=0.0, b2=0.99)  # whose numbers are part of the state
    tx, mixture = Players(gen=adam, disc=adam), ring()
    points = mixture.dataset(20_000).train["point"]
    keys = jax.random.split(jax.random.key(0), len(RATES))
    hyper = {"gen.learning_rate": RATES, "disc.learning_rate": RATES}
    states = init_population(gan, tx, keys, {"point": points[:2]}, hyper)
    step, random = vmap_step(make_step(gan, tx, ema=0.99)), np.random.default_rng(0)
    for _ in range(steps):
        states, _ = step(states, {"point": points[random.integers(len(points), size=batch)]})

    @jax.jit
    @jax.vmap
    def samples(state):  # any function of a state is one of all of them
        inputs = gan.sampler.inputs(jax.random.key(1), {"row": jnp.zeros(2500)})
        return gan.sampler.sample({"params": state.ema_params, **state.gen.stats}, inputs, state.key, False)[0]

    means = jnp.asarray(mixture.means, jnp.float32)
    return np.array([mode_coverage(each, means, mixture.sigma).modes for each in samples(states)])


if __name__ == "__main__":
    for rate, modes in zip(RATES, main(), strict=True):
        print(f"learning rate {rate:.1e}: {modes:.0f} of 8 modes")
