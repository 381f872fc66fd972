"""What our programs (`python -m gan_jax`, `python -m experiments.NAME`) set before the rest is imported."""

import os
import signal
import sys
from pathlib import Path

from gan_jax import interrupts, progress

_left_out: list[str] = []
_loading: list[progress.Step] = []


def program() -> str:
    """The module that Python was started with by -m, if it is one of ours."""
    given = sys.orig_argv
    name = next((given[i + 1] for i, word in enumerate(given[1:-1], 1) if word == "-m"), "")
    return name if name.split(".")[0] in ("gan_jax", "experiments") else ""


def leave_on_signals() -> None:
    """Until `gan_jax.interrupts.program` takes over, a signal ends the program at once: nothing has been begun."""
    for kind in interrupts.KINDS:
        if signal.getsignal(kind) is not signal.SIG_IGN:
            signal.signal(kind, lambda number, frame: interrupts.leave())


def leave_out_present_folder() -> None:
    """Search no modules in the present folder, which may be anybody's run, unless gan_jax itself lies there."""
    here, home = os.getcwd(), Path(__file__).resolve().parents[1]
    if sys.path and sys.path[0] in ("", here) and Path(here).resolve() != home:
        _left_out.append(sys.path.pop(0))


def search_present_folder() -> None:
    """Search it after all, once its author is trusted."""
    sys.path.extend(_left_out)
    _left_out.clear()


def loaded() -> None:
    """All modules are imported."""
    while _loading:
        _loading.pop().end()


if program():
    leave_on_signals()
    _loading.append(progress.Step("importing JAX, Flax and Orbax"))
    if program().split(".")[0] == "gan_jax":
        leave_out_present_folder()
