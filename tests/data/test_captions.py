"""Captions as bytes: what a user types, of any script and length."""

import numpy as np
import pytest

from gan_jax.data import captions
from gan_jax.data.folder import folder_source
from gan_jax.data.sentences import sentence
from gan_jax.errors import InputError
from gan_jax.models.text_encoders import PADDING, UNKNOWN, symbols


def text(row):
    return captions.decode(row)


def test_padded_and_cut_within_no_character():
    rows = captions.encode([("a", "né"), ("鳥",)])
    assert rows.shape == (2, 2, 3)
    assert captions.padded(rows, 5).shape == (2, 2, 5)
    np.testing.assert_array_equal(captions.padded(rows, 5)[..., :3], rows)
    assert [text(row) for row in captions.padded(rows, 2).reshape(4, 2)] == ["a", "n", "", ""]


def test_the_alphabet_of_captions():
    rows = captions.encode([("Red bird", "a Bee"), ("鳥",)])
    assert captions.alphabet(rows) == " abdeir鳥"
    assert captions.alphabet(captions.encode([("Éléphant",)])) == "ahlnptÉé"


def test_a_typed_caption():
    read = captions.parse("  A red\tbird \n", 12, "abdeir ")
    assert text(read.row) == "A red bird"
    assert read.row.dtype == np.uint8
    assert len(read.row) == 12
    assert read.notes == ()


def test_capitals_and_accents_of_any_script_are_read_as_they_are_known():
    """Encoders read capitals of ASCII as small letters, and others as they stand: what was never met so is read as it was."""
    known = captions.alphabet(captions.encode([("Öl und élan",)]))
    for typed, expected in (("Öl", "Öl"), ("ÖL", "ÖL"), ("öl", "Öl"), ("e\u0301LAN", "éLAN"), ("ÉLAN", "éLAN")):
        read = captions.parse(typed, 20, known)
        assert read.notes == ()
        assert text(read.row) == expected
    assert {symbols(known)[byte] for byte in "ÖL élan".encode()} & {PADDING, UNKNOWN} == set()


def test_texts_that_utf_8_does_not_have():
    (row,) = captions.encode([("x \ud800", "e\u0301")])
    assert [text(one) for one in row] == ["x \x1a", "é"]


@pytest.mark.parametrize("empty", ["", "   ", "\n\t", "\u3000"])
def test_an_empty_caption_is_refused(empty):
    with pytest.raises(InputError, match="empty"):
        captions.parse(empty, 8)


@pytest.mark.parametrize(
    "typed",
    [
        "طائر صغير بصدر وردي",
        "一只红色的小鸟",
        "ציפור",
        "🐦‍⬛ bird",
        "e\u0301",
        "\ud800 bird",
        "\0bird",
        "\u202eabc",
        "a" * 100_000,
    ],
)
def test_any_text_is_read_without_a_crash(typed):
    for known in ("", "bird "):
        read = captions.parse(typed, 16, known)
        assert read.row.shape == (16,)
        text(read.row)
    unknown = captions.parse(typed, 10**6, "bird ")
    assert set(text(unknown.row)) <= set("bird \x1a")
    assert "read as unknown" in unknown.notes[0]


def test_what_nothing_is_known_of_is_told():
    (note,) = captions.parse("一只鸟", 40, "abc ").notes
    assert note.endswith("nothing of the caption is known: 一 只 鸟")
    (note,) = captions.parse("abc 鸟", 40, "abc ").notes
    assert "nothing" not in note


def test_a_caption_of_which_nothing_is_left_is_refused():
    with pytest.raises(InputError, match="the caption's first character has more than the 2 bytes that are read: '鸟'"):
        captions.parse("鸟", 2)


def test_a_caption_that_is_too_long_is_cut_and_told():
    read = captions.parse("a red bird 鳥", 12, "")
    assert text(read.row) == "a red bird "[:12].strip() or text(read.row) == "a red bird "
    assert "the caption has 14 bytes and 12 are read" in read.notes[0]
    assert "'鳥' is cut" in read.notes[0]


@pytest.mark.parametrize(
    ("file", "pictures", "each", "example"),
    [
        ("emoji/twemoji_64.zip", 2530, 1, "joker"),
        ("celeba/celeba64_a.zip", 4599, 1, "a young woman with wavy brown hair wearing earrings and lipstick"),
        ("flowers/oxford102_64.zip", 7981, 1, "passion flower"),
        ("flickr8k/flickr8k_64.zip", 6989, 5, "A girl is stretched out in shallow water"),
    ],
)
def test_real_captioned_pictures(real_data, file, pictures, each, example):
    source = folder_source(real_data / file, held_out=0.0)
    assert source.captioned
    assert source.splits["train"].size == pictures
    own = source.splits["train"].read(0).captions
    assert (own[0], len(own)) == (example, each)


def test_real_faces_without_captions_get_sentences(real_data):
    source = folder_source(real_data / "faces" / "utkface64.zip", held_out=0.0)
    assert not source.captioned
    said = dict(zip(source.attribute_names, source.splits["train"].read(0).attributes, strict=True))
    assert sentence(said).startswith("a woman with ")
