"""Your own pictures: what is chosen for them, and a whole run on a folder of all kinds of files."""

import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments import dcgan, own_pictures
from experiments.own_pictures import Config, chosen, preset, require_enough, spared
from gan_jax.data.source import Source, Split
from gan_jax.errors import InputError
from gan_jax.runs import read_rows
from gan_jax.training.doctor import CURES
from gan_jax.training.schedule import Cost, schedule
from gan_jax.training.trainer import LESS_MEMORY
from tests.data.test_check import report_of


def draw_pictures(folder: Path, n: int, first: int = 0) -> Path:
    """Pictures of several sizes and modes."""
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(first)
    for i in range(first, first + n):
        side = 16 + 8 * (i % 3)
        picture = Image.fromarray(generator.integers(0, 255, (side, 16 + i % 5, 3), np.uint8))
        picture.convert(("RGB", "L", "RGBA", "P")[i % 4]).save(folder / f"{i}.png")
    return folder


def values(n: int, **given) -> dict:
    report = report_of(0, splits={"train": n, "held_out": 5})
    return {choice.name: choice.value for choice in preset(report, Config(data="x", **given), cpu=True)}


@pytest.mark.parametrize(("n", "batch"), [(10, 8), (300, 16), (1600, 64), (100_000, 64)])
def test_the_preset_follows_the_number(n, batch):
    found = values(n)
    assert found["batch"] == batch
    assert found["augment"] == ("diffaugment" if n < 50_000 else "none")
    assert found["mirror"] == (n < 10_000)
    assert found["steps"] * batch == pytest.approx(500_000, rel=0.01)
    assert found["upsample"] == "resize"


def test_scores_are_of_pictures_of_any_kind(tmp_path):
    """Also where a table beside them has a column that no classifier reads."""
    assert (values(1600)["features"], values(1600)["eval_metrics"]) == ("pixels", "kid")
    assert values(1600, weights=tmp_path)["features"] == "squeezenet"
    assert values(20)["eval_metrics"] == "none"


def test_enough_is_held_out_to_see_memorising():
    def share(**numbers):
        choice = spared(Source("x", "", {name: Split(n, lambda rows: {}) for name, n in numbers.items()}))
        return None if choice is None else choice.value

    assert share(train=380, held_out=5) == pytest.approx(50 / 385, abs=1e-3)
    assert share(train=3000, held_out=5) == 0.05
    assert share(train=200, held_out=5) == 0.0
    assert share(train=200) is None


def test_the_penalty_follows_size_and_batch():
    assert values(1600)["r1"] == pytest.approx(0.0002 * 64 * 64 / 64, rel=0.05)  # StyleGAN2-ADA's auto configuration
    assert values(1600, image_size="32x64")["r1"] == pytest.approx(0.0002 * 32 * 64 / 64, rel=0.05)
    assert values(1600, batch=16)["r1"] == pytest.approx(0.0002 * 64 * 64 / 16, rel=0.05)


def test_the_size_follows_the_pictures():
    assert {c.name: c.value for c in preset(report_of(900, height=48), Config(data="x"), True)}["image_size"] == "32"
    assert {c.name: c.value for c in preset(report_of(900, width=640), Config(data="x"), True)}["fit"] == "pad"


def test_what_is_given_is_not_chosen(capsys):
    flags = chosen(report_of(1600), Config(data="x", width=8, mirror=False, r1=0.0))
    assert (flags.width, flags.mirror, flags.r1, flags.augment, flags.data) == (8, False, 0.0, "diffaugment", "x")
    told = capsys.readouterr().out
    assert "preset      width 8: as given\n" in told
    assert "preset      upsample resize: transposed convolutions" in told


def test_very_few_pictures(capsys):
    with pytest.raises(InputError, match="10 pictures: the generator will show these again.* go on with --force"):
        require_enough(report_of(0, splits={"train": 10}), force=False)
    require_enough(report_of(0, splits={"train": 10}), force=True)
    assert "note        10 pictures" in capsys.readouterr().out
    require_enough(report_of(0, splits={"train": 95, "held_out": 5}), force=False)
    assert not capsys.readouterr().out


