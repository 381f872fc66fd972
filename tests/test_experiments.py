"""Every experiment's smallest configuration runs; bad input is told without a stack trace."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments import dcgan, toy_2d
from experiments.benchmarks import benchmark_data
from gan_jax.commands import compare, data, doctor, evaluate, sample
from gan_jax.data import load
from gan_jax.errors import InputError, RunError
from gan_jax.evaluation.features import Network
from gan_jax.evaluation.seen import Seen
from gan_jax.images import save
from gan_jax.runs.run import read_rows

ROOT = Path(__file__).parents[1]
SMALL = {"image_size": "16", "width": 4, "batch": 16, "latent_dim": 8, "steps": 4}
CADENCE = {"log_every": 2, "sample_every": 2, "eval_every": 4, "save_every": 2}


def tiny(outdir: Path, **changes) -> dcgan.Config:
    return dcgan.Config(**{"outdir": outdir, "eval_metrics": "none", "devices": 1, **SMALL, **CADENCE, **changes})


def frames(path: Path) -> int:
    with Image.open(path) as picture:
        return picture.n_frames


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def train(config: dcgan.Config) -> None:
    """Four rounds may well give samples of one class only: that is told at the end, when everything is written."""
    try:
        dcgan.main(config)
    except RunError as error:
        if "of one class" not in str(error):
            raise


CONDITIONAL = {"label": "projection", "gen_label": "batch_norm", "disc_steps": 2}
SCORED = {**CONDITIONAL, "eval_metrics": "kid", "features": "pixels", "eval_n": 100}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A class-conditional run of four rounds, to look at; who changes it takes `copied`."""
    outdir = tmp_path_factory.mktemp("runs") / "conditional"
    train(tiny(outdir, **SCORED))
    return outdir


@pytest.fixture
def copied(run, tmp_path) -> Path:
    """The same run in a directory of its own."""
    return shutil.copytree(run, tmp_path / "copied")


def test_a_run_leaves_what_it_promises(run):
    names = {path.name for path in run.iterdir()}
    assert {"config.json", "env.json", "model.json", "metrics.jsonl", "eval.jsonl", "log.txt", "real.png"} <= names
    assert [path.name for path in sorted((run / "samples").iterdir())] == ["000000.png", "000002.png", "000004.png"]
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["2", "4"]
    assert [row["step"] for row in read_rows(run / "metrics.jsonl")] == [2, 4]
    assert {"kid", "kid_floor", "overfit", "protocol"} <= set(read_rows(run / "eval.jsonl")[-1])
    assert {path.name for path in (run / "video").iterdir()} >= {"progress.png"}
    assert (run / "video" / "progress.mp4").exists() or frames(run / "video" / "progress.webp") == 3
    assert list((run / "tensorboard").iterdir())


def test_sample_works_from_the_directory_alone(run, tmp_path):
    for name in ("a", "b"):
        sample.main(sample.Config(run=run, n=10, label="7", out=tmp_path / name))
    a, b = (np.load(tmp_path / name / "samples.npz") for name in ("a", "b"))
    assert a["images"].shape == (10, 16, 16, 1)
    assert a["images"].dtype == np.uint8
    assert a["z"].shape == (10, 8)
    assert set(a["label"]) == {7}
    np.testing.assert_array_equal(a["images"], b["images"])
    sample.main(sample.Config(run=run, n=10, label="7", seed=1, checkpoint="best", statistics="batch", out=tmp_path / "c"))
    assert (np.load(tmp_path / "c" / "samples.npz")["images"] != a["images"]).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "eleven"}, "its classes are 0, 1"),
        ({"checkpoint": "9"}, "it has 2, 4, last, best"),
        ({"n": 0}, "at least 1"),
    ],
)
def test_sample_says_what_it_cannot_do(run, changes, message):
    with pytest.raises(InputError, match=message):
        sample.main(sample.Config(**{"run": run, **changes}))
    with pytest.raises(InputError, match="no model.json"):
        sample.main(sample.Config(run=run / "samples"))
    with pytest.raises(InputError, match="--out is a folder for sheet.png and samples.npz, not a file such as one.png"):
        sample.main(sample.Config(run=run, out=Path("one.png")))
    for place in ("checkpoints", "samples"):
        with pytest.raises(InputError, match=f"samples.npz lies in the input .*{place}: choose another place with --out"):
            sample.main(sample.Config(run=run, n=2, out=run / place))


