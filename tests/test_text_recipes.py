"""Text to image, from two rounds of each recipe to the table, and what is refused."""

import json

import numpy as np
import pytest
from PIL import Image

from experiments import text_recipes
from experiments.text_recipes import Config, main, summary, table
from gan_jax.commands import sample
from gan_jax.data import PictureFlags
from gan_jax.data.doodles import doodle_birds
from gan_jax.data.store import Store
from gan_jax.data.writing import Preparation
from gan_jax.errors import InputError
from gan_jax.evaluation.doodle_heads import HEADS
from gan_jax.evaluation.readers import READERS
from gan_jax.evaluation.text_encoder import captioned, train_text_encoder
from gan_jax.runs import open_trained

SMALL = {
    "image_size": "16",
    "width": 4,
    "project": 4,
    "latent_dim": 8,
    "batch": 16,
    "steps": 2,
    "seeds": 1,
    "recipes": ("int_cls",),
    "captions_matched": 20,
    "captions_varied": 2,
    "samples_varied": 4,
    "devices": 1,
    "log_every": 1,
    "sample_every": 2,
    "save_every": 2,
}


def read(images):
    """One colour for all, and numbers of the brightness."""
    n, bright = len(images), images.reshape(len(images), -1).mean(axis=1)
    values = {head.name: bright for head in HEADS["birds"]}
    colours = {part: np.full(n, "red") for part in ("breast", "crown", "wings")}
    flags = {name: bright > np.median(bright) for name in ("large", "right", "flying")}
    return values | colours | flags | {f"{name}_confidence": bright / 255 for name in values}


@pytest.fixture
def birds(monkeypatch, tmp_path):
    data = Store(tmp_path / "cache").prepared(doodle_birds(150, 50, size=(16, 16)), Preparation((16, 16)))
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(PictureFlags, "load", lambda self: data)
    encoder = train_text_encoder(captioned(data, 201), dim=8, width=16, steps=1, batch=16, cache=tmp_path)
    monkeypatch.setattr(Config, "train_encoder", lambda self, dataset, seed=0: encoder)
    monkeypatch.setitem(READERS, "doodle_birds", READERS["doodle_birds"]._replace(open=lambda size: read))
    return data


def test_a_recipe_is_trained_measured_and_shown(birds, tmp_path, monkeypatch):
    config = Config(outdir=tmp_path / "runs", **SMALL)
    found = main(config)
    assert 0 <= found["int_cls"]["match"][0] <= 1
    assert json.loads((tmp_path / "runs" / "results.json").read_text()) == found
    assert len((tmp_path / "runs" / "table.md").read_text().splitlines()) == 4  # a head of two lines, a recipe, real
    with Image.open(tmp_path / "runs" / "samples.png") as picture:
        assert min(picture.size) > 100
    run = tmp_path / "runs" / "int_cls-0"
    made = sample.main(sample.Config(run=run, caption=("a red bird", "A BLUE BIRD?"), n=3))
    assert made["images"].shape == (6, 16, 16, 3)
    np.testing.assert_array_equal(made["z"][:3], made["z"][3:])
    monkeypatch.setattr(text_recipes, "measure", None)  # nothing is measured twice
    again = text_recipes.measured(open_trained(run), config, run / "captions.json")
    assert summary([again]) == found["int_cls"]


def test_means_and_errors_of_the_table():
    names = [*text_recipes.COLUMNS, "match_real", "r_precision_real"]
    found = {"gan": summary([dict.fromkeys(names, value) for value in (0.25, 0.75)])}
    assert found["gan"]["match"] == [0.5, 0.25]
    lines = table(found, 2).splitlines()
    assert lines[2].count("0.500 ± 0.250") == len(text_recipes.COLUMNS)
    assert lines[3].count("0.500") == 2


def test_data_whose_captions_cannot_be_compared_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"what digits shows of its captions cannot be read: choose --data doodle_birds or"):
        main(Config(data="digits", outdir=tmp_path))
