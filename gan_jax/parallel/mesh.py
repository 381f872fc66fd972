"""Rows of devices, and how arrays get there and back."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import jax
import numpy as np
from jax import Array
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from gan_jax import keys
from gan_jax.batch_axis import AXIS
from gan_jax.core import Batch
from gan_jax.errors import InputError

T = TypeVar("T")


def batch_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """All devices (of all processes), or those given, in a row over which a batch is sharded."""
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
        raise InputError(f"a batch of {batch}{parts} cannot be shared by {devices} devices: choose a batch of {near}")


def split(batch: Batch, devices: int) -> dict[str, Any]:
    """(b, ...) to (devices, b / devices, ...) for `pmap_step`; raises `InputError` if that cannot be."""
    _require_divisible(batch, devices)
    return {name: x.reshape(devices, x.shape[0] // devices, *x.shape[1:]) for name, x in batch.items()}


def _require_divisible(batch: Batch, devices: int) -> None:
    for name, x in batch.items():
        if x.shape[0] % devices:
            raise InputError(f"{name}: {x.shape[0]} examples cannot be shared by {devices} devices: choose a multiple of it")


def replicate(tree: T, mesh: Mesh) -> T:
    """The same values on every device of the mesh, in buffers of their own; every process calls it with equal values."""
    whole = NamedSharding(mesh, PartitionSpec())

    def put(x: Array | np.ndarray) -> Array:
        host = np.array(x)
        return jax.make_array_from_callback(host.shape, whole, lambda index: host[index])

    return jax.tree.map(partial(keys.on_data, put), tree)


def shard(batch: Batch, mesh: Mesh) -> dict[str, Any]:
    """This process's part of a batch as its part of arrays that are sharded over all devices."""
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
        return x.addressable_data(0)

    return jax.tree.map(partial(keys.on_data, one), tree)


def over(play: Callable, mesh: Mesh | None) -> tuple[Callable, Callable]:
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
