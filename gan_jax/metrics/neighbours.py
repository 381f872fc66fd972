"""Nearest neighbours and distances between many features, in blocks of rows, in float64 on the device."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int

from gan_jax.rows import chunks

BLOCK = 500  # rows: with 50,000 columns they take 200 MB
ROUNDING = 1e-12  # of the sum of two squared norms: the largest error of a squared distance, with room

Features = Float[np.ndarray | Array, "n d"]
Others = Float[np.ndarray | Array, "m d"]


def squared_distances(x: Float[Array, "b d"], y: Float[Array, "n d"]) -> Float[Array, "b n"]:
    """|x_i - y_j|^2 as |x_i|^2 + |y_j|^2 - 2 x_i.y_j; the error in float64 is about 1e-15 of the squares."""
    return jnp.maximum(_squares(x, y) - 2 * x @ y.T, 0.0)


def _squares(x: Float[Array, "b d"], y: Float[Array, "n d"]) -> Float[Array, "b n"]:
    return jnp.sum(x**2, axis=1)[:, None] + jnp.sum(y**2, axis=1)[None]


def nearer(
    x: Float[Array, "b d"], y: Float[Array, "n d"], radii: Float[Array, "#b #n"], *, or_equal: bool
) -> Bool[Array, "b n"]:
    """|x_i - y_j|^2 < radii, or <= radii; squared distances that differ by rounding only are equal.

    The same distance is computed with other errors where it is that of another pair, or in a block of another size.
    """
    margin = ROUNDING * _squares(x, y)
    return squared_distances(x, y) <= radii + margin if or_equal else squared_distances(x, y) < radii - margin


def in_blocks(function: Callable[..., Any], x: Features, *others: Any, centre: Others | None = None) -> Any:
    """Concatenated NumPy results of `function(rows (b, d), index of the first row, *others)` for blocks of rows of x.

    The mean of `centre`, by default x, is subtracted from x and from the others that have two dimensions: centred features
    lose fewer digits by cancellation. Distances that are compared with each other need the same centre.
    """
    with jax.enable_x64(True):
        mean = jnp.mean(jnp.asarray(x if centre is None else centre, jnp.float64), axis=0, keepdims=True)
        x, *rest = (jnp.asarray(y, jnp.float64) - (mean if jnp.ndim(y) == 2 else 0.0) for y in (x, *others))
        parts = [function(x[rows], rows.start, *rest) for rows in chunks(len(x), BLOCK)]
        return jax.tree.map(lambda *each: np.concatenate([np.asarray(e) for e in each]), *parts)


def neighbour_radii(x: Features, k: int, centre: Others | None = None) -> Float[np.ndarray, " n"]:
    """The squared distance of each example to its k-th nearest other one."""
    radii: np.ndarray = in_blocks(partial(_kth_other, k=k), x, x, centre=centre)
    return radii


@partial(jax.jit, static_argnames="k")
def _kth_other(rows: Array, first: Any, x: Array, k: int) -> Array:
    """The nearest is struck out k - 1 times: on CPUs sorting, which XLA's top_k does, takes ten times as long for few."""
    block = jnp.arange(rows.shape[0])
    left = jax.lax.fori_loop(
        1, k, lambda _, left: left.at[block, jnp.argmin(left, axis=1)].set(jnp.inf), _to_others(rows, first, x)
    )
    return jnp.min(left, axis=1)


def nearest(x: Features, y: Others) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """For each example of x the distance to the nearest example of y, exactly 0 for a copy, and the index of that example."""
    which = in_blocks(_nearest, x, y)
    x, y = np.asarray(x), np.asarray(y)
    apart = [np.linalg.norm(x[rows].astype(np.float64) - y[which[rows]], axis=1) for rows in chunks(len(x), BLOCK)]
    return np.concatenate(apart), which


@jax.jit
def _nearest(rows: Array, first: Any, y: Array) -> Array:
    return jnp.argmin(squared_distances(rows, y), axis=1)


def nearest_other(x: Features) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """For each example of x the distance to the nearest other example, and the index of that example."""
    squared, which = in_blocks(_nearest_other, x, x)
    return np.sqrt(squared), which


@jax.jit
def _nearest_other(rows: Array, first: Any, x: Array) -> tuple[Array, Array]:
    squared = _to_others(rows, first, x)
    return jnp.min(squared, axis=1), jnp.argmin(squared, axis=1)


def pairs_within(x: Features, distances: Float[np.ndarray, " r"]) -> Int[np.ndarray, " r"]:
    """For each of `distances` the number of pairs of examples that are at most so far apart."""
    counts: np.ndarray = in_blocks(_within, x, x, distances**2).sum(axis=0) // 2
    return counts


@jax.jit
def _within(rows: Array, first: Any, x: Array, squares: Array) -> Array:
    to_others = jnp.sort(_to_others(rows, first, x), axis=1)
    return jax.vmap(lambda row: jnp.searchsorted(row, squares, side="right"))(to_others)


def _to_others(rows: Array, first: Any, x: Array) -> Array:
    """Squared distances to all of x, of which `rows` are the block from `first`; infinite to itself."""
    itself = first + jnp.arange(rows.shape[0])
    return squared_distances(rows, x).at[jnp.arange(rows.shape[0]), itself].set(jnp.inf)
