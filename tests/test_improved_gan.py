"""Improved GAN's experiment: what each recipe and trick sets, rounds of all of them, the table, what cannot be played."""

import json
from dataclasses import asdict, replace

import jax
import numpy as np
import pytest
from PIL import Image

from experiments import improved_gan
from experiments.improved_gan import RECIPES, TABLE3, TRICKS, Config, build, main, planned, seen
from gan_jax import core
from gan_jax.data import load
from gan_jax.errors import InputError
from gan_jax.evaluation.features import Network
from gan_jax.evaluation.seen import Seen
from gan_jax.training.experiment import rounds_of

SMALL = {"data": "digits", "width": 8, "batch": 8, "latent_dim": 8, "reference": 4, "devices": 1}


@pytest.fixture(scope="module")
def digits():
    return load("digits", (32, 32))


def relabelled(dataset, side, classes):
    """As many pictures of other sizes and classes, in colour."""
    pictures = np.zeros((16, side, side, 3), np.uint8)
    names = tuple(map(str, range(classes)))
    arrays = {"image": pictures, "label": np.arange(16, dtype=np.int32) % classes}
    return replace(dataset, train=arrays, held_out=arrays, class_names=names)


def round_of(config, dataset):
    """Shapes of the state and the metrics after a round."""
    game = build(config, dataset)
    rounds = rounds_of(config, dataset, game)
    like = {name: np.zeros((2, *x.shape[1:]), x.dtype) for name, x in rounds.shapes.items()}
    state = jax.eval_shape(lambda key: core.init_state(game.objective, game.tx, key, like), jax.random.key(0))
    return jax.eval_shape(config.step(game.objective, game.tx), state, rounds.like())


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "r3gan"])  # of which the burn-in below
def test_a_round_of_each_recipe(digits, name):
    config = planned(Config(recipes=(name,), **SMALL))[name]
    _, metrics = round_of(config, digits)
    assert ("disc/class_loss" in metrics) == (name in ("improved", "released"))


@pytest.mark.parametrize("trick", TRICKS)
def test_every_trick_is_left_out(trick):
    used = {"feature_matching": {"feature_matching": 1.0}, "historical": {"historical": 0.1}}.get(trick, {})
    full = planned(Config(**used, **SMALL))["improved"]
    less = planned(Config(without=(trick,), **used, **SMALL))["improved"]
    changed = {name for name, value in asdict(full).items() if value != asdict(less)[name]} - {"without"}
    assert changed
    assert changed <= TRICKS[trick].keys()


def test_without_labels_there_are_none(digits):
    config = planned(Config(without=("labels",), **SMALL))["improved"]
    state, metrics = round_of(config, digits)
    assert "disc/class_loss" not in metrics
    assert state.disc.params["WeightNorm_9"]["bias"].shape == (1,)


def test_the_rows_of_table_3():
    plan = planned(Config(table3=True, **SMALL))
    assert list(plan) == list(TABLE3)
    assert (plan["-L+HA"].labels, plan["-L+HA"].historical, plan["-L"].historical) == (False, 0.1, 0.0)
    assert plan["-VBN+BN"].gen_norm == "batch"
    assert plan["-MBF"].minibatch == "none"
    assert plan["-LS"].label_smoothing == 0
    full = plan["our methods"]
    assert (full.minibatch, full.gen_norm, full.label_smoothing, full.labels) == ("discrimination_scaled", "virtual", 0.1, True)


def test_widths_lengths_and_images_seen():
    names = ("improved", "sngan")
    plan = planned(Config(recipes=names, **{**SMALL, "widths": (8, 16), "lengths": (7, 3)}))
    assert [(each.width, each.steps) for each in plan.values()] == [(8, 7), (16, 3)]
    assert [seen(each) for each in plan.values()] == [7 * 8, 3 * 8 * 5]
    with pytest.raises(InputError, match="--widths has 1 numbers for 2 recipes"):
        planned(Config(recipes=names, **{**SMALL, "widths": (8,)}))