def test_a_run_is_evaluated_compared_and_diagnosed(run, tmp_path, capsys):
    asked = {"features": "pixels", "n": 40, "repeats": 2}
    for name, seed in (("a", 0), ("b", 50)):
        evaluate.main(evaluate.Config(run, **asked, metrics="kid,memorised", seed=seed, out=tmp_path / name))
    with pytest.raises(InputError, match="recognised needs a classifier: data with labels and features of the judge"):
        evaluate.main(evaluate.Config(run, **asked, metrics="recognised", out=tmp_path))
    told = capsys.readouterr().out
    assert "kid" in told
    assert "±" in told
    assert "lower is better" in told
    row = read_rows(tmp_path / "a" / "eval.jsonl")[0]
    assert row["step"] == 4
    assert {"kid", "kid_std", "kid_floor", "memorised"} <= row.keys()
    assert row["protocol"]["statistics"] == "standing"
    assert pixels(tmp_path / "a" / "nearest.png").shape[1] > 12 * 16
    for most, found in ((100, 100), (0, 1437)):
        evaluate.main(evaluate.Config(run, **asked, metrics="kid", reference=most, out=tmp_path / "real"))
        assert read_rows(tmp_path / "real" / "eval.jsonl")[-1]["protocol"]["real"] == found

    evaluate.main(evaluate.Config(run, **{**asked, "n": 30}, metrics="kid", out=tmp_path / "a"))
    evaluate.main(evaluate.Config(run, **{**asked, "n": 30}, metrics="kid", out=tmp_path / "b"))
    evaluate.main(evaluate.Config(run, **asked, metrics="diversity", out=tmp_path / "a"))
    capsys.readouterr()
    compare.main(compare.Config((tmp_path / "a", tmp_path / "b"), out=tmp_path / "compare.png"))
    told = capsys.readouterr().out
    assert "memorised " in told  # of the protocol with most scores, not the last one
    assert "not of all of them: diversity\n" in told
    assert f"no curve of {tmp_path / 'a'}, {tmp_path / 'b'}: " in told
    (tmp_path / "b" / "metrics.jsonl").write_text('{"step": 9}\n')
    compare.main(compare.Config((tmp_path / "a", tmp_path / "b"), out=tmp_path / "compare.png"))
    assert f"{tmp_path / 'b'} was trained up to step 9 since: evaluate it again\n" in capsys.readouterr().out
    other = (tmp_path / "a" / "eval.jsonl").read_text().replace('"fingerprint": "', '"fingerprint": "other')
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "eval.jsonl").write_text(other)
    with pytest.raises(InputError, match="they are of other data: name one reference for all by `evaluate --ref`"):
        compare.main(compare.Config((tmp_path / "a", tmp_path / "other")))
    evaluate.main(evaluate.Config(run, features="pixels", n=50, repeats=1, out=tmp_path / "c"))
    told = capsys.readouterr().out
    assert "left out    fid on 256 features needs more than 256" in told
    assert "left out    recognised needs a classifier" in told
    assert "coverage" in told
    with pytest.raises(InputError, match=r"cannot be ranked:\n  generated: 40 in .*; 50 in "):
        compare.main(compare.Config((tmp_path / "a", tmp_path / "c")))
    with pytest.raises(InputError, match="no scores with a protocol"):
        compare.main(compare.Config((tmp_path / "a", run / "samples")))

    doctor.main(doctor.Config(run))
    told = capsys.readouterr().out
    assert "at the end: " in told
    assert "D(x) - D(G(z))" in told
    assert "judged from round 500 on" in told
    assert "memorising was not looked for" not in told
    (tmp_path / "unscored").mkdir()
    shutil.copy(run / "metrics.jsonl", tmp_path / "unscored")
    doctor.main(doctor.Config(tmp_path / "unscored"))
    assert "memorising was not looked for: it needs scores while training" in capsys.readouterr().out
    with pytest.raises(InputError, match="no metrics to read"):
        doctor.main(doctor.Config(tmp_path))


