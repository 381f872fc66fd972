"""Steps that take longer than two seconds say what they do, and how long it took when they are done.

What is quick stays silent. Lines go to standard error, beside progress bars.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

AFTER = 2.0  # seconds


class Step:
    """A step that has begun: `doing` names it, such as "compiling the round"."""

    def __init__(self, doing: str):
        self._doing, self._began = doing, time.monotonic()
        self._timer = threading.Timer(AFTER, _say, [f"{doing} ..."])
        self._timer.daemon = True
        self._timer.start()

    def end(self, done: bool = True) -> None:
        """The step has ended; says how long it took, if it was `done` and not quick."""
        self._timer.cancel()
        seconds = time.monotonic() - self._began
        if done and seconds >= AFTER:
            _say(f"{self._doing}: {seconds:.1f} s")


@contextlib.contextmanager
def step(doing: str) -> Iterator[None]:
    """The block is the step `doing`."""
    begun, done = Step(doing), False
    try:
        yield
        done = True
    finally:
        begun.end(done)


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # a stream that was closed
        print(f"wait        {text}", file=sys.stderr, flush=True)
