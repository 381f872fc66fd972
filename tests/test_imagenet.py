"""Rounds at 128x128 on files of ImageNet's form, through the reader of tensorflow-datasets: of 2016, 2018 and 2024."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from experiments import improved_gan
from experiments.improved_gan import Config, main
from gan_jax.runs import open_trained, read_rows

tfds = pytest.importorskip("tensorflow_datasets")

RECIPES = {"released": 4, "sngan": 4, "r3gan": 8}  # and their widths


def stand_in(photographs: Path, n: int = 40) -> None:
    """Files of imagenet2012, 5.1.0: a thousand classes, photographs of 481x321 as JPEG; the test pictures have no labels."""
    from tests.data.prepared import prepare

    archive = zipfile.ZipFile(photographs)
    names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))[:n]
    features = {
        "image": tfds.features.Image(encoding_format="jpeg"),
        "label": tfds.features.ClassLabel(names=[f"n{i:08}" for i in range(1000)]),
        "file_name": tfds.features.Text(),
    }
    rows = [
        {"image": io.BytesIO(archive.read(name)), "label": 37 * i % 1000, "file_name": name} for i, name in enumerate(names)
    ]
    test = [{**rows[0], "label": -1}]
    prepare("imagenet2012", "5.1.0", features, {"train": rows[: 3 * n // 4], "validation": rows[3 * n // 4 :], "test": test})


@pytest.mark.slow
def test_three_rounds_of_each_recipe(real_data, tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    stand_in(real_data / "sr" / "bsds_train200_jpg.zip")
    monkeypatch.setattr(improved_gan, "report", lambda found, *_: {name: len(runs) for name, runs in found.items()})
    small = {
        "reference": 4,
        "batch": 4,
        "steps": 3,
        "log_every": 1,
        "sample_every": 3,
        "devices": 1,
        "eval_metrics": "none",
        "eval_n": 20,
    }
    asked = {"data": "imagenet2012", "image_size": "128", "features": "pixels", "outdir": tmp_path / "runs"}
    played = main(Config(recipes=tuple(RECIPES), widths=tuple(RECIPES.values()), **asked, **small))
    assert played == dict.fromkeys(RECIPES, 1)
    for name in RECIPES:
        run = tmp_path / "runs" / name / "0"
        rows = read_rows(run / "metrics.jsonl")
        assert [row["step"] for row in rows] == [1, 2, 3]
        assert all(np.isfinite(row[f"{player}/loss"]) for row in rows for player in ("gen", "disc"))
        assert ("disc/class_loss" in rows[0]) == (name == "released")
        assert open_trained(run).draw(2).shape == (2, 128, 128, 3)
