"""Whole runs: flags, experiments, the loop, what happens at intervals, checkpoints, and the state of the game."""

from gan_jax.training.experiment import Game, run_experiment
from gan_jax.training.flags import ExperimentFlags, GameFlags, RunFlags
from gan_jax.training.loop import Every, fit
from gan_jax.training.member_rows import Death
from gan_jax.training.members import Measure
from gan_jax.training.population import Population, train_population
from gan_jax.training.trainer import train

__all__ = [
    "Death",
    "Every",
    "ExperimentFlags",
    "Game",
    "GameFlags",
    "Measure",
    "Population",
    "RunFlags",
    "fit",
    "run_experiment",
    "train",
    "train_population",
]
