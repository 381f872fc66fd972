"""Ways to run a step, and the devices and processes that it runs on: the only folder that knows devices."""

from gan_jax.parallel.drivers import jit_step, pmap_step, scan_step, sharded_step, vmap_step
from gan_jax.parallel.feeds import resident, streamed
from gan_jax.parallel.mesh import batch_mesh, local, replicate, run_mesh, shard, split

__all__ = [
    "batch_mesh",
    "jit_step",
    "local",
    "pmap_step",
    "replicate",
    "resident",
    "run_mesh",
    "scan_step",
    "shard",
    "sharded_step",
    "split",
    "streamed",
    "vmap_step",
]
