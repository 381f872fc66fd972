"""Games of other data flows as whole runs, by the same function as ours."""

import json
import os
import signal
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gan_jax.data import BalanceFlags, Dataset, Order, VariationFlags, captions, one_caption, shrunk, stack
from gan_jax.errors import InputError, Interrupted
from gan_jax.images import grid, to_uint8
from gan_jax.latents import Normal
from gan_jax.objectives import image_gan, image_sampler
from gan_jax.runs import Run, open_trained, read_rows
from gan_jax.training import ExperimentFlags, Game, run_experiment
from gan_jax.training.callbacks import sheet
from gan_jax.training.conclusion import collapsed, conclude, tell_best
from gan_jax.training.experiment import rounds_of
from tests.flows import Net, asking_gan, asking_sampler

TEXTS = ("red bird", "blue bird", "owl")


@dataclass(frozen=True)
class Config(BalanceFlags, VariationFlags, ExperimentFlags):
    steps: int = 2
    batch: int = 8
    devices: int = 1
    eval_metrics: str = "kid"
    features: str = "pixels"  # type: ignore[assignment]
    eval_n: int = 20
    log_every: int = 2
    sample_every: int = 1
    eval_every: int = 2
    save_every: int = 2
    captioned: bool = True

    def load(self) -> Dataset:
        generator = np.random.default_rng(0)
        images = generator.integers(0, 256, (120, 8, 8, 3), dtype=np.uint8)
        texts = captions.encode([[TEXTS[i % 3], "a bird"] for i in range(120)])
        arrays = {"image": images, **({"caption": texts} if self.captioned else {})}
        return Dataset("birds", {k: v[:60] for k, v in arrays.items()}, {k: v[60:] for k, v in arrays.items()})


def superres(config: Config, dataset: Dataset) -> Game:
    """Pictures are shrunk to a quarter and made large again; sheets show the small one beside the large one."""
    generator = Net((8, 8, 3))

    def show(samples, inputs, state):
        low = np.asarray(inputs["low"]).repeat(4, axis=1).repeat(4, axis=2)
        return grid(np.concatenate([low, to_uint8(samples)], axis=2), 4)

    return Game(
        asking_gan(generator, "low", real="high"),
        config.optimizers(config.steps),
        partial(asking_sampler, generator, "low"),
        vary=(*config.variations(), shrunk(4)),
        show=show,
        shown=12,
    )


def text(config: Config, dataset: Dataset) -> Game:
    """Pictures of one of their captions."""
    generator = Net((8, 8, 3))
    return Game(
        asking_gan(generator, "caption", real="image"),
        config.optimizers(config.steps),
        partial(asking_sampler, generator, name="caption"),
        vary=(one_caption(),),
    )


def test_a_game_of_small_pictures(tmp_path):
    run = run_experiment(superres, "superres", Config(outdir=tmp_path / "run", mirror=True))
    with Image.open(tmp_path / "run" / "samples" / "000002.png") as sheet:
        assert sheet.size == ((4 * 18 + 2) * 8, (3 * 10 + 2) * 8)  # small pictures are enlarged
    rows = read_rows(tmp_path / "run" / "eval.jsonl")
    assert {"kid", "overfit"} <= rows[-1].keys()
    assert "film" in (tmp_path / "run" / "log.txt").read_text()
    with pytest.raises(InputError, match="which is no part of gan_jax"):
        open_trained(run.directory)
    trained = open_trained(run.directory, trust=True)
    low = np.random.default_rng(1).integers(0, 256, (5, 2, 2, 3), dtype=np.uint8)
    assert trained.draw(low=low).shape == (5, 8, 8, 3)
    Image.fromarray(low[0]).save(tmp_path / "small.png")
    np.testing.assert_array_equal(trained.draw(5, low=tmp_path / "small.png")[0], trained.draw(low=low)[0])
    assert trained.draw(3).shape == (3, 8, 8, 3)  # of held-out pictures that the run keeps
    kept = np.load(tmp_path / "run" / "asked.npz")["low"]
    assert kept.shape == (64, 2, 2, 3)


