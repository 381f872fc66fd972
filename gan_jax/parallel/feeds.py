"""A step and its data: rounds on arrays that lie on the devices, or that are sent ahead from the host.

resident        the data on the devices, K rounds a dispatch
streamed        the data on the host, sent ahead of the rounds
given           batches that come from outside, one after the other
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh
from jaxtyping import PyTree

from gan_jax.core import Advance, Batch, Metrics, Step, TrainState
from gan_jax.parallel.mesh import over, replicate, shard

Plan = Callable[[int], dict[str, np.ndarray]]


Finish = Callable[[Any], Any]


def resident(step: Step, arrays: dict[str, np.ndarray], plan: Plan, finish: Finish = dict, mesh: Mesh | None = None) -> Advance:
    """Rounds on data that lie on the device: `advance(state, first_step, n)` plays n rounds in one dispatch.

    Only the plan is sent from the host: `plan(i)` names the examples of round i by `index` (b,) and may have other arrays with
    a row for each; `finish(batch)` makes the step's batch of the chosen examples and these arrays. Metrics have a leading axis
    n. With a `batch_mesh` every device has all data and the plan is sharded; every process gives whole plans.
    """

    def play(state: TrainState, data: Batch, plans: dict[str, Array]) -> tuple[TrainState, Metrics]:
        def body(state: TrainState, plan: dict[str, Array]) -> tuple[TrainState, Metrics]:
            chosen: dict[str, Any] = jax.tree.map(lambda array: array[plan["index"]], dict(data))
            return step(state, finish(chosen | {name: value for name, value in plan.items() if name != "index"}))

        return jax.lax.scan(body, state, plans)

    run, put = over(play, mesh)
    data = jax.device_put(arrays) if mesh is None else replicate(arrays, mesh)

    def advance(state: TrainState, first_step: int, n: int) -> tuple[TrainState, PyTree]:
        plans = [plan(i) for i in range(first_step, first_step + n)]
        return run(state, data, put(jax.tree.map(lambda *x: np.stack(x), *plans)))

    return advance


def streamed(
    step: Step,
    load: Plan,
    finish: Finish = dict,
    *,
    queue: int = 20,  # two dispatches of the loop: the next one's batches are ready when it begins
    threads: int = 2,
    mesh: Mesh | None = None,
) -> Advance:
    """Rounds on data that stay on the host: the same function as `resident` gives, with batches sent ahead.

    Both scan their rounds, so that on one device they give the same to the bit.

    `load(i)` gives the examples of round i and the rest of its plan; `threads` threads of grain call it for up to `queue`
    coming rounds. With a `batch_mesh`, `load` gives this process's part.
    """
    batches: Iterator[dict[str, Array]] = iter(())
    expected = -1
    run, put = _on_batches(step, finish, mesh)

    def advance(state: TrainState, first_step: int, n: int) -> tuple[TrainState, PyTree]:
        nonlocal batches, expected
        if first_step != expected:
            batches = ahead(load, first_step, queue, threads, put)
        expected = first_step + n
        return run(state, [next(batches) for _ in range(n)])

    return advance


def given(step: Step, load: Plan, *, mesh: Mesh | None = None) -> Advance:
    """Rounds on batches from outside: `load(i)` is called once a round, in order, by the thread that trains.

    With a `batch_mesh`, `load` gives this process's part.
    """
    run, put = _on_batches(step, dict, mesh)

    def advance(state: TrainState, first_step: int, n: int) -> tuple[TrainState, PyTree]:
        return run(state, [put(load(i)) for i in range(first_step, first_step + n)])

    return advance


def _on_batches(step: Step, finish: Finish, mesh: Mesh | None) -> tuple[Callable[..., Any], Callable[[Any], Any]]:
    """Rounds on a list of batches in one dispatch, and what sends a batch to the devices."""

    def play(state: TrainState, batches: list[Batch]) -> tuple[TrainState, Metrics]:
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *batches)
        return jax.lax.scan(lambda state, batch: step(state, finish(batch)), state, stacked)

    run, _ = over(play, mesh)
    return run, (jax.device_put if mesh is None else lambda batch: shard(batch, mesh))


def ahead(
    load: Plan, first: int, queue: int, threads: int, put: Callable[[Any], Any] = jax.device_put
) -> Iterator[dict[str, Array]]:
    """`load(first)`, `load(first + 1)`, ... on the device, a few of them before they are asked for."""
    import grain  # 1 s

    steps = grain.MapDataset.range(first, 2**31 - 1).map(lambda i: put(load(int(i))))
    return iter(steps.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=queue)))
