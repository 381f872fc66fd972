"""The forms of a run's convolutions on a CPU: measured once on each kind of machine, and kept with the run.

With GAN_JAX_CONVOLUTIONS=rule nothing is measured: forms are those that are fast on most CPUs. A run that is continued has the
forms that it began with, in its convolutions.json, so that it goes on to the bit; what was measured on a machine is in the
cache folder (`GAN_JAX_CACHE`).
"""

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import jax
import jaxlib

from gan_jax.errors import InputError
from gan_jax.files import default_cache, identity
from gan_jax.layers import lowerings
from gan_jax.runs import Run
from gan_jax.runs.records import read_json, write_json

SWITCH = "GAN_JAX_CONVOLUTIONS"
FILE = "convolutions.json"


@contextmanager
def measured_forms(run: Run, devices: int) -> Iterator[None]:
    """While a run is trained on a single CPU device, its convolutions have the forms that are fastest here.

    Raises `InputError` for another value of GAN_JAX_CONVOLUTIONS than auto and rule, and for a damaged convolutions.json.
    """
    if mode() == "rule" or devices > 1 or jax.process_count() > 1 or jax.default_backend() != "cpu":
        yield
        return
    machine = machine_name()
    shared = default_cache() / "convolutions" / f"{identity([machine])}.json"
    own, found = _forms(run.read_json(FILE)), _forms(read_json(shared))

    def keep(key: str, name: str) -> None:
        if own.get(key) != name and run.writes:
            own[key] = name
            run.write_json(FILE, {"machine": machine, "forms": own})
        if key not in found:
            found[key] = name
            write_json(shared, {"machine": machine, "forms": {**found, **_forms(read_json(shared))}})

    with lowerings.measured(lowerings.Choices({**found, **own}, keep)):
        yield


def mode() -> Literal["auto", "rule"]:
    """What GAN_JAX_CONVOLUTIONS asks for; raises `InputError` for what is neither."""
    match os.environ.get(SWITCH, "auto"):
        case "auto":
            return "auto"
        case "rule":
            return "rule"
        case other:
            raise InputError(f"{SWITCH} is {other!r}: choose auto, forms as measured on this machine, or rule")


def machine_name() -> str:
    """What the fastest form depends on beside the shapes: the processor, the cores that are used, and XLA."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor()}, {cores} cores, jaxlib {jaxlib.__version__}"


def _processor() -> str:
    """Its name and model where the system tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return " ".join(told[key] for key in ("model name", "cpu family", "model") if key in told) or platform.machine()


def _forms(content: Mapping[str, Any] | None) -> dict[str, str]:
    forms = (content or {}).get("forms", {})
    if not isinstance(forms, dict) or not all(isinstance(name, str) for name in forms.values()):
        raise InputError(f"{FILE} is damaged: its forms are no names")
    return dict(forms)
