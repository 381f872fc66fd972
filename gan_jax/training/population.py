"""Populations: many whole runs in one program, vmapped over settings and seeds, scanned over rounds, shared by devices."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from gan_jax import keys
from gan_jax.config import FREE, SEEDS, checked_steps
from gan_jax.core import Metrics, TrainState, make_step
from gan_jax.data.dataset import fingerprint
from gan_jax.data.rounds import Rounds
from gan_jax.errors import InputError, Interrupted
from gan_jax.parallel.mesh import run_mesh
from gan_jax.rows import chunks
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.run import Run
from gan_jax.training.loop import Every, fit
from gan_jax.training.member_rows import Death, MemberRows
from gan_jax.training.members import Build, Chunk, Make, Measure, Members, Program, Setting, named
from gan_jax.training.report import Report, Row
from gan_jax.training.sources import loads_itself

Watch = Callable[[int, int, dict[str, Any]], None]  # a round, the number of the first member, what was measured of each


class Population(NamedTuple):
    """What became of the members.

    settings: what each was made of
    states:   their last states on the host, with a leading axis of members; of a dead member the last finite one
    rows:     for each member its mean metrics over intervals, the last one before its death
    scores:   for each member what was measured
    died:     the members that died
    """

    settings: list[dict[str, int | float]]
    states: TrainState
    rows: list[list[Row]]
    scores: list[list[Row]]
    died: dict[int, Death]

    def state(self, member: int) -> TrainState:
        """The last state of one member."""
        return jax.tree.map(lambda x: x[member, ...], self.states)


@dataclasses.dataclass(frozen=True)
class _Asked:
    """config.json of a population."""

    settings: list[dict[str, int | float]]
    steps: int = dataclasses.field(metadata=FREE)
    log_every: int = dataclasses.field(metadata=FREE)
    save_every: int = dataclasses.field(metadata=FREE)
    measure_every: int = dataclasses.field(metadata=FREE)
    batch: int
    parts: int
    order: int | str
    together: int
    facts: dict[str, Any]


def train_population(
    build: Build,
    settings: Sequence[Setting],
    rounds: Rounds,
    *,
    steps: int,
    log_every: int,
    save_every: int = 1000,
    make: Make = make_step,
    share_batches: bool = False,
    measure: Measure | None = None,
    directory: Path | str | None = None,
    facts: Mapping[str, Any] | None = None,
    mesh: Mesh | None = None,
    together: int | None = None,
    dispatch: int = 50,
    start: TrainState | None = None,
    show: Callable[[str], None] = print,
    watch: Watch | None = None,
) -> Population:
    """Train a member for each of `settings`, from its `seed`, up to `steps` rounds, all in one program.

    `build(setting)` gives objective and optimizers; it is traced, so the setting's numbers enter the program as values.
    `make(objective, tx)` gives the step that all members share, such as `partial(make_step, disc_steps=5)`. A member plays
    on `rounds` in the order of its own seed, as it would alone; with `share_batches` all play on the batches of `rounds`.

    With `start` all members begin with this state, of the round that it is of, in place of one from their seed.

    A member with a metric or a state that is not finite dies: it keeps its last finite state, and the others go on. The
    members are trained `together` at a time (default: all), one chunk after the other; with a `run_mesh` of several devices
    these share the members of a chunk.

    With a `directory` the population is a run: the same call goes on from the newest checkpoint (one every `save_every`
    rounds), to the bit, and SIGINT saves. Rows of member i are in members/00i, which `gan_jax doctor` reads. config.json
    has the settings and `facts`, whatever else tells one population from another; a directory is continued only with the
    same. Without one `show` gets the lines of the log. `watch(step, first, measured)` gets what was measured of the members
    from number `first` on, each time: arrays with a leading axis of members.

    Raises `InputError` for settings that are not numbers or lack a seed, if the devices cannot share the members, and for
    more members than fit in memory, with the number that does; `Interrupted` if it was asked to stop.
    """
    if loads_itself(rounds):
        raise InputError(
            "a population plays on the arrays of its rounds, and these replace load: replace plan or finish instead"
        )
    size, mesh = len(settings) if together is None else together, mesh or run_mesh(jax.local_devices()[:1])
    numbers = _checked(settings, size, mesh.size)
    intervals = [log_every, save_every, *([measure.interval] if measure else [])]
    steps = checked_steps(steps)
    if min(steps, dispatch, *intervals) < 1:
        raise InputError("steps, and intervals of logging, measuring and saving, must be at least 1")
    program = Program(build, make, rounds, share_batches, measure, mesh)
    program.require_room(settings[0], min(size, len(settings)))
    run = None
    if directory:
        order: int | str = rounds.order.seed if share_batches else "own"
        cadence = (steps, log_every, save_every, measure.interval if measure else 0)
        asked = _Asked(numbers, *cadence, rounds.order.batch, rounds.parts, order, size, dict(facts or {}))
        run = Run(directory, asked, fingerprint(rounds.arrays))
    show = run.log if run else show
    parts, states = [], []
    with run or nullcontext():
        for chosen in chunks(len(settings), size):
            chunk = Chunk(program, settings[chosen], min(steps, math.gcd(dispatch, *intervals)))
            kept = MemberRows(numbers[chosen], chosen.start, steps=steps, interval=log_every, run=run, show=show)
            states.append(_train(chunk, kept, run, steps, save_every, dispatch, start, watch))
            parts.append(kept)
        died = {i: death for part in parts for i, death in part.died.items()}
        show(_summary(len(settings), died))
    rows, scores = [rows for part in parts for rows in part.rows], [scores for part in parts for scores in part.scores]
    return Population(numbers, jax.tree.map(_joined, *states), rows, scores, died)


def _checked(settings: Sequence[Setting], size: int, devices: int) -> list[dict[str, int | float]]:
    """The numbers of the settings by name."""
    if not settings or size < 1:
        raise InputError("a population needs at least one setting, and at least one member at a time")
    found = [named(setting) for setting in settings]
    for each in found:
        if each.keys() != found[0].keys() or "seed" not in each:
            raise InputError(f"all settings need the same names and `seed`: one has {', '.join(each)}")
        if bad := [name for name, value in each.items() if not _is_number(value)]:
            raise InputError(f"a setting consists of finite numbers: {bad[0]} is {each[bad[0]]!r}")
        if each["seed"] not in SEEDS or each["seed"] != int(each["seed"]):
            raise InputError(f"the seed of a setting is a whole number {SEEDS}, not {each['seed']}")
    for members in sorted({min(size, len(found)), len(found) % size} - {0}):
        if members % devices:
            near = sorted({max(members // devices, 1) * devices, -(-members // devices) * devices})
            choices = " or ".join(map(str, near))
            raise InputError(f"{members} members together cannot be shared by {devices} devices: choose {choices}")
    return [{name: np.asarray(value).item() for name, value in each.items()} for each in found]


def _is_number(value: Any) -> bool:
    try:
        return not np.ndim(value) and bool(np.isfinite(float(value)))
    except (TypeError, ValueError):
        return False


def _train(
    chunk: Chunk,
    kept: MemberRows,
    run: Run | None,
    steps: int,
    save_every: int,
    dispatch: int,
    start: TrainState | None,
    watch: Watch | None,
) -> TrainState:
    """Begin or continue the members of a chunk and play them to the end; their states on the host."""
    with ExitStack() as stack:
        checkpoints = None
        if run:
            name = f"{kept.first:03}-{kept.first + chunk.size - 1:03}"
            checkpoints = stack.enter_context(Checkpoints(run.directory / "checkpoints" / name))
        if not (checkpoints and checkpoints.steps and checkpoints.steps[-1] >= steps):  # else nothing is left to play
            chunk.program.prepare(chunk)
        members = chunk.begin() if start is None else chunk.copies(start)
        if run and checkpoints:
            members, at = checkpoints.restore(members) or (members, -1)
            members = chunk.place(members)
            run.accept()
            kept.go_on(run.directory, at)
            if at < steps:
                chunk.program.prepare(chunk)

        def advance(members: Members, first: int, n: int) -> tuple[Members, Metrics]:
            members, means, record = chunk.advance(members, first, n)
            kept.add(first + n, record)
            return members, means

        def save(step: int, members: Members, scores: Row) -> None:
            kept.flush()
            if checkpoints:
                checkpoints.save(step, members)

        def look(step: int, members: Members) -> None:
            kept.flush()
            measured = chunk.look(members)
            kept.score(step, measured)
            if watch:
                watch(step, kept.first, jax.device_get(measured))

        measure = chunk.program.measure
        report = Report(
            start=int(members.step),
            steps=steps,
            interval=kept.interval,
            images=chunk.program.rounds.examples * chunk.size,
            write=lambda step, row: None,
            show=kept.show,
            health=lambda step, row: f"{row['members']:.0f} of {chunk.size} members",
        )
        try:
            members = fit(
                members,
                advance,
                steps=steps,
                save=save,
                save_every=save_every,
                report=report,
                callbacks=[Every(measure.interval, look)] if measure else [],
                dispatch=dispatch,
                watch=checkpoints.check if checkpoints else lambda: None,
            )
        except Interrupted as stop:
            kept.show(
                f"stopped at step {stop.step}" + ", and saved: run the same command again to go on" * bool(run and stop.saved)
            )
            raise
        return jax.tree.map(lambda x: keys.on_data(np.asarray, x), members.games)


def _joined(*parts: Any) -> Any:
    return keys.wrapped(np.concatenate([np.asarray(keys.data(x)) for x in parts]), parts[0])


def _summary(members: int, died: dict[int, Death]) -> str:
    told = [f"member {i} at step {death.step} ({', '.join(death.metrics)})" for i, death in died.items()]
    return f"members     {members - len(died)} of {members} lived" + f"; not finite: {'; '.join(told)}" * bool(told)
