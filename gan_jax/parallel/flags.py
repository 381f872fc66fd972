"""The flags on devices and processes, the same in all experiments."""

from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.typing import DTypeLike

from gan_jax.config import FREE
from gan_jax.errors import InputError
from gan_jax.parallel import processes
from gan_jax.parallel.mesh import batch_mesh, require_shares


@dataclass(frozen=True)
class DeviceFlags:
    """The flags that say where a run is computed."""

    devices: int = field(default=0, metadata=FREE)
    """Number of devices to use, of a single process; 0 for all devices of all processes."""
    coordinator: str | None = field(default=None, metadata=FREE)
    """HOST:PORT of process 0, for training with several processes; not needed on Cloud TPU and under SLURM."""
    processes: int | None = field(default=None, metadata=FREE)
    """Number of processes that train together."""
    process: int | None = field(default=None, metadata=FREE)
    """Number of this process, from 0, for training with several processes."""
    precision: Literal["f32", "bf16"] = "f32"
    """Type of the computation; parameters are always float32."""
    dry_run: bool = field(default=False, metadata=FREE)
    """Compile the step, say how much memory and arithmetic a round takes, and stop."""

    @property
    def dtype(self) -> DTypeLike:
        """The type of the computation."""
        return jnp.bfloat16 if self.precision == "bf16" else jnp.float32

    def open_devices(self, batch: int, accumulate: int = 1) -> Mesh | None:
        """Meet the other processes; a mesh if there are several devices, over which a minibatch of `batch` can be sharded.

        Raises `InputError` for a batch that they cannot share, devices that are not there, or a precision that they lack.
        """
        processes.connect(self.coordinator, self.processes, self.process)
        everyone = jax.devices()
        if self.devices < 0 or self.devices > len(everyone) or (self.devices and jax.process_count() > 1):
            where = f" of {jax.process_count()} processes, which can only be used together" if jax.process_count() > 1 else ""
            raise InputError(f"--devices {self.devices}: the devices are {len(everyone)}{where} ({everyone[0].device_kind})")
        require_precision(self.precision, everyone[0])
        chosen = everyone[: self.devices or None]
        mesh = batch_mesh(chosen) if len(chosen) > 1 else None
        require_shares(batch, mesh, accumulate)
        return mesh


def require_precision(precision: str, device: Any) -> None:
    """Raises `InputError` if the device cannot compute in it: bf16 on GPUs before Ampere."""
    capability = str(getattr(device, "compute_capability", ""))  # such as 7.5; AMD's are names
    old = capability.replace(".", "").isdecimal() and float(capability) < 8
    if precision == "bf16" and device.platform == "gpu" and old:
        raise InputError(f"{device.device_kind} (compute capability {capability}) has no bf16 units: use --precision f32")
