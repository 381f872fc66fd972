"""Ways to run a step: the only file that knows about dispatch and devices.

Each driver takes the pure `step` of `gan_jax.core.make_step` and leaves it unchanged. States are donated: use the result.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Int, PyTree

from gan_jax.core import Batch, Metrics, Step, TrainState

Advance = Callable[[TrainState, int, int], tuple[TrainState, Metrics]]


def jit_step(step: Step) -> Step:
    """One round a dispatch, with the state donated."""
    return jax.jit(step, donate_argnums=0)


def scan_step(step: Step) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """K rounds a dispatch: batches with a leading axis K, metrics with one too."""
    return jax.jit(lambda state, batches: jax.lax.scan(step, state, batches), donate_argnums=0)


def vmap_step(step: Step) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """A population of runs in one program: states with a leading axis (one key each), one batch for all."""
    return jax.jit(jax.vmap(step, in_axes=(0, None)), donate_argnums=0)


def resident(step: Step, arrays: dict[str, np.ndarray], order: Callable[[int], np.ndarray], parts: int = 1) -> Advance:
    """Rounds on data that lie on the device: `advance(state, first_step, n)` plays n rounds in one dispatch.

    Only indices travel from the host: `order(i)` names the examples of minibatch i, and `parts` minibatches make one round
    (`gan_jax.core.minibatches_per_round`). Metrics have a leading axis n.
    """
    data = jax.device_put(arrays)

    def play(state: TrainState, data: Batch, indices: Int[Array, "n b"]) -> tuple[TrainState, Metrics]:
        def body(state: TrainState, chosen: Array) -> tuple[TrainState, Metrics]:
            return step(state, {name: array[chosen] for name, array in data.items()})

        return jax.lax.scan(body, state, indices)

    play = jax.jit(play, donate_argnums=0)

    def advance(state: TrainState, first_step: int, n: int) -> tuple[TrainState, PyTree]:
        rounds = [[order(parts * s + i) for i in range(parts)] for s in range(first_step, first_step + n)]
        return play(state, data, jnp.asarray(np.stack([np.concatenate(r) for r in rounds])))

    return advance
