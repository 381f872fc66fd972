"""Generative adversarial networks as pure functions: `state, metrics = step(state, batch)`."""

from gan_jax import _startup as _startup  # before all else
from gan_jax import latents, losses, penalties
from gan_jax.core import (
    Objective,
    Player,
    Players,
    Sampler,
    TrainState,
    Turn,
    init_state,
    make_step,
    minibatches_per_round,
)
from gan_jax.errors import InputError, RunError
from gan_jax.objectives import image_gan, image_sampler
from gan_jax.parallel.drivers import jit_step, pmap_step, scan_step, sharded_step, vmap_step
from gan_jax.parallel.mesh import batch_mesh, replicate, run_mesh
from gan_jax.parallel.population import init_population
from gan_jax.sampling import draw, render, sampling_variables, settle

__all__ = [
    "InputError",
    "Objective",
    "Player",
    "Players",
    "RunError",
    "Sampler",
    "TrainState",
    "Turn",
    "batch_mesh",
    "draw",
    "image_gan",
    "image_sampler",
    "init_population",
    "init_state",
    "jit_step",
    "latents",
    "losses",
    "make_step",
    "minibatches_per_round",
    "penalties",
    "pmap_step",
    "render",
    "replicate",
    "run_mesh",
    "sampling_variables",
    "scan_step",
    "settle",
    "sharded_step",
    "vmap_step",
]