@pytest.mark.slow
def test_samples_in_a_folder_or_a_file_are_evaluated(run, folder, tmp_path, capsys):
    sample.main(sample.Config(run=run, n=60, out=tmp_path))
    (tmp_path / "sheet.png").unlink()
    asked = {"features": "pixels", "metrics": "kid,diversity", "n": 20, "repeats": 3, "out": tmp_path}
    evaluate.main(evaluate.Config(tmp_path / "samples.npz", ref="digits", **asked))
    row = read_rows(tmp_path / "eval.jsonl")[0]
    assert row["protocol"]["repeats"] == 3
    assert row["kid_std"] > 0
    evaluate.main(evaluate.Config(run, features="pixels", metrics="kid", n=20, out=tmp_path / "run"))
    compare.main(
        compare.Config((tmp_path, tmp_path / "run"), out=tmp_path / "compare.png")
    )  # how the file was sampled is unknown
    capsys.readouterr()
    evaluate.main(evaluate.Config(tmp_path / "samples.npz", ref="digits", **{**asked, "n": 50}))
    told = capsys.readouterr().out
    assert "reference   digits as 16x16x1" in told
    assert "has samples for 1 of 3 repeats of 50" in told
    for path, changes, message in (
        (run / "nope", {}, "there is no .*nope: name a run's directory, or a folder"),
        (run.parent, {}, "holds 1 runs: name one of them, such as"),
        (tmp_path / "samples.npz", {"checkpoint": "best"}, "--checkpoint best: .*is no run"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate.main(evaluate.Config(path, ref="digits", **asked, **changes))
    with pytest.raises(InputError, match="is no run, whose data would be known"):
        evaluate.main(evaluate.Config(tmp_path / "samples.npz", **asked))
    with pytest.raises(InputError, match="samples of several sizes"):
        evaluate.main(evaluate.Config(folder, ref="digits", **asked))
    np.savez(tmp_path / "big.npz", image=np.zeros((20, 128, 128, 3), np.uint8))
    with pytest.raises(InputError, match="enlarged pictures are no reference"):
        evaluate.main(evaluate.Config(tmp_path / "big.npz", ref=str(folder), **asked))


@pytest.fixture(scope="module")
def noise(tmp_path_factory) -> Path:
    """40 pictures of 16x16 in a folder, and 240 in one with a folder for each of two classes."""
    place, generator = tmp_path_factory.mktemp("noise"), np.random.default_rng(0)
    for name, n in (("whole", 40), ("labelled/a", 120), ("labelled/b", 120)):
        (place / name).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(generator.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(place / name / f"{i}.png")
    return place


def test_a_folder_is_compared_with_all_of_itself(noise, tmp_path, capsys):
    """Nothing is held out of a reference that no score needs divided; what has too few pictures is left out."""
    asked = {"features": "pixels", "repeats": 1, "out": tmp_path}
    row = evaluate.main(evaluate.Config(noise / "whole", ref=str(noise / "whole"), **asked))
    told = capsys.readouterr().out
    assert "compared    with 40 pictures of" in told
    assert "all that there are" in told
    assert "left out    fid on 768 features" in told
    assert "left out    memorised needs 50 held-out" in told
    assert (row["protocol"]["real"], row["protocol"]["held_out"], row["protocol"]["generated"]) == (40, 0, 40)
    assert (row["precision"], row["recall"], row["coverage"], row["diversity"]) == (1, 1, 1, 1)
    few = evaluate.main(evaluate.Config(noise / "whole", ref=str(noise / "whole"), n=3, **asked))
    assert "left out    prdc needs 6 samples and 6 real pictures or more, and there are 3 and 40" in capsys.readouterr().out
    assert "kid" in few
    with pytest.raises(InputError, match="prdc needs 6 samples"):
        evaluate.main(evaluate.Config(noise / "whole", ref=str(noise / "whole"), n=3, metrics="prdc", **asked))


def test_fid_of_a_folder_against_itself_is_0(noise, tmp_path, monkeypatch):
    """Also with a classifier of the data, which needs held-out pictures, and whatever n was by default."""
    monkeypatch.setattr(evaluate, "OF_RUN", 50)
    network = Network({"features": "means"}, lambda x: Seen(x.mean(axis=(1, 2), dtype=np.float32) / 255), "classes")
    taught = []
    monkeypatch.setattr(evaluate.Config, "open_features", lambda config, data: taught.append(data) or network)
    labelled = noise / "labelled"
    asked = {"ref": str(labelled), "features": "judge", "repeats": 1, "out": tmp_path}
    row = evaluate.main(evaluate.Config(labelled, metrics="fid,prdc,kid", **asked))
    assert row["fid"] == pytest.approx(0, abs=1e-9)
    assert (row["protocol"]["real"], row["protocol"]["held_out"], row["protocol"]["generated"]) == (240, 12, 240)
    assert (len(taught[0]), len(taught[0].held_out["image"])) == (228, 12)


def test_pictures_are_held_out_of_a_reference_where_a_score_needs_them(noise, tmp_path, capsys):
    labelled = noise / "labelled"
    asked = {"ref": str(labelled), "features": "pixels", "repeats": 1, "out": tmp_path}
    with pytest.raises(InputError, match="memorised needs 50 held-out pictures or more.* there are 12"):
        evaluate.main(evaluate.Config(labelled, metrics="kid,memorised", **asked))
    assert "compared    with 228 pictures of labelled; 12 others are held out" in capsys.readouterr().out


def test_a_runs_own_split_is_used_again(copied, noise, tmp_path, capsys):
    """By the same name, by another path to the same pictures, and where they have moved since."""
    asked = {"features": "pixels", "metrics": "kid", "n": 20, "repeats": 1, "out": tmp_path}
    known = json.loads((copied / "config.json").read_text())
    for ref in ("train", "digits"):
        assert evaluate.main(evaluate.Config(copied, ref=ref, **asked))["protocol"]["held_out"] == 360
    shutil.copytree(noise / "labelled", tmp_path / "pictures")
    trained_on = {**known, "data": str(tmp_path / "pictures"), "held_out": 0.25, "limit": 200, "channels": 1}
    (copied / "config.json").write_text(json.dumps(trained_on))
    own = load(tmp_path / "pictures", (16, 16), held_out=0.25, limit=200, channels=1)
    (copied / "env.json").write_text(json.dumps({"data": own.fingerprint}))
    (tmp_path / "link").symlink_to(tmp_path / "pictures")
    protocol = evaluate.main(evaluate.Config(copied, ref=str(tmp_path / "link"), **asked))["protocol"]
    assert (protocol["fingerprint"], protocol["held_out"]) == (own.fingerprint, len(own.held_out["image"]))
    (tmp_path / "link").unlink()
    (tmp_path / "pictures").rename(tmp_path / "moved")
    protocol = evaluate.main(evaluate.Config(copied, ref=str(tmp_path / "moved"), **asked))["protocol"]
    assert (protocol["fingerprint"], protocol["held_out"]) == (own.fingerprint, len(own.held_out["image"]))
    capsys.readouterr()
    protocol = evaluate.main(evaluate.Config(copied, ref=str(noise / "whole"), **asked))["protocol"]
    assert (protocol["real"], protocol["held_out"]) == (40, 0)


def test_weights_of_another_run(run, tmp_path):
    same = {**CONDITIONAL, "init_from": run, "steps": 2}
    train(tiny(tmp_path / "warm", **same))
    assert "began with the weights" in (tmp_path / "warm" / "log.txt").read_text()
    np.testing.assert_array_equal(pixels(tmp_path / "warm" / "samples" / "000000.png"), pixels(run / "samples" / "000004.png"))
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """30 pictures of differing sizes and kinds, without labels."""
    folder = tmp_path_factory.mktemp("pictures") / "stripes"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for i in range(30):
        height, width = generator.integers(20, 90, 2)
        pixels = generator.integers(0, 256, (height, width, 4), dtype=np.uint8)
        picture = Image.fromarray(pixels).convert(("RGB", "L", "RGBA", "P")[i % 4])
        picture.save(folder / f"{i}.{('png', 'jpg', 'webp', 'gif')[i % 4]}")
    return folder


@pytest.mark.parametrize("augment", [*(pytest.param(name, marks=pytest.mark.slow) for name in ("none", "diffaugment")), "ada"])
def test_a_folder_of_pictures_that_are_not_square(folder, augment, tmp_path):
    shape = {"data": str(folder), "image_size": "16x24", "fit": "pad", "mirror": True, "crop": 1, "statistics": "running"}
    train(tiny(tmp_path / "run", **shape, augment=augment))
    rows = read_rows(tmp_path / "run" / "metrics.jsonl")
    assert ("augment/p" in rows[-1]) == (augment == "ada")
    assert not read_rows(tmp_path / "run" / "eval.jsonl")  # not asked for
    sample.main(sample.Config(run=tmp_path / "run", n=5))
    assert np.load(tmp_path / "run" / "generated" / "samples.npz")["images"].shape == (5, 16, 24, 3)
    with pytest.raises(InputError, match=r"has no label: it has image\. Put the pictures of each class"):
        train(tiny(tmp_path / "labels", **shape, label="projection"))


@pytest.mark.slow
def test_where_the_pictures_lie_makes_no_difference(folder, tmp_path):
    shape = {"data": str(folder), "mirror": True, "crop": 2, "disc_steps": 2, "batch": 8}
    hashes = []
    for feed in ("device", "host"):
        train(tiny(tmp_path / feed, **shape, feed=feed))
        sample.main(sample.Config(run=tmp_path / feed, n=5))
        hashes.append(np.load(tmp_path / feed / "generated" / "samples.npz")["images"])
        assert {"device": "on the device", "host": "sent ahead"}[feed] in (tmp_path / feed / "log.txt").read_text()
    np.testing.assert_array_equal(*hashes)


def test_look_at_data_before_training(folder, tmp_path, capsys):
    data.main(data.Config(action="check", path=str(folder), image_size="32", out=tmp_path / "real.png"))
    report = capsys.readouterr().out
    assert "30 pictures" in report
    assert "not square" in report
    assert pixels(tmp_path / "real.png").shape[1] > 100
    looks = []
    for augment in ("none", "diffaugment", "ada"):
        asked = data.Config(
            action="preview", path=str(folder), image_size="32", augment=augment, mirror=True, out=tmp_path / "p.png"
        )
        data.main(asked)
        looks.append(pixels(tmp_path / "p.png"))
    assert looks[0].shape[0] < looks[1].shape[0] == looks[2].shape[0]
    np.testing.assert_array_equal(looks[0][:60], looks[1][:60])
    assert (looks[1] != looks[2]).any()
    with pytest.raises(InputError, match=r"cannot write .*choose another --out"):
        data.main(data.Config(action="preview", path=str(folder), out=tmp_path / "p.png" / "p.png"))


def test_another_configuration_is_refused_and_nothing_is_changed(run):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=r"lr: 0\.002 in the run, 0\.1 now"):
        dcgan.main(tiny(run, **SCORED, lr=0.1))
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


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


def test_toy_2d_compares_two_recipes(tmp_path, capsys):
    small = {"width": 8, "depth": 1, "batch": 16, "steps": 4, "devices": 1, **CADENCE}
    toy_2d.main(toy_2d.Config(data="ring", outdir=tmp_path, **small))
    assert (tmp_path / "comparison.png").exists()
    assert frames(tmp_path / "film.webp") == 3
    assert "of 2,500 samples within 3 sigma" in capsys.readouterr().out
    configs = {name: json.loads((tmp_path / name / "config.json").read_text()) for name in ("regularised", "plain")}
    assert configs["regularised"]["loss"] == "relativistic_paired"
    assert (configs["plain"]["loss"], configs["plain"]["r1"]) == ("non_saturating", 0.0)
    assert sample.main(sample.Config(run=tmp_path / "plain", n=3))["samples"].shape == (3, 2)
    assert [path.name for path in (tmp_path / "plain" / "generated").iterdir()] == ["samples.npz"]  # points make no sheet


def test_toy_2d_compares_what_there_is(tmp_path, capsys):
    white = np.full((8, 8, 3), 255, np.uint8)
    for name, steps in (("plain", (0, 1, 2, 3)), ("own", (0, 1, 2))):
        for step in steps:
            save(white, tmp_path / name / "samples" / f"{step:06}.png")
    save(white[:4], tmp_path / "own" / "samples" / "000001.png")
    (tmp_path / "own" / "samples" / "000000.png").write_bytes(b"torn")
    toy_2d.compare(tmp_path, ("plain", "own"))
    told = capsys.readouterr().out
    assert told.count("is left out of the film") == 2
    assert told.count("no modes have been counted") == 2
    assert np.asarray(Image.open(tmp_path / "comparison.png")).shape == (8, 16, 3)
    (tmp_path / "own" / "samples" / "000002.png").unlink()
    toy_2d.compare(tmp_path, ("plain", "own"))
    assert "no frames of the same steps" in capsys.readouterr().out


@pytest.mark.slow
def test_a_packed_run_is_looked_at_in_whole_packs(tmp_path):
    train(tiny(tmp_path / "run", eval_metrics="kid", features="pixels", pack=8, steps=2))
    assert {"kid", "overfit"} <= read_rows(tmp_path / "run" / "eval.jsonl")[-1].keys()


@pytest.mark.slow
def test_toy_2d_keeps_its_recipes_whatever_the_flags_say(tmp_path, capsys):
    small = {"width": 8, "depth": 1, "batch": 16, "steps": 2, "devices": 1, **CADENCE}
    own = {"recipes": ("plain", "own"), "loss": "wasserstein", "wgan_gp": 0.5}
    toy_2d.main(toy_2d.Config(data="ring", outdir=tmp_path, **small, **own))
    configs = {name: json.loads((tmp_path / name / "config.json").read_text()) for name in ("plain", "own")}
    assert (configs["plain"]["loss"], configs["plain"]["wgan_gp"]) == ("non_saturating", 0.0)
    assert (configs["own"]["loss"], configs["own"]["wgan_gp"]) == ("wasserstein", 0.5)
    capsys.readouterr()
    toy_2d.main(toy_2d.Config(data="ring", outdir=tmp_path / "dry", dry_run=True, **small))
    assert capsys.readouterr().out.count("MiB at the peak") == 2
    with pytest.raises(InputError, match="ring has no pictures to compute these scores on"):
        toy_2d.main(toy_2d.Config(data="ring", outdir=tmp_path / "kid", eval_metrics="kid", **small))


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


FEEDS = benchmark_data.Config(data="digits", sizes=(16,), n=200, batch=16, width=4, seconds=0.05, turns=1)


def test_feeds_of_the_benchmark_do_the_same_work():
    """Ours bring the same pictures to the bit, NumPy's as many: shifted by reflection, mirrored, in [-1, 1]."""
    images = np.random.default_rng(0).integers(0, 256, (200, 16, 16, 3)).astype(np.uint8)
    resident = benchmark_data.resident_feed(images, FEEDS)
    mapped = benchmark_data.mapped_feed({"image": images}, FEEDS)
    plain = benchmark_data.numpy_feed(images, FEEDS)
    seen = []
    for _ in range(3):
        one, other, third = (np.asarray(next(feed)) for feed in (resident, mapped, plain))
        np.testing.assert_allclose(one, other, atol=1e-6)
        assert one.shape == third.shape == (16, 16, 16, 3)
        assert one.dtype == third.dtype == np.float32
        assert np.abs(third).max() <= 1
        seen.append(one)
    assert not np.array_equal(seen[0], seen[1])


@pytest.mark.slow
def test_benchmark_of_feeds(tmp_path):
    """Every way of feeding has its row, and every rate stands beside the step's."""
    benchmark_data.main(replace(FEEDS, out=tmp_path / "table.json"))
    table = json.loads((tmp_path / "table.json").read_text())
    rows = table["sizes"]["16"]
    ways = {"NumPy in memory", "ours, on the device", "ours, memory-mapped, sent ahead"}
    assert ways | {f"grain over tfds.data_source, {n} workers" for n in (0, 2)} <= rows["feeds"].keys()
    assert rows["cost"].keys() == {"on the device", "memory-mapped, sent ahead"}
    assert all(np.isfinite([*rows["feeds"].values(), rows["appetite"], *rows["cost"].values()]))
    assert min(rows["cost"].values()) > -1
