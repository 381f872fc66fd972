"""Copies of a run's state played on with other settings, beside one with its own: what would help?"""

import copy
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gan_jax import progress
from gan_jax.core import TrainState
from gan_jax.data.dataset import Dataset
from gan_jax.errors import InputError
from gan_jax.evaluation.evaluator import best_by
from gan_jax.evaluation.scores import BETTER
from gan_jax.files import check_apart
from gan_jax.runs.fork import Change, Origin
from gan_jax.runs.records import Row, read_json, write_json
from gan_jax.runs.run import Run
from gan_jax.training.callbacks import Call
from gan_jax.training.doctor import ROWS, diagnose, with_scores
from gan_jax.training.experiment import Asks, Prepared, facts_on, metrics_of, prepare, scorers, sheets
from gan_jax.training.flags import ExperimentFlags
from gan_jax.training.population import train_population

PER_MEMBER = ("lr", "disc_lr", "b1", "disc_b1", "b2", "disc_b2", "r1", "r2", "wgan_gp", "dragan")
"""Flags that only the game's objective and optimizers read, as numbers: members of one population may differ in them."""


class Outcome(NamedTuple):
    """What became of one copy: the doctor's state, mean metrics of the last rounds, scores, its directory."""

    change: Change
    health: str
    metrics: Row
    scores: Row
    directory: Path | None


class Fork(NamedTuple):
    """A run at a step, and its copies `steps` rounds later; `metric` ranks them, the largest or the smallest by `mode`."""

    before: Outcome
    outcomes: list[Outcome]
    at: int
    steps: int
    metric: str | None
    mode: str

    @property
    def helped(self) -> list[Outcome]:
        """The copies that are healthy where the unchanged one is not, or score better than that one and are as healthy."""
        own = self.outcomes[0]
        return [one for one in self.outcomes[1:] if _is_better(one, own, self.metric, self.mode)]


def _is_better(one: Outcome, own: Outcome, metric: str | None, mode: str) -> bool:
    if (one.health == "ok") != (own.health == "ok"):
        return one.health == "ok"
    if metric is None or metric not in one.scores or metric not in own.scores:
        return False
    sign = 1 if mode == "max" else -1
    return bool(sign * one.scores[metric] > sign * own.scores[metric])


def fork(origin: Origin, changes: Sequence[Change], steps: int, out: Path, show: Callable[[str], None] = print) -> Fork:
    """Play `steps` rounds on copies of the origin's state, one for each change, all on the same examples and noise.

    Copies whose changes are numbers of `PER_MEMBER` are members of one population and play in one program, the others one
    after the other. Each copy is left as a run of its own in `out`, to be continued, sampled and compared; what became of
    them stands in fork.json there. The same call goes on where it was interrupted. Raises `InputError` for data that have
    changed, for changes that choose other data or need a state of another kind, for copies of another fork in `out`, and where
    learning rates would end before.
    """
    check_apart(out / "fork.json", [origin.directory])
    config, end = dataclasses.replace(origin.config, outdir=None), origin.step + steps
    if "steps" in config.fixed and end > config.steps:
        raise InputError(f"the learning rates of this run fall until round {config.steps:,}: fork it so that it ends before")
    with progress.step("reading the data"):
        dataset = config.load()
    if dataset.fingerprint != origin.fingerprint:
        raise InputError(
            f"the data of {origin.directory} have changed since (fingerprint {origin.fingerprint}, now {dataset.fingerprint})"
        )
    _require_same_data(config, changes, dataset)
    asked = {
        "origin": str(origin.directory.resolve()),
        "at": origin.step,
        "steps": steps,
        "changes": [str(one) for one in changes],
    }
    _require_same_question(out, asked)
    prepared = prepare(origin.build, config, dataset)
    start = origin.state(prepared.state)
    asks = Asks(prepared.game, dataset, {name: dataset.train[name] for name in prepared.rounds.arrays})
    metrics = metrics_of(config, dataset, asks.sampler.needs)
    measure = scorers(config, prepared.game, dataset, asks, metrics, show)
    metric, mode = prepared.game.best or best_by(metrics)
    before = _outcome(Change({}), origin, [], _scored(measure, origin.step, start), "", None)
    copies = _Copies(origin, dataset, asks, start, end, out, asked, show)
    outcomes: dict[str, Outcome] = {}
    for group in _groups(origin, dataset, changes):
        for change, (state, rows, died) in zip(group, copies.play(group), strict=True):
            scores = _scored(measure, end, state) if not died else {}
            directory = None if died else copies.leave(change, state, rows, scores)
            outcomes[str(change)] = _outcome(change, origin, rows, scores, died, directory)
    found = Fork(before, [outcomes[str(change)] for change in changes], origin.step, steps, metric, mode)
    write_json(out / "fork.json", _record(origin, found))
    return found


