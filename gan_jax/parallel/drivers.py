"""Ways to run a step, and the devices that it runs on.

Each driver takes the pure `step` of `gan_jax.core.make_step` and leaves it unchanged. States are donated: use the result.

    jit_step        one device, one round a dispatch
    scan_step       K rounds a dispatch
    sharded_step    `jit` with the batch spread over a mesh of devices, of one process or several
    pmap_step       `pmap` over a leading axis of devices
    vmap_step       a population of runs in one program, on one device or spread over several
    resident        K rounds a dispatch on data that lie on the devices
    streamed        data sent ahead of the rounds

Over several devices the mathematics is that of the whole batch on one (`gan_jax.batch_axis`); only rounding differs.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from gan_jax.batch_axis import AXIS
from gan_jax.core import Advance, Batch, Metrics, Step, TrainState
from gan_jax.errors import InputError

Plan = Callable[[int], dict[str, np.ndarray]]
Finish = Callable[[Any], Any]
Driver = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
T = TypeVar("T")


def batch_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """All devices (of all processes), or those given, in a row over which a batch is spread."""
    return _row(AXIS, devices)


def run_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The same for populations: the devices share the runs."""
    return _row("runs", devices)


def _row(axis: str, devices: Sequence[jax.Device] | None) -> Mesh:
    chosen = np.asarray(jax.devices() if devices is None else devices)
    return Mesh(chosen, (axis,), axis_types=(AxisType.Auto,))


def require_shares(batch: int, mesh: Mesh | None, accumulate: int = 1) -> None:
    """Raises `InputError` unless every device can have an equal share of each part of a minibatch."""
    devices = 1 if mesh is None else mesh.size
    if batch < 1 or accumulate < 1:
        raise InputError(f"a batch of {batch} in {accumulate} parts: both must be at least 1")
    if batch % (devices * accumulate):
        unit = devices * accumulate
        near = max(unit, round(batch / unit) * unit)
        parts = f" in {accumulate} parts" if accumulate > 1 else ""
        raise InputError(f"a batch of {batch}{parts} cannot be shared by {devices} devices: choose --batch {near}")


def jit_step(step: Step) -> Step:
    """One round a dispatch, with the state donated."""
    return jax.jit(step, donate_argnums=0)


def scan_step(step: Step) -> Driver:
    """K rounds a dispatch: batches with a leading axis K, metrics with one too."""
    return jax.jit(lambda state, batches: jax.lax.scan(step, state, batches), donate_argnums=0)


