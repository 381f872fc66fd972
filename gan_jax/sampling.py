"""Drawing samples: many, in pieces, with the chosen normalisation statistics."""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from operator import itemgetter
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import PyTree
from tqdm import tqdm

from gan_jax.core import Batch, Variables, make_sampler, standing_statistics

Statistics = Literal["running", "batch", "standing"]
Draw = Callable[..., tuple[np.ndarray, PyTree]]


def make_draw(
    inputs: Callable,
    sample: Callable,
    statistics: Statistics = "running",
    piece: int = 250,
    finish: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> Draw:
    """`draw(variables, key, batch, population)`: a sample for each entry of `batch`, in [-1, 1], and its inputs.

    `inputs` and `sample` are those of an objective. `batch` gives the number of samples and their condition, such as
    {"label": ...}; at most `piece` samples are made at a time (with `statistics="batch"` they are normalised together).
    Standing statistics are those of inputs like `population`'s, by default the batch's, 128 at a time. `finish` is applied
    to every piece, for instance to keep many as bytes. A pure function of its arguments. A bar shows the progress of 10,000
    samples and more.
    """
    generate = jax.jit(make_sampler(sample, "batch" if statistics == "batch" else "running"))
    restate = jax.jit(partial(standing_statistics, inputs, sample, size=128))

    def draw(variables: Variables, key: Array, batch: Batch, population: Batch | None = None) -> tuple[np.ndarray, PyTree]:
        key_inputs, key_sample, key_stats = jax.random.split(key, 3)
        n = len(next(iter(batch.values())))
        if statistics == "standing" and len(variables) > 1:
            variables = restate(variables, dict(population or batch), key_stats)
        drawn = inputs(key_inputs, jax.tree.map(jnp.asarray, batch))
        pieces = []
        bounds = np.linspace(0, n, math.ceil(n / piece) + 1).astype(int).tolist()  # pieces of equal size
        for start, stop in tqdm(list(pairwise(bounds)), desc="samples", leave=False, disable=n < 10_000):
            part = jax.tree.map(itemgetter(slice(start, stop)), drawn)
            pieces.append(finish(np.asarray(generate(variables, part, jax.random.fold_in(key_sample, start)), np.float32)))
        return np.concatenate(pieces), drawn

    return draw
