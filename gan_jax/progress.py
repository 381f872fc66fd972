"""Steps that take longer than two seconds say what they do, and how long it took when they are done.

What is quick stays silent. Lines go to standard error, beside progress bars; a long loop has a bar on a terminal and a line a
minute elsewhere.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

from tqdm import tqdm

AFTER = 2.0  # seconds
EVERY = 60.0  # seconds between two lines of a loop


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


class Count:
    """How far a loop of `steps` has come: `what` names it, and without it nothing is shown.

    A context manager, whose `add` counts the steps that are done.
    """

    def __init__(self, what: str, steps: int):
        self._what, self._steps, self._done = what, steps, 0
        self._began = self._said = time.monotonic()
        self._bar = tqdm(total=steps, desc=what, leave=False, disable=not what or not sys.stderr.isatty())

    def __enter__(self) -> "Count":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def add(self, steps: int) -> None:
        """`steps` more are done."""
        self._done += steps
        self._bar.update(steps)
        now = time.monotonic()
        if self._what and self._bar.disable and now - self._said >= EVERY:
            left = (now - self._began) * (self._steps - self._done) / self._done
            _say(f"{self._what}: {self._done:,} of {self._steps:,} steps, {left / 60:.0f} min left")
            self._said = now


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # a stream that was closed
        print(f"wait        {text}", file=sys.stderr, flush=True)