def test_the_released_programs():
    small = planned(Config(recipes=("released",), **SMALL))["released"]
    assert (small.loss, small.gen_steps, small.batch, small.gen_norm) == ("minimax", 3, 100, "batch")
    large = planned(Config(recipes=("released",), **{**SMALL, "image_size": "128"}))["released"]
    assert (large.minibatch, large.gen_target, large.label_smoothing) == ("discrimination_groups", 0.375, 0.25)
    assert planned(Config(recipes=("released",), without=("minibatch",), **SMALL))["released"].minibatch == "none"


@pytest.mark.parametrize("name", ["released", "dcgan"])
def test_networks_for_imagenet(digits, name):
    config = planned(Config(recipes=(name,), **{**SMALL, "image_size": "128", "width": 8}))[name]
    state, metrics = round_of(config, relabelled(digits, 128, 3))
    assert state.gen.params
    assert "disc/loss" in metrics


def test_the_burn_in_of_r3gan(digits):
    asked = {"recipes": ("r3gan",), "burn_in": 10, "burn_in_augment": 0.5}
    config = planned(Config(**asked, **SMALL))["r3gan"]
    _, metrics = round_of(config, digits)
    assert "augment/p" in metrics
    game = build(config, digits)
    tx = game.tx.disc
    params = {"w": np.ones(2, np.float32)}
    opt_state = tx.init(params)
    seen_b2, seen_rates = [], []
    for _ in range(12):
        _, opt_state = tx.update(params, opt_state, params)
        seen_b2.append(float(opt_state.hyperparams["b2"]))
        seen_rates.append(float(opt_state.hyperparams["learning_rate"]))
    assert (seen_b2[0], seen_b2[-1]) == (pytest.approx(0.9), pytest.approx(0.99))
    assert (seen_rates[0], seen_rates[-1]) == (pytest.approx(2e-4), pytest.approx(5e-5))
    assert seen_rates[5] == pytest.approx(1.25e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "projection"}, "these are told classes by --labels"),
        ({"reference": 2000}, "a reference batch of 2000 is larger than the data, 1437 pictures"),
        ({"image_size": "64"}, "64x64 is not one of Improved GAN's networks"),
        ({"image_size": "48", "recipes": ("r3gan",)}, "48x48 is not one of R3GAN's networks"),
        ({"recipes": ()}, "--recipes: name one or more"),
    ],
)
def test_what_cannot_be_played(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        main(Config(outdir=tmp_path, **{**SMALL, "steps": 1, **changes}))


def test_classes_that_cannot_be_told(digits):
    config = planned(Config(**SMALL))["improved"]
    with pytest.raises(InputError, match="has one class, and a discriminator of K [+] 1 classes needs 2"):
        build(config, relabelled(digits, 32, 1))
    with pytest.raises(InputError, match="has no label"):
        build(config, replace(digits, train={"image": digits.train["image"]}, class_names=()))


def test_one_table_of_two_recipes(tmp_path, monkeypatch, capsys):
    """Two rounds of each, scored by pixels, with a classifier that takes all for the class 3."""

    def see(images):
        logits = np.tile(np.eye(10, dtype=np.float32)[3] * 9, (len(images), 1))
        return Seen(images.reshape(len(images), -1)[:, ::64].astype(np.float32), logits)

    judge = Network({"features": "judge", "weights": "fixed"}, see, "classes", fixed_scale=True)
    monkeypatch.setattr(improved_gan, "open_network", lambda name, dataset: judge)
    asked = {"features": "pixels", "eval_metrics": "none", "eval_n": 40, "steps": 2, "sample_every": 2, "log_every": 1}
    names = ("improved", "dcgan")
    found = main(Config(outdir=tmp_path, recipes=names, seeds=1, **asked, **SMALL))
    assert list(found["recipes"]) == list(names)
    scores = found["recipes"]["improved"]["scores"]
    assert scores["recognised"] == [1.0, 0.0]
    assert {"kid", "recall", "is", "diversity"} <= scores.keys()
    assert found["recipes"]["dcgan"]["images"] == 16
    table = (tmp_path / "table.md").read_text()
    assert table.count("\n") == 5  # a head of two lines, two recipes, real pictures
    assert table in capsys.readouterr().out + "\n"
    assert json.loads((tmp_path / "results.json").read_text())["real"] == found["real"]
    with Image.open(tmp_path / "samples.png") as picture:
        assert picture.width > 10 * 32
    assert (tmp_path / "improved" / "0" / "seconds.txt").exists()
