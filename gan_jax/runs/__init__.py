"""The directory of a run: what was asked, what happened, checkpoints, and the generator that comes out of it."""

from gan_jax.runs.checkpoint import Checkpoints, state_hash
from gan_jax.runs.records import read_rows
from gan_jax.runs.run import Run
from gan_jax.runs.trained import Trained, open_trained

__all__ = ["Checkpoints", "Run", "Trained", "open_trained", "read_rows", "state_hash"]
