"""What a run on captioned pictures is measured by where no truth is known: attributes, classes, retrieval, spread, a sheet."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image

from experiments import caption_scores, text_to_image
from experiments.caption_scores import Asked, Config, attributes, balanced_accuracy, classes, main, precision, table, within
from experiments.caption_sheet import save_caption_sheet
from gan_jax.data import Dataset, captions
from gan_jax.errors import InputError
from gan_jax.evaluation.judge import Judge, train_judge
from gan_jax.evaluation.seen import Seen
from gan_jax.evaluation.text_encoder import new_text_encoder
from gan_jax.metrics.diversity import rms_distance
from gan_jax.runs import open_trained
from gan_jax.runs.records import read_rows


def pictures(values):
    """Grey pictures (n, 2, 2, 1) of the values."""
    return np.broadcast_to(np.asarray(values, np.uint8)[:, None, None, None], (len(values), 2, 2, 1))


def judge(names, exclusive, logits_of):
    def see(images):
        values = images[:, 0, 0, 0].astype(np.float32)
        return Seen(values[:, None], logits_of(values))

    return Judge(see, names, exclusive, 1.0, "", lambda params, x: (x, x), {})


def asked(n, **arrays):
    text = captions.encode([(f"picture {i}",) for i in range(n)])
    return Asked({"caption": text, **arrays}, np.zeros(n, int), {"caption": text, **arrays})


def test_binary_attributes_count_both_values_alike():
    """Of 80 pictures 20 are bright: three in four of these are drawn bright, and ten of the others too."""
    truth = np.arange(80) < 20
    made = np.where(truth, np.arange(80) < 15, np.arange(80) >= 70)
    wanted = pytest.approx((15 / 20 + 50 / 60) / 2)
    assert balanced_accuracy(made, truth.astype(float)) == wanted
    names = ("rare", "bright", "misread", "partly known")
    data = Dataset("d", {"image": pictures(truth)}, attribute_names=names)
    known = np.where(np.arange(80) % 2, np.nan, truth)  # ten and thirty are left
    truths = np.stack([np.arange(80) < 5, truth, np.arange(80) % 2, known], axis=1).astype(np.float32)
    reads = judge(names, False, lambda v: np.stack([v] * 4, axis=1) - 0.5)
    every = asked(80, image=pictures(truth), attributes=truths)
    found = attributes(reads, data, pictures(made), every)
    assert found["attributes"] == {"bright": [wanted, 1.0]}
    assert (found["match"], found["match_real"], found["match_chance"]) == (found["attributes"]["bright"][0], 1.0, 0.5)


def test_classes_are_those_of_the_pictures():
    reads = judge(("a", "b", "c"), True, lambda v: np.eye(3, dtype=np.float32)[v.astype(int)])
    found = classes(reads, pictures([0, 1, 1, 2]), asked(4, image=pictures([0, 1, 2, 2]), label=np.array([0, 1, 2, 2])))
    assert found == {"match": 0.75, "match_real": 1.0, "match_chance": pytest.approx((1 + 2 + 2) / 16)}


def test_a_caption_is_one_that_the_picture_has():
    held_out = {"image": pictures(range(30)), "caption": captions.encode([("a",), *[("b", "c")] * 29])}
    own = Asked.of(held_out, 100, 0)
    first = own.arrays["image"][:, 0, 0, 0].tolist().index(0)
    assert first > 0  # not in the data's order
    assert own.texts[first] == "a"
    assert {text for i, text in enumerate(own.texts) if i != first} == {"b", "c"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two rounds on thirty pictures of two classes with captions."""
    folder = tmp_path_factory.mktemp("captioned")
    generator = np.random.default_rng(0)
    for i in range(60):
        kind = ("dark", "bright")[i % 2]
        (folder / "data" / kind).mkdir(parents=True, exist_ok=True)
        x = generator.integers(0, 60, (16, 16, 3)) + 190 * (i % 2)
        Image.fromarray(x.astype(np.uint8)).save(folder / "data" / kind / f"{i}.png")
    small = {"width": 4, "project": 4, "latent_dim": 8, "batch": 8, "embedding": 8, "encoder_width": 16, "encoder_steps": 2}
    small |= {"devices": 1, "log_every": 1, "sample_every": 2, "save_every": 2, "held_out": 0.5, "eval_metrics": "none"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAN_JAX_CACHE", str(folder / "cache"))
        patch.setattr(caption_scores, "train_judge", partial(train_judge, steps=60))
        out = folder / "run"
        text_to_image.main(
            text_to_image.Config(data=str(folder / "data"), image_size="16", steps=2, agreement=1.0, outdir=out, **small)
        )
        yield out


@pytest.mark.slow
def test_a_run_is_scored_and_shown(run, tmp_path, capsys):
    found = main(Config(run=run, out=tmp_path, n=30, samples=3))
    assert found["match_real"] > 0.9  # dark and bright
    assert found["match"] < 0.9  # of two rounds
    assert 8 <= found["among"] <= 16  # about half of the 30 pictures are of the other class
    assert found["rms_pixels"] > 0
    assert json.loads((tmp_path / "scores.json").read_text()) == found
    assert "classes or attributes of the picture" in (tmp_path / "table.md").read_text()
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert min(sheet.size) > 100
    assert str(tmp_path / "sheet.png") in capsys.readouterr().out
    main(Config(run=run, out=tmp_path / "typed", n=30, captions=("a dark picture", "a BRIGHT one?"), samples=2))
    assert (tmp_path / "typed" / "sheet.png").is_file()


@pytest.mark.slow
def test_the_encoder_of_pictures_is_not_opened_for_samples(run):
    assert set(open_trained(run).variables) >= {"params", "text_encoder"}
    assert "picture_encoder" not in open_trained(run).variables


@pytest.mark.slow
def test_agreement_begins_from_a_run_without(run, tmp_path):
    """And the other way round: the encoder is none of the weights that are taken over."""
    flags = caption_scores.flags_of(run)
    for agreement, init_from in ((0.0, run), (1.0, tmp_path / "0.0")):
        out = tmp_path / str(agreement)
        text_to_image.main(replace(flags, agreement=agreement, init_from=init_from, outdir=out, steps=1))
        assert ("gen/agreement" in read_rows(out / "metrics.jsonl")[-1]) == bool(agreement)


def test_distances_are_beside_those_of_the_same_class():
    """Pictures of two classes at 0 and 200, each with two values 10 apart, are 5 from their means: not 100."""
    values = np.array([0, 10, 200, 210] * 10, np.float32)[:, None]
    assert within(values, np.array([0, 0, 1, 1] * 10)) == pytest.approx(5 * np.sqrt(40 / 38))
    assert within(values, np.arange(40)) == pytest.approx(rms_distance(values) * np.sqrt(40 / 39))
    assert rms_distance(values) > 100


@pytest.mark.slow
def test_what_cannot_be_scored_is_refused(run, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"data": "digits", "image_size": "16"}')
    with pytest.raises(InputError, match=r"is no run of experiments\.text_to_image"):
        caption_scores.flags_of(tmp_path / "other")
    with pytest.raises(InputError, match="the caption is empty"):
        main(Config(run=run, out=tmp_path, n=30, captions=(" ",)))


def test_chance_is_that_of_samples_of_other_captions():
    """An encoder to which all is alike finds nothing; captions that all pictures have give no precision."""
    images = np.zeros((4, 16, 16, 3), np.uint8)
    each = asked(4, image=images)
    encoder = new_text_encoder(Dataset("d", {"image": images, "caption": each.arrays["caption"]}), dim=4, width=8)
    found = precision(encoder, images, each, 0)
    assert found["among"] == 4
    assert found["r_precision"] == found["r_precision_real"] == found["r_precision_chance"] <= 0.25
    one = captions.padded(captions.encode([("one",)] * 4), each.captions.shape[-1])
    assert precision(encoder, images, Asked({"image": images, "caption": one}, each.which, {}), 0) == {}


def test_a_sheet_of_grey_pictures_and_of_sums_of_money(tmp_path):
    """Grey pictures keep their brightness, and dollars are no formula."""
    dark = np.full((2, 3, 8, 8, 1), 40, np.uint8)
    save_caption_sheet(["from $5 to $10", "$_$"], {"data": dark[:, :1], "samples": dark}, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        shades = {pixel[0] for _, pixel in sheet.convert("RGB").getcolors(100_000)}
    assert 40 in shades


def test_the_table_has_what_there_is():
    told = table({"data": "d", "step": 1, "rms_features": 0.5, "rms_pixels": 0.25})
    assert len(told.splitlines()) == 4
