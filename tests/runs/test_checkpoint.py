"""Checkpoints: what is refused, what is told, and populations whose members may have died."""

import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import optax
import pytest

from gan_jax import core, keys, latents, losses
from gan_jax.core import Players
from gan_jax.errors import InputError, RunError
from gan_jax.models import mlp
from gan_jax.objectives import image_gan
from gan_jax.parallel import init_population
from gan_jax.runs import checkpoint
from gan_jax.runs.checkpoint import Checkpoints, state_hash
from gan_jax.runs.transfer import with_weights
from tests.game import SGD, batches, game

FIRST = "labels, spectral norm, R1, standard deviation"


def population(dead: tuple[int, ...]):
    """Three members, of which some have a NaN in their parameters."""
    states = init_population(game(FIRST)[0], SGD, jax.random.split(jax.random.key(0), 3), batches(1, size=8)[0])
    params = jax.tree.map(lambda x: x.at[np.asarray(dead, int)].set(np.nan), states.gen.params)
    return states._replace(gen=states.gen._replace(params=params))


def test_members_that_are_not_finite_are_saved_and_marked(tmp_path, caplog):
    states = population(dead=(1,))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(5, states)
    assert "members [1] are not finite at step 5" in caplog.text
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.not_finite(5) == [1]
        with pytest.raises(InputError, match="checkpoint 6 .* cannot be read"):
            checkpoints.not_finite(6)
        found, step = checkpoints.restore(states)
    assert step == 5
    for a, b in zip(jax.tree.leaves(found.gen.params), jax.tree.leaves(states.gen.params), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dead", [(), (0, 1, 2)])
def test_only_a_population_without_a_finite_member_is_refused(tmp_path, dead):
    with Checkpoints(tmp_path) as checkpoints:
        if dead:
            with pytest.raises(RunError, match="not finite and was not saved"):
                checkpoints.save(5, population(dead))
        else:
            checkpoints.save(5, population(dead))
            checkpoints._manager.wait_until_finished()
            assert checkpoints.not_finite(5) == []


def test_a_run_that_is_not_finite_is_refused(tmp_path):
    one = jax.tree.map(lambda x: x[1], population(dead=(1,)))
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(RunError, match="not finite and was not saved"):
        checkpoints.save(5, one)


def one(width: int = 4, tx: Players = SGD):
    """The state of a game in the plane."""
    networks = mlp.Generator(width=width, depth=1), mlp.Discriminator(width=4, depth=1)
    objective = image_gan(*networks, losses.hinge, latents.Normal(2), real="point")
    return core.init_state(objective, tx, jax.random.key(0), {"point": np.zeros((2, 2), np.float32)})


@pytest.mark.parametrize(
    ("like", "reason"),
    [
        (lambda: one(width=6), r"gen/params/Dense_0/bias has the shape \(4,\) there, and \(6,\) now"),
        (lambda: one(tx=Players(optax.adam(0.1), SGD.disc)), r"it has no gen/opt_state/0/count, an array of shape \(\)"),
        (lambda: one()._replace(step=np.float32(0)), "step is int32 there, and float32 now"),
    ],
)
def test_a_state_of_other_arrays_is_refused_and_nothing_set_aside(tmp_path, like, reason):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, one())
    with (
        Checkpoints(tmp_path) as checkpoints,
        pytest.raises(InputError, match=f"checkpoint 1 in .* of another state: {reason}"),
    ):
        checkpoints.restore(like())
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_the_arrays_of_the_given_state_are_not_read(tmp_path):
    state = one()
    with Checkpoints(str(tmp_path)) as checkpoints:
        checkpoints.save(1, state)
    saved = state_hash(state)
    for leaf in jax.tree.leaves(state):
        leaf.delete()  # as a step does that takes the state
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        restored = checkpoints.restore(state)
    assert restored is not None
    assert state_hash(restored[0]) == saved


def test_the_best_by_another_score_than_before(tmp_path):
    state = one()
    with Checkpoints(tmp_path, metric="fid", mode="min") as checkpoints:
        checkpoints.save(1, state, {"fid": 1.0})
    with Checkpoints(tmp_path, metric="kid", mode="min") as checkpoints:
        checkpoints.save(2, state, {"kid": 5.0})
        checkpoints.save(3, state, {"kid": 7.0})
    with Checkpoints(tmp_path, metric="kid", mode="min", read_only=True) as checkpoints:
        assert checkpoints.best_step == 2


