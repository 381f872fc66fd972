"""What a run takes, and the rounds that fit into a given time."""

import pytest

from gan_jax.errors import InputError
from gan_jax.training import schedule
from gan_jax.training.schedule import LEAST, Cost, fitted, measure
from tests.training.test_experiment import Config, text

COST = Cost(start=60.0, round=0.3, sheet=0.5, score=10.0)


@pytest.mark.parametrize("steps", [1, 300, 8000, 31250])
def test_intervals_divide_each_other(steps):
    found = schedule.schedule(steps)
    assert found.steps == steps
    assert found.sample_every % 10 == found.log_every % found.sample_every == 0
    assert found.save_every % found.log_every == found.eval_every % found.save_every == 0
    assert steps < 8000 or 3 <= found.eval_every / found.save_every <= 5
    if steps >= 8000:
        assert steps / found.sample_every <= 150
        assert 6 <= steps / found.eval_every <= 12


@pytest.mark.parametrize("minutes", [10.0, 60.0, 600.0])
def test_a_run_lasts_as_long_as_it_may(minutes):
    found = fitted(COST, 60 * minutes, spent=60.0)
    lasting = COST.of(found)
    assert 0.9 * 60 * minutes < lasting <= 60 * minutes
    spent_on_scores = found.steps / found.eval_every * COST.score
    assert spent_on_scores <= 0.16 * 60 * minutes
    assert fitted(COST, 120 * minutes, spent=60.0).steps > found.steps


def test_the_whole_of_a_run_is_counted():
    plan = schedule.Schedule(steps=100, log_every=50, sample_every=10, eval_every=50, save_every=50)
    assert COST.of(plan) == 60 + 100 * 0.3 + 11 * 0.5 + 3 * 10
    assert COST.of(plan._replace(sample_every=50)) == 60 + 100 * 0.3 + 7 * 0.5 + 3 * 10  # four early ones


def test_less_time_than_compiling_takes():
    with pytest.raises(InputError, match=rf"0.5 minutes are too few: 1 have gone by .* {LEAST} rounds .* allow 3 or"):
        fitted(COST, 30.0, spent=60.0)


def test_an_experiment_is_measured_and_told_when_it_is_too_slow(tmp_path):
    config = Config(outdir=tmp_path / "run")
    cost = measure(text, config)
    assert all(seconds > 0 for seconds in cost)
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="minutes are too few"):
        measure(text, config, seconds=0.0)
