"""Improved GAN's experiment: what each recipe and trick sets, rounds of all of them, the table, what cannot be played."""

import json
import shutil
from dataclasses import asdict, fields, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from experiments import dcgan, improved_gan, improved_report
from experiments.improved_gan import RECIPES, TABLE3, TRICKS, Config, build, main, planned, seen
from gan_jax import core
from gan_jax.data import load
from gan_jax.errors import InputError, RunError
from gan_jax.evaluation.features import Network
from gan_jax.evaluation.seen import Seen
from gan_jax.metrics.intervals import Proportion
from gan_jax.models import r3gan
from gan_jax.training.experiment import rounds_of
from tests.runs.test_trained import write_run

WIDTHS = {"gat": 32}  # heads of attention have 32 channels
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


def started(config, dataset):
    """The game, its rounds, and the shapes of its first state."""
    game = build(config, dataset)
    rounds = rounds_of(config, dataset, game)
    like = {name: np.zeros((2, *x.shape[1:]), x.dtype) for name, x in rounds.shapes.items()}
    return game, rounds, jax.eval_shape(lambda key: core.init_state(game.objective, game.tx, key, like), jax.random.key(0))


def first_turn(game, batch):
    """The players' first variables, fakes, and the turn on a batch."""
    variables = game.objective.init(jax.random.key(0), batch)
    inputs = game.objective.sampler.inputs(jax.random.key(1), batch)
    fake, _ = game.objective.sampler.sample(variables.gen, inputs, jax.random.key(2), True)
    turn = core.Turn(batch, inputs, jax.random.key(3), jax.random.key(4), jnp.zeros((), jnp.int32), variables.gen)
    return variables, fake, turn


def metrics_of_a_round(config, dataset):
    game, rounds, state = started(config, dataset)
    return jax.eval_shape(config.step(game.objective, game.tx), state, rounds.like())[1]


def test_a_round(digits):
    """Of the recipe of 2016, which has every trick."""
    config = planned(Config(**SMALL))["improved"]
    assert {"disc/class_loss", "gen/loss"} <= metrics_of_a_round(config, digits).keys()


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_a_game(digits, name):
    """The networks of 2016 alone are told the labels."""
    small = SMALL | {"width": WIDTHS.get(name, 8)}
    game, _, state = started(planned(Config(recipes=(name,), **small))[name], digits)
    assert state.gen.params
    assert ("label" in game.objective.needs) == (name in ("improved", "released"))


@pytest.mark.parametrize("trick", TRICKS)
def test_every_trick_is_left_out(trick):
    used = {"feature_matching": {"feature_matching": 1.0}, "historical": {"historical": 0.1}}.get(trick, {})
    full = planned(Config(**used, **SMALL))["improved"]
    less = planned(Config(without=(trick,), **used, **SMALL))[f"improved without {trick}"]
    changed = {name for name, value in asdict(full).items() if value != asdict(less)[name]} - {"without"}
    assert changed
    assert changed <= TRICKS[trick].keys()


def test_without_labels_there_are_none(digits):
    config = planned(Config(without=("labels",), **SMALL))["improved without labels"]
    game, _, state = started(config, digits)
    assert game.objective.needs == ("image",)
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
    assert [seen(each, each.steps) for each in plan.values()] == [7 * 8, 3 * 8 * 5]
    with pytest.raises(InputError, match="--widths has 1 numbers for 2 recipes"):
        planned(Config(recipes=names, **{**SMALL, "widths": (8,)}))


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("dcgan", {"loss": "non_saturating", "lr": 2e-4, "b1": 0.5, "b2": 0.999, "latent": "uniform", "disc_norm": "batch"}),
        ("sngan", {"loss": "hinge", "lr": 2e-4, "b1": 0.0, "b2": 0.9, "disc_steps": 5, "decay": "linear", "r1": 0.0}),
        ("r3gan", {"loss": "relativistic_paired", "lr": 2e-4, "b1": 0.0, "b2": 0.99, "r1": 0.05, "r2": 0.05, "disc_steps": 1}),
        ("gat", {"loss": "relativistic_paired", "lr": 2e-4, "b1": 0.0, "b2": 0.99, "r1": 0.05, "r2": 0.05}),
        ("improved", {"loss": "non_saturating", "lr": 3e-4, "b1": 0.5, "b2": 0.999, "instance_noise": 0.2, "dropout": 0.5}),
        ("released", {"loss": "minimax", "lr": 3e-4, "b1": 0.5, "class_weight": 2.0, "decay": "last_third"}),
    ],
)
def test_the_numbers_of_the_papers(name, flags):
    config = asdict(planned(Config(recipes=(name,), data="digits"))[name])
    assert {flag: config[flag] for flag in flags} == flags


