"""The forms of a step's convolutions on a CPU: measured once on each kind of machine, and kept with the run.

With GAN_JAX_CONVOLUTIONS=rule nothing is measured: forms are those that are fast on most CPUs. A run that is continued has the
forms that it began with, in its convolutions.json, so that it goes on to the bit; what was measured on a machine is in the
cache folder (`GAN_JAX_CACHE`), which may be deleted.
"""

import os
import platform
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import jax
import jaxlib

from gan_jax.core import Step
from gan_jax.errors import InputError
from gan_jax.files import default_cache, identity
from gan_jax.layers import lowerings
from gan_jax.runs import Run
from gan_jax.runs.records import read_json, write_json

SWITCH = "GAN_JAX_CONVOLUTIONS"
FILE = "convolutions.json"


def measured_step(step: Step, devices: int = 1, run: Run | None = None) -> Step:
    """`step`, whose convolutions have the forms that are fastest on this machine when it is traced, for one CPU device.

    Those that `run` began with stay, and a run that was begun without has none later. Elsewhere than on one CPU device it is
    `step` itself. Raises `InputError` for another value of GAN_JAX_CONVOLUTIONS than auto and rule, and for a damaged
    convolutions.json.
    """
    automatic = mode() == "auto"
    if devices > 1 or jax.process_count() > 1 or jax.default_backend() != "cpu":
        return step
    content = run.read_json(FILE) if run else None
    if content is None and (not automatic or (run and run.began)):
        return step
    machine = machine_name()
    own, found = _forms(content, FILE), _known(machine) if automatic else {}

    def keep(key: str, name: str, measured: bool) -> None:
        if run and own.get(key) != name:
            own[key] = name
            run.write_json(FILE, {"machine": machine, "forms": own})
        if measured:
            found[key] = name
            with suppress(OSError, InputError):  # a cache that cannot be written is none
                write_json(_shared(machine), {"machine": machine, "forms": {**_known(machine), **found}})

    tell = run.log if run else print

    def begin() -> None:
        tell("note        convolutions of new sizes: their forms are timed, once on this machine, for a minute or less")

    return _traced_with(step, lowerings.Choices({**found, **own}, keep, 60.0 if automatic else 0.0, begin), tell)


def _traced_with(step: Step, choices: lowerings.Choices, tell: Callable[[str], None]) -> Step:
    def chosen(state: Any, batch: Any) -> Any:
        before = choices.spent
        with lowerings.measured(choices):
            result = step(state, batch)
        if choices.spent > before:
            tell(f"note        timed in {choices.spent - before:.0f} s and kept for this machine")
        return result

    return chosen


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
    """What the fastest form depends on beside the shapes: the processor, the cores that are used, XLA and the forms."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor()}, {cores} cores, jaxlib {jaxlib.__version__}, forms {lowerings.VERSION}"


def _processor() -> str:
    """Its name and model where the system tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return " ".join(told[key] for key in ("model name", "cpu family", "model") if key in told) or platform.machine()


def _shared(machine: str) -> Path:
    return default_cache() / "convolutions" / f"{identity([machine])}.json"


def _known(machine: str) -> dict[str, str]:
    """What was measured on this machine; nothing where its file cannot be read."""
    with suppress(OSError, InputError):
        return _forms(read_json(_shared(machine)), "")
    return {}


def _forms(content: Mapping[str, Any] | None, file: str) -> dict[str, str]:
    forms = (content or {}).get("forms", {})
    if not isinstance(forms, dict) or not all(isinstance(name, str) for name in forms.values()):
        raise InputError(f"{file} is damaged: its forms are no names")
    return dict(forms)
