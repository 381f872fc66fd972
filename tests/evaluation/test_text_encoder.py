"""The text encoder: it learns which captions belong to which pictures, is kept, and refuses data that cannot teach it."""

import numpy as np
import pytest

from gan_jax import matching
from gan_jax.data import captions
from gan_jax.data.dataset import Dataset
from gan_jax.errors import InputError
from gan_jax.evaluation import text_encoder
from gan_jax.evaluation.text_encoder import (
    asked_found,
    captioned,
    embedded,
    fitting,
    new_text_encoder,
    train_text_encoder,
)

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255), "black": (0, 0, 0)}


def patches(n, seed=0, **others):
    """Pictures whose halves have two of five colours, with two captions each."""
    generator = np.random.default_rng(seed)
    names, values = list(COLOURS), np.array(list(COLOURS.values()), np.uint8)
    left, right = generator.integers(5, size=(2, n))
    image = np.zeros((n, 16, 16, 3), np.uint8)
    image[:, :, :8], image[:, :, 8:] = values[left][:, None, None], values[right][:, None, None]
    texts = [
        (f"{names[a]} beside {names[b]}", f"on the left {names[a]}, then {names[b]}") for a, b in zip(left, right, strict=True)
    ]
    return {"image": image, "caption": captions.encode(texts), **others}


def dataset(n=200):
    return Dataset("patches", patches(n), patches(100, 1))


TINY = {"dim": 16, "width": 16, "batch": 32}


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """An encoder of 150 steps, and the folder where it is kept."""
    cache = tmp_path_factory.mktemp("encoders")
    return train_text_encoder(dataset(), steps=150, cache=cache, **TINY), cache


def test_it_learns_which_captions_belong(taught):
    encoder, _ = taught
    assert encoder.among == 50
    assert encoder.retrieval > 0.7  # chance: 0.02
    untaught = train_text_encoder(dataset(), steps=1, **TINY)
    assert untaught.retrieval < 0.2


def test_it_is_kept(taught, monkeypatch):
    encoder, cache = taught
    monkeypatch.setattr(text_encoder, "fit", None)
    again = train_text_encoder(dataset(), steps=150, cache=cache, **TINY)
    assert again.digest == encoder.digest
    assert again.retrieval == encoder.retrieval


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "match"), [("char_cnn_rnn", "contrastive"), ("transformer", "structured")])
def test_other_encoders_and_losses(kind, match):
    start, end = (train_text_encoder(dataset(), kind, match=match, steps=steps, **TINY).retrieval for steps in (1, 200))
    assert end > max(0.3, 2 * start)
    assert match in matching.MATCHINGS


def test_captions_that_fit():
    data = patches(60, 2)["caption"]
    expected = np.asarray(matching.fits(data, data[:, 1:]))
    np.testing.assert_array_equal(fitting(data, data[:, 1]), expected)
    assert expected.sum() > 60


def test_pictures_beside_other_captions_are_not_found(taught):
    encoder, _ = taught
    data = patches(150, 3)
    asked = data["caption"][:, 0]
    right = asked_found(encoder, data["image"], asked, data["caption"], among=20)
    other = np.roll(data["image"], 1, axis=0)
    assert right > 0.8
    assert asked_found(encoder, other, asked, data["caption"], among=20) < 0.3


def test_embeddings_beside_the_captions(taught):
    encoder, _ = taught
    found = embedded(dataset(), encoder)
    assert found.train["text"].shape == (200, 2, 16)
    assert found.fingerprint == dataset().fingerprint
    row = found.train["caption"][7, 1]
    np.testing.assert_allclose(found.train["text"][7, 1], encoder.embed(row[None])[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.mean(found.train["text"] ** 2, axis=-1), 1, rtol=1e-3)


def test_pictures_without_captions_are_left_out_and_told():
    data = dataset()
    data.train["caption"][:3] = 0
    found = captioned(data, 15)
    assert len(found) == 197
    assert found.fingerprint != data.fingerprint
    assert found.train["caption"].shape[-1] == found.held_out["caption"].shape[-1] == 15
    told = " ".join(found.notes)
    assert "3 training pictures have no caption and are left out" in told
    assert "captions of training pictures are longer than 15 bytes and are cut" in told
    assert captioned(dataset(), 1000).fingerprint == dataset().fingerprint
    with pytest.raises(InputError, match="no training picture of patches has a caption"):
        captioned(Dataset("patches", {**data.train, "caption": np.zeros((200, 1, 4), np.uint8)}), 15)


def test_captions_of_any_script_teach_an_encoder():
    """Arabic, Hebrew, Chinese and emoji are in its alphabet, are cut within no character, and are told apart."""
    texts = [("طائر صغير",), ("ציפור אדומה",), ("一只红色的小鸟",), ("🐦 bird",)]
    data = Dataset("birds", {"image": np.zeros((4, 16, 16, 3), np.uint8), "caption": captions.encode(texts)})
    found = captioned(data, 10)
    cut = [captions.decode(row) for row in found.train["caption"][:, 0]]
    assert all(text.startswith(each.strip()) and each for (text,), each in zip(texts, cut, strict=True))
    assert any("cut" in note for note in found.notes)
    encoder = new_text_encoder(data, dim=8, width=16)
    assert {"ط", "צ", "红", "🐦", "b"} <= set(encoder.text.alphabet)
    rows = encoder.embed(data.train["caption"][:, 0])
    assert np.isfinite(rows).all()
    assert len({tuple(row) for row in rows.round(3).tolist()}) == 4
    for (text,) in texts:
        assert captions.parse(text, encoder.length, encoder.text.alphabet).notes == ()


def test_says_what_cannot_be_matched():
    with pytest.raises(InputError, match="has no caption"):
        train_text_encoder(Dataset("x", {"image": np.zeros((9, 16, 16, 3), np.uint8)}))
    data = patches(8) | {"image": np.zeros((8, 20, 16, 3), np.uint8)}
    with pytest.raises(InputError, match="20x16 cannot be matched"):
        train_text_encoder(Dataset("x", data))
