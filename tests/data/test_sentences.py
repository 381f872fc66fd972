"""Sentences made of attributes and of names of classes, and data that get them as captions."""

import numpy as np
import pytest

from gan_jax.data import captions
from gan_jax.data.dataset import Dataset
from gan_jax.data.sentences import PHRASINGS, of_class, sentence, with_captions
from gan_jax.errors import InputError

FACE = {
    "Bags_Under_Eyes": 1,
    "Black_Hair": 1,
    "Eyeglasses": 0,
    "Goatee": 1,
    "Male": 1,
    "No_Beard": 1,
    "Smiling": 1,
    "Wearing_Hat": 1,
    "Young": 1,
    "age": 26,
    "Blurry": float("nan"),
}


def test_a_sentence_of_attributes():
    assert [sentence(FACE, i) for i in range(PHRASINGS)] == [
        "a smiling young man with bags under eyes, black hair and a goatee wearing a hat",
        "this man is smiling and young, has bags under eyes, black hair and a goatee and wears a hat",
        "smiling young man, bags under eyes, black hair, a goatee, a hat",
    ]
    assert sentence({"Male": 0, "No_Beard": 0, "oval face": True}) == "a woman with a beard and an oval face"
    assert sentence({"female": 1}, 1) == "this is a woman"
    assert sentence({"old": 1, "x": 0}, kind="house") == "an old house"
    assert [sentence({}, i) for i in range(PHRASINGS)] == ["a picture", "this is a picture", "picture"]


def test_a_sentence_of_a_class():
    assert of_class("001.Black_footed_Albatross") == "a Black footed Albatross"
    assert of_class("orange dahlia", 1) == "a picture of an orange dahlia"
    assert [of_class("7", 2), of_class("colt's foot"), of_class("1."), of_class("bellflowers")] == [
        "this is a 7",
        "a colt's foot",
        "a 1.",
        "bellflowers",
    ]


def dataset(**arrays):
    image = np.zeros((3, 16, 16, 3), np.uint8)
    return Dataset("faces", {"image": image, **arrays}, class_names=("oak", "fir"), attribute_names=("Male", "age", "Bald"))


def texts(found):
    return [[captions.decode(row) for row in rows] for rows in found.train["caption"]]


def test_data_get_captions_of_what_they_have():
    values = np.array([(1, 20, 0), (0, 1, 0), (1, 3, np.nan)], np.float32)
    faces, trees = dataset(attributes=values, label=np.array([1, 0, 0])), dataset(label=np.array([1, 0, 0]))
    found = with_captions(faces)
    assert [row[0] for row in texts(found)] == ["a man", "a woman", "a man"]
    assert found.notes[-1] == "captions are made of the pictures' attributes, such as 'a man'"
    assert [row[1] for row in texts(with_captions(trees))] == ["a picture of a fir", *["a picture of an oak"] * 2]
    assert texts(with_captions(faces, "classes")) == texts(with_captions(trees))
    own = dataset(attributes=values, caption=captions.encode([("own",)] * 3))
    assert with_captions(own) is own
    assert texts(with_captions(own, "attributes")) == texts(found)
    made = [with_captions(own), with_captions(own, "attributes"), with_captions(faces), with_captions(faces, "classes")]
    assert len({each.fingerprint for each in made}) == 4


def test_data_without_what_captions_are_made_of():
    with pytest.raises(InputError, match=r"faces has no caption: it has image\. Put a NAME.txt"):
        with_captions(dataset())
    with pytest.raises(InputError, match="faces has no attributes"):
        with_captions(dataset(), "attributes")
    with pytest.raises(InputError, match="has no attributes of 0 and 1 that a sentence"):
        with_captions(dataset(attributes=np.full((3, 3), 0.5, np.float32)), "attributes")
