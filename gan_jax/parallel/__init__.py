"""Ways to run a step, and the devices and processes that it runs on: the only folder that knows devices."""

from gan_jax.parallel.drivers import (
    batch_mesh,
    jit_step,
    local,
    pmap_step,
    replicate,
    resident,
    run_mesh,
    scan_step,
    sharded_step,
    split,
    spread,
    streamed,
    vmap_step,
)

__all__ = [
    "batch_mesh",
    "jit_step",
    "local",
    "pmap_step",
    "replicate",
    "resident",
    "run_mesh",
    "scan_step",
    "sharded_step",
    "split",
    "spread",
    "streamed",
    "vmap_step",
]
