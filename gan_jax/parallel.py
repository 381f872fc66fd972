"""Ways to run a step: the only file that knows about dispatch and devices.

Each driver takes the pure `step` of `gan_jax.core.make_step` and leaves it unchanged. States are donated: use the result.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import PyTree

from gan_jax.core import Advance, Batch, Metrics, Step, TrainState

Plan = Callable[[int], dict[str, np.ndarray]]
Finish = Callable[[Any], Any]


def jit_step(step: Step) -> Step:
    """One round a dispatch, with the state donated."""
    return jax.jit(step, donate_argnums=0)


def scan_step(step: Step) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """K rounds a dispatch: batches with a leading axis K, metrics with one too."""
    return jax.jit(lambda state, batches: jax.lax.scan(step, state, batches), donate_argnums=0)


def vmap_step(step: Step) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """A population of runs in one program: states with a leading axis (one key each), one batch for all."""
    return jax.jit(jax.vmap(step, in_axes=(0, None)), donate_argnums=0)


def resident(step: Step, arrays: dict[str, np.ndarray], plan: Plan, finish: Finish = dict) -> Advance:
    """Rounds on data that lie on the device: `advance(state, first_step, n)` plays n rounds in one dispatch.

    Only the plan travels from the host: `plan(i)` names the examples of round i by `index` (b,) and may say more of each;
    `finish(batch)` makes the step's batch of the chosen examples and the rest of the plan. Metrics have a leading axis n.
    """
    data = jax.device_put(arrays)

    def play(state: TrainState, data: Batch, plans: dict[str, Array]) -> tuple[TrainState, Metrics]:
        def body(state: TrainState, plan: dict[str, Array]) -> tuple[TrainState, Metrics]:
            chosen: dict[str, Any] = jax.tree.map(lambda array: array[plan["index"]], dict(data))
            return step(state, finish(chosen | {name: value for name, value in plan.items() if name != "index"}))

        return jax.lax.scan(body, state, plans)

    play = jax.jit(play, donate_argnums=0)

    def advance(state: TrainState, first_step: int, n: int) -> tuple[TrainState, PyTree]:
        plans = [plan(i) for i in range(first_step, first_step + n)]
        return play(state, data, jax.tree.map(lambda *x: np.stack(x), *plans))

    return advance


def streamed(step: Step, load: Plan, finish: Finish = dict, *, queue: int = 8, threads: int = 2) -> Advance:
    """Rounds on data that stay on the host: the same function as `resident` gives, with batches sent while others are played.

    `load(i)` gives the examples of round i and the rest of its plan; `threads` threads of grain call it for up to `queue`
    rounds to come.
    """
    play = jax.jit(lambda state, batch: step(state, finish(batch)), donate_argnums=0)
    batches: Iterator[dict[str, Array]] = iter(())
    expected = -1

    def advance(state: TrainState, first_step: int, n: int) -> tuple[TrainState, PyTree]:
        nonlocal batches, expected
        if first_step != expected:
            batches = ahead(load, first_step, queue, threads)
        rows = []
        for _ in range(n):
            state, metrics = play(state, next(batches))
            rows.append(metrics)
        expected = first_step + n
        return state, jax.tree.map(lambda *x: jnp.stack(x), *rows)

    return advance


def ahead(load: Plan, first: int, queue: int, threads: int) -> Iterator[dict[str, Array]]:
    """`load(first)`, `load(first + 1)`, ... on the device, a few of them before they are asked for."""
    import grain  # 1 s

    steps = grain.MapDataset.range(first, 2**31 - 1).map(lambda i: jax.device_put(load(int(i))))
    return iter(steps.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=queue)))


def room_on_device(nbytes: int, share: float = 0.3) -> bool:
    """Whether so many bytes are at most `share` of what the device has; a CPU has the memory that is free now."""
    stats = jax.devices()[0].memory_stats() or {}
    return nbytes <= share * (stats.get("bytes_limit") or _free_memory())


def _free_memory() -> int:
    """Bytes that the host can give; where the system does not say, half of what it has."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