def test_the_penalties_of_r3gan_grow_with_the_picture():
    gamma = [planned(Config(recipes=("r3gan",), image_size=side))["r3gan"].r1 for side in ("32", "64", "256")]
    assert gamma == [0.05, 2.0, 150.0]


def test_flags_that_are_given_are_as_given():
    """But for what tells the classes in networks that are told them in another way."""
    names = ("improved", "sngan", "r3gan")
    plan = planned(Config(recipes=names, **SMALL | {"lr": 1e-3, "r1": 0.3, "label": "projection"}))
    assert [(each.lr, each.r1) for each in plan.values()] == [(1e-3, 0.3)] * 3
    assert [each.label for each in plan.values()] == ["none", "projection", "projection"]
    assert plan["sngan"].b2 == 0.9


def test_the_released_programs():
    small = planned(Config(recipes=("released",), **SMALL | {"batch": 64}))["released"]
    assert (small.loss, small.gen_steps, small.batch, small.gen_norm) == ("minimax", 3, 100, "batch")
    large = planned(Config(recipes=("released",), **{**SMALL, "image_size": "128"}))["released"]
    assert (large.minibatch, large.gen_target, large.label_smoothing) == ("discrimination_groups", 0.375, 0.25)
    larger = SMALL | {"image_size": "128", "latent_dim": 100}
    large = planned(Config(recipes=("released",), **larger))["released"]
    assert (large.lr, large.latent_dim, large.instance_noise) == (4e-4, 8192, 0.1)
    less = planned(Config(recipes=("released", "dcgan"), without=("minibatch", "noise"), **SMALL))
    assert list(less) == ["released without minibatch noise", "dcgan"]
    assert less["released without minibatch noise"].minibatch == "none"


def test_networks_for_imagenet(digits):
    """The released discriminator has a logit for each of three classes and one for generated images."""
    config = planned(Config(recipes=("released",), **{**SMALL, "image_size": "128", "width": 8}))["released"]
    state = started(config, relabelled(digits, 128, 3))[2]
    assert state.gen.params
    assert [leaf.shape[-1] for leaf in jax.tree.leaves(state.disc.params)].count(4) == 2


