"""A whole run: begin or continue, play, keep what happened, and end well."""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import PyTree
from tensorboardX import SummaryWriter

from gan_jax.core import Step, TrainState
from gan_jax.data.rounds import Rounds
from gan_jax.errors import InputError, RunError
from gan_jax.parallel import processes
from gan_jax.parallel.drivers import local, replicate, resident, room_on_device, streamed
from gan_jax.parallel.processes import from_first
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.run import Run, read_rows
from gan_jax.training.doctor import ADVICE, WINDOW, diagnose, with_scores
from gan_jax.training.loop import Advance, Every, Interrupted, NotFinite, Report, Row, fit

Feed = Literal["auto", "device", "host"]


def train(
    run: Run,
    step: Step,
    state: TrainState,
    rounds: Rounds,
    *,
    steps: int,
    log_every: int,
    save_every: int,
    feed: Feed = "auto",
    metric: str | None = None,
    mode: Literal["max", "min"] = "max",
    callbacks: Sequence[Every] = (),
    init_from: Path | None = None,
    mesh: Mesh | None = None,
) -> TrainState:
    """Train in `run`'s directory from its newest checkpoint, or else from `state`, up to `steps` rounds.

    `state` is the state before the first round; `init_from`, another run's directory, lends its weights to it (weights
    only, and only if this run has no checkpoint yet). `rounds` says what each round is played on; its data lie on the
    device if there is room, or stay on the host, or as `feed` says. The best checkpoint by `metric`, one of the callbacks'
    scores, is kept, the largest or the smallest as `mode` says. Scores go to eval.jsonl, metrics to metrics.jsonl, both to
    TensorBoard; every change of the game's state (`gan_jax.training.doctor`) is told and goes to diagnosis.jsonl.

    With a `mesh` of several devices each round's batch is spread over them (`gan_jax.parallel`). Of several processes the
    one whose `run` writes reads and writes checkpoints, calls the callbacks and logs; the others play along.

    Raises `RunError` if the run cannot go on, `Interrupted` when it was asked to stop.
    """
    try:
        with contextlib.ExitStack() as stack:
            checkpoints = stack.enter_context(run.checkpoints(metric=metric, mode=mode)) if run.writes else None
            state = _start(run, checkpoints, state, init_from, steps) if checkpoints else state
            state = state if mesh is None else replicate(from_first(state), mesh)
            if int(state.step) >= steps:
                return local(state)
            keeper = _Keeper(run, checkpoints, stack, callbacks, int(state.step))
            keeper.begin(state)
            report = Report(
                start=int(state.step),
                steps=steps,
                interval=log_every,
                images=rounds.examples,
                write=keeper.write,
                show=run.log,
                health=keeper.health,
                silent=not run.writes,
            )
            return local(
                fit(
                    state,
                    _feeder(run, step, rounds, feed, mesh),
                    steps=steps,
                    save=keeper.save,
                    save_every=save_every,
                    report=report,
                    callbacks=keeper.callbacks,
                    agree=processes.any_says,
                )
            )
    except Interrupted as stop:
        run.log(f"stopped and saved at step {stop.step}; run the same command again to go on")
        raise
    except RunError as error:
        if isinstance(error, NotFinite):
            run.add_row(
                "diagnosis.jsonl", {"step": error.step, "state": "nan", "advice": ADVICE["nan"], "evidence": str(error)}
            )
        raise RunError(f"{error}; {_newest(run)}") from error
    except jax.errors.JaxRuntimeError as error:
        raise _explained(error, run) from error


class _Keeper:
    """What the writing process does between dispatches: callbacks, checkpoints, rows. In the others it does nothing."""

    def __init__(
        self,
        run: Run,
        checkpoints: Checkpoints | None,
        stack: contextlib.ExitStack,
        callbacks: Sequence[Every],
        start: int,
    ):
        self._run, self._checkpoints = run, checkpoints
        self.callbacks = [Every(every, self._guarded(call)) for every, call in callbacks]
        self._state = (read_rows(run.directory / "diagnosis.jsonl") or [{"state": "ok"}])[-1]["state"]
        scores = read_rows(run.directory / "eval.jsonl")
        self._seen: list[Row] = with_scores(read_rows(run.directory / "metrics.jsonl"), scores)[-WINDOW:]
        self._overfit: Row = {}
        for row in scores:
            self._note(row)
        if run.writes:
            self._board = SummaryWriter(str(run.path("tensorboard")), purge_step=start + 1)
            stack.callback(self._board.close)

    def _guarded(self, call: Callable[[int, TrainState], Row | None]) -> Callable[[int, TrainState], Row | None]:
        return lambda step, state: call(step, local(state)) if self._run.writes else None

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
        numbers = {name: value for name, value in scores.items() if isinstance(value, int | float)}
        told = [f"{name} {value:.4g}" for name, value in numbers.items() if not name.endswith(("_std", "_floor"))]
        self._run.log(f"scores      step {at}: {', '.join(told)}")

    def _note(self, scores: Row) -> None:
        self._overfit |= {name: value for name, value in scores.items() if name == "overfit"}

    def write(self, at: int, row: Row) -> None:
        self._run.add_row("metrics.jsonl", {"step": at, **row})
        for name, value in row.items() if self._run.writes else ():
            self._board.add_scalar(name, value, at)

    def health(self, at: int, row: Row) -> str:
        """The state of the game in a word; a change is told, and kept with its evidence."""
        self._seen = [*self._seen[-WINDOW:], {**row, **self._overfit}]
        found = diagnose(self._seen)
        if found.state != self._state:
            self._state = found.state
            evidence = {name: round(value, 4) for name, value in found.evidence.items()}
            entry = {"step": at, "state": found.state, "advice": found.advice, "evidence": evidence}
            self._run.add_row("diagnosis.jsonl", entry)
            told = ", ".join(f"{name} {value:.2f}" for name, value in evidence.items())
            self._run.log(f"doctor      {found.state} at step {at} ({told})" + f": try {found.advice}" * bool(found.advice))
        return found.state

    def save(self, at: int, state: TrainState, scores: Row) -> None:
        numbers = {name: value for name, value in scores.items() if isinstance(value, int | float)}
        if scores:
            self._keep_scores(at, scores)
        for name, value in numbers.items() if self._run.writes else ():
            self._board.add_scalar(f"eval/{name}", value, at)
        if self._checkpoints:
            self._checkpoints.save(at, local(state), numbers)


