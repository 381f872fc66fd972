"""How much memory and arithmetic a step takes, and how much memory there is."""

import contextlib
import math
import time
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gan_jax import host_memory
from gan_jax.batch_axis import AXIS
from gan_jax.core import Batch, Step, TrainState
from gan_jax.parallel.arithmetic import arithmetic


def room_on_device(nbytes: int, share: float = 0.3) -> bool:
    """Whether `nbytes` on every device take at most `share` of its memory; CPU devices share the host's free memory."""
    devices = jax.local_devices()
    if limit := (devices[0].memory_stats() or {}).get("bytes_limit"):
        return bool(nbytes <= share * limit)
    return nbytes * len(devices) <= share * host_memory.free_memory()


def free_memory(devices: int = 1) -> int:
    """Bytes that each of so many devices of this process can give now; CPUs share what the host has."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if limit := stats.get("bytes_limit"):
        return int(limit - stats.get("bytes_in_use", 0))
    return host_memory.free_memory() // devices


def require_room(state: Any, batch: Any) -> None:
    """Raises `InputError` where a state and a batch of these shapes alone take more memory than there is.

    Arrays or shapes, in any tree; pictures count as the floats that they become. What lies between is not counted: see
    `analyse`.
    """
    held, shown = (sum(math.prod(x.shape) * 4 for x in jax.tree.leaves(tree)) for tree in (state, batch))
    cure = "choose smaller networks" if held > shown else "choose a smaller batch, or fewer updates a round"
    require_bytes(held + shown, "the state of both players and a round's batch", cure)


def require_bytes(nbytes: int, what: str, cure: str) -> None:
    """Raises `InputError`, with the estimate, where `what` takes more bytes than are free."""
    host_memory.require(nbytes, free_memory(), what, cure)


class Analysis(NamedTuple):
    """Memory of a compiled step on each device in bytes, its floating-point operations, and the seconds to compile it."""

    peak: int  # state, batch and everything between, at once
    state: int  # arguments, which the result replaces
    operations: int  # of all devices, in products and convolutions
    seconds: float

    def __str__(self) -> str:
        free = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
        room = f" of {free / 2**30:,.1f} GiB" if free else ""
        return (
            f"memory      {self.peak / 2**20:,.0f} MiB at the peak{room}, {self.state / 2**20:,.0f} MiB of it state and batch\n"
            f"arithmetic  {self.operations / 1e9:,.1f} GFLOP a round in products and convolutions\n"
            f"compiled in {self.seconds:.1f} s"
        )


def analyse(step: Step, state: TrainState, batch: Batch, mesh: Mesh | None = None) -> Analysis:
    """Compile a round for arrays like these, sharded over the mesh, and read the compiler's memory analysis.

    Nothing is run. Data on the device (`gan_jax.parallel.resident`) are not included.
    """
    start = time.perf_counter()
    shapes = _shapes(state, mesh, PartitionSpec()), _shapes(batch, mesh, PartitionSpec(AXIS))
    with contextlib.nullcontext() if mesh is None else jax.set_mesh(mesh):
        compiled = jax.jit(step, donate_argnums=0).lower(*shapes).compile()
    seconds = time.perf_counter() - start
    return Analysis(*account(compiled), arithmetic(step, state, batch), seconds)


def account(compiled: Any) -> tuple[int, int]:
    """Bytes that a compiled program takes on each device: at the peak, and in its arguments."""
    memory = compiled.memory_analysis()
    held = memory.argument_size_in_bytes
    return held + memory.temp_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes, held


def _shapes(tree: Any, mesh: Mesh | None, spec: PartitionSpec) -> Any:
    sharding = None if mesh is None else NamedSharding(mesh, spec)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)
