"""The directory of a run: who may write it, when, and with what configuration."""

import json
import os
import shutil
import sys
import threading
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import flax.linen as nn
import pytest

from gan_jax.config import FREE
from gan_jax.errors import InputError
from gan_jax.latents import Normal
from gan_jax.locks import Holder, Lock
from gan_jax.models import mlp
from gan_jax.objectives import image_sampler
from gan_jax.runs import Run
from tests.test_locks import held_by_another


@dataclass(frozen=True)
class Config:
    data: str = "pics"
    lr: float = 0.1
    log_every: int = field(default=5, metadata=FREE)


class Mine(nn.Module):
    """A network of somebody else."""

    act: object = nn.relu

    @nn.compact
    def __call__(self, z, *, train):
        return self.act(nn.Dense(2)(z))


def begin(directory: Path, config: object = Config(), fingerprint: str = "f", checkpoint: bool = True) -> None:
    """A run that was left after a while."""
    with Run(directory, config, fingerprint) as run:
        run.add_row("metrics.jsonl", {"step": 5, "disc/loss": 1.0})
        if checkpoint:
            run.path("checkpoints/5/state")


def files(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file() and path.name != ".lock"}


def test_a_run_that_another_process_writes_is_refused_and_left_alone(tmp_path):
    begin(tmp_path / "run")
    before = files(tmp_path)
    with held_by_another(tmp_path / "run" / ".lock") as process:
        with pytest.raises(InputError, match=rf"run is being written by process {process.pid} on .* since "):
            Run(tmp_path / "run", Config(lr=7.0), "f")
        assert files(tmp_path) == before
    Run(tmp_path / "run", Config(), "f").close()


def test_nothing_is_left_of_a_run_that_was_never_accepted(tmp_path):
    with Run(tmp_path / "run", Config(), "f") as run:
        run.log("refused for another reason")
        assert not (tmp_path / "run" / "config.json").exists()
    assert not (tmp_path / "run").exists()


def test_a_cell_that_is_run_again_takes_its_own_run_over(tmp_path):
    first = Run(str(tmp_path / "run"), Config(), "f")
    first.accept()
    second = Run(tmp_path / "run", Config(log_every=7), "f")
    with second, pytest.raises(InputError, match="is being trained in this process already"):
        Run(tmp_path / "run", Config(), "f")
    with first:  # opened again
        first.log("back")
        first.accept()
    assert "back" in (tmp_path / "run" / "log.txt").read_text()


def test_a_closed_run_writes_only_where_it_can_be_opened_again(tmp_path):
    run = Run(tmp_path / "run", Config(), "f")
    run.accept()
    run.close()
    with held_by_another(tmp_path / "run" / ".lock"):
        before = files(tmp_path)
        run.log("after the end")
        with pytest.raises(InputError, match="is being written by"):
            run.add_row("metrics.jsonl", {"step": 5})
        assert files(tmp_path) == before
    run.add_row("metrics.jsonl", {"step": 5})
    assert "after the end" in (tmp_path / "run" / "log.txt").read_text()
    run.close()


def test_members_of_a_population_have_begun_it_with_their_first_whole_checkpoint(tmp_path):
    with Run(tmp_path / "run", Config(), "f") as run:
        run.path("checkpoints/000-003/5.orbax-checkpoint-tmp/state")
        assert not run.began
        run.path("checkpoints/000-003/5/state")
        assert run.began


def test_two_threads_do_not_train_one_run(tmp_path):
    run, caught = Run(tmp_path / "run", Config(), "f"), []

    def other() -> None:
        try:
            run.__enter__()
        except InputError as error:
            caught.append(str(error))

    with run:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert "by another thread" in caught[0]


@pytest.mark.parametrize("content", ["{}", '{"versions": {"node": "20"}}', '{"versions": 5}', '{"versions": "gan_jax"}'])
def test_a_folder_of_somebody_else_is_no_run(tmp_path, content):
    (tmp_path / "config.json").write_text('{"lr": 0.1}')
    (tmp_path / "env.json").write_text(content)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match="is not empty and is no run"):
        Run(tmp_path, Config(), "f")
    assert sorted(tmp_path.iterdir()) == before