_OF_PLAY = {each.name for each in dataclasses.fields(ExperimentFlags)}  # flags that choose no examples


def _require_same_data(config: Any, changes: Sequence[Change], dataset: Dataset) -> None:
    for change in changes:
        if (
            change.flags.keys() - _OF_PLAY
            and dataclasses.replace(config, **change.flags).load().fingerprint != dataset.fingerprint
        ):
            raise InputError(f"--set {change} chooses other data, and copies play on the run's own: begin a new run for that")


def _require_same_question(out: Path, asked: Row) -> None:
    """Raises `InputError` where the folder holds copies that were asked for something else."""
    kept = read_json(out / "asked.json") or asked
    if different := [name for name, value in asked.items() if kept.get(name) != value]:
        told = "; ".join(f"{name} {kept.get(name)}, now {asked[name]}" for name in different)
        raise InputError(f"{out} holds copies of another fork ({told}): choose another --out")


def _scored(measure: Sequence[Call], step: int, state: TrainState) -> Row:
    scores: Row = {}
    for call in measure:
        scores |= call(step, state) or {}
    return scores


def _outcome(change: Change, origin: Origin, rows: list[Row], scores: Row, died: str, directory: Path | None) -> Outcome:
    end = rows[-1]["step"] if rows else origin.step
    history = with_scores([*origin.metrics, *rows], [*origin.scores, {"step": end, **scores}])
    health = died or (diagnose(history[-ROWS - 1 :]).state if history else "ok")
    return Outcome(change, health, history[-1] if history else {}, scores, directory)


def _groups(origin: Origin, dataset: Dataset, changes: Sequence[Change]) -> list[list[Change]]:
    """The changes that one program can play together, and each other one alone."""
    together = [change for change in changes if set(change.flags) <= set(PER_MEMBER)]
    if not _traceable(origin, dataset, together):
        together = []
    alone = [[change] for change in changes if change not in together]
    return [together, *alone] if together else alone


def _traceable(origin: Origin, dataset: Dataset, changes: Sequence[Change]) -> bool:
    """Whether the game can be made of settings that are arguments of a compiled program."""
    settings = _settings(origin, changes)
    if len(changes) < 2 or any(value is None for setting in settings for value in setting.values()):
        return False

    def trace(setting: dict[str, Any]) -> None:
        origin.build(_with(origin.config, setting), dataset)

    try:
        jax.eval_shape(trace, {name: jnp.float32(0) for name in settings[0]})
    except (InputError, TypeError, jax.errors.ConcretizationTypeError):  # it looks at the number itself
        return False
    return True


def _settings(origin: Origin, changes: Sequence[Change]) -> list[dict[str, Any]]:
    """For each change the values of all flags that one of them changes, and a seed, which has no effect on copies."""
    names = sorted({name for change in changes for name in change.flags})
    configs = [dataclasses.replace(origin.config, **change.flags) for change in changes]
    return [{"seed": origin.config.seed, **{name: _number(config, name) for name in names}} for config in configs]


def _number(config: Any, name: str) -> float | None:
    """The value of a flag; of the discriminator's own ones that are not given, what stands for them."""
    value = getattr(config, name)
    return getattr(config, name.removeprefix("disc_")) if value is None else value


def _with(config: Any, setting: dict[str, Any]) -> Any:
    """The flags with values that may be arguments of a program, which no check of theirs takes for numbers."""
    changed = copy.copy(config)
    for name, value in setting.items():
        if name != "seed":
            object.__setattr__(changed, name, value)
    return changed


