"""Text to image, from two rounds of each recipe to the table, and what is refused."""

import json
from dataclasses import fields

import numpy as np
import pytest
from PIL import Image

from experiments import text_recipes, text_to_image
from experiments.text_recipes import Config, main, summary, table
from gan_jax.commands import evaluate, interpolate, project, sample
from gan_jax.data import PictureFlags, captions
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


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    """Few birds, an encoder of one update, and a reader that knows one colour."""
    folder = tmp_path_factory.mktemp("birds")
    data = Store(folder / "cache").prepared(doodle_birds(150, 50, size=(16, 16)), Preparation((16, 16)))
    encoder = train_text_encoder(captioned(data, 201), dim=8, width=16, steps=1, batch=16, cache=folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAN_JAX_CACHE", str(folder / "cache"))
        patch.setattr(PictureFlags, "load", lambda self: data)
        patch.setattr(text_to_image.Config, "train_encoder", lambda self, dataset, seed=0: encoder)
        patch.setitem(READERS, "doodle_birds", READERS["doodle_birds"]._replace(open=lambda size: read))
        yield folder


@pytest.fixture(scope="module")
def config(birds):
    return Config(outdir=birds / "runs", **SMALL)


@pytest.fixture(scope="module")
def found(config):
    return main(config)


@pytest.fixture
def run(config, found):
    return config.outdir / "int_cls-0"


def test_a_recipe_is_trained_measured_and_shown(config, found, run, tmp_path, monkeypatch):
    runs = config.outdir
    assert 0 <= found["int_cls"]["match"][0] <= 1
    assert 0 < found["int_cls"]["feature_distance"][0] < 3
    assert json.loads((runs / "results.json").read_text()) == found
    assert len((runs / "table.md").read_text().splitlines()) == 4  # a head of two lines, a recipe, real
    with Image.open(runs / "samples.png") as picture:
        assert min(picture.size) > 100
    made = sample.main(sample.Config(run=run, caption=("a red bird", "A BLUE BIRD?"), n=3, out=tmp_path))
    assert made["images"].shape == (6, 16, 16, 3)
    np.testing.assert_array_equal(made["z"][:3], made["z"][3:])
    monkeypatch.setattr(text_recipes, "measure", None)  # nothing is measured twice
    again = text_recipes.measured(open_trained(run), config, run / "captions.json")
    assert summary([again]) == found["int_cls"]


def test_scores_are_beside_the_pictures_that_were_trained_on(run, tmp_path, capsys):
    flags = {"metrics": "kid", "n": 20, "repeats": 1, "features": "pixels"}
    evaluate.main(evaluate.Config(samples=run, out=tmp_path, **flags))
    told = capsys.readouterr().out
    assert "has changed" not in told
    trained_on = len(text_to_image.Config().load_captioned())
    assert trained_on < 150
    assert f"compared    with {trained_on} pictures of doodle_birds" in told


QUICK = {"search": 10, "features": "pixels", "restarts": 1, "inversion_steps": 3}


@pytest.mark.slow
def test_a_walk_from_caption_to_caption(run, tmp_path, capsys):
    asked = {"run": run, "through": ("3", "5"), "frames": 3, "out": tmp_path, **QUICK}
    made = interpolate.main(interpolate.Config(caption="a red bird", to_caption="a blue bird", **asked))
    trained = open_trained(run)
    z = np.asarray(trained.inputs(10, caption="a red bird")["z"])[[3, 5]]
    np.testing.assert_allclose(made["z"], z)
    assert made["images"].shape == (2, 3, 16, 16, 3)
    for t, caption in ((0, "a red bird"), (2, "a blue bird")):
        expected = trained.render(z=z, **trained.ask(2, caption=caption))
        assert np.abs(made["images"][:, t].astype(int) - expected).max() <= 1
    middle = trained.render(z=z, text=np.tile(made["text"].mean(axis=0), (2, 1)))
    assert np.abs(made["images"][:, 1].astype(int) - middle).max() <= 1
    assert (made["text"][0] != made["text"][1]).any()
    told = json.loads((tmp_path / "interpolate.json").read_text())
    assert (told["from"], told["to"]) == ("a red bird", "a blue bird")
    with Image.open(tmp_path / "walk.webp") as film:
        assert film.n_frames >= 2
    with pytest.raises(InputError, match="the caption is empty"):
        interpolate.main(interpolate.Config(caption="a red bird", to_caption=" ", **asked))
    with pytest.raises(InputError, match=r"a row of text has the shape \(8,\), not \(7,\)"):
        trained.render(z=z, text=np.zeros((2, 7), np.float32))


@pytest.mark.slow
def test_the_style_of_a_picture_with_other_captions(run, tmp_path, capsys):
    trained = open_trained(run)
    Image.fromarray(trained.draw(caption=["a red bird"], seed=5)[0]).save(tmp_path / "bird.png")
    asked = {"run": run, "pictures": (str(tmp_path / "bird.png"),), "out": tmp_path / "out", **QUICK}
    made = project.main(project.Config(caption="a red bird", to_caption=("a blue bird", "a red bird"), **asked))
    assert made["styles"].shape == (1, 2, 16, 16, 3)
    assert np.abs(made["styles"][:, 1].astype(int) - made["images"]).max() <= 1
    expected = trained.render(z=made["z"], **trained.ask(1, caption="a blue bird"))
    assert np.abs(made["styles"][:, 0].astype(int) - expected).max() <= 1
    assert (tmp_path / "out" / "styles.png").is_file()
    assert json.loads((tmp_path / "out" / "project.json").read_text())["to_caption"] == ["a blue bird", "a red bird"]
    with pytest.raises(InputError, match="the caption is empty"):
        project.main(project.Config(to_caption=("",), **asked))


def test_a_dry_run_trains_no_encoder(birds, monkeypatch, capsys):
    monkeypatch.setattr(text_to_image.Config, "train_encoder", None)
    asked = {"image_size": "16", "embedding": 8, "encoder_width": 16, "captions": 2}
    data = text_to_image.Config(dry_run=True, **asked).load()
    assert data.train["text"].shape == (*data.train["caption"].shape[:2], 8)
    assert np.isnan(data.encoder.retrieval)
    assert "encoder     trained first for 3,000 updates, in minutes, and kept: not in a dry run" in capsys.readouterr().out


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
    for changes, message in (
        ({"text_embeddings": tmp_path / "text.npz"}, "leave out --text-embeddings"),
        ({"unseen": False}, "leave out --no-unseen"),
        ({"captions_matched": 3}, "captions-matched"),
        ({"conditioning": 2.0, "latent": "uniform"}, "from normal codes: leave out --latent"),
    ):
        with pytest.raises(InputError, match=message):
            main(Config(outdir=tmp_path, **changes))


@pytest.mark.slow
def test_embeddings_of_a_file_all_the_way(birds, tmp_path):
    """Such a run draws captions of its data, and says that it cannot read others."""
    data = text_to_image.Config().load_captioned()
    rows = np.concatenate([data.train["caption"], data.held_out["caption"]])
    texts = sorted({captions.decode(row) for row in rows.reshape(-1, rows.shape[-1])})
    np.savez(tmp_path / "text.npz", caption=texts, text=np.random.default_rng(0).normal(size=(len(texts), 8)))
    known = {name: value for name, value in SMALL.items() if name in {each.name for each in fields(text_to_image.Config)}}
    known["eval_metrics"] = "none"
    run = tmp_path / "run"
    text_to_image.main(text_to_image.Config(outdir=run, text_embeddings=tmp_path / "text.npz", **known))
    made = sample.main(sample.Config(run=run, n=3, out=tmp_path))
    assert made["images"].shape == (3, 16, 16, 3)
    assert made["text"].shape == (3, 8)
    with pytest.raises(InputError, match="caption"):
        sample.main(sample.Config(run=run, n=3, caption=("a red bird",), out=tmp_path))
    with pytest.raises(InputError, match="agreement needs an encoder"):
        text_to_image.main(text_to_image.Config(outdir=run, text_embeddings=tmp_path / "text.npz", agreement=1.0, **known))
