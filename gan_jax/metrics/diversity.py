"""Diversity of samples: distances between their features."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int, Shaped

from gan_jax.metrics.checks import require_features


def rms_distance(features: Float[np.ndarray | Array, "n d"]) -> float:
    """The root mean square distance of an example to the mean, sqrt(E |x - E x|^2): 0 if all are equal.

    Times sqrt(2) it is the root mean square distance of two independent examples. Raises `InputError` for fewer than 2
    examples, and for features that are not finite.
    """
    require_features("the rms distance", 2, features)
    x = np.asarray(features, np.float64)
    return float(np.sqrt(np.mean(np.sum((x - x.mean(axis=0)) ** 2, axis=1))))


def rms_within_classes(features: Float[Array, "n d"], labels: Int[Array, " n"], classes: int) -> Float[Array, ""]:
    """The root mean square distance of an example to the mean of its class: 0 if those of each class are all equal.

    A class of one example counts as equal to its mean.
    """
    of_class = jax.nn.one_hot(labels, classes, dtype=features.dtype)  # n k
    means = of_class.T @ features / jnp.maximum(jnp.sum(of_class, axis=0), 1)[:, None]
    return jnp.sqrt(jnp.mean(jnp.sum((features - means[labels]) ** 2, axis=1)))


def entropy_within(values: Shaped[np.ndarray, " n"], groups: Int[np.ndarray, " n"]) -> float:
    """The entropy of discrete values within a group, in nats, the mean over the groups: 0 if those of each group are equal."""

    def entropy(members: np.ndarray) -> float:
        p = np.unique(members, return_counts=True)[1] / len(members)
        return float(-np.sum(p * np.log(p)))

    return _mean_within(entropy, values, groups)


def std_within(values: Float[np.ndarray, " n"], groups: Int[np.ndarray, " n"]) -> float:
    """The standard deviation within a group, the mean over the groups."""
    return _mean_within(lambda members: float(np.std(members)), values, groups)


def angular_deviation_within(turns: Float[np.ndarray, " n"], groups: Int[np.ndarray, " n"]) -> float:
    """sqrt(2 (1 - R)) of angles within a group, in radians, R = |E exp(2 pi i turn)|, the mean over the groups.

    Angles are in turns, shares of their period. About the standard deviation where that is small, sqrt(2) of uniform angles
    (Batschelet 1981, Circular statistics in biology, section 2.3).
    """

    def deviation(members: np.ndarray) -> float:
        return float(np.sqrt(2 * max(1 - np.abs(np.mean(np.exp(2j * np.pi * members))), 0)))

    return _mean_within(deviation, turns, groups)


def _mean_within(spread: Callable[[np.ndarray], float], values: np.ndarray, groups: np.ndarray) -> float:
    """NaN without any example."""
    found = [spread(values[groups == group]) for group in np.unique(groups)]
    return float(np.mean(found)) if found else float("nan")
