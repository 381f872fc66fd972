"""What a run keeps while it trains: rows of metrics and scores, checkpoints, the states of the game."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

from gan_jax.core import TrainState
from gan_jax.errors import InputError, RunError
from gan_jax.parallel.mesh import local
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.records import read_rows
from gan_jax.runs.run import Run
from gan_jax.training.doctor import FIRST, MEANINGS, ROWS, advice, diagnose, trial, with_scores
from gan_jax.training.loop import Every
from gan_jax.training.report import Row


@contextlib.contextmanager
def _without(module: str) -> Iterator[None]:
    """Imports within do not find a module that is not imported yet."""
    absent = module not in sys.modules
    if absent:
        sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if absent:
            del sys.modules[module]


with _without("torch"):  # which tensorboardX imports where it is, for a type; that takes seconds
    from tensorboardX import SummaryWriter


class Keeper:
    """What process 0 does between dispatches: callbacks, checkpoints, rows. In other processes it does nothing."""

    def __init__(
        self,
        run: Run,
        checkpoints: Checkpoints | None,
        stack: contextlib.ExitStack,
        callbacks: Sequence[Every],
        start: int,
    ):
        self._run, self._checkpoints = run, checkpoints
        self.callbacks = [each._replace(call=self._guarded(each.call)) for each in callbacks]
        self._state = (read_rows(run.directory / "diagnosis.jsonl") or [{"state": "ok"}])[-1]["state"]
        scores = read_rows(run.directory / "eval.jsonl")
        self._seen: list[Row] = with_scores(read_rows(run.directory / "metrics.jsonl"), scores)[-ROWS:]
        self._overfit: Row = {}
        for row in scores:
            self._note(row)
        if run.writes:
            self._board = SummaryWriter(str(run.path("tensorboard")), purge_step=start + 1)
            stack.callback(self._close)

    def _guarded(self, call: Callable[[int, TrainState], Row | None]) -> Callable[[int, TrainState], Row | None]:
        def guarded(step: int, state: TrainState) -> Row | None:
            scores = call(step, local(state)) if self._run.writes else None
            if scores is not None and not isinstance(scores, Mapping):
                raise InputError(f"a callback gives scores by name, or None, not {type(scores).__name__}")
            return scores

        return guarded

    def begin(self, state: TrainState) -> None:
        """Samples and scores before the first round."""
        scores: Row = {}
        for callback in self.callbacks if int(state.step) == 0 else ():
            scores |= callback.call(0, state) or {}
        if scores:
            self._keep_scores(0, scores)

    def _keep_scores(self, at: int, scores: Row) -> None:
        self._run.add_row("eval.jsonl", {"step": at, **scores})
        self._note(scores)
        told = [f"{name} {value:.4g}" for name, value in _numbers(scores).items() if not name.endswith(("_std", "_floor"))]
        self._run.log(f"scores      step {at}: {', '.join(told)}")

    def _note(self, scores: Row) -> None:
        self._overfit |= {name: value for name, value in scores.items() if name == "overfit"}

    def write(self, at: int, row: Row) -> None:
        """Keep a row of metrics, in metrics.jsonl and in TensorBoard."""
        self._run.add_row("metrics.jsonl", {"step": at, **row})
        self._show(at, row)

    def _show(self, at: int, numbers: Row) -> None:
        """In TensorBoard."""
        if not self._run.writes:
            return
        try:
            for name, value in numbers.items():
                self._board.add_scalar(name, value, at)
        except OSError as error:
            raise RunError(f"cannot write to {self._run.directory / 'tensorboard'}: {error.strerror}") from error

    def _close(self) -> None:
        with contextlib.suppress(OSError):  # of a full disk, which ended the run
            self._board.close()

    def health(self, at: int, row: Row) -> str:
        """The state of the game, "early" before it is judged; a change is logged, and kept with its evidence."""
        self._seen = [*self._seen[-ROWS:], {"step": at, **row, **self._overfit}]
        found = diagnose(self._seen)
        if found.state != self._state:
            self._state = found.state
            evidence = {name: round(value, 4) for name, value in found.evidence.items()}
            cure = advice(found.state, self._run.flags)
            entry = {"step": at, "state": found.state, "advice": cure, "evidence": evidence}
            self._run.add_row("diagnosis.jsonl", entry)
            told = ", ".join(f"{name} {value:.2f}" for name, value in evidence.items())
            self._run.log(
                f"doctor      {found.state} at step {at} ({told}): {MEANINGS[found.state]}" + f"; try {cure}" * bool(cure)
            )
            if command := trial_of(self._run, found.state):
                self._run.log(f"            on copies of this run: {command}")
        return "early" if found.state == "ok" and at < FIRST else found.state

    def watch(self) -> None:
        """Raises `RunError` if a checkpoint could not be written."""
        if self._checkpoints:
            self._checkpoints.check()

    def save(self, at: int, state: TrainState, scores: Row) -> None:
        """Keep a checkpoint, and the scores that were measured at this step."""
        if scores:
            self._keep_scores(at, scores)
        self._show(at, {f"eval/{name}": value for name, value in _numbers(scores).items()})
        if self._checkpoints:
            self._checkpoints.save(at, local(state), _numbers(scores))


def trial_of(run: Run, state: str) -> str:
    """The command that tries the cures of a state on copies of a run; "" where its script is not known."""
    known = "script" in (run.read_json("model.json") or {})
    return trial(state, run.flags, run.directory, run.saved_steps()) if known else ""


def _numbers(scores: Row) -> dict[str, float]:
    return {name: value for name, value in scores.items() if isinstance(value, int | float)}
