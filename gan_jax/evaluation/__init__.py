"""Scores of samples, with their protocol, their spread and the floor that real pictures set."""

from gan_jax.evaluation.evaluator import Evaluator
from gan_jax.evaluation.features import open_network

__all__ = ["Evaluator", "open_network"]
