"""Nearest neighbours and distances between many features, in blocks of rows, in float64 on the device."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from gan_jax.rows import chunks

BLOCK = 500  # rows: with 50,000 columns they take 200 MB

Features = Float[np.ndarray | Array, "n d"]


def squared_distances(x: Float[Array, "b d"], y: Float[Array, "n d"]) -> Float[Array, "b n"]:
    """|x_i - y_j|^2 as |x_i|^2 + |y_j|^2 - 2 x_i.y_j; the error in float64 is about 1e-15 of the squares."""
    squares = jnp.sum(x**2, axis=1)[:, None] + jnp.sum(y**2, axis=1)[None]
    return jnp.maximum(squares - 2 * x @ y.T, 0.0)


def in_blocks(function: Callable[..., Any], x: Features, *others: Any) -> Any:
    """Concatenated NumPy results of `function(rows (b, d), index of the first row, *others)` for blocks of rows of x.

    The mean of x is subtracted from x and from the others that have two dimensions.
    """
    with jax.enable_x64(True):
        mean = jnp.mean(
            jnp.asarray(x, jnp.float64), axis=0, keepdims=True
        )  # centred features lose fewer digits by cancellation
        x, *rest = (jnp.asarray(y, jnp.float64) - (mean if jnp.ndim(y) == 2 else 0.0) for y in (x, *others))
        parts = [function(x[rows], rows.start, *rest) for rows in chunks(len(x), BLOCK)]
        return jax.tree.map(lambda *each: np.concatenate([np.asarray(e) for e in each]), *parts)


def neighbour_radii(x: Features, k: int) -> Float[np.ndarray, " n"]:
    """The squared distance of each example to its k-th nearest other one."""
    radii: np.ndarray = in_blocks(partial(_kth_other, k=k), x, x)
    return radii


@partial(jax.jit, static_argnames="k")
def _kth_other(rows: Array, first: Any, x: Array, k: int) -> Array:
    return -jax.lax.top_k(-_to_others(rows, first, x), k)[0][:, -1]


def nearest(x: Features, y: Float[np.ndarray | Array, "m d"]) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """For each example of x the distance to the nearest example of y, and the index of that example."""
    squared, which = in_blocks(_nearest, x, y)
    return np.sqrt(squared), which


@jax.jit
def _nearest(rows: Array, first: Any, y: Array) -> tuple[Array, Array]:
    return _least(squared_distances(rows, y))


def nearest_other(x: Features) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """For each example of x the distance to the nearest other example, and the index of that example."""
    squared, which = in_blocks(_nearest_other, x, x)
    return np.sqrt(squared), which


@jax.jit
def _nearest_other(rows: Array, first: Any, x: Array) -> tuple[Array, Array]:
    return _least(_to_others(rows, first, x))


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


def _least(squared: Array) -> tuple[Array, Array]:
    return jnp.min(squared, axis=1), jnp.argmin(squared, axis=1)
