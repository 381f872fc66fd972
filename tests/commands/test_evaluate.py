"""`evaluate`, `compare` and `doctor`: of runs, of folders, of files of samples."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_jax.commands import compare, doctor, evaluate, sample
from gan_jax.data import load
from gan_jax.errors import InputError
from gan_jax.evaluation.features import Network
from gan_jax.evaluation.seen import Seen
from gan_jax.runs.run import read_rows
from tests.four_rounds import pixels


@pytest.fixture(scope="module")
def noise(tmp_path_factory) -> Path:
    """40 pictures of 16x16 in a folder, and 240 in one with a folder for each of two classes."""
    place, generator = tmp_path_factory.mktemp("noise"), np.random.default_rng(0)
    for name, n in (("whole", 40), ("labelled/a", 120), ("labelled/b", 120)):
        (place / name).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(generator.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(place / name / f"{i}.png")
    return place


def test_a_run_is_evaluated_compared_and_diagnosed(conditional_run, tmp_path, capsys):
    asked = {"features": "pixels", "n": 40, "repeats": 2}
    for name, seed in (("a", 0), ("b", 50)):
        evaluate.main(evaluate.Config(conditional_run, **asked, metrics="kid,memorised", seed=seed, out=tmp_path / name))
    with pytest.raises(InputError, match="recognised needs a classifier: data with labels and features of the judge"):
        evaluate.main(evaluate.Config(conditional_run, **asked, metrics="recognised", out=tmp_path))
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
        evaluate.main(evaluate.Config(conditional_run, **asked, metrics="kid", reference=most, out=tmp_path / "real"))
        assert read_rows(tmp_path / "real" / "eval.jsonl")[-1]["protocol"]["real"] == found

    evaluate.main(evaluate.Config(conditional_run, **{**asked, "n": 30}, metrics="kid", out=tmp_path / "a"))
    evaluate.main(evaluate.Config(conditional_run, **{**asked, "n": 30}, metrics="kid", out=tmp_path / "b"))
    evaluate.main(evaluate.Config(conditional_run, **asked, metrics="diversity", out=tmp_path / "a"))
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
    evaluate.main(evaluate.Config(conditional_run, features="pixels", n=50, repeats=1, out=tmp_path / "c"))
    told = capsys.readouterr().out
    assert "left out    fid on 256 features needs more than 256" in told
    assert "left out    recognised needs a classifier" in told
    assert "coverage" in told
    with pytest.raises(InputError, match=r"cannot be ranked:\n  generated: 40 in .*; 50 in "):
        compare.main(compare.Config((tmp_path / "a", tmp_path / "c")))
    with pytest.raises(InputError, match="no scores with a protocol"):
        compare.main(compare.Config((tmp_path / "a", conditional_run / "samples")))

    doctor.main(doctor.Config(conditional_run))
    told = capsys.readouterr().out
    assert "at the end: " in told
    assert "D(x) - D(G(z))" in told
    assert "judged from round 500 on" in told
    assert "memorising was not looked for" not in told
    (tmp_path / "unscored").mkdir()
    shutil.copy(conditional_run / "metrics.jsonl", tmp_path / "unscored")
    doctor.main(doctor.Config(tmp_path / "unscored"))
    assert "memorising was not looked for: it needs scores while training" in capsys.readouterr().out
    with pytest.raises(InputError, match="no metrics to read"):
        doctor.main(doctor.Config(tmp_path))


@pytest.mark.slow
def test_samples_in_a_folder_or_a_file_are_evaluated(conditional_run, stripes, tmp_path, capsys):
    sample.main(sample.Config(run=conditional_run, n=60, out=tmp_path))
    (tmp_path / "sheet.png").unlink()
    asked = {"features": "pixels", "metrics": "kid,diversity", "n": 20, "repeats": 3, "out": tmp_path}
    evaluate.main(evaluate.Config(tmp_path / "samples.npz", ref="digits", **asked))
    row = read_rows(tmp_path / "eval.jsonl")[0]
    assert row["protocol"]["repeats"] == 3
    assert row["kid_std"] > 0
    evaluate.main(evaluate.Config(conditional_run, features="pixels", metrics="kid", n=20, out=tmp_path / "run"))
    compare.main(
        compare.Config((tmp_path, tmp_path / "run"), out=tmp_path / "compare.png")
    )  # how the file was sampled is unknown
    capsys.readouterr()
    evaluate.main(evaluate.Config(tmp_path / "samples.npz", ref="digits", **{**asked, "n": 50}))
    told = capsys.readouterr().out
    assert "reference   digits as 16x16x1" in told
    assert "has samples for 1 of 3 repeats of 50" in told
    for path, changes, message in (
        (conditional_run / "nope", {}, "there is no .*nope: name a run's directory, or a folder"),
        (conditional_run.parent, {}, "holds 1 runs: name one of them, such as"),
        (tmp_path / "samples.npz", {"checkpoint": "best"}, "--checkpoint best: .*is no run"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate.main(evaluate.Config(path, ref="digits", **asked, **changes))
    with pytest.raises(InputError, match="is no run, whose data would be known"):
        evaluate.main(evaluate.Config(tmp_path / "samples.npz", **asked))
    with pytest.raises(InputError, match="samples of several sizes"):
        evaluate.main(evaluate.Config(stripes, ref="digits", **asked))
    np.savez(tmp_path / "big.npz", image=np.zeros((20, 128, 128, 3), np.uint8))
    with pytest.raises(InputError, match="enlarged pictures are no reference"):
        evaluate.main(evaluate.Config(tmp_path / "big.npz", ref=str(stripes), **asked))


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
