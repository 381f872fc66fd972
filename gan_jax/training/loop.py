"""The training loop: rounds, checks, reports, callbacks, checkpoints."""

import contextlib
import math
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from gan_jax.core import Metrics
from gan_jax.errors import InputError, Interrupted
from gan_jax.training.report import Report, Row

Save = Callable[[int, Any, Row], None]  # writes a checkpoint of a state with the scores measured at this step


@runtime_checkable
class Stepped(Protocol):
    """What has a number of rounds: the state of a run, or of a population."""

    @property
    def step(self) -> Any:
        """Rounds so far."""


S = TypeVar("S", bound=Stepped)


class Every(NamedTuple):
    """Call `call(step, state)` after every `interval` rounds and after the last; what it returns are scores."""

    interval: int
    call: Callable[[int, Any], Row | None]


def fit(
    state: S,
    advance: Callable[[S, int, int], tuple[S, Metrics]],
    *,
    steps: int,
    save: Save,
    save_every: int,
    report: Report,
    callbacks: Sequence[Every] = (),
    dispatch: int = 10,
    agree: Callable[[bool], bool] = bool,
) -> S:
    """Play rounds from `state.step` up to `steps`, `dispatch` or fewer at a time, and return the last state.

    Dispatches end at multiples of the greatest common divisor of `dispatch` and all intervals, so that a run cut anywhere
    plays the same dispatches when it is continued. A checkpoint is written every `save_every` rounds, where callbacks gave
    scores, and at the end, always after the metrics so far were checked to be finite.

    `agree(flag)` says whether any of the processes that play together was asked to stop.

    Raises `InputError` for intervals below 1, `RunError` at the first round with a metric that is not finite, and `Interrupted`
    after SIGINT or SIGTERM, when the dispatch is finished and the state saved; a second signal stops at once.
    """
    intervals = [save_every, report.interval, *(c.interval for c in callbacks)]
    if min(intervals) < 1:
        raise InputError("intervals of logging, sampling, scoring and saving must be at least 1 step")
    dispatch = math.gcd(dispatch, *intervals)
    step = int(state.step)
    with _deferred_signals() as stop_asked, report:
        while step < steps:
            n = min(dispatch - step % dispatch, steps - step)
            state, metrics = advance(state, step, n)
            step += n
            report.add(step, metrics)
            stopping, last = agree(stop_asked()), step == steps
            due = [c for c in callbacks if last or step % c.interval == 0]
            if due or stopping or last or step % save_every == 0:
                report.flush()
                with report.paused():
                    scores: Row = {}
                    for callback in due:
                        scores |= callback.call(step, state) or {}
                    if scores or stopping or last or step % save_every == 0:
                        save(step, state, scores)
            if stopping:
                raise Interrupted(step)
    return state


@contextlib.contextmanager
def _deferred_signals() -> Iterator[Callable[[], bool]]:
    """The first SIGINT or SIGTERM sets a flag; the second one has its usual effect."""
    asked = False
    kinds = (signal.SIGINT, signal.SIGTERM)

    def handle(number: int, frame: object) -> None:
        nonlocal asked
        asked = True
        for kind, handler in before.items():
            signal.signal(kind, handler)
        os.write(2, b"\nfinishing this step and saving; once more to leave at once\n")

    before = {}
    if threading.current_thread() is threading.main_thread():  # only the main thread may handle signals
        before = {kind: signal.getsignal(kind) for kind in kinds}
        for kind in kinds:
            signal.signal(kind, handle)
    try:
        yield lambda: asked
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
