"""What a generator is asked for, by rows and by words."""

import numpy as np
import pytest
from PIL import Image

from gan_jax.core import Sampler
from gan_jax.data import captions
from gan_jax.errors import InputError
from gan_jax.runs.conditions import ask, facts_of, population, rows_of


def sampler(*needs: str) -> Sampler:
    return Sampler(lambda key, batch: {}, lambda *args: (None, {}), needs)


FACTS = {
    "classes": ("cat", "dog", "owl"),
    "shapes": {"caption": [8], "low": [4, 4, 3], "text": [2]},
    "rows": {"caption": np.arange(16, dtype=np.uint8).reshape(2, 8), "low": np.zeros((2, 4, 4, 3), np.uint8)},
}


def test_classes_in_turn_by_name_and_by_row():
    assert ask(sampler("label"), FACTS, 5, {})["label"].tolist() == [0, 1, 2, 0, 1]
    assert ask(sampler("label"), FACTS, 2, {"label": "dog"})["label"].tolist() == [1, 1]
    assert ask(sampler("label"), FACTS, 2, {"label": [2, 0]})["label"].tolist() == [2, 0]


def test_classes_without_training_pictures_are_not_drawn():
    facts = {**facts_of(sampler("label"), {}, ("cat", "dog", "owl"), (1,))}
    assert ask(sampler("label"), facts, 5, {})["label"].tolist() == [0, 2, 0, 2, 0]
    assert set(population(sampler("label"), facts)["label"].tolist()) == {0, 2}
    for wanted, message in (("dog", "'dog' had no training pictures"), ([0, 1], "label 1 cannot be drawn")):
        with pytest.raises(InputError, match=message):
            ask(sampler("label"), facts, 2, {"label": wanted})


def test_captions_by_words_and_the_runs_own_in_turn():
    found = ask(sampler("caption"), FACTS, 3, {"caption": "a bird"})["caption"]
    assert [captions.decode(row) for row in found] == ["a bird"] * 3
    np.testing.assert_array_equal(ask(sampler("caption"), FACTS, 3, {})["caption"], FACTS["rows"]["caption"][[0, 1, 0]])


def test_several_captions_and_what_cannot_be_read_of_them(capsys):
    known = sampler("caption")._replace(alphabet="abdir ")
    found = ask(known, FACTS, 3, {"caption": ["A bird", "a bird with wings", "A bird"]})["caption"]
    assert [captions.decode(row) for row in found] == ["A bird", "a bird \x1a", "A bird"]
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 2
    assert "do not have are read as unknown: w t h n g s" in told[0]
    assert "the caption has 17 bytes and 8 are read: 'a bird \\x1a' is its end" in told[1]


def test_a_picture_to_enlarge(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "low.png")
    found = ask(sampler("low"), FACTS, 2, {"low": tmp_path / "low.png"})["low"]
    np.testing.assert_array_equal(found, [pixels, pixels])
    with pytest.raises(InputError, match="is no picture that can be read"):
        ask(sampler("low"), FACTS, 1, {"low": tmp_path / "nothing.png"})


def test_nothing_is_asked_of_noise_alone():
    assert {name: len(rows) for name, rows in ask(sampler(), FACTS, 4, {}).items()} == {"row": 4}


@pytest.mark.parametrize(
    ("needs", "n", "wanted", "message"),
    [
        (("label",), 3, {"caption": "a bird"}, "cannot be asked by caption: it is asked by label"),
        ((), 3, {"label": "cat"}, "cannot be asked by label: it makes samples of noise alone"),
        (("label",), 3, {"label": "cow"}, "there is no class 'cow': its classes are cat, dog, owl"),
        (("label",), 3, {"label": [0, 1]}, "3 samples need 3 rows of label, not 2"),
        (("label",), 2, {"label": [0, 3]}, "whole numbers from 0 to 2"),
        (("label",), 2, {"label": [0.5, 1.0]}, "whole numbers from 0 to 2"),
        (("caption",), 1, {"caption": "  "}, "the caption is empty"),
        (("caption",), 1, {"caption": ["a", "b"]}, "1 samples need 1 rows of caption, not 2"),
        (("caption",), 1, {"caption": np.zeros((1, 5), np.uint8)}, r"a row of caption has the shape \(8,\), not \(5,\)"),
        (("label",), 0, {}, "at least one sample"),
        (("text",), 1, {"text": "a bird"}, "cannot read 'a bird'. It was trained on embeddings from a file, whose encoder"),
        (("text",), 1, {"caption": "a bird"}, "cannot be asked by caption: it is asked by text. It was trained on embeddings"),
        (("text",), 1, {"text": np.zeros((1, 3))}, r"a row of text has the shape \(2,\), not \(3,\)"),
        (("pose",), 1, {"pose": "left"}, "cannot be asked for in words"),
        (("pose",), 1, {}, "keeps no examples of pose"),
    ],
)
def test_says_what_cannot_be_asked(needs, n, wanted, message):
    with pytest.raises(InputError, match=message):
        ask(sampler(*needs), FACTS, n, wanted)


@pytest.mark.parametrize(
    ("shapes", "name", "message"),
    [
        ({}, "caption", "does not say what shape a row of caption has: give rows"),
        ({"caption": []}, "caption", "does not say what shape"),
        ({}, "low", "does not say what shape a row of low has: give rows"),
        ({"low": [4, 4, 7]}, "low", "reads pictures of 7 channels"),
    ],
)
def test_words_for_a_run_that_does_not_say_what_it_reads(shapes, name, message):
    with pytest.raises(InputError, match=message):
        ask(sampler(name), {"shapes": shapes}, 1, {name: "a bird"})


def test_rows_are_as_frequent_as_in_the_data():
    data = {"label": np.array([0] * 30 + [1] * 10), "image": np.zeros((40, 2))}
    found = rows_of(sampler("label"), data, 80)["label"]
    assert np.bincount(found).tolist() == [60, 20]
    np.testing.assert_array_equal(found, rows_of(sampler("label"), data, 80)["label"])
    assert set(rows_of(sampler(), data, 3)) == {"row"}
    with pytest.raises(InputError, match="asked by caption, which the data lack: they have label, image"):
        rows_of(sampler("caption"), data, 3)


def test_statistics_are_settled_on_every_class_as_often():
    assert np.bincount(population(sampler("label"), FACTS)["label"]).tolist() == [86, 86, 86]


def test_facts():
    arrays = {"caption": np.zeros((5, 8), np.uint8)}
    assert facts_of(sampler("label", "caption"), arrays, ("a", "b")) == {"classes": ["a", "b"], "shapes": {"caption": [8]}}
    assert facts_of(sampler(), arrays, ("a", "b")) == {"classes": [], "shapes": {}}
