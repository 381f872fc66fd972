"""The training loop: rounds, checks, reports, callbacks, checkpoints."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from gan_jax import interrupts, progress
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


EARLY = (10, 20, 30, 40, 60, 80)  # rounds, then twice, four times, ... as many as the last two


class Every(NamedTuple):
    """Call `call(step, state)` after every `interval` rounds and after the last; what it returns are scores.

    With `early` also in the first interval, at rounds 10, 20, 30, 40, 60, 80, 120, 160, 240, ...
    """

    interval: int
    call: Callable[[int, Any], Row | None]
    early: bool = False

    def due(self, step: int) -> bool:
        """Whether it is to be called after this round, the last one apart."""
        if step % self.interval == 0:
            return True
        return self.early and step < self.interval and (step in EARLY or (step % 40 == 0 and self.due(step // 2)))


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
    watch: Callable[[], None] = lambda: None,
    enough: Callable[[], bool] = lambda: False,
) -> S:
    """Play rounds from `state.step` up to `steps`, `dispatch` or fewer at a time, and return the last state.

    Dispatches end at multiples of the greatest common divisor of `dispatch` and all intervals, so that a run cut anywhere
    plays the same dispatches when it is continued. A checkpoint is written every `save_every` rounds, where callbacks gave
    scores, and at the end, always after the metrics so far were checked to be finite.

    `agree(flag)` says whether any of the processes that play together was asked to stop. `watch()` is called after every
    dispatch, and raises what makes it useless to go on, such as a checkpoint that could not be written. `enough()` is asked
    before the first round and whenever callbacks were called, and ends the play if it is true: that round is the last one.

    Raises `InputError` for intervals below 1, `RunError` at the first round with a metric that is not finite, and `Interrupted`
    after SIGINT, SIGTERM or SIGHUP: when the dispatch is finished and the state saved, or before the first one with
    `saved=False`; a second signal stops at once.
    """
    intervals = [save_every, report.interval, *(c.interval for c in callbacks)]
    if min(intervals) < 1:
        raise InputError("intervals of logging, sampling, scoring and saving must be at least 1 step")
    dispatch = math.gcd(dispatch, *intervals)
    step = int(state.step)
    with interrupts.deferred() as stop, report:
        if step < steps and agree(enough()):
            return state
        while step < steps:
            if not stop.playing and agree(stop.asked):
                raise Interrupted(step, saved=False)
            n = min(dispatch - step % dispatch, steps - step)
            if stop.playing:
                state, metrics = advance(state, step, n)
                report.add(step + n, metrics)
            else:
                with progress.step("compiling the round"):
                    state, metrics = advance(state, step, n)
                report.begin(step + n, metrics)
                stop.begun()
            step += n
            watch()
            stopping, last = agree(stop.asked), step == steps
            due = [c for c in callbacks if last or c.due(step)]
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
            if due and not last and agree(enough()):
                report.end(step)
                _end(step, state, [c for c in callbacks if c not in due], save)
                break
    return state


def _end(step: int, state: Any, left: Sequence[Every], save: Save) -> None:
    """The callbacks of a last round that were not due in it."""
    scores: Row = {}
    for callback in left:
        scores |= callback.call(step, state) or {}
    if scores:
        save(step, state, scores)
