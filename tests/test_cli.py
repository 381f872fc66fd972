"""What a command says of errors that Python cannot raise."""

from types import SimpleNamespace

from gan_jax import cli


def test_writes_that_end_after_the_failure_that_was_told_are_silent():
    errors = [RuntimeError("Event loop is closed"), RuntimeError("another"), ValueError("Event loop is closed")]
    told = []
    for error in errors:
        cli._told(lambda lost: told.append(lost.exc_value), SimpleNamespace(exc_type=type(error), exc_value=error))
    assert told == errors[1:]