class _Copies:
    """The copies of one state, how they are played up to round `end`, and how they are left as runs in `out`."""

    def __init__(
        self,
        origin: Origin,
        dataset: Dataset,
        asks: Asks,
        start: TrainState,
        end: int,
        out: Path,
        asked: Row,
        show: Callable[[str], None],
    ):
        self.origin, self.dataset, self.asks = origin, dataset, asks
        self.start, self.end, self.out, self.asked, self.show = start, end, out, asked, show

    def play(self, group: Sequence[Change]) -> list[tuple[TrainState, list[Row], str]]:
        """The last state, the rows of metrics, and how it died, of each copy."""
        config = dataclasses.replace(self.origin.config, **(group[0].flags if len(group) == 1 else {}))
        base = self._prepared(config)
        settings = _settings(self.origin, group) if len(group) > 1 else [{"seed": config.seed}]

        def build(setting: dict[str, Any]) -> Any:
            game = self.origin.build(_with(config, setting), self.dataset) if len(group) > 1 else base.game
            return game.objective, game.tx

        self.out.mkdir(parents=True, exist_ok=True)
        write_json(self.out / "asked.json", self.asked)  # once a group has been found to be playable
        self.show(f"copies      {', '.join(map(str, group))}" + " in one program" * (len(group) > 1))
        found = train_population(
            build,
            settings,
            base.rounds,
            steps=self.end,
            log_every=config.log_every,
            save_every=config.save_every,
            make=config.step,
            share_batches=True,
            directory=self.out / "rounds" / _folder(group[0]) if len(group) == 1 else self.out / "rounds" / "together",
            facts={**self.asked, "changes": [str(one) for one in group]},
            start=self.start,
            show=self.show,
        )
        return [(found.state(i), rows, "nan" if i in found.died else "") for i, rows in enumerate(found.rows)]

    def _prepared(self, config: Any) -> Prepared:
        base = prepare(self.origin.build, config, self.dataset)
        shapes = [jax.tree.map(lambda x: (x.shape, x.dtype), state) for state in (self.start, base.state)]
        if shapes[0] != shapes[1]:
            raise InputError(
                "--set changes the networks, their optimizers or augmentation: the run's state does not fit these. Begin a new "
                "run with --init-from in place of a fork"
            )
        return base

    def leave(self, change: Change, state: TrainState, rows: list[Row], scores: Row) -> Path:
        """Write a run that has the origin's rows, these rows, and a checkpoint of this state; returns its directory."""
        directory = self.out / _folder(change)
        own = {"outdir": directory} | ({} if "steps" in self.origin.config.fixed else {"steps": self.end})
        config = dataclasses.replace(self.origin.config, **change.flags, **own)
        game = self.origin.build(config, self.dataset)
        with Run(directory, config, self.dataset.fingerprint) as run:
            if run.began:
                return directory  # by an earlier call
            metrics = metrics_of(config, self.dataset, self.asks.sampler.needs)
            run.describe_model(game.sampler, facts_on(self.origin.build, config, game, self.asks, metrics), self.asks.rows)
            run.rewind(-1)
            run.log(f"forked      from {self.origin.directory} at step {self.origin.step}, {change}")
            for row in (*self.origin.metrics, *rows):
                run.add_row("metrics.jsonl", row)
            for row in (*self.origin.scores, *([{"step": self.end, **scores}] if scores else [])):
                run.add_row("eval.jsonl", row)
            sheets(config, run, game, self.dataset, self.asks)(self.end, state)
            with run.checkpoints() as checkpoints:
                checkpoints.save(self.end, state, {name: value for name, value in scores.items() if name in BETTER})
        return directory


def _folder(change: Change) -> str:
    return str(change).replace(" ", "-").replace("/", "-")


def _record(origin: Origin, found: Fork) -> Row:
    """fork.json."""
    rows = [("before", found.before), *((str(one.change), one) for one in found.outcomes)]
    return {
        "origin": str(origin.directory),
        "at": found.at,
        "steps": found.steps,
        "metric": found.metric,
        "helped": [str(one.change) for one in found.helped],
        "copies": {name: {"health": one.health, "metrics": one.metrics, "scores": one.scores} for name, one in rows},
    }


def table(found: Fork) -> str:
    """A row before the fork and one for each copy: the doctor's state, the scores, how D rates real pictures and samples."""
    names = [name for name in BETTER if name in found.before.scores]
    metrics = {"disc/real": "D(x)", "disc/fake": "D(G(z))", "overfit": "overfit"}
    shown = {name: word for name, word in metrics.items() if name in found.before.metrics}
    width = max(len(str(one.change)) for one in found.outcomes) + 2
    width = max(width, len(f"step {found.at}") + 2)
    head = f"{'':{width}}{'doctor':14}" + "".join(f"{name:>14}" for name in names) + "".join(f"{w:>9}" for w in shown.values())
    lines = [head]
    helped = [str(one.change) for one in found.helped]
    for name, one in ((f"step {found.at}", found.before), *((str(one.change), one) for one in found.outcomes)):
        cells = [_cell(one.scores.get(score), 14, ".4g") for score in names]
        cells += [_cell(one.metrics.get(metric), 9, ".2f") for metric in shown]
        lines.append(f"{name:{width}}{one.health:14}{''.join(cells)}{'  helped' * (name in helped)}".rstrip())
    return "\n".join(lines)


def _cell(value: Any, width: int, kind: str) -> str:
    return f"{value:>{width}{kind}}" if isinstance(value, int | float) else f"{'-':>{width}}"
