"""Whole runs: the loop, what happens at intervals, checkpoints, and the state of the game."""

from gan_jax.training.loop import Every, fit
from gan_jax.training.trainer import train

__all__ = ["Every", "fit", "train"]
