"""The time that a run has taken, over all commands that continued it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gan_jax.files import whole
from gan_jax.runs.run import is_run


@contextmanager
def stopwatch(run: Path) -> Iterator[Callable[[], float]]:
    """A function that gives the seconds spent in blocks like this on a run, in all calls together: they are kept there."""
    path = run / "seconds.txt"

    def spent() -> float:
        with suppress(OSError, ValueError):
            return float(path.read_text())
        return 0.0

    before, begun = spent(), time.perf_counter()
    try:
        yield spent
    finally:
        if is_run(run):  # else it was refused
            with whole(path) as unfinished:
                unfinished.write_text(f"{before + time.perf_counter() - begun:.1f}\n")
