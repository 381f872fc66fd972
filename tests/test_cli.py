"""What a command says of errors that Python cannot raise."""

import sys
from types import SimpleNamespace

import pytest

from gan_jax import __main__ as program
from gan_jax import cli
from gan_jax.commands import doctor, export, report
from gan_jax.errors import InputError


def test_writes_that_end_after_the_failure_that_was_told_are_silent():
    errors = [RuntimeError("Event loop is closed"), RuntimeError("another"), ValueError("Event loop is closed")]
    told = []
    for error in errors:
        cli._told(lambda lost: told.append(lost.exc_value), SimpleNamespace(exc_type=type(error), exc_value=error))
    assert told == errors[1:]


@pytest.mark.parametrize(("word", "told"), [("smple", "the nearest is sample"), ("x" * 90, "--help lists them")])
def test_a_command_that_there_is_not(monkeypatch, capsys, word, told):
    monkeypatch.setattr(sys, "argv", ["gan_jax", word, "runs/demo"])
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: there is no command {word[:80]!r}: {told}\n"


@pytest.mark.parametrize("command", [doctor, export, report])
def test_a_run_that_there_is_not(tmp_path, command):
    with pytest.raises(InputError, match=r"there is no \S*nope: name the directory of a run"):
        command.main(command.Config(run=tmp_path / "nope"))
