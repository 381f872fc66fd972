"""Forks of a run: the source stays as it is, the copies are runs, and what cannot be forked is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments import toy_2d
from gan_jax.commands import fork as command
from gan_jax.errors import InputError
from gan_jax.files import identity
from gan_jax.runs import Checkpoints, read_rows
from gan_jax.runs.fork import Change, changes_of, open_origin
from gan_jax.training import run_experiment
from gan_jax.training.doctor import CURES, trial
from gan_jax.training.fork import Fork, Outcome, _traceable, table

CONFIG = toy_2d.Config(
    data="ring",
    width=8,
    depth=1,
    batch=16,
    steps=20,
    lr=1e-2,
    devices=1,
    log_every=5,
    save_every=10,
    sample_every=20,
    eval_every=10,
    eval_n=100,
)


def play(directory: Path, **changes) -> None:
    run_experiment(toy_2d.build, "toy_2d", replace(CONFIG, outdir=directory, **changes))


def files_of(directory: Path) -> str:
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    return identity(part for path in paths for part in (str(path.relative_to(directory)), path.read_bytes()))


def params(directory: Path, step: int) -> list[np.ndarray]:
    with Checkpoints(directory / "checkpoints", read_only=True) as checkpoints:
        state = checkpoints.read(step)
    return [np.asarray(x) for x in jax.tree.leaves((state["gen"], state["disc"], state["ema_params"]))]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("fork") / "run"
    play(directory)
    return directory


@pytest.fixture(scope="module")
def forked(run) -> tuple[Fork, str, str]:
    """A fork from round 10, two copies in one program and one alone, and the run's files before and after it."""
    before = files_of(run)
    found = command.main(command.Config(run=run, at="10", set=("lr=1e-4", "disc_steps=2"), steps=10))
    return found, before, files_of(run)


def test_another_question_has_a_folder_of_its_own(run, forked):
    """Also one of another length: the copies that are there have been played for the first one."""
    for flags, message in (
        ({"steps": 5}, "holds copies of another fork .steps 10, now 5.: choose another --out"),
        ({"set": ("r1=1",)}, "changes .*as it was.*, now .*r1=1"),
    ):
        with pytest.raises(InputError, match=message):
            command.main(command.Config(**{"run": run, "at": "10", "set": ("lr=1e-4", "disc_steps=2"), "steps": 10, **flags}))
    assert [row["step"] for row in read_rows(forked[0].outcomes[1].directory / "metrics.jsonl")][:4] == [5, 10, 15, 20]


@pytest.fixture
def copied(run, tmp_path) -> Path:
    return shutil.copytree(run, tmp_path / "copied")


def test_the_source_is_untouched(forked):
    assert forked[1] == forked[2]


def test_the_copy_without_a_change_is_the_run_as_it_went_on(run, forked):
    own = forked[0].outcomes[0]
    assert str(own.change) == "as it was"
    for found, wanted in zip(params(own.directory, 20), params(run, 20), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_changes_have_an_effect(run, forked):
    for outcome in forked[0].outcomes[1:]:
        moved = [np.abs(a - b).max() for a, b in zip(params(outcome.directory, 20), params(run, 20), strict=True)]
        assert max(moved) > 1e-3, outcome.change


def test_numbers_of_the_optimizer_are_played_in_one_program(run, forked):
    folders = sorted(path.name for path in (forked[0].outcomes[0].directory.parent / "rounds").iterdir())
    assert folders == ["disc_steps=2", "together"]
    dataset = CONFIG.load()
    origin = open_origin(run)
    assert _traceable(origin, dataset, [Change({}), Change({"r1": 1.0, "lr": 0.1})])
    looking = origin._replace(build=lambda config, dataset: 1 if config.lr > 0 else 0)
    assert not _traceable(looking, dataset, [Change({}), Change({"lr": 0.1})])


def test_each_copy_is_a_run_that_goes_on(forked):
    copy = forked[0].outcomes[1].directory
    assert [row["step"] for row in read_rows(copy / "metrics.jsonl")] == [5, 10, 15, 20]
    assert read_rows(copy / "eval.jsonl")[-1]["step"] == 20
    assert (copy / "samples" / "000020.png").exists()
    play(copy, lr=1e-4, steps=25)
    assert read_rows(copy / "metrics.jsonl")[-1]["step"] == 25
    with pytest.raises(InputError, match="lr: 0.0001 in the run"):
        play(copy, steps=30)


def test_the_table_and_what_is_kept_of_it(forked):
    found = forked[0]
    lines = table(found).splitlines()
    assert [line.split("  ")[0] for line in lines[1:]] == ["step 10", "as it was", "lr=0.0001", "disc_steps=2"]
    kept = json.loads((found.outcomes[0].directory.parent / "fork.json").read_text())
    assert (kept["at"], kept["steps"]) == (10, 10)
    assert list(kept["copies"]) == ["before", "as it was", "lr=0.0001", "disc_steps=2"]
    assert all("modes" in copy["scores"] for copy in kept["copies"].values())


def outcome(health: str, kid: float, name: str = "lr") -> Outcome:
    return Outcome(Change({name: kid}), health, {}, {"kid": kid}, None)


@pytest.mark.parametrize(
    ("own", "copy", "helped"),
    [
        (("ok", 0.2), ("ok", 0.1), True),
        (("ok", 0.1), ("ok", 0.2), False),
        (("D-winning", 0.1), ("ok", 0.2), True),
        (("ok", 0.2), ("D-winning", 0.1), False),
        (("D-winning", 0.2), ("nan", 0.1), True),
    ],
)
def test_which_copies_helped(own, copy, helped):
    found = Fork(outcome("ok", 0.3), [outcome(*own), outcome(*copy)], 10, 10, "kid", "min")
    assert bool(found.helped) == helped


def test_a_copy_that_is_not_finite_is_told_and_not_kept(run, tmp_path):
    found = command.main(command.Config(run=run, set=("lr=1e30",), steps=5, out=tmp_path / "out"))
    assert (found.outcomes[1].health, found.outcomes[1].directory) == ("nan", None)
    assert not found.helped


def test_what_cannot_be_forked(run, copied, tmp_path):
    def ask(directory=run, **flags):
        return command.main(command.Config(run=directory, **{"set": ("lr=1e-4",), "out": tmp_path / "out", **flags}))

    for flags, message in (
        ({"at": "15"}, "no checkpoint '15' to fork from; it has 10, 20, last"),
        ({"directory": tmp_path}, "is no run: name the directory of one"),
        ({"set": ()}, "say what to try"),
        ({"set": ("lr",)}, "give a flag and its values"),
        ({"set": ("lrr=1",)}, "no flag lrr that can be set; the nearest is lr"),
        ({"set": ("outdir=x",)}, "no flag outdir that can be set"),
        ({"set": ("lr=0.01",)}, "the run has that value"),
        ({"set": ("lr=1,1.0",)}, "asks for lr=1 twice"),
        ({"set": ("lr=-1",)}, "--lr '-1': a number above 0"),
        ({"set": ("data=grid",)}, "--set data=grid chooses other data, and copies play on the run's own"),
        ({"set": ("width=16",)}, "changes the networks, their optimizers or augmentation"),
        ({"out": run}, "lies in the input"),
        ({"script": "os.path"}, "which is none of ours"),
        ({"script": "experiments.nosuch"}, "cannot be imported"),
    ):
        with pytest.raises(InputError, match=message):
            ask(**flags)
    flags = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**{k: v for k, v in flags.items() if k != "depth"}, "deepness": 1}))
    with pytest.raises(InputError, match="other flags than its script .*deepness only the run, depth only the script"):
        ask(copied)


