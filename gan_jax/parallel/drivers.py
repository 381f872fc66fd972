"""Ways to run a step.

Each takes the pure `step` of `gan_jax.core.make_step` and leaves it unchanged. States are donated: use the result. An array
that stands in a state twice (one learning rate for both players, say) is copied, since it can be donated once only.

    jit_step        one device, one round a dispatch
    scan_step       K rounds a dispatch
    sharded_step    `jit` with the batch sharded over a mesh of devices, of one process or several
    pmap_step       `pmap` over a leading axis of devices
    vmap_step       a population of runs in one program, on one device or shared by several

Over several devices the mathematics is that of the whole batch on one (`gan_jax.batch_axis`); only rounding differs.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from gan_jax.batch_axis import AXIS
from gan_jax.core import Batch, Metrics, Step, TrainState
from gan_jax.errors import InputError
from gan_jax.parallel.mesh import shard

Driver = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def jit_step(step: Step) -> Driver:
    """One round a dispatch, with the state donated."""
    return _donated(jax.jit(step, donate_argnums=0))


def scan_step(step: Step) -> Driver:
    """K rounds a dispatch: batches with a leading axis K, metrics with one too."""
    return _donated(jax.jit(lambda state, batches: jax.lax.scan(step, state, batches), donate_argnums=0))


def sharded_step(step: Step, mesh: Mesh) -> Driver:
    """One round a dispatch over `mesh`: the state lies on every device (see `replicate`), the batch is sharded.

    The batch is this process's part of it, NumPy or on a device. Raises `InputError` if the devices cannot share it, or if
    the state does not lie on all of them.
    """
    whole = NamedSharding(mesh, PartitionSpec())
    play = _donated(jax.jit(step, donate_argnums=0, out_shardings=(whole, whole)))
    devices = set(mesh.devices.flat)

    def run(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        if not isinstance(state.step, Array) or state.step.sharding.device_set != devices:
            raise InputError(
                f"the state lies on {_places(state)}, the mesh has {len(devices)} devices: give "
                "gan_jax.replicate(state, mesh), and then the state that each step gives back"
            )
        with jax.set_mesh(mesh):
            return play(state, shard(batch, mesh))

    return run


def pmap_step(step: Step, devices: Sequence[jax.Device] | None = None) -> Driver:
    """`pmap`: state from `flax.jax_utils.replicate`, batch from `split`, both with a leading axis of (local) devices.

    Gradients, statistics, metrics and layers that couple the batch are reduced over the axis "batch", so that it equals the
    step on one device. Metrics come back without the axis. Raises `InputError` for a state or batch without that axis.
    """
    chosen = jax.local_devices() if devices is None else list(devices)
    given = None if devices is None else chosen
    play = _donated(jax.pmap(step, axis_name=AXIS, devices=given, donate_argnums=(0,), out_axes=(0, None)))

    def run(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        if jax.numpy.shape(state.step) != (len(chosen),):
            raise InputError(
                f"the state has no leading axis of {len(chosen)} devices (its step has shape {jax.numpy.shape(state.step)}): "
                "give flax.jax_utils.replicate(state), and then the state that each step gives back"
            )
        if wrong := [name for name, x in batch.items() if x.shape[0] != len(chosen)]:
            raise InputError(
                f"{wrong[0]} {batch[wrong[0]].shape} has no leading axis of {len(chosen)} devices: give "
                f"gan_jax.parallel.split(batch, {len(chosen)})"
            )
        return play(state, batch)

    return run


def vmap_step(step: Step, mesh: Mesh | None = None, *, own_batches: bool = False) -> Driver:
    """A population in one program: states with a leading axis of runs, as `init_population` makes them.

    One batch serves all, or with `own_batches` each has its own: (runs, b, ...). With a `run_mesh` the devices share the
    runs; their number must be a multiple of the devices'. Raises `InputError` for states without the axis.
    """
    many = jax.vmap(step, in_axes=(0, 0 if own_batches else None))
    if mesh is None:
        play = _donated(jax.jit(many, donate_argnums=0))
    else:
        runs, whole = NamedSharding(mesh, PartitionSpec(*mesh.axis_names)), NamedSharding(mesh, PartitionSpec())
        shardings = (runs, runs if own_batches else whole)
        play = _donated(jax.jit(many, donate_argnums=0, in_shardings=shardings, out_shardings=runs))

    def run(states: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        if states.step.ndim != 1:
            raise InputError("a population's state has a leading axis of runs: make it by gan_jax.init_population")
        if own_batches and (wrong := [name for name, x in batch.items() if x.shape[0] != len(states.step)]):
            shape = batch[wrong[0]].shape
            raise InputError(f"{wrong[0]} {shape}: with own_batches the first axis is that of {len(states.step)} runs")
        return play(states, batch)

    return run


def _donated(play: Callable) -> Callable:
    """`play` of a state in which no array stands twice."""

    def run(state: PyTree, batch: Batch) -> Any:
        return play(_once(state), batch)

    return run


def _once(state: PyTree) -> PyTree:
    leaves, structure = jax.tree.flatten(state)
    if len({id(leaf) for leaf in leaves}) == len(leaves):
        return state
    first = {id(leaf): i for i, leaf in reversed(list(enumerate(leaves)))}
    return jax.tree.unflatten(structure, [leaf if first[id(leaf)] == i else leaf.copy() for i, leaf in enumerate(leaves)])


def _places(state: TrainState) -> str:
    if not isinstance(state.step, Array):
        return "the host"
    n = len(state.step.sharding.device_set)
    return f"{n} device{'s' * (n > 1)}"
