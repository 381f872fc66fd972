"""Scores of samples with their protocol, their standard deviation, and the scores of real pictures as a floor."""

from gan_jax.evaluation.evaluator import Evaluator
from gan_jax.evaluation.features import open_network

__all__ = ["Evaluator", "open_network"]