def sharded_step(step: Step, mesh: Mesh) -> Driver:
    """One round a dispatch over `mesh`: the state lies on every device (see `replicate`), the batch is spread.

    The batch is this process's part of it, NumPy or on a device. Raises `InputError` if the devices cannot share it.
    """
    whole = NamedSharding(mesh, PartitionSpec())
    play = jax.jit(step, donate_argnums=0, out_shardings=(whole, whole))

    def run(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        with jax.set_mesh(mesh):
            return play(state, spread(batch, mesh))

    return run


def pmap_step(step: Step, devices: Sequence[jax.Device] | None = None) -> Driver:
    """`pmap`: state from `flax.jax_utils.replicate`, batch from `split`, both with a leading axis of (local) devices.

    Gradients, statistics, metrics and layers that couple the batch are reduced over the axis "batch", so that it equals the
    step on one device. Metrics come back without the axis.
    """
    chosen = None if devices is None else list(devices)
    return jax.pmap(step, axis_name=AXIS, devices=chosen, donate_argnums=(0,), out_axes=(0, None))


def split(batch: Batch, devices: int) -> dict[str, Any]:
    """(b, ...) to (devices, b / devices, ...) for `pmap_step`; raises `InputError` if that cannot be."""
    _require_divisible(batch, devices)
    return {name: x.reshape(devices, x.shape[0] // devices, *x.shape[1:]) for name, x in batch.items()}


def _require_divisible(batch: Batch, devices: int) -> None:
    for name, x in batch.items():
        if x.shape[0] % devices:
            raise InputError(f"{name}: {x.shape[0]} examples cannot be shared by {devices} devices: choose a multiple of it")


def vmap_step(step: Step, mesh: Mesh | None = None) -> Driver:
    """A population in one program: states with a leading axis of runs (keys, or `optax.inject_hyperparams`, of their own).

    One batch serves all. With a `run_mesh` the devices share the runs; their number must be a multiple of the devices'.
    """
    many = jax.vmap(step, in_axes=(0, None))
    if mesh is None:
        return jax.jit(many, donate_argnums=0)
    runs, whole = NamedSharding(mesh, PartitionSpec(*mesh.axis_names)), NamedSharding(mesh, PartitionSpec())
    return jax.jit(many, donate_argnums=0, in_shardings=(runs, whole), out_shardings=runs)


def replicate(tree: T, mesh: Mesh) -> T:
    """The same values on every device of the mesh, in buffers of their own; every process calls it with equal values."""
    whole = NamedSharding(mesh, PartitionSpec())

    def put(x: Array | np.ndarray) -> Array:
        if _is_key(x):
            return jax.random.wrap_key_data(put(np.asarray(jax.random.key_data(x))), impl=jax.random.key_impl(x))
        host = np.array(x)
        return jax.make_array_from_callback(host.shape, whole, lambda index: host[index])

    return jax.tree.map(put, tree)


def spread(batch: Batch, mesh: Mesh) -> dict[str, Any]:
    """This process's part of a batch as its part of arrays that are spread over all devices."""
    processes = len({device.process_index for device in mesh.devices.flat})
    _require_divisible(batch, mesh.size // processes)
    sharding = NamedSharding(mesh, PartitionSpec(AXIS))
    return {name: _from_local(sharding, x, processes) for name, x in batch.items()}


def _from_local(sharding: NamedSharding, x: Any, processes: int) -> Array:
    if processes == 1:
        return jax.device_put(x, sharding)
    shape = (len(x) * processes, *np.shape(x)[1:])
    return jax.make_array_from_process_local_data(sharding, np.asarray(x), shape)


def local(tree: T) -> T:
    """What lies on every device, as arrays of one device of this process: free of the mesh, without a copy."""

    def one(x: Any) -> Any:
        if not isinstance(x, Array) or len(x.sharding.device_set) == 1:
            return x
        if _is_key(x):
            return jax.random.wrap_key_data(one(jax.random.key_data(x)), impl=jax.random.key_impl(x))
        return x.addressable_data(0)

    return jax.tree.map(one, tree)


def _is_key(x: Any) -> bool:
    return hasattr(x, "dtype") and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)


def resident(step: Step, arrays: dict[str, np.ndarray], plan: Plan, finish: Finish = dict, mesh: Mesh | None = None) -> Advance:
    """Rounds on data that lie on the device: `advance(state, first_step, n)` plays n rounds in one dispatch.

    Only the plan travels from the host: `plan(i)` names the examples of round i by `index` (b,) and may say more of each;
    `finish(batch)` makes the step's batch of the chosen examples and the rest of the plan. Metrics have a leading axis n.
    With a `batch_mesh` the data lie on every device whole and the plan is spread; every process gives whole plans.
    """

    def play(state: TrainState, data: Batch, plans: dict[str, Array]) -> tuple[TrainState, Metrics]:
        def body(state: TrainState, plan: dict[str, Array]) -> tuple[TrainState, Metrics]:
            chosen: dict[str, Any] = jax.tree.map(lambda array: array[plan["index"]], dict(data))
            return step(state, finish(chosen | {name: value for name, value in plan.items() if name != "index"}))

        return jax.lax.scan(body, state, plans)

    run, put = _over(play, mesh)
    data = jax.device_put(arrays) if mesh is None else replicate(arrays, mesh)

    def advance(state: TrainState, first_step: int, n: int) -> tuple[TrainState, PyTree]:
        plans = [plan(i) for i in range(first_step, first_step + n)]
        return run(state, data, put(jax.tree.map(lambda *x: np.stack(x), *plans)))

    return advance


def _over(play: Callable, mesh: Mesh | None) -> tuple[Callable, Callable]:
    """`play` compiled for the mesh, and what puts plans (n, b, ...) there; without a mesh for one device."""
    if mesh is None:
        return jax.jit(play, donate_argnums=0), jax.device_put
    whole, rows = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec(None, AXIS))
    compiled = jax.jit(play, donate_argnums=0, out_shardings=(whole, whole))

    def run(*args: Any) -> Any:
        with jax.set_mesh(mesh):
            return compiled(*args)

    def put(plans: Any) -> Any:
        return jax.tree.map(lambda x: jax.make_array_from_callback(x.shape, rows, lambda index: x[index]), plans)

    return run, put


def streamed(
    step: Step,
    load: Plan,
    finish: Finish = dict,
    *,
    queue: int = 20,  # two dispatches of the loop: the next one's batches are there when it begins
    threads: int = 2,
    mesh: Mesh | None = None,
) -> Advance:
    """Rounds on data that stay on the host: the same function as `resident` gives, with batches sent while others are played.

    Both scan their rounds, so that on one device they give the same to the bit.

    `load(i)` gives the examples of round i and the rest of its plan; `threads` threads of grain call it for up to `queue`
    rounds to come. With a `batch_mesh`, `load` gives this process's part.
    """
    batches: Iterator[dict[str, Array]] = iter(())
    expected = -1

    def play(state: TrainState, given: list[Batch]) -> tuple[TrainState, Metrics]:
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *given)
        return jax.lax.scan(lambda state, batch: step(state, finish(batch)), state, stacked)

    run, _ = _over(play, mesh)
    put = jax.device_put if mesh is None else lambda batch: spread(batch, mesh)

    def advance(state: TrainState, first_step: int, n: int) -> tuple[TrainState, PyTree]:
        nonlocal batches, expected
        if first_step != expected:
            batches = ahead(load, first_step, queue, threads, put)
        expected = first_step + n
        return run(state, [next(batches) for _ in range(n)])

    return advance


def ahead(
    load: Plan, first: int, queue: int, threads: int, put: Callable[[Any], Any] = jax.device_put
) -> Iterator[dict[str, Array]]:
    """`load(first)`, `load(first + 1)`, ... on the device, a few of them before they are asked for."""
    import grain  # 1 s

    steps = grain.MapDataset.range(first, 2**31 - 1).map(lambda i: put(load(int(i))))
    return iter(steps.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=queue)))


def room_on_device(nbytes: int, share: float = 0.3) -> bool:
    """Whether so many bytes on every device take at most `share` of what it has; CPUs share the memory that is free now."""
    devices = jax.local_devices()
    if limit := (devices[0].memory_stats() or {}).get("bytes_limit"):
        return bool(nbytes <= share * limit)
    return nbytes * len(devices) <= share * _free_memory()


def _free_memory() -> int:
    """Bytes that the host, and the container if it is one, can give; where nothing says, half of what the host has."""
    known = []
    with contextlib.suppress(OSError, KeyError, ValueError):
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        known.append(1024 * int(lines["MemAvailable"].split()[0]))
    with contextlib.suppress(OSError, ValueError):  # "max" is no number
        limit, used = (int(Path(f"/sys/fs/cgroup/memory.{name}").read_text()) for name in ("max", "current"))
        known.append(limit - used)
    return min(known) if known else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
