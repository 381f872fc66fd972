"""Runnable scripts, one a subject: `python -m experiments.NAME --help`."""

from gan_jax import _startup as _startup  # before all else
