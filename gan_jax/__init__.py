"""Generative adversarial networks as pure functions: `state, metrics = step(state, batch)`."""

from gan_jax import latents, losses, penalties
from gan_jax.core import (
    Objective,
    Player,
    Players,
    TrainState,
    Turn,
    init_state,
    make_sampler,
    make_step,
    minibatches_per_round,
    sampling_variables,
    standing_statistics,
)
from gan_jax.errors import InputError, RunError
from gan_jax.objectives.image import image_gan
from gan_jax.parallel.drivers import batch_mesh, jit_step, pmap_step, replicate, scan_step, sharded_step, vmap_step

__all__ = [
    "InputError",
    "Objective",
    "Player",
    "Players",
    "RunError",
    "TrainState",
    "Turn",
    "batch_mesh",
    "image_gan",
    "init_state",
    "jit_step",
    "latents",
    "losses",
    "make_sampler",
    "make_step",
    "minibatches_per_round",
    "penalties",
    "pmap_step",
    "replicate",
    "sampling_variables",
    "scan_step",
    "sharded_step",
    "standing_statistics",
    "vmap_step",
]
