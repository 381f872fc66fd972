"""Generative adversarial networks as pure functions: `state, metrics = step(state, batch)`.

The game      Players, Objective, Sampler, Turn, TrainState, Player; losses, penalties, latents
Make it       image_gan(generator, discriminator, loss, latent): an Objective; make_step(objective, tx): the step
Begin         init_state(objective, tx, key, batch); init_population: many runs
Run the step  jit_step, scan_step, sharded_step, pmap_step, vmap_step; batch_mesh, run_mesh, replicate
Sample        sampling_variables, settle, render, draw; image_sampler
Codes         latents (walks, arithmetic), gan_jax.directions, gan_jax.inversion
Errors        InputError (what was given cannot work), RunError (a run stopped)

gan_jax.models has networks, gan_jax.data pictures and rounds, gan_jax.training `train` and `run_experiment`, gan_jax.runs
`open_trained(directory)`, gan_jax.evaluation scores. `gan_jax.parallel.host.keep_compiled()` keeps compiled programs, so that
the second start is quick; scripts do so by themselves. `help(gan_jax.make_step)` and so on say more.
"""

import sys as _sys

if _sys.platform == "win32":
    raise ImportError("gan_jax runs on Linux and macOS, and on Windows within WSL: https://learn.microsoft.com/windows/wsl")

from gan_jax import _search_path as _search_path  # before all else
from gan_jax import _startup as _startup
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

__version__ = "0.1.0"
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
