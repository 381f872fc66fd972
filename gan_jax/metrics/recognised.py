"""Confidence and class frequencies of samples, by a classifier of the real data."""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.nn import softmax
from jaxtyping import Float

CONFIDENCE = 0.9


def recognised_share(logits: Float[np.ndarray | Array, "n k"], confidence: float = CONFIDENCE) -> Float[Array, ""]:
    """The share of samples whose most probable class has a probability above `confidence`."""
    return jnp.mean(jnp.max(softmax(logits), axis=-1) > confidence)


def class_counts(logits: Float[np.ndarray | Array, "n k"]) -> Float[Array, " k"]:
    """The number of samples for which each class is the most probable one."""
    return jnp.bincount(jnp.argmax(logits, axis=-1), length=logits.shape[-1]).astype(jnp.float32)


def class_entropy(counts: Float[Array, " k"]) -> Float[Array, ""]:
    """Entropy of the class frequencies over log k: 1 if all k classes are equally frequent, 0 for a single class."""
    p = counts / jnp.sum(counts)
    entropy = -jnp.sum(jnp.where(p > 0, p * jnp.log(jnp.where(p > 0, p, 1)), 0))
    return entropy / jnp.log(max(counts.shape[0], 2))


def largest_class(counts: Float[Array, " k"]) -> Float[Array, ""]:
    """The share of the most frequent class."""
    return jnp.max(counts) / jnp.sum(counts)
