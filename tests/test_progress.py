"""What takes long says so; what is quick stays silent."""

import threading

import pytest

from gan_jax import progress


@pytest.fixture
def said(monkeypatch):
    """The timer goes off at once; the event is set when something was printed."""
    event, say = threading.Event(), progress._say

    def noted(text):
        say(text)
        event.set()

    monkeypatch.setattr(progress, "AFTER", 0.0)
    monkeypatch.setattr(progress, "_say", noted)
    return event


def test_a_long_step_says_what_it_does_and_how_long_it_took(said, capsys):
    with progress.step("counting to ten"):
        assert said.wait(30)
        assert capsys.readouterr().err == "wait        counting to ten ...\n"
    assert capsys.readouterr().err.startswith("wait        counting to ten: ")


def test_a_quick_step_is_silent(capsys):
    with progress.step("counting to one"):
        pass
    assert capsys.readouterr() == ("", "")


def test_a_step_that_fails_is_not_said_to_be_done(said, capsys):
    @progress.step("looking it up")
    def fail() -> None:
        assert said.wait(30)
        raise KeyError("a")

    with pytest.raises(KeyError):
        fail()
    assert capsys.readouterr().err == "wait        looking it up ...\n"


def test_a_long_loop_says_how_far_it_is_where_there_is_no_terminal(monkeypatch, capsys):
    clock = iter([0.0, 30.0, 60.0, 90.0, 130.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.Count("text encoder", 1000) as count:
        for _ in range(4):
            count.add(100)
    assert capsys.readouterr().err == (
        "wait        text encoder: 200 of 1,000 steps, 4 min left\nwait        text encoder: 400 of 1,000 steps, 3 min left\n"
    )


def test_a_loop_without_a_name_is_silent(monkeypatch, capsys):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with progress.Count("", 2) as count:
        count.add(1)
    assert capsys.readouterr() == ("", "")
