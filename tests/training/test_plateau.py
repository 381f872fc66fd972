"""The trend of a score, and when it is a plateau."""

import numpy as np
import pytest
from scipy.stats import linregress

from gan_jax.evaluation.evaluator import Evaluator
from gan_jax.runs import Run, read_rows
from gan_jax.training.experiment import run_experiment
from gan_jax.training.plateau import LEAST, plateau, stop_of, trend
from tests.training.test_experiment import Config, text

STEPS = list(range(100, 2100, 100))


def rows(values, name="kid"):
    return [{"step": step, "source": "training", name: float(value)} for step, value in zip(STEPS, values, strict=False)]


def test_the_trend_is_that_of_scipy():
    values = np.random.default_rng(0).normal(size=8).tolist()
    found, wanted = trend(STEPS[:8], values), linregress(STEPS[:8], values)
    assert found.change == pytest.approx(wanted.slope * 700)
    assert found.high - found.change == pytest.approx(2.446912 * wanted.stderr * 700, rel=1e-5)  # t of 6 degrees, tables
    assert found.end == pytest.approx(wanted.intercept + wanted.slope * 800)
    with pytest.raises(ValueError, match="three scores"):
        trend([1, 2], [0.0, 1.0])


def test_what_is_a_plateau():
    noise = np.random.default_rng(0).normal(size=20)
    flat = 0.05 + 0.0005 * noise
    assert plateau(rows(flat), "kid")
    assert plateau(rows(np.linspace(0.1, 0.2, 20)), "kid")  # it becomes worse
    assert plateau(rows(np.r_[np.linspace(1, 0.06, 10), flat[10:]]), "kid")  # of the later half
    assert not plateau(rows(np.geomspace(1, 0.05, 20)), "kid")
    assert not plateau(rows(0.05 + 0.03 * noise), "kid")  # too noisy to tell
    assert not plateau(rows(flat[: LEAST - 1]), "kid")
    assert not plateau(rows(flat), "recognised")
    assert plateau(rows(flat, "recognised"), "recognised")
    assert not plateau(rows(np.linspace(0.1, 0.9, 20), "recognised"), "recognised")  # higher is better
    assert not plateau([{**row, "source": "evaluate"} for row in rows(flat)], "kid")


def test_a_run_stops_on_a_plateau_and_says_why(tmp_path, monkeypatch):
    steady = {"kid": 0.5, "kid_floor": 0.0, "protocol": {}}
    monkeypatch.setattr(Evaluator, "row", lambda *_, **__: dict(steady))
    config = Config(outdir=tmp_path / "run", steps=30, stop_when="plateau", log_every=3)
    run = run_experiment(text, "text", config)
    log = (run.directory / "log.txt").read_text()
    assert "plateau     kid 0.5 changes by 0 [0, 0] in 8 rounds: stopped" in log
    assert run.saved_steps()[-1] == 2 * LEAST
    assert (run.directory / "samples" / f"{2 * LEAST:06}.png").exists()
    assert [row["step"] for row in read_rows(run.directory / "metrics.jsonl")] == [3, 6, 9, 2 * LEAST]
    assert f"checkpoint  {run.directory / 'checkpoints' / str(2 * LEAST)}" in log
    run_experiment(text, "text", config)
    assert run.saved_steps()[-1] == 2 * LEAST  # not played on
    assert (run.directory / "log.txt").read_text().count("rounds: stopped") == 2


def test_the_same_scores_are_judged_once(tmp_path):
    run = Run(tmp_path / "run", Config(), "f")
    enough = stop_of(Config(stop_when="plateau"), run, "kid")
    assert not enough()
    for row in rows([0.05] * 20):
        run.add_row("eval.jsonl", row)
    assert enough()
    assert not enough()
    run.close()


def test_without_the_flag_or_a_score_nothing_stops(tmp_path):
    run = Run(tmp_path / "run", Config(), "f")
    for row in rows([0.05] * 20):
        run.add_row("eval.jsonl", row)
    assert stop_of(Config(stop_when="plateau"), run, "kid")()
    assert not stop_of(Config(), run, "kid")()
    assert not stop_of(Config(stop_when="plateau"), run, None)()
    run.close()
