"""What our programs (`python -m gan_jax`, `python -m experiments.NAME`) set before the rest is imported."""

import signal

from gan_jax import interrupts, progress
from gan_jax._search_path import program

_loading: list[progress.Step] = []


def leave_on_signals() -> None:
    """Until `gan_jax.interrupts.program` takes over, a signal ends the program at once: nothing has been begun."""
    for kind in interrupts.KINDS:
        if signal.getsignal(kind) is not signal.SIG_IGN:
            signal.signal(kind, lambda number, frame: interrupts.leave())


def loaded() -> None:
    """All modules are imported."""
    while _loading:
        _loading.pop().end()


if program():
    leave_on_signals()
    _loading.append(progress.Step("importing JAX, Flax and Orbax"))
