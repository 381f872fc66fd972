"""Drawing samples: many, in pieces, with the chosen normalisation statistics."""

from collections.abc import Callable
from functools import partial
from operator import itemgetter
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import PyTree

from gan_jax.core import Batch, Variables, make_sampler, standing_statistics

Statistics = Literal["running", "batch", "standing"]
Draw = Callable[[Variables, Array, Batch], tuple[np.ndarray, PyTree]]


def make_draw(inputs: Callable, sample: Callable, statistics: Statistics = "running", piece: int = 250) -> Draw:
    """`draw(variables, key, batch)`: one sample for each entry of `batch`, float32 in [-1, 1], and the inputs they came from.

    `inputs` and `sample` are those of an objective. `batch` gives the number of samples and their condition, such as
    {"label": ...}; at most `piece` samples are made at a time (with `statistics="batch"` they are normalised together).
    A pure function of its arguments.
    """
    generate = jax.jit(make_sampler(sample, "batch" if statistics == "batch" else "running"))
    restate = jax.jit(partial(standing_statistics, inputs, sample))

    def draw(variables: Variables, key: Array, batch: Batch) -> tuple[np.ndarray, PyTree]:
        key_inputs, key_sample, key_stats = jax.random.split(key, 3)
        n = len(next(iter(batch.values())))
        if statistics == "standing" and len(variables) > 1:
            variables = restate(variables, {name: np.resize(array, 128) for name, array in batch.items()}, key_stats)
        drawn = inputs(key_inputs, jax.tree.map(jnp.asarray, batch))
        pieces = []
        for i in range(0, n, piece):
            part = jax.tree.map(itemgetter(slice(i, i + piece)), drawn)
            pieces.append(generate(variables, part, jax.random.fold_in(key_sample, i)))
        return np.concatenate([np.asarray(p, np.float32) for p in pieces]), drawn

    return draw
