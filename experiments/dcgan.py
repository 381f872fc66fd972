"""DCGAN (Radford, Metz & Chintala 2015, arXiv:1511.06434) on handwritten digits or clothing.

    python -m experiments.dcgan                      scikit-learn's digits, the recipe below
    python -m experiments.dcgan --data mnist         the 60,000 of MNIST
    python -m experiments.dcgan --paper              the paper's recipe: batch norm in both, no penalty

The default recipe is the architecture of the paper without batch norm in the discriminator, the non-saating cost, R1
(Mescheder et al. 2018), and samples by averaged weights.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import optax

from gan_jax import cli, core, losses, penalties
from gan_jax.callbacks import make_film, recognition_score, sample_grid
from gan_jax.checkpoint import state_hash
from gan_jax.core import Players
from gan_jax.data import IMAGES
from gan_jax.errors import InputError, RunError
from gan_jax.judge import train_judge
from gan_jax.latents import Normal, Uniform
from gan_jax.loop import Every
from gan_jax.models import dcgan
from gan_jax.objectives import image_gan
from gan_jax.run import Run, read_rows
from gan_jax.training import train
