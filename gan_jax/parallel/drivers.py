"""Ways to run a step.

Each takes the pure `step` of `gan_jax.core.make_step` and leaves it unchanged. States are donated: use the result.

    jit_step        one device, one round a dispatch
    scan_step       K rounds a dispatch
    sharded_step    `jit` with the batch sharded over a mesh of devices, of one process or several
    pmap_step       `pmap` over a leading axis of devices
    vmap_step       a population of runs in one program, on one device or shared by several

Over several devices the mathematics is that of the whole batch on one (`gan_jax.batch_axis`); only rounding differs.
"""

from collections.abc import Callable, Sequence

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gan_jax.batch_axis import AXIS
from gan_jax.core import Batch, Metrics, Step, TrainState
from gan_jax.parallel.mesh import shard

Driver = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def jit_step(step: Step) -> Step:
    """One round a dispatch, with the state donated."""
    return jax.jit(step, donate_argnums=0)


def scan_step(step: Step) -> Driver:
    """K rounds a dispatch: batches with a leading axis K, metrics with one too."""
    return jax.jit(lambda state, batches: jax.lax.scan(step, state, batches), donate_argnums=0)


def sharded_step(step: Step, mesh: Mesh) -> Driver:
    """One round a dispatch over `mesh`: the state lies on every device (see `replicate`), the batch is sharded.

    The batch is this process's part of it, NumPy or on a device. Raises `InputError` if the devices cannot share it.
    """
    whole = NamedSharding(mesh, PartitionSpec())
    play = jax.jit(step, donate_argnums=0, out_shardings=(whole, whole))

    def run(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        with jax.set_mesh(mesh):
            return play(state, shard(batch, mesh))

    return run


def pmap_step(step: Step, devices: Sequence[jax.Device] | None = None) -> Driver:
    """`pmap`: state from `flax.jax_utils.replicate`, batch from `split`, both with a leading axis of (local) devices.

    Gradients, statistics, metrics and layers that couple the batch are reduced over the axis "batch", so that it equals the
    step on one device. Metrics come back without the axis.
    """
    chosen = None if devices is None else list(devices)
    return jax.pmap(step, axis_name=AXIS, devices=chosen, donate_argnums=(0,), out_axes=(0, None))


def vmap_step(step: Step, mesh: Mesh | None = None) -> Driver:
    """A population in one program: states with a leading axis of runs (keys, or `optax.inject_hyperparams`, of their own).

    One batch serves all. With a `run_mesh` the devices share the runs; their number must be a multiple of the devices'.
    """
    many = jax.vmap(step, in_axes=(0, None))
    if mesh is None:
        return jax.jit(many, donate_argnums=0)
    runs, whole = NamedSharding(mesh, PartitionSpec(*mesh.axis_names)), NamedSharding(mesh, PartitionSpec())
    return jax.jit(many, donate_argnums=0, in_shardings=(runs, whole), out_shardings=runs)
