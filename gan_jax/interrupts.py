"""Signals that ask for an end: SIGINT, SIGTERM and SIGHUP.

deferred   a block, such as the training loop, that ends by itself when it sees that it was asked to
program    the whole of a program of ours; a library that is imported leaves signals as they are
"""

import contextlib
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
KINDS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
STATUS = 130  # of an interrupted program, as shells say it
_PATIENCE = 2.0  # seconds that a program has to end by itself before its first round
_ECHO = 0.2  # seconds in which the same signal counts once: `timeout`, make and others pass on what the group got already
_FINISHING = b"\nfinishing this step and saving; once more to leave at once\n"


class Stop:
    """Whether a block was asked to end.

    A block has something to finish once it has `begun`: before that, a program ends without it.
    """

    def __init__(self) -> None:
        self.asked, self.playing = False, False
        self._told, self._telling = False, threading.RLock()

    def begun(self) -> None:
        """From now on there is something to finish and to save."""
        self.playing = True

    def tell(self) -> None:
        """Say, once, that this step is being finished."""
        with self._telling:
            if not self._told:
                self._told = True
                os.write(2, _FINISHING)


_stop: Stop | None = None  # of the block that runs
_in_program = False


def in_program() -> bool:
    """Whether the process is within `program`: an interrupt ends it."""
    return _in_program


@contextlib.contextmanager
def deferred() -> Iterator[Stop]:
    """A block in which the first signal sets `asked`; the second one has its usual effect.

    In a program (see `program`) this holds once the block has `begun`; before that a signal ends the program, and the second
    one does so always.
    A block within another has the same `Stop`. Elsewhere than in the main thread, signals stay as they are.
    """
    global _stop
    if _stop is not None or threading.current_thread() is not threading.main_thread():
        yield _stop or Stop()
        return
    _stop = stop = Stop()
    try:
        if _in_program:
            yield stop
        else:
            with _handled(lambda restore: _ask(stop, restore)):
                yield stop
    finally:
        _stop = None


def _ask(stop: Stop, restore: Callable[[], None]) -> None:
    stop.asked = True
    restore()
    stop.tell()


@contextlib.contextmanager
def _handled(call: Callable[[Callable[[], None]], None]) -> Iterator[None]:
    """Signals call `call(restore)`; `restore()` brings their handlers back. An ignored hang-up (nohup) stays ignored."""
    before = {kind: signal.getsignal(kind) for kind in KINDS}
    hang_up = getattr(signal, "SIGHUP", None)
    if hang_up is not None and before[hang_up] is signal.SIG_IGN:
        del before[hang_up]

    def restore() -> None:
        for kind, handler in before.items():
            signal.signal(kind, signal.SIG_DFL if handler is None else handler)

    for kind in before:
        signal.signal(kind, lambda number, frame: call(restore))
    try:
        yield
    finally:
        restore()


@contextlib.contextmanager
def program() -> Iterator[None]:
    """The whole of a program, in its main thread.

    In a `deferred` block that has begun, the first signal asks for its end. Anywhere else it raises KeyboardInterrupt, and two
    seconds later the process is ended: Python raises it only between two instructions, which a compilation may delay by
    minutes, and within a call from C++ it is lost. A second signal ends the process at once, unless it is the echo of the
    first: the same within a fifth of a second.
    """
    global _in_program
    if _in_program or threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    watcher = threading.Thread(target=_watch, args=(reader,), daemon=True)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)  # written to by the signal itself, whatever Python does
    watcher.start()
    _in_program = True
    ignored = sys.unraisablehook
    sys.unraisablehook = lambda lost: None if lost.exc_type is KeyboardInterrupt else ignored(lost)  # the watcher ends it
    try:
        with _handled(lambda restore: _noted()):
            yield
    finally:
        _in_program = False
        sys.unraisablehook = ignored
        signal.set_wakeup_fd(before)
        os.close(writer)


def _noted() -> None:
    if _stop is not None and _stop.playing:
        _stop.tell()
        _stop.asked = True
    else:
        raise KeyboardInterrupt


def _watch(reader: int) -> None:
    signals, last, at = 0, 0, -math.inf
    with os.fdopen(reader, "rb", buffering=0) as file:
        while number := file.read(1):
            now = time.monotonic()
            if number[0] not in KINDS or (number[0] == last and now - at < _ECHO):
                continue
            last, at = number[0], now
            signals += 1
            if signals > 1:
                leave()
            if (stop := _stop) is not None and stop.playing:
                stop.tell()
            else:
                timer = threading.Timer(_PATIENCE, leave)
                timer.daemon = True
                timer.start()


def leave() -> None:
    """End the process now; what was saved is whole."""
    os._exit(STATUS)