FULL = """
import resource, signal, sys, time
from gan_jax.errors import RunError
from gan_jax.runs import checkpoint
from gan_jax.runs.checkpoint import Checkpoints, state_hash
from tests.runs.test_checkpoint import one
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
checkpoints, state = Checkpoints(sys.argv[1]), one()
resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))  # as a disk that is full
checkpoints.save(3, state, {})
while True:
    try:
        checkpoints.check()  # as after every dispatch
    except RunError as error:
        print(error)
        break
    time.sleep(0.01)
checkpoints.close()
"""


def test_a_checkpoint_that_cannot_be_written_is_told_at_once_with_its_step_and_reason(tmp_path):
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120)
    assert done.stdout == f"the checkpoint of step 3 could not be written to {tmp_path}: File too large\n"
    assert "orbax" not in done.stderr  # no stack traces before it


def test_a_full_disk_is_seen_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=200))
    with (
        Checkpoints(tmp_path) as checkpoints,
        pytest.raises(RunError, match=r"step 3 .* No space left on device, 0\.0 MB are n"),
    ):
        checkpoints.save(3, one())
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_that_declares_more_than_memory_holds_is_not_read_and_stays(tmp_path, monkeypatch):
    state = one()
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state)
    nbytes = sum(leaf.nbytes for leaf in jax.tree.leaves(jax.tree.map(keys.data, state)))
    monkeypatch.setattr(checkpoint, "free_memory", lambda: nbytes)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.restore(state) is not None
        monkeypatch.setattr(checkpoint, "free_memory", lambda: nbytes - 1)
        with pytest.raises(InputError, match="checkpoint 1 .* cannot be read: MemoryError: it would take 0.0 GiB"):
            checkpoints.read(1)
        with pytest.raises(RunError, match="checkpoint 1 could not be read now"):
            checkpoints.restore(state)
        assert checkpoints.steps == [1]


def test_scores_of_a_foreign_checkpoint_may_be_anything(tmp_path):
    with Checkpoints(tmp_path, metric="fid") as checkpoints:
        checkpoints.save(1, one(), {"fid": 1.0})
        checkpoints.save(2, one(), {"fid": 2.0})
    (tmp_path / "2" / "metrics" / "metrics").write_text('{"fid": "high"}')
    with Checkpoints(tmp_path, metric="fid", read_only=True) as checkpoints:
        assert checkpoints.best_step == 1


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("_CHECKPOINT_METADATA", "[]", "is damaged: ValueError: Metadata dict must be"),
        ("metrics/metrics", "", "is damaged: "),
        ("metrics/metrics", "[5]", ""),
        ("meta/metadata", '{"not_finite": 5}', "checkpoint 1 .* cannot be read"),
        ("meta/metadata", "5", "checkpoint 1 .* cannot be read"),
    ],
)
def test_facts_of_a_foreign_checkpoint_may_be_anything(tmp_path, file, content, message):
    with Checkpoints(tmp_path, metric="fid") as checkpoints:
        checkpoints.save(1, one(), {"fid": 1.0})
    (tmp_path / "1" / file).write_text(content)
    refused = pytest.raises(InputError, match=message) if message else nullcontext()
    with refused, Checkpoints(tmp_path, metric="fid", read_only=True) as checkpoints:
        assert checkpoints.best_step is not None
        checkpoints.not_finite(1)


def test_weights_of_what_is_no_game_are_refused():
    with pytest.raises(InputError, match="the saved state is not of a game: it lacks 'gen'"):
        with_weights(one(), {"net": {}})
    with pytest.raises(InputError, match="the saved state is not of a game"):
        with_weights(one(), {"gen": np.zeros(3)})


@pytest.mark.parametrize("file", ["_CHECKPOINT_METADATA", "state/_METADATA"])
def test_a_pipe_in_a_checkpoint_is_refused(tmp_path, file):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, one())
    (tmp_path / "1" / file).unlink()
    os.mkfifo(tmp_path / "1" / file)
    with pytest.raises(InputError, match=f"is damaged: {Path(file).name} is no regular file"):
        Checkpoints(tmp_path, read_only=True)