def test_a_run_that_is_just_beginning(tmp_path):
    """Files are there, and no env.json yet: the holder of the lock is named; a run that was killed then is begun anew."""
    lock = Lock(tmp_path / ".lock")
    assert lock.acquire()
    (tmp_path / "looks").mkdir()
    with pytest.raises(InputError, match=f"process {os.getpid()} on"):
        Run(tmp_path, Config(), "f")
    lock.release()
    with pytest.raises(InputError, match="is not empty and is no run"):  # nobody's lock may lie in anybody's folder
        Run(tmp_path, Config(), "f")
    lock.path.write_bytes(Holder(os.uname().nodename, 2**22 + 1, "then", "then").line())  # of a process that is gone
    Run(tmp_path, Config(), "f").close()


def test_metrics_without_checkpoints_are_not_begun_anew_with_other_flags(tmp_path):
    begin(tmp_path / "run", checkpoint=False)
    with pytest.raises(InputError, match=r"lr: 0.1 in the run, 7.0 now\nit has no checkpoint, but metrics that would be lost"):
        Run(tmp_path / "run", Config(lr=7.0), "f")
    Run(tmp_path / "run", Config(), "f").close()


def test_equal_data_are_the_same_wherever_they_lie_and_what_changes_no_state_may_change(tmp_path):
    begin(tmp_path / "run")
    shutil.move(tmp_path / "run", tmp_path / "moved")
    with Run(tmp_path / "moved", Config(data="/disk2/pics", log_every=9), "f") as run:
        run.accept()
    saved = json.loads((tmp_path / "moved" / "config.json").read_text())
    assert saved == {"data": "/disk2/pics", "lr": 0.1, "log_every": 9}
    with pytest.raises(InputError, match="was trained on other data"):
        Run(tmp_path / "moved", Config(), "other")


def test_another_generator_is_refused_before_anything_is_written(tmp_path):
    def described(run: Run, width: int) -> None:
        run.describe_model(partial(image_sampler, mlp.Generator(width=width), Normal(2)), {"classes": []})

    with Run(tmp_path / "run", Config(), "f") as run:
        described(run, 8)
        run.path("checkpoints/5/state")
    before = files(tmp_path)
    with (
        Run(tmp_path / "run", Config(), "f") as run,
        pytest.raises(InputError, match="generator width is 8 in the run, 16 now"),
    ):
        described(run, 16)
    assert files(tmp_path) == before


@dataclass(frozen=True)
class Part:
    """A part of a network of somebody else."""

    width: int = 3
    depth: int = 2


def test_a_field_that_a_later_version_adds_with_a_default_leaves_the_generator_the_same(tmp_path):
    def described(run: Run, **changed) -> None:
        run.describe_model(partial(image_sampler, Mine(act=(Part(**changed), 1.0)), Normal(2)), {})

    with Run(tmp_path / "run", Config(), "f") as run:
        described(run)
        run.path("checkpoints/5/state")
    path = tmp_path / "run" / "model.json"
    model = json.loads(path.read_text())
    del model["parts"]["generator"]["fields"]["act"][0]["fields"]["depth"]
    path.write_text(json.dumps(model))
    with Run(tmp_path / "run", Config(), "f") as run:
        described(run)
        for changed in ({"depth": 5}, {"width": 5}):
            with pytest.raises(InputError, match="has checkpoints of another generator"):
                described(run, **changed)


def test_what_keeps_others_from_opening_a_run_is_told_when_it_begins(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path[:1])  # as in a script, whose own folder comes first
    with Run(tmp_path / "run", Config(), "f") as run:
        run.describe_model(partial(image_sampler, Mine(), Normal(2)), {})
        assert "need --trust, and are to be started in /" in capsys.readouterr().out
        run.describe_model(partial(image_sampler, Mine(act=lambda x: x), Normal(2)), {})
        assert "nothing but this program can draw samples of this run: " in capsys.readouterr().out


def test_configurations_are_dataclasses_or_dictionaries(tmp_path):
    begin(tmp_path / "run", {"lr": 0.1})
    with pytest.raises(InputError, match="lr: 0.1 in the run, 0.2 now"):
        begin(tmp_path / "run", {"lr": 0.2})
    for given in (None, Config, 3):
        with pytest.raises(InputError, match="is a dataclass, or a dictionary such as vars.args., not"):
            Run(tmp_path / "other", given, "f")