@pytest.mark.slow
def test_the_burn_in_of_r3gan(digits, monkeypatch):
    """With one block at each size."""
    for network in ("Generator", "Discriminator"):
        monkeypatch.setattr(dcgan.r3gan, network, partial(getattr(r3gan, network), blocks=1))
    asked = {"recipes": ("r3gan",), "burn_in": 10, "burn_in_augment": 0.5}
    config = planned(Config(**asked, **SMALL))["r3gan"]
    assert "augment/p" in metrics_of_a_round(config, digits)
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
    variables, fake, turn = first_turn(game, {"image": digits.first(4)["image"]})
    costs = []
    for updates in (0, 5, 10, 20):
        _, (_, metrics) = game.objective.disc_loss(variables.disc, fake, turn._replace(updates=jnp.full((), updates)))
        costs.append(float(metrics["disc/penalty"]))
    np.testing.assert_allclose(np.array(costs) / costs[0], [1, 0.55, 0.1, 0.1], rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipes": ("dcgan", "gat"), "widths": (8, 48)}, "a width of 48 is not made of attention heads of 32"),
        ({"recipes": ("dcgan", "improved"), "image_size": "64"}, "64x64 is not one of Improved GAN's networks"),
        ({"recipes": ("dcgan", "dcgan")}, "--recipes: name each once"),
        ({"recipes": ("r3gan",), "burn_in": 5, "lazy": 4}, "--lazy: --burn-in has schedules of its own"),
        ({"recipes": ("r3gan",), "burn_in": 5, "b2": 0.95}, "--b2: --burn-in has schedules of its own"),
        ({"recipes": ("dcgan",), "burn_in": 5}, "--burn-in is of r3gan: name it among --recipes"),
        ({"recipes": ("r3gan",), "burn_in_augment": 0.5}, "--burn-in-augment is what --burn-in ends with"),
        ({"recipes": ("dcgan_minibatch",), "without": ("minibatch",)}, "dcgan_minibatch has no such tricks"),
        ({"table3": True, "without": ("minibatch",)}, "each row of --table3 has its own"),
        ({"reference": 2000}, "a reference batch of 2000 is larger than the data, 1437 pictures"),
        ({"image_size": "64"}, "64x64 is not one of Improved GAN's networks"),
        ({"image_size": "48", "recipes": ("r3gan",)}, "48x48 is not one of R3GAN's networks"),
        ({"widths": (48,), "recipes": ("gat",)}, "a width of 48 is not made of attention heads of 32"),
        ({"recipes": ()}, "--recipes: name one or more"),
        ({"recipes": ("dcgan",), "features": "squeezenet"}, "squeezenet needs its weights"),
    ],
)
def test_what_cannot_be_played(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        main(Config(outdir=tmp_path / "table", **{**SMALL, "steps": 1, **changes}))
    assert not (tmp_path / "table").exists()


def test_scores_that_cannot_be_had_are_told_first(tmp_path, stripes):
    asked = SMALL | {"data": str(stripes), "features": "judge", "eval_metrics": "none", "recipes": ("dcgan",)}
    with pytest.raises(InputError, match="nothing can judge its samples"):
        main(Config(outdir=tmp_path / "table", **asked))
    assert not (tmp_path / "table").exists()


def test_classes_that_cannot_be_told(digits):
    config = planned(Config(**SMALL))["improved"]
    with pytest.raises(InputError, match="has one class, and a discriminator of K [+] 1 classes needs 2"):
        build(config, relabelled(digits, 32, 1))
    with pytest.raises(InputError, match="has no label"):
        build(config, replace(digits, train={"image": digits.train["image"]}, class_names=()))


@pytest.fixture
def judged(monkeypatch):
    """A classifier that takes all for the class 3, in place of a trained one."""

    def see(images):
        logits = np.tile(np.eye(10, dtype=np.float32)[3] * 9, (len(images), 1))
        return Seen(images.reshape(len(images), -1)[:, ::16].astype(np.float32), logits)

    judge = Network({"features": "judge", "weights": "fixed"}, see, "classes", fixed_scale=True)
    monkeypatch.setattr(improved_report, "long_judge", lambda dataset: None)
    monkeypatch.setattr(improved_report, "network_of", lambda _: judge)


def table_of(outdir, names, **changes):
    """What two rounds of each recipe, scored by pixels, leave."""
    asked = {"features": "pixels", "eval_metrics": "none", "eval_n": 40, "steps": 2, "sample_every": 2, "log_every": 1}
    return main(Config(outdir=outdir, recipes=names, **{**SMALL, **asked, **changes}))


def test_the_table(tmp_path, judged, monkeypatch, capsys):
    """Of copies of a run that is written without training: two recipes, two seeds."""
    run = write_run(tmp_path / "run")

    def copied(build, name, config):
        shutil.copytree(run, config.outdir, dirs_exist_ok=True)

    monkeypatch.setattr(improved_gan, "run_experiment", copied)
    names = ("dcgan_minibatch", "dcgan")
    outdir = tmp_path / "table"
    found = table_of(outdir, names, seeds=2, image_size="16")
    assert list(found["recipes"]) == list(names)
    row = found["recipes"]["dcgan"]
    assert row["scores"]["recognised"] == [1.0, 0.0]
    assert {"kid", "recall", "is", "diversity"} <= row["scores"].keys()
    assert (row["images"], row["seeds"], len(row["runs"])) == (0, 2, 2)  # the copied run has played no round
    table = (outdir / "table.md").read_text()
    assert table.count("\n") == 7  # a head of two lines, two recipes, real pictures, and what the scores are by
    assert "kid, recall, diversity by pixels; is, recognised by judge" in table
    assert table in capsys.readouterr().out + "\n"
    assert json.loads((outdir / "results.json").read_text())["real"] == found["real"]
    with Image.open(outdir / "samples.png") as picture:
        assert picture.width > 10 * 16
    assert (outdir / "dcgan" / "1" / "seconds.txt").exists()

    def open_features(self, dataset):
        return Network({"features": "large"}, lambda images: Seen(images.reshape(len(images), -1)[:, ::16].astype(np.float32)))

    class Second:
        def __init__(self, dataset, network):
            self.features = network.identity["features"]

        def __str__(self):
            return f"a second opinion on {self.features}"

        def share(self, images):
            return Proportion(0.25, 0.2, 0.3)

    monkeypatch.setattr(Config, "open_features", open_features)
    monkeypatch.setattr(improved_report, "Recogniser", Second)
    assert table_of(outdir, ("dcgan",), image_size="16")["recipes"]["dcgan"]["scores"]["recognisable"][0] == 0.25
    table = (outdir / "table.md").read_text()
    assert "recognisable (higher)" in table
    assert " ± " not in table  # of one seed
    assert "recognisable by a second opinion on large" in table

    def none(dataset, network):
        raise InputError("two classifiers agree by chance only")

    monkeypatch.setattr(improved_report, "Recogniser", none)
    assert "recognisable" not in table_of(outdir, ("dcgan",), image_size="16")["recipes"]["dcgan"]["scores"]
    assert "left out    recognisable: two classifiers agree by chance only" in capsys.readouterr().out


def test_a_run_that_fails_is_told_and_the_others_go_on(tmp_path, judged, monkeypatch, capsys):
    """One whose samples collapsed is scored with the others, one that left no checkpoint is not."""
    run = write_run(tmp_path / "run")

    def copied(build, name, config):
        if config.seed < 2:
            shutil.copytree(run, config.outdir, dirs_exist_ok=True)
        if config.seed > 0:
            raise RunError(f"seed {config.seed} has collapsed")

    monkeypatch.setattr(improved_gan, "run_experiment", copied)
    found = table_of(tmp_path / "table", ("dcgan",), seeds=3, image_size="16")
    assert [each["fault"] for each in found["recipes"]["dcgan"]["runs"]] == ["", "seed 1 has collapsed"]
    assert f"{tmp_path / 'table' / 'dcgan' / '1'}: seed 1 has collapsed" in (tmp_path / "table" / "table.md").read_text()
    assert "failed      seed 2 has collapsed" in capsys.readouterr().out
    with pytest.raises(RunError, match="seed 3 has collapsed"):
        table_of(tmp_path / "none", ("dcgan",), seed=3, image_size="16")


def test_how_many_runs_there_are_is_no_part_of_a_run():
    free = {each.name for each in fields(Config) if each.metadata.get("may_change")}
    assert free >= {"recipes", "without", "table3", "seeds", "widths", "lengths", "steps"}


@pytest.mark.slow
def test_every_recipe_beside_the_others(tmp_path, judged):
    found = table_of(tmp_path, tuple(RECIPES), widths=tuple(WIDTHS.get(name, 8) for name in RECIPES))
    assert list(found["recipes"]) == list(RECIPES)
    assert (tmp_path / "table.md").read_text().count("\n") == 5 + len(RECIPES)


@pytest.mark.slow
def test_runs_of_several_calls_stand_in_one_table(tmp_path, judged):
    for name in ("dcgan", "dcgan_minibatch"):
        table_of(tmp_path, (name,))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.jsonl")}
    assert list(table_of(tmp_path, ("dcgan", "dcgan_minibatch"))["recipes"]) == ["dcgan", "dcgan_minibatch"]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.jsonl")} == before
    assert len(before) == 2