def test_a_game_of_captions(tmp_path):
    run = run_experiment(text, "text", Config(outdir=tmp_path / "run"))
    trained = open_trained(run.directory, trust=True)
    assert trained.draw(2, caption="owl").shape == (2, 8, 8, 3)
    assert (trained.draw(2, caption="owl") != trained.draw(2, caption="red bird")).any()
    known = {captions.decode(row) for row in trained.ask(64)["caption"]}
    assert known == {*TEXTS, "a bird"}
    model = json.loads((run.directory / "model.json").read_text())
    assert model["shapes"] == {"caption": [9]}
    assert model["format"] == 2


def test_ctrl_c_leaves_a_film(tmp_path):
    def stopping(config: Config, dataset: Dataset) -> Game:
        def show(samples, inputs, state):
            if state.step == 2:
                os.kill(os.getpid(), signal.SIGINT)
            return sheet(samples, inputs, state)

        return replace(text(config, dataset), show=show)

    with pytest.raises(Interrupted, match="stopped and saved at step 3"):
        run_experiment(stopping, "text", Config(outdir=tmp_path / "run", steps=40))
    assert sorted(path.suffix for path in (tmp_path / "run" / "video").iterdir()) in ([".mp4", ".png"], [".png", ".webp"])
    assert "film        " in (tmp_path / "run" / "log.txt").read_text()


def test_says_what_the_data_lack(tmp_path):
    with pytest.raises(InputError, match=r"birds has no caption: it has image\. Put a NAME\.txt beside each"):
        run_experiment(text, "text", Config(outdir=tmp_path / "run", captioned=False))
    assert not (tmp_path / "run").exists()


