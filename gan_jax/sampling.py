"""Drawing samples: given inputs become pictures, in chunks, with the chosen normalisation statistics."""

from collections.abc import Callable, Mapping
from functools import partial
from operator import itemgetter
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import PyTree
from tqdm import tqdm

from gan_jax.core import Batch, Sampler, TrainState, Variables, split_variables
from gan_jax.errors import InputError
from gan_jax.rows import equal_chunks

Statistics = Literal["running", "batch", "standing"]
Inputs = dict[str, Any]  # rows of arrays by name


def sampling_variables(state: TrainState, averaged: bool = True) -> Variables:
    """The generator's variables for sampling: averaged or newest parameters, with the running statistics."""
    return {"params": state.ema_params if averaged else state.gen.params, **state.gen.stats}


def settle(
    sampler: Sampler, variables: Variables, population: Batch, key: Array, passes: int = 64, size: int = 128
) -> Variables:
    """The variables with batch statistics re-estimated by `passes` forward passes in training mode.

    Each pass is on `size` rows of `population` (what the generator will be asked for), drawn at random with replacement.
    Settle once, then `render` as often as needed: the frames of a walk are then normalised alike.

    Standing statistics (Brock et al. 2018, arXiv:1809.11096, appendix B): they belong to these very parameters, while the
    running ones followed the parameters of the last rounds, not their average. Differs: averaged with the layers' own
    momentum (0.9 forgets the statistics before the first pass to 0.1 % in 64 passes).
    """
    if len(variables) == 1:  # no statistics
        return variables
    rows = jax.tree.map(jnp.asarray, dict(population))
    return {"params": variables["params"], **_settled(sampler, passes, size, variables, rows, key)}


@partial(jax.jit, static_argnums=(0, 1, 2))
def _settled(sampler: Sampler, passes: int, size: int, variables: Variables, population: Batch, key: Array) -> PyTree:
    params, stats = split_variables(variables)

    def body(stats: PyTree, key: Array) -> tuple[PyTree, None]:
        key_inputs, key_sample, key_rows = jax.random.split(key, 3)
        inputs = sampler.inputs(key_inputs, _some(population, size, key_rows))
        _, stats = sampler.sample({"params": params, **stats}, inputs, key_sample, True)
        return stats, None

    return jax.lax.scan(body, stats, jax.random.split(key, passes))[0]


def _some(batch: Batch, size: int, key: Array) -> Batch:
    """`size` rows drawn at random, with replacement."""
    n = jax.tree.leaves(batch)[0].shape[0]
    chosen = jax.random.randint(key, (size,), 0, n)
    return jax.tree.map(lambda x: x[chosen], batch)


def render(
    sampler: Sampler,
    variables: Variables,
    inputs: Inputs,
    key: Array,
    *,
    statistics: Statistics = "running",
    chunk: int = 250,
    finish: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> np.ndarray:
    """The samples that the generator makes of given inputs, (n, ...) float32 in [-1, 1]: a pure function of its arguments.

    At most `chunk` are made at a time. They are normalised by the variables' own statistics, settled or running, or with
    "batch" by those of their chunk. `finish` is applied to every chunk, for instance to keep many as bytes. A progress bar
    shows the making of 10,000 samples and more.
    """
    n = len(jax.tree.leaves(inputs)[0])
    made = []
    for rows in tqdm(equal_chunks(n, chunk), desc="samples", leave=False, disable=None if n >= 10_000 else True):
        part = jax.tree.map(itemgetter(rows), inputs)
        samples = _generate(sampler, statistics == "batch", variables, part, jax.random.fold_in(key, rows.start))
        made.append(finish(np.asarray(samples, np.float32)))
    return np.concatenate(made)


@partial(jax.jit, static_argnums=(0, 1))
def _generate(sampler: Sampler, train: bool, variables: Variables, inputs: Inputs, key: Array) -> Array:
    samples, _ = sampler.sample(variables, inputs, key, train)
    return samples


def draw(sampler: Sampler, variables: Variables, batch: Batch, key: Array, **how: Any) -> tuple[np.ndarray, Inputs]:
    """A sample for each row of `batch` (what they are asked for), and the inputs that they are made of; see `render`.

    Raises `InputError` for a batch that is no named arrays.
    """
    if not isinstance(batch, Mapping):
        raise InputError(
            f"a batch is named arrays with a row for each sample, such as {{'n': np.zeros(16)}}, not {batch!r:.60}"
        )
    key_inputs, key_sample = jax.random.split(key)
    inputs = sampler.inputs(key_inputs, jax.tree.map(jnp.asarray, dict(batch)))
    return render(sampler, variables, inputs, key_sample, **how), inputs