def test_a_fork_needs_the_same_data_and_a_script(copied, tmp_path):
    asked = command.Config(run=copied, set=("lr=1e-4",), out=tmp_path / "out")
    model = json.loads((copied / "model.json").read_text())
    assert model["script"] == {"build": "experiments.toy_2d:build", "config": "experiments.toy_2d:Config"}
    (copied / "model.json").write_text(json.dumps({name: value for name, value in model.items() if name != "script"}))
    with pytest.raises(InputError, match="does not say which script made it: name its module"):
        command.main(asked)
    assert open_origin(copied, script="experiments.toy_2d").build is toy_2d.build
    env = json.loads((copied / "env.json").read_text())
    (copied / "env.json").write_text(json.dumps({**env, "data": "other"}))
    with pytest.raises(InputError, match="the data of .* have changed since"):
        command.main(replace(asked, script="experiments.toy_2d"))


def test_a_fork_does_not_outlast_falling_rates(tmp_path):
    play(tmp_path / "run", decay="linear", steps=10)
    with pytest.raises(InputError, match="fall until round 10: fork it so that it ends before"):
        command.main(command.Config(run=tmp_path / "run", set=("r1=1",), steps=5))


def test_the_doctor_names_the_fork():
    flags = {"r1": 0.5, "loss": "minimax", "label_smoothing": 0.1, "spectral_norm": False}
    wanted = "python -m gan_jax fork runs/x --at 20 --set r1=5 loss=non_saturating --steps 500"
    assert trial("D-winning", flags, "runs/x", [10, 20]) == wanted
    assert trial("D-winning", flags, "runs/My pictures", [20]) == wanted.replace("runs/x", "'runs/My pictures'")
    assert trial("D-winning", flags, "runs/x", []) == trial("ok", flags, "runs/x", [10]) == trial("nan", {}, "x", [1]) == ""
    assert "--set lr=0.001,0.0004 r1=1 " in trial("oscillating", {"lr": 0.002, "r1": 0.0, "b1": 0.0}, "x", [1])
    assert "--set disc_lr=1e-05,0.0001 " in trial("D-slow", {"lr": 1e-3, "disc_lr": 1e-6}, "x", [1])
    assert "--set disc_lr=0.001 " in trial("D-slow", {"lr": 1e-3, "disc_lr": 1e-4}, "x", [1])  # not above the generator's
    assert trial("D-slow", {"lr": 1e-3, "disc_lr": 1e-3}, "x", [1]) == ""


@pytest.mark.parametrize("state", sorted(CURES.keys() - {"ok", "G-winning"}))
def test_what_the_doctor_names_can_be_set(state):
    config = toy_2d.Config(r1=0.1, loss="minimax", gen_steps=2, b1=0.5, disc_lr=1e-3)
    flags = vars(config)
    words = trial(state, flags, "x", [1]).partition("--set ")[2].partition(" --steps")[0].split()
    assert bool(words) == (state != "memorising")
    assert len(changes_of(config, tuple(words))) > len(words)