def test_says_what_cannot_be_before_data_are_read(tmp_path):
    class Unread(Config):
        def load(self) -> Dataset:
            pytest.fail("data were read")

    for changes, message in (
        ({"steps": 0}, "at least 1"),
        ({"seed": -1}, "--seed '-1': a number at least 0"),
        ({"devices": 99}, "devices"),
    ):
        with pytest.raises(InputError, match=message):
            run_experiment(text, "text", replace(Unread(outdir=tmp_path / "run"), **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 2_000_000_000}, "1 x 2,000,000,000 examples a round would take .* GiB are free: choose a smaller --batch"),
        ({"disc_steps": 2_000_000_000}, "2,000,000,000 x 8 examples a round would take"),
        ({"eval_n": 2_000_000_000}, "2,000,000,000 samples to score would take .*: choose a smaller --eval-n"),
        ({"pack": 2_000_000_000}, "--batch 8 cannot be packed by 2000000000"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_made(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        run_experiment(text, "text", Config(outdir=tmp_path / "run", **changes))
    assert not (tmp_path / "run").exists()


def test_networks_that_do_not_fit_are_refused_before_they_are_made(tmp_path):
    def wide(config: Config, dataset: Dataset) -> Game:
        return replace(text(config, dataset), objective=asking_gan(Net((8, 8, 3), width=10**9), "caption", real="image"))

    with pytest.raises(InputError, match="the state of both players .* would take .*: choose smaller networks"):
        run_experiment(wide, "text", Config(outdir=tmp_path / "run"))


def test_a_run_is_continued_and_other_flags_are_refused(tmp_path):
    asked = Config(outdir=tmp_path / "run", eval_metrics="none")
    run_experiment(text, "text", asked)
    run_experiment(text, "text", replace(asked, steps=4))
    assert [row["step"] for row in read_rows(tmp_path / "run" / "metrics.jsonl")] == [2, 4]
    with pytest.raises(InputError, match=r"lr: 0\.002 in the run, 0\.1 now"):
        run_experiment(text, "text", replace(asked, lr=0.1))


def test_balanced_rounds_are_told_and_continued_as_such(tmp_path):
    @dataclass(frozen=True)
    class Owls(Config):
        def load(self) -> Dataset:
            """Nine pictures in ten are of no owl."""
            dataset = super().load()
            owl = (np.arange(60) % 10 == 0).astype(np.float32)[:, None]
            return replace(dataset, train=dataset.train | {"attributes": owl}, attribute_names=("owl",))

    def balanced(config: Config, dataset: Dataset) -> Game:
        return replace(text(config, dataset), strata=config.strata(dataset))

    asked = Owls(outdir=tmp_path / "run", eval_metrics="none", balance="owl")
    dataset = asked.load()
    rounds = rounds_of(asked, dataset, balanced(asked, dataset))
    owls = dataset.train["attributes"][:, 0]
    assert [owls[rounds.plan(step)["index"]].sum() for step in range(4)] == [4] * 4
    plain = replace(asked, balance=None)
    np.testing.assert_array_equal(rounds_of(plain, dataset, balanced(plain, dataset)).plan(3)["index"], Order(0, 60, 8)(3))
    run_experiment(balanced, "owls", asked)
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "note        balanced by owl, each 1/2 of a round: owl=0 (54 pictures), owl=1 (6 pictures)\n" in log
    with pytest.raises(InputError, match="balance: 'owl' in the run, None now"):
        run_experiment(balanced, "owls", plain)


def test_rates_that_fall_to_the_end_fix_the_end(tmp_path):
    asked = Config(outdir=tmp_path / "run", eval_metrics="none", decay="linear")
    run_experiment(text, "text", asked)
    with pytest.raises(InputError, match="steps: 2 in the run, 4 now"):
        run_experiment(text, "text", replace(asked, steps=4))


def test_scores_of_what_is_no_picture(tmp_path):
    """A game of points, scored by a function of its own."""

    @dataclass(frozen=True)
    class Points(Config):
        def load(self) -> Dataset:
            points = np.random.default_rng(0).standard_normal((60, 2)).astype(np.float32)
            return Dataset("points", {"point": points, "label": np.zeros(60, np.int32)})

    def build(config: Config, dataset: Dataset) -> Game:
        generator = Net((2,))
        return Game(
            asking_gan(generator, "label", real="point"),
            config.optimizers(config.steps),
            partial(asking_sampler, generator, "label"),
            show=lambda samples, inputs, state: np.zeros((4, 4, 3), np.uint8),
            score=lambda samples: {"mean": float(samples.mean())},
        )

    run_experiment(build, "points", Points(outdir=tmp_path / "run", eval_metrics="auto"))
    rows = read_rows(tmp_path / "run" / "eval.jsonl")
    assert [row["step"] for row in rows] == [0, 2]
    assert rows[-1].keys() == {"step", "source", "mean"}
    assert not (tmp_path / "run" / "real.png").exists()


def test_a_dry_run_leaves_nothing(tmp_path, capsys):
    assert run_experiment(text, "text", Config(outdir=Path(tmp_path / "run"), dry_run=True)) is None
    assert "MiB at the peak" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("found", "real", "fails"),
    [
        (1.0, 0.1, True),
        (0.995, 0.1, True),  # a few of another class are no difference
        (1.0, 0.5, True),
        (1.0, 0.97, False),  # 190 pictures of one class and 10 of another
        (1.0, 0.9, False),
        (1.0, 1.0, False),
        (0.7, 0.1, False),
        (1.0, None, False),  # what real pictures score is not known
        (None, None, False),
    ],
)
def test_samples_have_collapsed_where_real_pictures_would_not(found, real, fails):
    named = {"largest_class": found, "largest_class_floor": real}
    assert bool(collapsed({name: value for name, value in named.items() if value is not None})) == fails


@pytest.mark.parametrize(
    "row", [{"recognised_floor": 0.5}, {"recognised_floor": "high", "recognised": 1.0}, {"kid": 0.1, "kid_floor": "low"}]
)
def test_scores_that_something_else_wrote_do_not_break_the_end(tmp_path, row):
    with Run(tmp_path / "run", Config(), "f") as run:
        run.add_row("eval.jsonl", {"step": 5, "source": "training", **row})
        conclude(run)


@pytest.mark.parametrize(("real", "weak"), [(0.02, True), (0.9, False)])
def test_a_judge_that_is_hardly_sure_of_real_pictures_is_told(tmp_path, real, weak):
    with Run(tmp_path / "run", Config(), "f") as run:
        run.add_row("eval.jsonl", {"step": 5, "source": "training", "recognised": real / 2, "recognised_floor": real})
        conclude(run)
    told = (tmp_path / "run" / "log.txt").read_text()
    assert "recognised 0.500 times as often as real ones" in told
    assert ("the judge is sure of 2% of real pictures only" in told) == weak


@pytest.mark.parametrize(("mode", "best"), [("min", 4), ("max", 8)])
def test_the_best_checkpoint_is_told_where_it_is_not_the_last(tmp_path, mode, best):
    with Run(tmp_path / "run", Config(), "f") as run:
        run.accept()
        for step, kid in ((2, 0.1), (4, 0.2), (8, 0.5), (9, None), (10, 0.3)):
            run.add_row("eval.jsonl", {"step": step, "source": "training", "kid": kid})
            if step != 2:  # that one was removed
                (tmp_path / "run" / "checkpoints" / str(step)).mkdir(parents=True)
        for step, kid in ((4, 0.9), (10, 0.01)):  # of other features, perhaps
            run.add_row("eval.jsonl", {"step": step, "source": "evaluate", "kid": kid})
        run.write_json("model.json", {"metric": "kid", "mode": mode})
        tell_best(run, 10)
        tell_best(run, best)
    told = (tmp_path / "run" / "log.txt").read_text()
    assert told.count(f"best        step {best}, kid 0.{2 if best == 4 else 5}: --checkpoint best") == told.count("best  ") == 1


class Taught(nn.Module):
    """`Net` as `image_gan` calls it."""

    shape: tuple[int, ...]

    @nn.compact
    def __call__(self, x, y=None, *, train):
        out = Net(self.shape)(x)
        return jnp.tanh(out) if self.shape else out


@dataclass(frozen=True)
class Stacked(Config):
    eval_metrics: str = "none"
    save_every: int = 1

    def load(self) -> Dataset:
        image = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 1), dtype=np.uint8)
        part = {"image": image, "label": np.arange(50, dtype=np.int32) % 10}
        return stack("stacked", Dataset("grey", part, part), 30, 20)


def test_examples_that_are_drawn_anew_in_each_round(tmp_path):
    """On 50 grey pictures, not on the fixed 30 of three; a run that goes on is one that was never stopped."""

    def build(config: Stacked, dataset: Dataset) -> Game:
        assert dataset.train["image"].shape == (30, 8, 8, 3)
        generator = Taught((8, 8, 3))
        return Game(
            image_gan(generator, Taught(()), latent=Normal(4), **config.parts()),
            config.optimizers(config.steps),
            partial(image_sampler, generator, Normal(4)),
            vary=config.variations(),
        )

    whole = run_experiment(build, "stacked", Stacked(outdir=tmp_path / "whole", steps=3, log_every=1, mirror=True))
    assert "data        50 examples" in whole.path("log.txt").read_text()
    halves = Stacked(outdir=tmp_path / "halves", steps=2, log_every=1, mirror=True)
    run_experiment(build, "stacked", halves)
    run_experiment(build, "stacked", replace(halves, steps=3, feed="host"))
    losses = [read_rows(tmp_path / name / "metrics.jsonl")[-1]["disc/loss"] for name in ("whole", "halves")]
    assert losses[0] == losses[1]
