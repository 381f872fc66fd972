"""A whole run: begin or continue, play, keep what happened, and end well."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import PyTree
from tensorboardX import SummaryWriter

from gan_jax.checkpoint import Checkpoints
from gan_jax.core import Step, TrainState
from gan_jax.data.rounds import Rounds
from gan_jax.errors import InputError, RunError
from gan_jax.loop import Advance, Every, Interrupted, Report, Row, fit
from gan_jax.parallel import resident, room_on_device, streamed
from gan_jax.run import Run

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
    callbacks: Sequence[Every] = (),
    init_from: Path | None = None,
) -> TrainState:
    """Train in `run`'s directory from its newest checkpoint, or else from `state`, up to `steps` rounds.

    `state` is the state before the first round; `init_from`, another run's directory, lends its weights to it (weights
    only, and only if this run has no checkpoint yet). `rounds` says what each round is played on; its data lie on the
    device if there is room, or stay on the host, or as `feed` says. The best checkpoint by `metric`, one of the callbacks'
    scores, is kept. Scores go to eval.jsonl, metrics to metrics.jsonl and TensorBoard.
    """
    with run.checkpoints(metric=metric) as checkpoints:
        state = _start(run, checkpoints, state, init_from)
        start = int(state.step)
        if start >= steps:
            run.log(f"{run.directory} has {start} steps already: nothing to train (ask for more by --steps)")
            return state
        board = SummaryWriter(str(run.path("tensorboard")), purge_step=start + 1)

        def write(at: int, row: Row) -> None:
            run.add_row("metrics.jsonl", {"step": at, **row})
            for name, value in row.items():
                board.add_scalar(name, value, at)

        def save(at: int, state: TrainState, scores: Row) -> None:
            if scores:
                run.add_row("eval.jsonl", {"step": at, **scores})
            checkpoints.save(at, state, scores)

        if start == 0:
            scores: Row = {}
            for callback in callbacks:
                scores |= callback.call(0, state) or {}
            if scores:
                run.add_row("eval.jsonl", {"step": 0, **scores})
        report = Report(start=start, steps=steps, interval=log_every, images=rounds.examples, write=write, show=run.log)
        try:
            return fit(
                state,
                _feeder(run, step, rounds, feed),
                steps=steps,
                save=save,
                save_every=save_every,
                report=report,
                callbacks=callbacks,
            )
        except Interrupted as stop:
            run.log(f"stopped and saved at step {stop.step}; run the same command again to go on")
            raise
        except RunError as error:
            newest = f"step {checkpoints.steps[-1]}" if checkpoints.steps else "none"
            raise RunError(f"{error}; newest healthy checkpoint in {checkpoints.directory}: {newest}") from error
        finally:
            board.close()


def _feeder(run: Run, step: Step, rounds: Rounds, feed: Feed) -> Advance:
    """The driver for these data, and a line that says which."""
    nbytes = sum(array.nbytes for array in rounds.arrays.values())
    on_device = feed == "device" or (feed == "auto" and room_on_device(nbytes))
    where = "on the device" if on_device else "mapped from disk and sent ahead of the step"
    run.log(f"data        {len(rounds)} examples, {nbytes / 1e6:,.1f} MB, {where}")
    if on_device:
        return resident(step, rounds.arrays, rounds.plan, rounds.finish)
    return streamed(step, rounds.load, rounds.finish)


def _start(run: Run, checkpoints: Checkpoints, state: TrainState, init_from: Path | None) -> TrainState:
    restored = checkpoints.restore(state)
    if restored is not None:
        state, at = restored
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
