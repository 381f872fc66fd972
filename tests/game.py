"""A small game with everything that couples the examples of a batch, for comparing ways to run it."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax import core, latents, losses, penalties
from gan_jax.augment import ada
from gan_jax.core import Objective, Players
from gan_jax.models import dcgan
from gan_jax.objectives import image_gan

SGD = Players(gen=optax.sgd(0.02), disc=optax.sgd(0.02))  # Adam would make rounding errors of small gradients large
GAMES = {
    "batch norm, R1, standard deviation": ({"minibatch": "stddev"}, ((0.5, penalties.r1),), None, {}),
    "batch norm in D, discrimination": ({"minibatch": "discrimination", "norm": "batch"}, (), None, {"disc_steps": 2}),
    "WGAN-GP, DRAGAN, ADA": ({}, ((0.5, penalties.wgan_gp), (0.5, penalties.dragan)), ada(images=64), {"accumulate": 2}),
}


def game(name: str) -> tuple[Objective, core.Step]:
    fields, terms, augment, options = GAMES[name]
    generator = dcgan.Generator(size=(16, 16), channels=1, width=4)
    discriminator = dcgan.Discriminator(**{"width": 4, "norm": "none", **fields})
    objective = image_gan(generator, discriminator, losses.non_saturating, latents.Normal(5), terms, augment=augment)
    return objective, core.make_step(objective, SGD, **options)


def start(objective: Objective) -> core.TrainState:
    """A new state, its kernels large enough that pictures vary and the players react to each other."""
    state = core.init_state(objective, SGD, jax.random.key(0), {"image": np.zeros((8, 16, 16, 1), np.uint8)})
    gen, disc = (jax.tree.map(lambda x: 5 * x if x.ndim > 1 else x, player.params) for player in (state.gen, state.disc))
    return state._replace(gen=state.gen._replace(params=gen), disc=state.disc._replace(params=disc))


def batches(n: int = 5, size: int = 32) -> list[dict[str, np.ndarray]]:
    generator = np.random.default_rng(0)
    return [{"image": generator.integers(0, 256, (size, 16, 16, 1)).astype(np.uint8)} for _ in range(n)]


def numbers(tree: object) -> list[np.ndarray]:
    """All leaves but keys, as NumPy arrays."""
    return [np.asarray(x) for x in jax.tree.leaves(tree) if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key)]


def two_devices() -> str:
    """XLA_FLAGS of a process of its own, with two devices."""
    others = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if "device_count" not in flag]
    return " ".join([*others, "--xla_force_host_platform_device_count=2"])
