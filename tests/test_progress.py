"""What takes long says so; what is quick stays silent."""

import time

import pytest

from gan_jax import progress


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(progress, "AFTER", 0.05)


def test_a_long_step_says_what_it_does_and_how_long_it_took(soon, capsys):
    with progress.step("counting to ten"):
        time.sleep(0.3)
        assert capsys.readouterr().err == "wait        counting to ten ...\n"
    assert capsys.readouterr().err.startswith("wait        counting to ten: 0.")


def test_a_quick_step_is_silent(capsys):
    with progress.step("counting to one"):
        pass
    assert capsys.readouterr() == ("", "")


def test_a_step_that_fails_is_not_said_to_be_done(soon, capsys):
    @progress.step("looking it up")
    def fail() -> None:
        time.sleep(0.3)
        raise KeyError("a")

    with pytest.raises(KeyError):
        fail()
    assert capsys.readouterr().err == "wait        looking it up ...\n"
