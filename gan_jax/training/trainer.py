"""A whole run: begin or continue, play, keep what happened, and end well."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import jax
from jax.sharding import Mesh

from gan_jax import interrupts, keys
from gan_jax.config import checked_steps
from gan_jax.core import Step, TrainState
from gan_jax.errors import Interrupted, NotFinite, RunError
from gan_jax.parallel import processes
from gan_jax.parallel.mesh import local, replicate
from gan_jax.parallel.processes import from_first
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.run import Run
from gan_jax.runs.transfer import load_weights, with_weights
from gan_jax.training.doctor import Cure, advice, told
from gan_jax.training.keeper import Keeper
from gan_jax.training.loop import Every, fit
from gan_jax.training.report import Report
from gan_jax.training.sources import Data, Feed, examples, feeder, source_of

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
    data: Data,
    *,
    steps: int,
    log_every: int,
    save_every: int,
    batch: int | None = None,
    seed: int | None = None,
    feed: Feed = "auto",
    metric: str | None = None,
    mode: Literal["max", "min"] = "max",
    callbacks: Sequence[Every] = (),
    init_from: Path | str | None = None,
    mesh: Mesh | None = None,
    enough: Callable[[], bool] = lambda: False,
) -> TrainState:
    """Train in `run`'s directory from its newest checkpoint, or else from `state`, up to `steps` rounds.

    The same call again goes on where the run ended, for whatever reason. `state` is the state before the first round, and
    stays valid; `init_from`, another run's directory, lends its weights to it (weights only, and only if this run has no
    checkpoint yet). `data` is what rounds are played on: `Rounds`; arrays by name,
    played on in minibatches of `batch` (64) in the order of `seed` (0); an iterable of batches, such as a DataLoader of
    PyTorch, a tf.data or grain data set (dictionaries, tuples of image and label, or images), which begins anew where it ends
    and where a run is continued; or a function that gives the batch of round i. Arrays lie on the device if there is room, or
    stay on the host, or as `feed` says. The best checkpoint by `metric`, one of the callbacks'
    scores, is kept, the largest or the smallest as `mode` says. Scores go to eval.jsonl, metrics to metrics.jsonl, both to
    TensorBoard; every change of the game's state (`gan_jax.training.doctor`) is told and goes to diagnosis.jsonl.

    `enough()` is asked before the first round and after the callbacks were called, and ends the run before `steps` if it is
    true.

    With a `mesh` of several devices each round's batch is sharded over them (`gan_jax.parallel`). Of several processes the
    one whose `run` writes reads and writes checkpoints, calls the callbacks and logs; the others play along.

    Raises `InputError` for data that cannot be played on, if the run has checkpoints of another kind of state, or is being
    written by another process; `RunError` if it cannot go on; `Interrupted` when it was asked to stop.
    """
    steps = checked_steps(steps)
    source = source_of(data, step, batch, seed)
    with run, _reported(run), interrupts.deferred() as stop, contextlib.ExitStack() as stack:
        state, checkpoints = _start(run, stack, state, init_from, steps, metric, mode)
        state = state if mesh is None else replicate(from_first(state), mesh)
        if int(state.step) >= steps:
            return local(state)
        if processes.any_says(stop.asked):
            raise Interrupted(int(state.step), saved=False)
        keeper = Keeper(run, checkpoints, stack, callbacks, int(state.step))
        keeper.begin(state)
        report = Report(
            start=int(state.step),
            steps=steps,
            interval=log_every,
            images=examples(source),
            write=keeper.write,
            show=run.log,
            health=keeper.health,
            last="the doctor's word",
            silent=not run.writes,
        )
        return local(
            fit(
                state,
                feeder(source, step, feed, mesh, run.log),
                steps=steps,
                save=keeper.save,
                save_every=save_every,
                report=report,
                callbacks=keeper.callbacks,
                agree=processes.any_says,
                watch=keeper.watch,
                enough=enough,
            )
        )


@contextlib.contextmanager
def _reported(run: Run) -> Iterator[None]:
    """What ends the block is kept in the run, while that is open, and told with what to do."""
    try:
        yield
    except Interrupted as stop:
        run.log(f"{stop}; run the same command again to go on")
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
    steps = run.saved_steps()
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


def _start(
    run: Run,
    stack: contextlib.ExitStack,
    state: TrainState,
    init_from: Path | str | None,
    steps: int,
    metric: str | None,
    mode: Literal["max", "min"],
) -> tuple[TrainState, Checkpoints | None]:
    """The state to go on from, of arrays that nobody else holds (the rounds donate them), and the run's checkpoints."""
    if not run.writes:
        return jax.tree.map(_copy, state), None
    weights = load_weights(init_from) if init_from is not None and not run.began else None
    checkpoints = stack.enter_context(run.checkpoints(metric=metric, mode=mode))
    restored = checkpoints.restore(state)
    if restored is None:
        begun = jax.tree.map(_copy, state if weights is None else with_weights(state, weights))
        run.rewind(-1)
        if weights is not None:
            run.log(f"began with the weights of {init_from}")
        return begun, checkpoints
    state, at = restored
    run.accept()
    if init_from is not None:
        run.log(f"note        the weights of {init_from} are not used: a run that has checkpoints goes on from these")
    if at >= steps:
        run.log(f"{run.directory} has {at} steps already: nothing to train (ask for more steps)")
    else:
        run.rewind(at)
        run.log(f"continuing {run.directory} from step {at}")
    return state, checkpoints


def _copy(x: jax.Array) -> jax.Array:
    return keys.on_data(jax.numpy.array, x)
