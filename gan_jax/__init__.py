"""Generative adversarial networks as pure functions: `state, metrics = step(state, batch)`."""

from gan_jax import latents, losses, penalties
from gan_jax.core import (
    Objective,
    Player,
    Players,
    TrainState,
    init_state,
    make_sampler,
    make_step,
    minibatches_per_round,
    sampling_variables,
    standing_statistics,
)
from gan_jax.errors import InputError, RunError
from gan_jax.objectives.image import image_gan
from gan_jax.parallel import jit_step, scan_step, vmap_step

__all__ = [
    "InputError",
    "Objective",
    "Player",
    "Players",
    "RunError",
    "TrainState",
    "image_gan",
    "init_state",
    "jit_step",
    "latents",
    "losses",
    "make_sampler",
    "make_step",
    "minibatches_per_round",
    "penalties",
    "sampling_variables",
    "scan_step",
    "standing_statistics",
    "vmap_step",
]