def test_what_is_advised_may_be_given():
    cures = [*LESS_MEMORY, *(cure for cures in CURES.values() for cure in cures)]
    advised = {cure.flag for cure in cures} & {field.name for field in dataclasses.fields(dcgan.Config)}
    assert len(advised) > 15
    assert advised <= {field.name for field in dataclasses.fields(Config)}
    flags = chosen(report_of(1600), Config(data="x", lr=2e-4, minibatch="discrimination"))
    assert (flags.lr, flags.minibatch, flags.loss) == (2e-4, "discrimination", "non_saturating")


def test_pictures_are_checked_as_they_are_read(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(own_pictures, "check", lambda source, *given: asked.append(given) or report_of(0, splits={"train": 5}))
    config = Config(data=str(draw_pictures(tmp_path / "pictures", 12)), image_size="16x24", fit="pad", range="0,4095")
    with pytest.raises(InputError, match="5 pictures"):
        own_pictures.main(config)
    assert asked == [((16, 24), "pad", (0.0, 4095.0))]


def test_a_run_within_its_pictures_is_refused_before_the_wait(tmp_path, monkeypatch):
    folder = draw_pictures(tmp_path / "pictures", 12)
    monkeypatch.setattr(own_pictures, "measure", lambda *asked: pytest.fail("measured before"))
    monkeypatch.chdir(folder)
    with pytest.raises(InputError, match="lies in the input .* choose another place with --outdir"):
        own_pictures.main(Config(data=".", force=True))
    assert not (folder / "runs").exists()


def test_how_long_a_run_would_take_is_told_beside_another(tmp_path, monkeypatch, capsys):
    """Of other flags, in the same directory."""
    folder = draw_pictures(tmp_path / "pictures", 12)
    (tmp_path / "run" / "checkpoints" / "600").mkdir(parents=True)
    (tmp_path / "run" / "config.json").write_text(json.dumps({"width": 5, **schedule(1230)._asdict()}))
    monkeypatch.setattr(own_pictures, "measure", lambda *asked: Cost(1.0, 0.1, 0.1, 0.1))
    monkeypatch.setattr(own_pictures, "run_experiment", lambda build, name, flags: print(f"dry run {flags.dry_run}"))
    config = Config(data=str(folder), outdir=tmp_path / "run", image_size="16", width=4, force=True, dry_run=True)
    own_pictures.main(config)
    told = capsys.readouterr().out
    assert "rounds of 0.1 s" in told
    assert "dry run True" in told
    own_pictures.main(dataclasses.replace(config, minutes=0.05))
    told = capsys.readouterr().out
    assert "note        0.05 minutes are too few" in told
    assert "time        100 rounds of 0.1 s" in told
    assert "dry run True" in told


def test_less_time_than_compiling_takes(tmp_path, monkeypatch):
    folder = draw_pictures(tmp_path / "pictures", 12)
    monkeypatch.setattr(own_pictures, "measure", lambda *asked: Cost(60.0, 1.0, 1.0, 1.0))
    with pytest.raises(InputError, match=r"0\.05 minutes are too few: .* allow [0-9]+ or more"):
        own_pictures.main(Config(data=str(folder), outdir=tmp_path / "run", minutes=0.05, force=True))
    assert not (tmp_path / "run").exists()


def test_two_lengths_at_once():
    with pytest.raises(InputError, match="--minutes and --steps both say how long"):
        own_pictures.main(Config(data="x", minutes=5.0, steps=100))


@pytest.mark.parametrize(("cost", "given", "least", "most"), [(1e-3, {}, 62_500, 62_500), (1.0, {}, 3000, 4800)])
def test_patience_on_a_cpu(tmp_path, monkeypatch, capsys, cost, given, least, most):
    """500,000 pictures, unless they take longer than 80 minutes; what is asked for stays."""
    monkeypatch.setattr(own_pictures, "measure", lambda *asked: Cost(10.0, cost, 0.1, 0.1))
    flags = chosen(report_of(10), Config(data="x"))
    plan = own_pictures.planned(Config(data="x"), flags, tmp_path / "run", time.perf_counter())
    assert least <= plan.steps <= most
    assert ("; more by --minutes or --steps" in capsys.readouterr().out) == (most < 62_500)
    longer = Config(data="x", steps=100_000)
    assert own_pictures.planned(longer, chosen(report_of(10), longer), tmp_path / "run", 0.0).steps == 100_000
    (tmp_path / "run" / "checkpoints" / "99900").mkdir(parents=True)
    assert own_pictures.planned(longer, chosen(report_of(10), longer), tmp_path / "run", 0.0).steps == 100_000
    assert "time        100 rounds of " in capsys.readouterr().out  # those that are left


@pytest.mark.parametrize("given", [{"minutes": 60.0}, {"steps": 4800}, {}])
def test_a_run_that_may_stop_is_scored_often(tmp_path, monkeypatch, given):
    monkeypatch.setattr(own_pictures, "measure", lambda *asked: Cost(10.0, 0.7, 0.1, 5.0))
    scores = {}
    for stop_when in ("never", "plateau"):
        config = Config(data="x", stop_when=stop_when, **given)
        plan = own_pictures.planned(config, chosen(report_of(1600), config), tmp_path / "run", time.perf_counter())
        scores[stop_when] = plan.steps / plan.eval_every
    assert 10 <= scores["never"] <= 13
    assert 24 <= scores["plateau"] <= 50


@pytest.mark.parametrize(("recipe", "networks", "r2"), [("dcgan", "dcgan", 0.0), ("r3gan", "r3gan", 2.0)])
def test_recipes(recipe, networks, r2):
    flags = chosen(report_of(1600), Config(data="x", recipe=recipe))
    assert (flags.networks, flags.r2, flags.augment) == (networks, r2, "diffaugment")


def test_a_run_that_is_continued_is_as_long_as_it_was(tmp_path, monkeypatch):
    plan = schedule(1230)
    (tmp_path / "run" / "checkpoints" / "600").mkdir(parents=True)
    (tmp_path / "run" / "config.json").write_text(json.dumps({"width": 4, **plan._asdict()}))
    monkeypatch.setattr(own_pictures, "measure", lambda *asked: pytest.fail("measured again"))
    flags = chosen(report_of(1600), Config(data="x"))
    assert own_pictures.planned(Config(data="x"), flags, tmp_path / "run", 0.0) == plan


def test_a_folder_that_is_still_being_written(tmp_path, monkeypatch):
    def measuring(*asked):
        draw_pictures(tmp_path / "pictures", 1, first=12)
        return Cost(1.0, 0.1, 0.1, 0.1)

    folder = draw_pictures(tmp_path / "pictures", 12)
    monkeypatch.setattr(own_pictures, "measure", measuring)
    with pytest.raises(InputError, match="has changed since it was checked: start again when"):
        own_pictures.main(Config(data=str(folder), outdir=tmp_path / "run", steps=20, force=True))
    assert not (tmp_path / "run").exists()


def test_a_whole_run_while_the_folder_changes(tmp_path, monkeypatch, capsys):
    folder = draw_pictures(tmp_path / "pictures", 104)
    train = own_pictures.run_experiment

    def changing(*args):
        run = train(*args)
        draw_pictures(folder, 4, first=104)
        folder.rename(tmp_path / "unplugged")
        return run

    monkeypatch.setattr(own_pictures, "measure", lambda *asked: Cost(1.0, 0.1, 0.1, 0.1))
    monkeypatch.setattr(own_pictures, "run_experiment", changing)
    small = {"image_size": "16", "width": 4, "augment": "none", "r1": 0.0, "features": "pixels", "batch": 16}
    config = Config(data=str(folder), outdir=tmp_path / "run", steps=20, **small)
    own_pictures.main(config)
    told = capsys.readouterr().out
    assert "time        20 rounds of 0.1 s, scores every 50 (0.1 s), sheets every 10 (0.1 s): about 0 min" in told
    assert "kinds: " in told
    assert "note        the data have changed since: this run was trained on the pictures as they were" in told
    assert read_rows(tmp_path / "run" / "metrics.jsonl")[-1]["step"] == 20
    assert "kid" in read_rows(tmp_path / "run" / "eval.jsonl")[-1]
    assert list((tmp_path / "run" / "video").glob("progress.*"))
    (tmp_path / "unplugged").rename(folder)
    monkeypatch.setattr(own_pictures, "measure", lambda *asked: pytest.fail("measured before the directory was looked at"))
    with pytest.raises(InputError, match="was trained on other data .*choose another directory"):
        own_pictures.main(config)
