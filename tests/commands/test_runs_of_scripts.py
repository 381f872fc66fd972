"""Commands on runs of one's own scripts, on runs whose data have moved or changed, and where outputs may lie."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_jax.commands import compare, data, evaluate, sample, weights
from gan_jax.data import PictureFlags
from gan_jax.errors import InputError
from gan_jax.runs.records import append_row, read_json, write_json
from tests.runs.test_trained import write_run


def draw_pictures(folder: Path, first: int = 0, n: int = 60) -> Path:
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(first)
    for i in range(first, first + n):
        Image.fromarray(generator.integers(0, 255, (16, 16), np.uint8)).save(folder / f"{i}.png")
    return folder


def score(run: Path, **flags):
    flags = {"metrics": "kid", "n": 20, "repeats": 1, "features": "pixels", **flags}
    return evaluate.main(evaluate.Config(samples=run, **flags))


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Path:
    """A run of a script that has no flags of ours."""
    return write_run(tmp_path_factory.mktemp("own") / "run")


@pytest.fixture
def run(own, tmp_path, monkeypatch) -> Path:
    """The same as a run of ours on pics/, in the folder where it was made."""
    shutil.copytree(own, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    flags = PictureFlags(data="pics", image_size="16")
    write_json(tmp_path / "run" / "config.json", dataclasses.asdict(flags))
    draw_pictures(tmp_path / "pics")
    found = read_json(tmp_path / "run" / "env.json") | {"data": flags.load().fingerprint, "folder": str(tmp_path)}
    write_json(tmp_path / "run" / "env.json", found)
    return tmp_path / "run"


def test_a_run_of_a_script_is_sampled_and_scored_beside_a_reference(own, tmp_path):
    reference = draw_pictures(tmp_path / "ref")
    assert sample.main(sample.Config(run=own, n=2, out=tmp_path / "out"))["images"].shape == (2, 16, 16, 1)
    row = score(own, ref=str(reference), out=tmp_path / "out")
    assert row["protocol"]["size"] == "16x16x1"
    with pytest.raises(InputError, match="does not say what pictures it was trained on: name them by --ref"):
        score(own)


def test_data_that_have_moved_changed_or_gone(run, tmp_path, monkeypatch, capsys):
    score(run)
    monkeypatch.chdir(run)  # elsewhere than where it was trained
    assert score(run)["protocol"]["reference"] == "pics"
    assert "has changed" not in capsys.readouterr().out
    draw_pictures(tmp_path / "pics", first=60, n=20)
    score(run)
    assert "pics has changed since" in capsys.readouterr().out
    shutil.move(tmp_path / "pics", tmp_path / "gone")
    with pytest.raises(InputError, match="are gone: name them by --ref"):
        score(run)
    score(run, ref=str(tmp_path / "gone"))


@pytest.mark.parametrize("name", ["~nosuch/x", "x" * 300])
def test_names_that_no_file_can_have(run, name, tmp_path):
    for asked in (
        lambda: score(Path(name)),
        lambda: score(run, ref=name),
        lambda: data.main(data.Config(action="check", path=name)),
    ):
        with pytest.raises(InputError, match="no such home folder|can be no path") as told:
            asked()
        assert len(str(told.value)) < 300
    write_json(run / "config.json", read_json(run / "config.json") | {"data": name})
    with pytest.raises(InputError, match="are gone: name them by --ref"):
        score(run)
    assert score(run, ref="pics")["protocol"]["reference"] == "pics"


WRONG = [
    {"data": []},
    {"image_size": None},
    {"fit": "glue"},
    {"channels": "7"},
    {"limit": []},
    {"limit": 2.5},
    {"range": [0, [1]]},
    {"label_column": {}},
    {"pages": "x"},
    {"held_out": True},
]


@pytest.mark.parametrize("change", WRONG)
def test_flags_of_data_that_are_no_flags(run, change):
    write_json(run / "config.json", read_json(run / "config.json") | change)
    with pytest.raises(InputError, match="is damaged: the flags of its data"):
        score(run)


@pytest.mark.parametrize(
    "change",
    [{"format": "x"}, {"metric": []}, {"mode": "up"}, {"statistics": 1}, {"classes": [1]}, {"shapes": []}, {"parts": 5}],
)
def test_a_damaged_model_is_one_line(run, change):
    write_json(run / "model.json", read_json(run / "model.json") | change)
    with pytest.raises(InputError) as caught:
        sample.main(sample.Config(run=run, n=2))
    assert len(str(caught.value)) < 500


def test_a_generator_that_is_not_that_of_the_checkpoint(run):
    model = json.loads((run / "model.json").read_text())
    model["parts"]["generator"]["fields"]["width"] = 10**9  # of shapes alone, so that this takes no memory
    write_json(run / "model.json", model)
    with pytest.raises(InputError, match="does not fit checkpoint 0: "):
        sample.main(sample.Config(run=run, n=2))


def test_scores_that_are_no_numbers_are_not_compared(tmp_path):
    protocol = {"features": "judge", "samples": "x"}
    for name, scores in {"a": {"kid": 1.0, "fid": "low"}, "b": {"kid": 2.0, "fid": [3]}}.items():
        (tmp_path / name).mkdir()
        append_row(tmp_path / name / "eval.jsonl", {"step": 0, **scores, "protocol": protocol})
    compare.main(compare.Config(runs=(tmp_path / "a", tmp_path / "b"), out=tmp_path / "out.png"))


def test_nothing_that_is_read_is_written(run, tmp_path, monkeypatch):
    pictures = tmp_path / "pics"
    before = sorted(pictures.iterdir())
    monkeypatch.chdir(pictures)
    calls = [
        lambda: data.main(data.Config(path=str(pictures), out=pictures / "0.png", image_size="16")),
        lambda: evaluate.main(evaluate.Config(samples=pictures, ref=str(pictures), metrics="kid", features="pixels", n=20)),
        lambda: score(run, ref=str(pictures), out=pictures / "scores"),
    ]
    for call in calls:
        with pytest.raises(InputError, match=r"(would overwrite|lies in) the input .*pics"):
            call()
    (tmp_path / "vgg.pth").write_bytes(b"weights")
    with pytest.raises(InputError, match="would overwrite the input"):
        weights.main(weights.Config(action="convert", file=tmp_path / "vgg.pth", network="vgg16", out=tmp_path / "vgg.pth"))
    assert sorted(pictures.iterdir()) == before
