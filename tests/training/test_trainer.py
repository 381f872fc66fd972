"""`train` called again: after a bug of one's own, after the end, after a stop."""

import os
import signal
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from gan_jax import core, latents, losses
from gan_jax.core import Players
from gan_jax.data import Order, Rounds
from gan_jax.errors import InputError, Interrupted, RunError
from gan_jax.models import mlp
from gan_jax.objectives import image_gan
from gan_jax.runs import Run, state_hash
from gan_jax.runs.records import read_rows
from gan_jax.training import Every, train

X = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
NETWORKS = mlp.Generator(width=4, depth=1), mlp.Discriminator(width=4, depth=1)
GAN = image_gan(*NETWORKS, losses.non_saturating, latents.Normal(2), real="point")
TX = Players(optax.sgd(0.1), optax.sgd(0.1))
STEP = core.make_step(GAN, TX)


@dataclass(frozen=True)
class Config:
    lr: float = 0.1


@pytest.fixture(scope="module")
def state():
    return jax.jit(core.init_state, static_argnums=(0, 1))(GAN, TX, jax.random.key(0), {"point": X[:2]})


def play(directory: Path, state, steps: int = 6, call=lambda step, state: None, kind=Run, **more):
    rounds = Rounds({"point": X}, Order(0, 50, 8))
    run = kind(directory, Config(), "f")
    return train(run, STEP, state, rounds, steps=steps, log_every=2, save_every=4, callbacks=[Every(2, call)], **more)


def test_numbers_of_rounds_that_cannot_be(tmp_path, state):
    with pytest.raises(InputError, match="--steps '-1': a number at least 0"):
        play(tmp_path / "run", state, -1)


def test_a_callback_that_gives_no_scores(tmp_path, state):
    with pytest.raises(InputError, match="a callback gives scores by name, or None, not int"):
        play(tmp_path / "run", state, call=lambda step, state: 5)


def interrupt(at: int, step: int, state: object) -> None:
    if step == at:
        os.kill(os.getpid(), signal.SIGINT)


def test_the_same_call_again_goes_on_after_a_bug_a_stop_and_the_end(tmp_path, state, capsys):
    before = state_hash(state)
    expected = state_hash(play(tmp_path / "whole", state))

    def buggy(at, step, state):
        if step == at:
            raise ZeroDivisionError("my callback has a bug")

    for at in (0, 2):  # before the first round, and before the first checkpoint
        with pytest.raises(ZeroDivisionError):
            play(tmp_path / "run", state, call=partial(buggy, at))
    with pytest.raises(Interrupted, match="stopped and saved at step 6"):
        play(tmp_path / "run", state, call=partial(interrupt, 4))
    assert state_hash(play(tmp_path / "run", state)) == expected
    assert "nothing to train" in capsys.readouterr().out
    assert state_hash(state) == before  # still valid


def test_an_interrupt_is_one_line_in_a_notebook(tmp_path, state):
    """IPython shows what `_render_traceback_` gives in place of the stack trace."""
    with pytest.raises(Interrupted) as caught:
        play(tmp_path / "run", state, call=partial(interrupt, 0))
    assert caught.value._render_traceback_() == ["Interrupted: stopped at once; checkpoints so far are whole"]
    assert "run the same command again" in (tmp_path / "run" / "log.txt").read_text()


def test_weights_of_another_run_are_taken_again_after_a_kill_within_the_first_save(tmp_path, state, capsys):
    play(tmp_path / "other", state)
    with Run(tmp_path / "run", Config(), "f") as run:
        run.path("checkpoints/4.orbax-checkpoint-tmp/state")
        assert not run.began
    play(tmp_path / "run", state, init_from=tmp_path / "other")
    assert "began with the weights of" in capsys.readouterr().out


class Watched(Run):
    """A run that fails where something is written to it without its lock."""

    def log(self, line):
        assert self._lock.held, line
        super().log(line)

    def add_row(self, name, row):
        assert self._lock.held, row
        super().add_row(name, row)


def test_what_ended_a_run_is_written_before_the_directory_is_given_up(tmp_path, state):
    with pytest.raises(Interrupted):
        play(tmp_path / "stopped", state, call=partial(interrupt, 2), kind=Watched)
    broken = state._replace(gen=state.gen._replace(params=jax.tree.map(lambda x: x * np.nan, state.gen.params)))
    with pytest.raises(RunError, match="newest healthy checkpoint in .*: none"):
        play(tmp_path / "nan", broken, kind=Watched)
    assert [row["state"] for row in read_rows(tmp_path / "nan" / "diagnosis.jsonl")] == ["nan"]
