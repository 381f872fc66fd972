"""Runs that go well and badly: what is kept of them, and what the doctor says of that."""

import pytest

from experiments import doctor_runs
from experiments.doctor_runs import Group, confusion, play_group, read_fixture, seen, write_fixture
from gan_jax.training.doctor import WINDOW, diagnose, signals


@pytest.fixture(scope="module")
def runs():
    """Two settings with two seeds each; the second has learning rates that no run survives."""
    return play_group(Group("ring", rates=((2e-3, 2e-3), (1e30, 1e30)), r1=(0.1,)), seeds=2, rounds=300, together=4)


@pytest.mark.slow
def test_rows_and_outcomes(runs):
    assert [(run["lr_gen"], run["seed"]) for run in runs] == [(2e-3, 0), (2e-3, 1), (1e30, 0), (1e30, 1)]
    for run in runs[:2]:
        assert [row["step"] for row in run["rows"]] == list(range(25, 301, 25))
        assert {"modes", "high_quality"} < set(run["outcome"])
        assert all(name in row for row in run["rows"] for name in doctor_runs.READ)
    for run in runs[2:]:
        assert run["outcome"] == {"became": "broken"}
        assert run["rows"] == []
        assert diagnose(seen(run)).state == "nan"


@pytest.mark.slow
def test_confusion_counts(runs):
    assert confusion(runs[2:])[-1] == "hits 2 of 2 broken runs, false alarms 0 of 0 healthy ones"
    well = [{**run, "outcome": {"became": "healthy"}} for run in runs]
    assert confusion(well)[-1] == "hits 0 of 0 broken runs, false alarms 2 of 4 healthy ones"


@pytest.mark.slow
def test_the_fixture_says_what_the_runs_say(runs, tmp_path):
    write_fixture(runs, tmp_path / "runs.json")
    found = read_fixture(tmp_path / "runs.json")
    assert confusion(found) == confusion(runs)
    for kept, run in zip(found, runs, strict=True):
        assert len(kept["rows"]) == min(WINDOW // doctor_runs.INTERVAL, len(run["rows"]))
        assert [row["step"] for row in kept["rows"]] == [row["step"] for row in run["rows"][-len(kept["rows"]) :]]
        assert signals(kept["rows"]) == pytest.approx(signals(run["rows"]), rel=2e-3, abs=2e-3)
        assert all(kept[name] == run[name] for name in doctor_runs.FACTS)


@pytest.mark.slow
def test_report(runs, tmp_path, capsys):
    (tmp_path / "confusion.txt").write_text("old")
    (tmp_path / "signals.png").write_bytes(b"old")
    before = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}
    doctor_runs.report(runs, tmp_path)
    assert all((tmp_path / name).stat().st_ino != inode for name, inode in before.items())  # replaced, not written over
    assert "taught by 2 runs" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"confusion.txt", "signals.png"}


@pytest.mark.slow
def test_healthy_and_frozen_games_are_told_apart_however_often_rows_are_kept(monkeypatch):
    """Small nets with a row every 20 rounds: two that go well, and two whose discriminators hardly move."""
    monkeypatch.setattr(doctor_runs, "INTERVAL", 20)
    played = play_group(Group("ring", rates=((2e-3, 2e-3), (1e-3, 1e-7)), r1=(0.1,)), seeds=2, rounds=560, together=4)
    for run in played:
        states = {diagnose(run["rows"][: i + 1]).state for i in range(len(run["rows"]))}
        assert states == ({"ok"} if run["lr_disc"] == 2e-3 else {"ok", "D-slow"})
