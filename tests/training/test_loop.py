"""The loop: what it plays, when it calls back, when it stops."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.core import TrainState
from gan_jax.errors import InputError, RunError
from gan_jax.training import report as report_module
from gan_jax.training.loop import Every, fit
from gan_jax.training.report import Report, explained, status_line


def counter(step):
    """A state of which only the step is looked at."""
    return TrainState(jnp.asarray(step), None, None, None, None)


def play(start, steps, *, bad_at=None, dispatch=4, save_every=6, callbacks=(), takes=lambda rounds: None):
    """Run `fit` on a counter; the dispatches played, the saves made, the rows written."""
    played, saved, rows = [], [], []

    def advance(state, first, n):
        played.append((first, n))
        takes(n)
        values = np.arange(first + 1, first + n + 1, dtype=np.float32)
        loss = np.where(values == bad_at, np.nan, values) if bad_at else values
        return counter(first + n), {"disc/loss": jnp.asarray(loss), "gen/loss": jnp.ones(n)}

    report = Report(
        start=start, steps=steps, interval=4, images=2, write=lambda s, r: rows.append((s, r)), show=lambda line: None
    )
    try:
        state = fit(
            counter(start),
            advance,
            steps=steps,
            save=lambda step, state, scores: saved.append((step, scores)),
            save_every=save_every,
            report=report,
            callbacks=callbacks,
            dispatch=dispatch,
        )
        assert state.step == steps
    finally:
        play.last = (played, saved, rows)
    return played, saved, rows


def test_dispatches_end_at_multiples_wherever_a_run_begins():
    whole = play(0, 13)[0]
    rest = play(6, 13)[0]
    assert whole == [(0, 2), (2, 2), (4, 2), (6, 2), (8, 2), (10, 2), (12, 1)]  # gcd of 4, 6 and 4
    assert rest == whole[3:]


def test_saves_are_due_at_intervals_after_scores_and_at_the_end():
    scored = Every(8, lambda step, state: {"score": step})
    silent = Every(2, lambda step, state: None)
    _, saved, _ = play(0, 14, callbacks=[scored, silent])
    assert saved == [(6, {}), (8, {"score": 8}), (12, {}), (14, {"score": 14})]


def test_rows_are_means_over_intervals():
    rows = play(0, 8)[2]
    assert [(step, row["disc/loss"]) for step, row in rows] == [(4, 2.5), (8, 6.5)]


def test_callbacks_do_not_count_as_time_of_the_rounds(monkeypatch):
    """By a clock that stands still but for half a second a round, a minute in the callback, and one for compiling."""
    now = 0.0

    def wait(seconds):
        nonlocal now
        now += seconds

    monkeypatch.setattr(report_module, "time", SimpleNamespace(perf_counter=lambda: now))
    rows = play(
        0, 12, callbacks=[Every(4, lambda step, state: wait(60))], takes=lambda rounds: wait(rounds / 2 + 60 * (not now))
    )[2]
    assert [row["images_per_second"] for _, row in rows] == pytest.approx([4, 4, 4])  # two in each round


def test_nan_stops_at_its_step_before_anything_is_saved():
    with pytest.raises(RunError, match=r"disc/loss was not finite at step 11\b"):
        play(0, 20, bad_at=11)
    assert [step for step, _ in play.last[1]] == [6]


def test_intervals_below_one_are_refused():
    with pytest.raises(InputError, match="at least 1"):
        play(0, 4, save_every=0)


def test_status_line_has_a_fixed_order():
    row = {"disc/loss": 1.0, "gen/loss": 2.0, "disc/real": 0.7, "disc/fake": 0.3, "gen/diversity": 4.0, "data/diversity": 5.0}
    line = status_line(50, 200, 1234.5, 3725.0, row, "ok")
    assert line == (
        "step 50/200 25% | 1234 img/s | left 1:02:05 | D 1.00 G 2.00 | D(x) 0.70 D(G(z)) 0.30 | div 4.00 of 5.00 | ok"
    )


def test_status_line_shows_the_columns_that_there_are():
    line = status_line(1, 2, 10.0, 0.0, {"gen/loss": 2.0, "gen/content": 1.0}, "")
    assert line == "step 1/2 50% | 10 img/s | left 0:00:00 | G 2.00"


def test_the_columns_are_explained_once():
    row = {"disc/loss": 1.0, "gen/loss": 2.0, "gen/diversity": 4.0, "data/diversity": 5.0}
    assert explained(row, "the doctor's word") == (
        "D, G: what the players pay; div, of: diversity of the samples, and of the data; the last: the doctor's word"
    )
    shown = []
    report = Report(start=0, steps=4, interval=2, images=1, write=lambda s, r: None, show=shown.append)
    with report:
        for step in (1, 2, 3, 4):
            report.add(step, {name: np.ones(1) for name in row})
        report.flush()
    assert [line.split()[0] for line in shown] == ["columns", "step", "step"]


def test_early_calls_are_dense_at_first():
    early = Every(400, lambda step, state: None, early=True)
    assert [step for step in range(10, 1210, 10) if early.due(step)] == [
        *(10, 20, 30, 40, 60, 80, 120, 160, 240, 320),
        *(400, 800, 1200),
    ]
    assert [step for step in range(1, 101) if early._replace(interval=50).due(step)] == [10, 20, 30, 40, 50, 100]
    assert [step for step in range(1, 101) if early._replace(early=False).due(step)] == []
    assert [step for step in range(1, 13) if early._replace(interval=4).due(step)] == [4, 8, 12]