def _newest(run: Run) -> str:
    steps = sorted(int(path.name) for path in (run.directory / "checkpoints").glob("[0-9]*") if path.name.isdecimal())
    newest = f"step {steps[-1]}" if steps else "none"
    return f"newest healthy checkpoint in {run.directory / 'checkpoints'}: {newest}"


def _explained(error: jax.errors.JaxRuntimeError, run: Run) -> RunError:
    """What the runtime says, for a user; an error that is not understood stays as it is."""
    text = str(error).splitlines()[0]
    if "RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower():
        return RunError(
            f"out of memory on {jax.local_devices()[0].device_kind} ({text[:200]}): --dry-run says how much the step needs; a "
            f"smaller --batch or --width, --accumulate 2 or more, --precision bf16 and --feed host lower it; {_newest(run)}"
        )
    if processes.lost() or any(word in text for word in ("Gloo", "NCCL", "coordination service", "Connection closed by peer")):
        return RunError(f"another process was lost: start all again to go on; {_newest(run)}")
    raise error


def _feeder(run: Run, step: Step, rounds: Rounds, feed: Feed, mesh: Mesh | None) -> Advance:
    """The driver for these data, and a line that says which."""
    nbytes = sum(array.nbytes for array in rounds.arrays.values())
    on_device = feed == "device" or (feed == "auto" and not processes.any_says(not room_on_device(nbytes)))
    where = "on the device" if on_device else "mapped from disk and sent ahead of the step"
    run.log(f"data        {len(rounds)} examples, {nbytes / 1e6:,.1f} MB, {where}")
    if mesh is not None:
        run.log(
            f"devices     {mesh.size} in {jax.process_count()} process{'es' * (jax.process_count() > 1)}, "
            f"{rounds.examples // mesh.size} examples a round each"
        )
    if on_device:
        return resident(step, rounds.arrays, rounds.plan, rounds.finish, mesh=mesh)
    part = dataclasses.replace(rounds, process=jax.process_index(), processes=jax.process_count())
    return streamed(step, part.load, part.finish, mesh=mesh)


def _start(run: Run, checkpoints: Checkpoints, state: TrainState, init_from: Path | None, steps: int) -> TrainState:
    restored = checkpoints.restore(state)
    if restored is not None:
        state, at = restored
        if at >= steps:
            run.log(f"{run.directory} has {at} steps already: nothing to train (ask for more by --steps)")
            return state
        run.rewind(at)
        run.log(f"continuing {run.directory} from step {at}")
        return state
    run.rewind(-1)
    if init_from is not None:
        state = with_weights(state, load_weights(init_from))
        run.log(f"began with the weights of {init_from}")
    return state


def load_weights(directory: Path, step: int | None = None) -> dict[str, Any]:
    """A run's saved state as nested dictionaries, from its newest checkpoint or that of `step`."""
    if not (directory / "checkpoints").is_dir():
        raise InputError(f"{directory} is no run with checkpoints")
    with Checkpoints(directory / "checkpoints", read_only=True) as checkpoints:
        if not checkpoints.steps:
            raise InputError(f"{directory} has no complete checkpoint yet")
        return checkpoints.read(checkpoints.steps[-1] if step is None else step)


def with_weights(state: TrainState, saved: dict[str, Any]) -> TrainState:
    """`state` with the parameters, statistics and averages of a saved one; raises `InputError` if shapes differ."""
    gen = state.gen._replace(
        params=_fitted(saved["gen"]["params"], state.gen.params),
        stats=_collections(saved["gen"].get("stats") or {}, state.gen.stats),
    )
    disc = state.disc._replace(
        params=_fitted(saved["disc"]["params"], state.disc.params),
        stats=_collections(saved["disc"].get("stats") or {}, state.disc.stats),
    )
    return state._replace(gen=gen, disc=disc, ema_params=_fitted(saved["ema_params"], state.ema_params))


def _collections(saved: PyTree, like: PyTree) -> PyTree:
    """The saved collections, but an augmentation's state begins anew if only one of the runs has one."""
    rest = {name: value for name, value in saved.items() if name != "augment" or name in like}
    return {name: like[name] for name in like if name == "augment" and name not in saved} | _fitted(
        rest, {name: value for name, value in like.items() if name != "augment" or name in saved}
    )


def _fitted(saved: PyTree, like: PyTree) -> PyTree:
    try:
        same = jax.tree.map(lambda s, x: np.shape(s) == np.shape(x), saved, like)
    except ValueError as error:
        raise InputError(f"--init-from holds another network: {str(error).splitlines()[0][:200]}") from error
    if not all(jax.tree.leaves(same)):
        raise InputError("--init-from holds a network of another size: give the flags that it was trained with")
    return jax.tree.map(jax.numpy.asarray, saved)
