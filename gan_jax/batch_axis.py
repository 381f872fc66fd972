"""Operations on the whole batch, also where it is sharded over devices.

A step is written as if it had the whole batch. Whatever couples the examples of a batch, or draws noise for them, goes
through these functions: under `jax.pmap`, or `jax.shard_map` with `check_vma=False`, with an axis named "batch" every device
has a part of the batch, and means, gathered features and noise are those of the whole batch; under `jit` with a mesh that has
such an axis the compiler shards the work; elsewhere they do nothing. So one step gives the same numbers with every driver.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
from jax import Array
from jax.sharding import AxisType, PartitionSpec

AXIS = "batch"

T = TypeVar("T")


def name() -> str | None:
    """ "batch" where each device runs on its own part, None elsewhere: for layers that take an `axis_name`."""
    return AXIS if parts() > 1 else None


def parts() -> int:
    """The number of devices that the batch is mapped over; 1 outside of such a mapping."""
    try:
        return int(jax.lax.axis_size(AXIS))
    except NameError:
        return 1


def mean(tree: T) -> T:
    """The mean over all parts of means over each part."""
    return jax.lax.pmean(tree, AXIS) if parts() > 1 else tree


def gather(x: Array) -> Array:
    """All parts along the first axis: (b, ...) to (parts * b, ...)."""
    return jax.lax.all_gather(x, AXIS, tiled=True) if parts() > 1 else x


def mine(x: Array, axis: int = 0) -> Array:
    """This part's rows of an array for the whole batch."""
    n = parts()
    if n == 1:
        return shard(x, axis)
    size = x.shape[axis] // n
    return jax.lax.dynamic_slice_in_dim(x, jax.lax.axis_index(AXIS) * size, size, axis)


def draw(sample: Callable[[int], Array], n: int, axis: int = 0) -> Array:
    """This part of what `sample` draws for the whole batch, one entry per example along `axis`."""
    return mine(sample(n * parts()), axis)


def shard(x: Array, axis: int = 0) -> Array:
    """Under `jit` with a mesh, shard `x` over the devices (noise is computed whole on each otherwise); else unchanged."""
    mesh = jax.sharding.get_abstract_mesh()
    shared = [
        size
        for axis_name, size, kind in zip(mesh.axis_names, mesh.axis_sizes, mesh.axis_types, strict=True)
        if axis_name == AXIS and kind == AxisType.Auto
    ]
    if not shared or x.shape[axis] % shared[0]:
        return x
    return jax.lax.with_sharding_constraint(x, PartitionSpec(*[None] * axis, AXIS))
