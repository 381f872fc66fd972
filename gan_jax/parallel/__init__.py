"""Ways to run a step, and the devices and processes that it runs on: the only folder that knows devices."""

from gan_jax.parallel.drivers import jit_step, pmap_step, scan_step, sharded_step, vmap_step
from gan_jax.parallel.feeds import resident, streamed
from gan_jax.parallel.mesh import batch_mesh, local, replicate, run_mesh, shard, split
from gan_jax.parallel.population import init_population

__all__ = [
    "batch_mesh",
    "init_population",
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
