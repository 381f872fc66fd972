"""A whole run: begin or continue, play, keep what happened, and end well."""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import jax
from jax.sharding import Mesh

from gan_jax.core import Advance, Step, TrainState
from gan_jax.data.rounds import Rounds
from gan_jax.errors import Interrupted, NotFinite, RunError
from gan_jax.parallel import processes
from gan_jax.parallel.feeds import resident, streamed
from gan_jax.parallel.memory import room_on_device
from gan_jax.parallel.mesh import local, replicate
from gan_jax.parallel.processes import from_first
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.run import Run
from gan_jax.runs.transfer import load_weights, with_weights
from gan_jax.training.doctor import Cure, advice, told
from gan_jax.training.keeper import Keeper
from gan_jax.training.loop import Every, fit
from gan_jax.training.report import Report

Feed = Literal["auto", "device", "host"]
LESS_MEMORY = (
    Cure("see how much the step takes", "dry_run"),
    Cure("take a smaller batch", "batch"),
    Cure("a smaller network", "width"),
    Cure("accumulated gradients", "accumulate", "2 or more"),
    Cure("bfloat16", "precision", "bf16"),
    Cure("data on the host", "feed", "host"),
)


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

    With a `mesh` of several devices each round's batch is sharded over them (`gan_jax.parallel`). Of several processes the
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
            keeper = Keeper(run, checkpoints, stack, callbacks, int(state.step))
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
                "diagnosis.jsonl",
                {"step": error.step, "state": "nan", "advice": advice("nan", run.flags), "evidence": str(error)},
            )
        raise RunError(f"{error}; {_newest(run)}") from error
    except jax.errors.JaxRuntimeError as error:
        raise _explained(error, run) from error


def _newest(run: Run) -> str:
    steps = sorted(int(path.name) for path in (run.directory / "checkpoints").glob("[0-9]*") if path.name.isdecimal())
    newest = f"step {steps[-1]}" if steps else "none"
    return f"newest healthy checkpoint in {run.directory / 'checkpoints'}: {newest}"


def _explained(error: jax.errors.JaxRuntimeError, run: Run) -> RunError:
    """What the runtime says, for a user; an error that is not understood stays as it is."""
    text = str(error).splitlines()[0]
    if "RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower():
        device = jax.local_devices()[0].device_kind
        return RunError(f"out of memory on {device} ({text[:200]}): {told(LESS_MEMORY, run.flags)}; {_newest(run)}")
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
            run.log(f"{run.directory} has {at} steps already: nothing to train (ask for more steps)")
            return state
        run.rewind(at)
        run.log(f"continuing {run.directory} from step {at}")
        return state
    run.rewind(-1)
    if init_from is not None:
        state = with_weights(state, load_weights(init_from))
        run.log(f"began with the weights of {init_from}")
    return state
