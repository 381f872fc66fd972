"""A GAN on a ring of Gaussians finds all of them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax import core, losses, penalties, sampling
from gan_jax.core import Players
from gan_jax.data.mixtures import ring
from gan_jax.latents import Normal
from gan_jax.metrics.modes import ModeCoverage, mode_coverage
from gan_jax.models import mlp
from gan_jax.objectives import image_gan

ROUNDS, BATCH = 3000, 128
MIXTURE = ring()
POINTS = jnp.asarray(MIXTURE.dataset(20_000).train["point"])


def test_a_ring_gan_covers_its_modes():
    """The relativistic paired cost with R1 and R2 (Huang et al. 2024, arXiv:2501.05441) in one program of 3,000 rounds.

    Seeds 0 to 7 gave 8 modes each, 81.4 to 90.7 % of the samples within 3 sigma (this one 89.9 %) and a reverse KL of at
    most 0.004 nats; an ideal sampler has 98.9 %.
    """
    gan = image_gan(
        mlp.Generator(width=64),
        mlp.Discriminator(width=64),
        losses.relativistic_paired,
        Normal(2),
        ((0.1, penalties.r1), (0.1, penalties.r2)),
        real="point",
    )
    adam = optax.adam(2e-3, b1=0.0, b2=0.99)
    tx = Players(gen=adam, disc=adam)
    step = core.make_step(gan, tx, ema=0.995)

    def play(state, i):
        rows = jax.random.randint(jax.random.fold_in(jax.random.key(1), i), (BATCH,), 0, len(POINTS))
        return step(state, {"point": POINTS[rows]})[0], None

    def coverage(state) -> ModeCoverage:
        asked = {"point": np.zeros((2500, 2), np.float32)}
        points, _ = sampling.draw(gan.sampler, sampling.sampling_variables(state), asked, jax.random.key(2))
        return mode_coverage(jnp.asarray(points), jnp.asarray(MIXTURE.means, jnp.float32), MIXTURE.sigma)

    state = core.init_state(gan, tx, jax.random.key(0), {"point": POINTS[:2]})
    assert coverage(state).high_quality < 0.05
    state, _ = jax.jit(lambda state: jax.lax.scan(play, state, jnp.arange(ROUNDS)))(state)
    found = coverage(state)
    assert found.modes == 8
    assert found.high_quality > 0.75
    assert found.reverse_kl < 0.05
