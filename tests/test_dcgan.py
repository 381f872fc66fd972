"""The smallest DCGAN from its flags to its folder; bad input is told without a stack trace."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments import dcgan
from gan_jax.commands import evaluate, sample
from gan_jax.errors import InputError, RunError
from gan_jax.runs.run import read_rows
from tests.four_rounds import CADENCE, CONDITIONAL, SCORED, SMALL, frames, pixels, tiny, train

ROOT = Path(__file__).parents[1]


def test_a_run_leaves_what_it_promises(conditional_run):
    names = {path.name for path in conditional_run.iterdir()}
    assert {"config.json", "env.json", "model.json", "metrics.jsonl", "eval.jsonl", "log.txt", "real.png"} <= names
    assert [path.name for path in sorted((conditional_run / "samples").iterdir())] == ["000000.png", "000002.png", "000004.png"]
    assert sorted(path.name for path in (conditional_run / "checkpoints").iterdir()) == ["2", "4"]
    assert [row["step"] for row in read_rows(conditional_run / "metrics.jsonl")] == [2, 4]
    assert {"kid", "kid_floor", "overfit", "protocol"} <= set(read_rows(conditional_run / "eval.jsonl")[-1])
    assert {path.name for path in (conditional_run / "video").iterdir()} >= {"progress.png"}
    assert (conditional_run / "video" / "progress.mp4").exists() or frames(conditional_run / "video" / "progress.webp") == 3
    assert list((conditional_run / "tensorboard").iterdir())


def test_weights_of_another_run(conditional_run, tmp_path):
    same = {**CONDITIONAL, "init_from": conditional_run, "steps": 2}
    train(tiny(tmp_path / "warm", **same))
    assert "began with the weights" in (tmp_path / "warm" / "log.txt").read_text()
    np.testing.assert_array_equal(
        pixels(tmp_path / "warm" / "samples" / "000000.png"), pixels(conditional_run / "samples" / "000004.png")
    )
    with pytest.raises(InputError, match="another size|another network"):
        dcgan.main(tiny(tmp_path / "other", **{**same, "width": 8}))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"image_size": "48"}, InputError, "nearest square size is 32x32"),
        ({"batch": 5000}, InputError, "cannot be drawn from 1437"),
        ({"data": "nowhere/pictures"}, InputError, "nowhere/pictures"),
        ({"crop": 16}, InputError, "choose 1 to 15"),
        ({"save_every": 0}, InputError, "at least 1"),
        ({"loss": "wasserstein"}, InputError, "--wgan-gp 10, --clip 0.01"),
        ({"pack": 3}, InputError, "--batch 16 cannot be packed by 3"),
        ({"pack": 2, "label": "projection"}, InputError, "Use pack=1"),
        (
            {"batch": 1, "minibatch": "stddev"},
            InputError,
            "minibatch features compare the examples of a batch, and 1 is judged",
        ),
        ({"pack": 16, "minibatch": "stddev"}, InputError, "of 2 packs where examples are packed"),
        ({"init_from": Path("nowhere")}, InputError, "no run with checkpoints"),
        ({"lr": 1e30, "loss": "least_squares", "steps": 40}, RunError, r"not finite at step \d+.*newest healthy checkpoint"),
    ],
)
def test_bad_input(tmp_path, changes, error, message):
    with pytest.raises(error, match=message):
        dcgan.main(tiny(tmp_path / "run", **changes))


@pytest.mark.parametrize("augment", [*(pytest.param(name, marks=pytest.mark.slow) for name in ("none", "diffaugment")), "ada"])
def test_a_folder_of_pictures_that_are_not_square(stripes, augment, tmp_path):
    shape = {"data": str(stripes), "image_size": "16x24", "fit": "pad", "mirror": True, "crop": 1, "statistics": "running"}
    train(tiny(tmp_path / "run", **shape, augment=augment))
    rows = read_rows(tmp_path / "run" / "metrics.jsonl")
    assert ("augment/p" in rows[-1]) == (augment == "ada")
    assert not read_rows(tmp_path / "run" / "eval.jsonl")  # not asked for
    sample.main(sample.Config(run=tmp_path / "run", n=5))
    assert np.load(tmp_path / "run" / "generated" / "samples.npz")["images"].shape == (5, 16, 24, 3)
    with pytest.raises(InputError, match=r"has no label: it has image\. Put the pictures of each class"):
        train(tiny(tmp_path / "labels", **shape, label="projection"))


@pytest.mark.slow
def test_where_the_pictures_lie_makes_no_difference(stripes, tmp_path):
    shape = {"data": str(stripes), "mirror": True, "crop": 2, "disc_steps": 2, "batch": 8}
    hashes = []
    for feed in ("device", "host"):
        train(tiny(tmp_path / feed, **shape, feed=feed))
        sample.main(sample.Config(run=tmp_path / feed, n=5))
        hashes.append(np.load(tmp_path / feed / "generated" / "samples.npz")["images"])
        assert {"device": "on the device", "host": "sent ahead"}[feed] in (tmp_path / feed / "log.txt").read_text()
    np.testing.assert_array_equal(*hashes)


def test_another_configuration_is_refused_and_nothing_is_changed(conditional_run):
    before = {path: path.read_bytes() for path in conditional_run.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=r"lr: 0\.002 in the run, 0\.1 now"):
        dcgan.main(tiny(conditional_run, **SCORED, lr=0.1))
    assert {path: path.read_bytes() for path in conditional_run.rglob("*") if path.is_file()} == before


def test_a_finished_run_tells_its_own_scores(copied):
    """Also after it was evaluated by hand."""
    run = copied
    scored = next(row for row in reversed(read_rows(run / "eval.jsonl")) if row.get("source") == "training")
    evaluate.main(evaluate.Config(run, features="pixels", metrics="diversity", n=40, repeats=1))
    before = len((run / "log.txt").read_text())
    train(tiny(run, **SCORED))
    told = (run / "log.txt").read_text()[before:]
    assert f"kid{'':13}{scored['kid']:8.4g}" in told
    assert "diversity" not in told


def test_steps_may_grow(copied):
    train(tiny(copied, **SCORED, steps=6))
    assert [row["step"] for row in read_rows(copied / "metrics.jsonl")] == [2, 4, 6]


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty and is no run"):
        dcgan.main(tiny(tmp_path))


@pytest.mark.slow
def test_a_packed_run_is_looked_at_in_whole_packs(tmp_path):
    train(tiny(tmp_path / "run", eval_metrics="kid", features="pixels", pack=8, steps=2))
    assert {"kid", "overfit"} <= read_rows(tmp_path / "run" / "eval.jsonl")[-1].keys()


def command(*args: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", *args], cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_command_line():
    unknown = command("experiments.dcgan", "--stepz", "3")
    assert unknown.returncode == 2
    assert "--steps" in unknown.stderr
    size = command("experiments.dcgan", "--image-size", "48")
    assert size.returncode == 2
    assert "\nerror: image size 48x48" in f"\n{size.stderr}"
    assert "Traceback" not in unknown.stderr + size.stderr


@pytest.mark.slow
def test_command_line_help():
    usage = command("experiments.dcgan", "--help")
    assert usage.returncode == 0
    assert "decay of the mean gradient, for both players" in usage.stdout
    assert usage.stdout.startswith("usage: python -m experiments.dcgan")
    commands = command("gan_jax", "--help")
    assert commands.stdout.startswith("usage: python -m gan_jax")
    assert "Draw samples from a run" in commands.stdout


@pytest.mark.parametrize(("limit", "width"), [(20_000, 4), pytest.param(200_000, 16, marks=pytest.mark.slow)])
def test_a_full_disk_is_told(tmp_path, limit, width):
    """Files may not grow beyond a limit: the first line of metrics, or a checkpoint, cannot be written."""
    settings = {**SMALL, **CADENCE, "width": width, "steps": 400}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (%d, %d)); "
        "sys.argv = ['dcgan', *%r]; import runpy; runpy.run_module('experiments.dcgan', run_name='__main__')"
    ) % (limit, limit, ["--eval-metrics=none", *flags, f"--outdir={tmp_path / 'run'}"])
    environment = {**os.environ, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1e9"}  # keeps no program that is cut off
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 1, done.stderr
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads((tmp_path / "run" / "config.json").read_text())["steps"] == 400
