"""A whole experiment from its flags, its data and its game: the directory, sheets, scores, the doctor, the film, the end."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import jax
import numpy as np

from gan_jax import core, interrupts, progress
from gan_jax.config import checked
from gan_jax.core import Objective, Players, Sampler, Step, TrainState
from gan_jax.data.balance import Strata
from gan_jax.data.dataset import Arrays, BalancedOrder, Dataset, Drawn, Order
from gan_jax.data.rounds import Rounds, examples
from gan_jax.data.variation import Variation
from gan_jax.errors import InputError, Interrupted, RunError
from gan_jax.evaluation.doodle_text import told_of
from gan_jax.evaluation.evaluator import Evaluator, best_by, parse_metrics
from gan_jax.evaluation.scores import LEAST_HELD_OUT
from gan_jax.files import check_apart, exists, place
from gan_jax.images.convert import to_uint8
from gan_jax.images.sheets import enlargement, grid, save
from gan_jax.parallel import processes
from gan_jax.parallel.memory import analyse, require_bytes, require_room
from gan_jax.rows import evenly
from gan_jax.runs.conditions import Rows, ask, count, facts_of, population, rows_of
from gan_jax.runs.run import Run
from gan_jax.runs.spec import script_spec
from gan_jax.sampling import Statistics
from gan_jax.training.callbacks import (
    SCORE_SEED,
    SHEET_SEED,
    Call,
    Show,
    Take,
    evaluation,
    overfit_check,
    sample_sheets,
    sampled,
    sheet,
)
from gan_jax.training.conclusion import conclude
from gan_jax.training.convolutions import measured_step
from gan_jax.training.film import make_film
from gan_jax.training.flags import ExperimentFlags
from gan_jax.training.live import in_notebook, live_sheet
from gan_jax.training.loop import Every
from gan_jax.training.plateau import stop_of
from gan_jax.training.report import Row
from gan_jax.training.trainer import train

C = TypeVar("C", bound=ExperimentFlags)
ENOUGH = 32  # samples of a sheet that may be normalised by their own statistics
HELD_OUT_LOOK = 256  # training and held-out examples that memorising is measured on


@dataclass(frozen=True)
class Game:
    """What is played, and what is shown of it.

    objective: the game; `tx` its two optimizers
    sampler:   what makes its sampler, as model.json keeps it: `functools.partial(image_sampler, generator, latent)`
    vary:      what changes of the examples from round to round
    show:      (samples, inputs, state) -> a uint8 picture (h, w, c); default: images side by side
    shown:     how many samples it is given
    score:     (samples) -> numbers, of samples that are no pictures
    strata:    of the training examples, which have equal shares in the rounds
    measure:   (state) -> numbers of the game itself, such as on whole test pictures
    best:      the number that ranks checkpoints, and whether its largest or smallest is best; default by the scores
    facts:     what model.json says beside what is known here
    """

    objective: Objective
    tx: Players
    sampler: Callable[[], Sampler]
    vary: Sequence[Variation] = ()
    show: Show = sheet
    shown: int = 64
    score: Callable[[np.ndarray], Row] | None = None
    strata: Strata | None = None
    measure: Callable[[TrainState], Row] | None = None
    best: tuple[str, Literal["max", "min"]] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def run_experiment(build: Callable[[C, Dataset], Game], name: str, config: C) -> Run | None:
    """Train the game that `build(config, dataset)` gives, in its own directory, and conclude: the last line of a script.

    The run continues where its directory has checkpoints; a dry run says what a round takes, and gives None.
    Raises `InputError` for flags and data that cannot work, before anything is trained, and `RunError` if the run fails or
    its samples are of one class where real pictures are not.
    """
    try:
        return _experiment(build, name, checked(config))
    except KeyboardInterrupt:
        if interrupts.in_program():
            raise
        raise Interrupted(0, saved=False) from None  # a notebook shows a line of it


def _experiment(build: Callable[[C, Dataset], Game], name: str, config: C) -> Run | None:
    with progress.step("opening the devices"):
        mesh = config.open_devices(config.batch, config.accumulate)
    with progress.step("reading the data"):
        dataset = config.load()
    with progress.step("making the networks"):
        game, rounds, step, state = prepare(build, config, dataset)
    if config.dry_run:
        with progress.step("compiling the round"):
            print(analyse(step, state, rounds.like(), mesh))
        return None
    asks = Asks(game, dataset, {name: dataset.train[name] for name in rounds.arrays})
    metrics = metrics_of(config, dataset, asks.sampler.needs)
    best, mode = game.best or best_by(metrics)
    outdir = directory_of(config, name, dataset.name)
    with Run(outdir, config, dataset.fingerprint, processes.is_first()) as run:
        for note in (*dataset.notes, *(game.strata.notes if game.strata else ())):
            run.log(f"note        {note}")
        run.describe_model(game.sampler, facts_on(build, config, game, asks, metrics), asks.rows)
        try:
            train(
                run,
                measured_step(step, mesh.size if mesh else 1, run),
                state,
                rounds,
                steps=config.steps,
                log_every=config.log_every,
                save_every=config.save_every,
                feed=config.feed,
                metric=best,
                mode=mode,
                callbacks=_callbacks(config, run, game, dataset, asks, metrics),
                init_from=config.init_from,
                mesh=mesh,
                enough=stop_of(config, run, best),
            )
        except (Interrupted, RunError):
            if run.writes and (films := make_film(run)):
                run.log(f"film        {', '.join(map(str, films))}")
            raise
        if run.writes:
            conclude(run)
    return run


class Prepared(NamedTuple):
    """What a run is made of before its first round; nothing of it was compiled but the state."""

    game: Game
    rounds: Rounds
    step: Step
    state: TrainState


def prepare(build: Callable[[C, Dataset], Game], config: C, dataset: Dataset) -> Prepared:
    """The game, its rounds, its step and its first state; raises `InputError` for what cannot work or does not fit."""
    _require_room(config, dataset)
    game = build(config, dataset)
    rounds = rounds_of(config, dataset, game)
    step = config.step(game.objective, game.tx)
    like = {name: np.zeros((2 * config.pack, *x.shape[1:]), x.dtype) for name, x in rounds.shapes.items()}
    start = partial(core.init_state, game.objective, game.tx)
    key = jax.random.key(config.seed)
    require_room(jax.eval_shape(start, key, like), rounds.like())
    state = jax.jit(start)(key, like)
    jax.eval_shape(step, state, rounds.like())  # what the step refuses is told now
    return Prepared(game, rounds, step, state)


def _require_room(config: ExperimentFlags, dataset: Dataset) -> None:
    """Raises `InputError` for minibatches that cannot be packed, and for what takes more memory than there is."""
    if config.batch % config.pack:
        raise InputError(f"--batch {config.batch} cannot be packed by {config.pack}: choose a multiple of --pack")
    example = sum(math.prod(x.shape[1:]) for x in dataset.train.values())
    minibatches = config.minibatches
    shown = 4 * example * config.batch * minibatches
    batches = f"{minibatches:,} x {config.batch:,} examples a round"
    require_bytes(shown, batches, "choose a smaller --batch, or fewer updates")
    require_bytes(example * config.eval_n, f"{config.eval_n:,} samples to score", "choose a smaller --eval-n")


def rounds_of(config: ExperimentFlags, dataset: Dataset, game: Game) -> Rounds:
    """The rounds of a game on the arrays that it is played on; raises `InputError` where the data lack one."""
    used = {name for variation in game.vary for name in variation.uses}
    for name in used:
        dataset.require(name)
    arrays, before = dataset.drawn or Drawn(dataset.train)
    names = [name for name in arrays if name in used | set(game.objective.needs)]
    rounds = Rounds(
        {name: arrays[name] for name in names} or dict(arrays),
        _order(config, game, len(next(iter(arrays.values())))),
        parts=config.minibatches,
        vary=(*before, *game.vary),
    )
    for need in game.objective.needs:
        if need not in rounds.shapes:
            dataset.require(need)
    return rounds


def _order(config: ExperimentFlags, game: Game, size: int) -> Order:
    if game.strata is None:
        return Order(config.seed, size, config.batch)
    return BalancedOrder(config.seed, game.strata.of, config.batch)


def directory_of(config: ExperimentFlags, name: str, data: str) -> Path:
    """Where the run of an experiment on data of a name goes; raises `InputError` for a place within its data."""
    outdir = config.outdir or Path("runs") / f"{name}-{data.replace('/', '-')}"
    inputs = [path for path in [getattr(config, "data", "")] if path and exists(place(path))]
    check_apart(outdir / "config.json", inputs, flag="--outdir")
    return outdir


def metrics_of(config: ExperimentFlags, dataset: Dataset, needs: Sequence[str] = ()) -> tuple[str, ...]:
    """What pictures are scored by that are asked by `needs`; none for data that are no pictures.

    Raises `InputError` for an unknown name.
    """
    asked = () if config.eval_metrics == "auto" else parse_metrics(config.eval_metrics)
    if "image" not in dataset.train and asked:
        raise InputError(f"--eval-metrics {config.eval_metrics}: {dataset.name} has no pictures to compute these scores on")
    if "image" not in dataset.train or config.eval_metrics != "auto":
        return asked
    labelled = bool(dataset.class_names) and bool(dataset.held_out)
    told = told_of(dataset) if "caption" in needs else None
    matched = (f"match_{told.kind}",) if told else ()
    return ("kid", "recognised") if labelled and config.features in ("auto", "judge") else ("kid", *matched)


def facts_on(
    build: Callable[[C, Dataset], Game], config: C, game: Game, asks: "Asks", metrics: Sequence[str]
) -> dict[str, Any]:
    """What model.json says of a run beside its sampler."""
    best, mode = game.best or best_by(metrics)
    script = script_spec(build, config)
    return {
        "statistics": config.statistics,
        "metric": best,
        "mode": mode,
        **({"script": script} if script else {}),
        **asks.facts,
        **game.facts,
    }


class Asks:
    """What the sampler of a game is asked for: on sheets, for scores, and by commands later."""

    def __init__(self, game: Game, dataset: Dataset, arrays: Arrays):
        self.sampler, self._vary = game.sampler(), tuple(game.vary)
        self.names, self._arrays = tuple(arrays), arrays
        unseen = {name: dataset.held_out[name] for name in arrays if name in dataset.held_out}
        rest = [name for name in self.sampler.needs if name != "label"]
        varied = examples(unseen or arrays, self._vary, 64) if rest else {}
        self.rows: Rows = {name: varied[name] for name in rest}
        self.facts: dict[str, Any] = facts_of(self.sampler, self.rows, dataset.class_names, dataset.untrained)
        everything = {**self.facts, "rows": self.rows}
        self.population = population(self.sampler, everything)
        self.turns = partial(ask, self.sampler, everything, wanted={})

    def as_data(self, n: int) -> Rows:
        """What n examples of the training data ask for."""
        needs = set(self.sampler.needs)
        if not needs:
            return count(n)
        if needs <= self._arrays.keys() and not any(needs & set(variation.uses) for variation in self._vary):
            return rows_of(self.sampler, self._arrays, n)
        return rows_of(self.sampler, examples(self._arrays, self._vary, n), n)


def _callbacks(
    config: ExperimentFlags, run: Run, game: Game, dataset: Dataset, asks: Asks, metrics: Sequence[str]
) -> list[Every]:
    """Sheets of samples, scores, and a look at held-out examples; a process that does not write keeps the same intervals."""
    if not run.writes:
        evaluated = bool(metrics) or game.score is not None or game.measure is not None
        sheets_and_scores = [(config.sample_every, True), *[(config.eval_every, False)] * evaluated]
        return [Every(n, lambda step, state: None, early) for n, early in sheets_and_scores]
    calls = [Every(config.sample_every, sheets(config, run, game, dataset, asks), early=True)]
    if in_notebook():
        calls.append(Every(config.sample_every, live_sheet(run.directory), early=True))
    return calls + [Every(config.eval_every, call) for call in scorers(config, game, dataset, asks, metrics, run.log)]


def scorers(
    config: ExperimentFlags,
    game: Game,
    dataset: Dataset,
    asks: Asks,
    metrics: Sequence[str],
    log: Callable[[str], object],
) -> list[Call]:
    """What gives the scores of a state, and how much its discriminator has memorised."""
    scored = bool(metrics) or game.score is not None
    take = partial(sampled, asks.sampler, population=asks.population, statistics=config.statistics)
    calls: list[Call] = []
    asked = asks.as_data(config.eval_n) if scored else {}
    if metrics:
        network = config.open_features(dataset)
        log(f"scores      {', '.join(metrics)} of {config.eval_n} samples by features of {network}")
        if network.reliability:
            lines = ", ".join(f"{name} {each}" for name, each in network.reliability.items())
            log(f"classifier  on held-out pictures: {lines}")
        evaluator = Evaluator(dataset, network, metrics, labelled="label" in asks.sampler.needs)
        if evaluator.read_by:
            log(f"reading     by {evaluator.read_by}")
        pictures = take(asked, seed=SCORE_SEED, finish=to_uint8)
        told = {name: asked[name] for name in asks.sampler.needs}
        calls.append(evaluation(evaluator, pictures, config.eval_n, told, config.statistics))
    if game.score is not None:
        calls.append(_scores(game.score, take(asked, seed=SCORE_SEED)))
    if game.measure is not None:
        calls.append(_measured(game.measure))
    if scored and len(next(iter(dataset.held_out.values()), ())) >= LEAST_HELD_OUT:
        looks = (_some(arrays, asks.names, game, config.pack) for arrays in (dataset.train, dataset.held_out))
        calls.append(overfit_check(game.objective, *looks))
    return calls


def _some(arrays: Arrays, names: Sequence[str], game: Game, pack: int) -> Arrays:
    """Examples that memorising is measured on, a multiple of `pack` of them."""
    n = min(HELD_OUT_LOOK, len(arrays[names[0]]))
    return examples({name: arrays[name] for name in names}, game.vary, n - n % pack)


def sheets(config: ExperimentFlags, run: Run, game: Game, dataset: Dataset, asks: Asks) -> Call:
    """The callback for samples/; with its first sheet it writes real.png, as many real pictures."""
    take = partial(sampled, asks.sampler, population=asks.population, statistics=sheet_statistics(config, game))
    real = dataset.train.get("image")
    scale = 1 if real is None else enlargement(real.shape[1])
    draw = sample_sheets(run, take(asks.turns(n=game.shown), seed=SHEET_SEED), game.show, scale)

    def call(step: int, state: TrainState) -> None:
        if real is not None and not run.path("real.png").exists():
            save(grid(np.asarray(real[evenly(len(real), game.shown)])), run.path("real.png"), scale)
        draw(step, state)

    return call


def sheet_statistics(config: ExperimentFlags, game: Game) -> Statistics:
    """Those of a sheet: its own, if it has many samples, in place of standing ones, which take as long as many rounds."""
    return "batch" if config.statistics == "standing" and game.shown >= ENOUGH else config.statistics


def _scores(score: Callable[[np.ndarray], Row], take: Take) -> Call:
    return lambda step, state: {"source": "training", **score(take(state)[0])}


def _measured(measure: Callable[[TrainState], Row]) -> Call:
    return lambda step, state: {"source": "training", **measure(state)}
