"""How long a run takes, measured before it starts, and the rounds and intervals that fit into a given time."""

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax import progress
from gan_jax.errors import InputError
from gan_jax.images.convert import to_uint8
from gan_jax.parallel.mesh import replicate
from gan_jax.training.callbacks import SHEET_SEED, sampled
from gan_jax.training.convolutions import measured_step
from gan_jax.training.experiment import Asks, metrics_of, prepare, scorers, sheet_statistics
from gan_jax.training.loop import Every
from gan_jax.training.sources import feeder

SHEETS, SCORES = 150, 12  # of a run
OFTEN = 48  # scores of a run that may stop at any of them
LEAST = 100  # rounds that a run is worth beginning for
_UNIT = 10  # rounds of a dispatch, which intervals are multiples of
_SHARE = 0.15  # of the time, at most, for sheets, and as much for scores


class Cost(NamedTuple):
    """Seconds: until the first round is compiled, of a round, of a sheet of samples, of an evaluation."""

    start: float
    round: float
    sheet: float
    score: float

    def of(self, schedule: "Schedule") -> float:
        """Seconds of a whole run, with what is made before its first round."""
        steps, sample = schedule.steps, Every(schedule.sample_every, lambda step, state: None, early=True)
        early = sum(map(sample.due, range(_UNIT, min(sample.interval, steps), _UNIT)))
        sheets, scores = 1 + early + math.ceil(steps / sample.interval), 1 + math.ceil(steps / schedule.eval_every)
        return self.start + steps * self.round + sheets * self.sheet + scores * self.score


class Schedule(NamedTuple):
    """Rounds of a run, and between lines of metrics, sheets, scores and checkpoints."""

    steps: int
    log_every: int
    sample_every: int
    eval_every: int
    save_every: int


def schedule(steps: int, sheets: int = SHEETS, scores: int = SCORES) -> Schedule:
    """Intervals for about so many sheets and scores, and four checkpoints a score; each is a multiple of those before it."""
    sample = _multiple(steps / sheets, _UNIT)
    log = _multiple(50.0, sample)
    save = _multiple(steps / scores / 4, log)
    return Schedule(steps, log, sample, _multiple(steps / scores, save), save)


def _multiple(number: float, unit: int) -> int:
    return max(math.ceil(number / unit), 1) * unit


def fitted(cost: Cost, seconds: float, spent: float = 0.0, most: int = SCORES) -> Schedule:
    """The longest run that takes so many seconds, of which some are `spent`, what comes before its first round among them.

    It has fewer sheets than usual and fewer scores than `most` where these would take more than a share of the time. Raises
    `InputError` where less than `LEAST` rounds fit.
    """
    left, cost = seconds - spent, cost._replace(start=0.0)
    sheets = max(min(SHEETS, int(_SHARE * left / max(cost.sheet, 1e-9))), 2)
    scores = max(min(most, int(_SHARE * left / max(cost.score, 1e-9))), 1)

    def lasting(steps: int) -> float:
        return cost.of(schedule(steps, sheets, scores))

    low, high = 0, LEAST // _UNIT  # dispatches: intervals, and so the time, do not grow evenly between them
    while lasting(high * _UNIT) <= left and high < 2**27:
        low, high = high, 2 * high
    if not low:
        raise _too_short(seconds, spent, lasting(LEAST), "with sheets and scores ")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if lasting(middle * _UNIT) <= left else (low, middle)
    return schedule(low * _UNIT, sheets, scores)


def _too_short(seconds: float, spent: float, least: float, what: str = "") -> InputError:
    return InputError(
        f"{seconds / 60:.2g} minutes are too few: {spent / 60:.2g} have gone by until a round was compiled, and {LEAST} rounds "
        f"{what}take about {least / 60:.2g}: allow {math.ceil((spent + 2 * least) / 60)} or more"
    )


def measure(build: Callable[[Any, Any], Any], config: Any, seconds: float = math.inf, spent: float = 0.0) -> Cost:
    """Play a few rounds of an experiment, and draw and score samples, to see what they take; nothing is kept.

    Compiled programs are found again by the run, so that their time is paid here. Raises `InputError` as the run would, and if
    a short run would take longer than `seconds`, of which some are `spent`, once a round is compiled.
    """
    began = time.perf_counter()
    with progress.step("measuring how long a round takes, which is compiled first"):
        mesh = config.open_devices(config.batch, config.accumulate)
        dataset = config.load()
        game, rounds, step, state = prepare(build, config, dataset)
        step = measured_step(step, mesh.size if mesh else 1)
        advance = feeder(rounds, step, config.feed, mesh, lambda line: None)
        state = state if mesh is None else replicate(state, mesh)
        state = jax.block_until_ready(advance(state, 0, _UNIT)[0])
        start = time.perf_counter() - began
        state = jax.block_until_ready(advance(state, _UNIT, _UNIT)[0])
        one = (time.perf_counter() - began - start) / _UNIT
    if spent + start + LEAST * one > seconds:
        raise _too_short(seconds, spent + start, LEAST * one)
    asks = Asks(game, dataset, {name: dataset.train[name] for name in rounds.arrays})
    statistics = sheet_statistics(config, game)
    take = partial(sampled, asks.sampler, population=asks.population, statistics=statistics)
    draw = take(asks.turns(n=game.shown), seed=SHEET_SEED, finish=lambda x: to_uint8(np.asarray(x)))
    metrics = metrics_of(config, dataset, asks.sampler.needs)
    with progress.step("measuring how long sheets and scores take"):
        draw(state)
        sheet = _seconds(lambda: draw(state))
        calls = scorers(config, game, dataset, asks, metrics, lambda line: None)
        for call in calls:
            call(0, state)
        score = _seconds(lambda: [call(0, state) for call in calls])
    return Cost(start, one, sheet, score)


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
