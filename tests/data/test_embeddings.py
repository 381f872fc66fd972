"""Embeddings of captions from a file: each caption finds its own, whatever the order; what does not fit is said."""

import numpy as np
import pytest

from gan_jax.data import captions
from gan_jax.data.dataset import Dataset
from gan_jax.data.embeddings import with_embeddings
from gan_jax.errors import InputError

TEXTS = [("a red bird", "it is red"), ("a blue bird", "it is blue"), ("a red bird", "small")]
VECTORS = {"a red bird": (3, 0), "it is red": (0, 4), "a blue bird": (-1, 1), "it is blue": (2, 2), "small": (0, -5)}


def dataset():
    arrays = {"image": np.zeros((3, 16, 16, 3), np.uint8), "caption": captions.encode(TEXTS)}
    return Dataset("birds", arrays, {name: value[:1] for name, value in arrays.items()})


def written(path, texts, vectors, **changes):
    np.savez(path, **{"caption": np.array(texts), "text": np.array(vectors, np.float32)} | changes)
    return path


def test_each_caption_finds_its_own_in_any_order(tmp_path):
    texts = [*reversed(VECTORS), "of no picture"]
    path = written(tmp_path / "text.npz", texts, [*(VECTORS[text] for text in texts[:-1]), (9, 9)])
    found = with_embeddings(dataset(), path)
    expected = np.array([[VECTORS[text] for text in row] for row in TEXTS], np.float32)
    expected /= np.sqrt(np.mean(expected**2, axis=-1, keepdims=True))
    np.testing.assert_allclose(found.train["text"], expected, rtol=1e-4)
    np.testing.assert_allclose(found.held_out["text"], expected[:1], rtol=1e-4)
    other = written(tmp_path / "other.npz", list(VECTORS), [(1, 2)] * 5)
    assert len({each.fingerprint for each in (dataset(), found, with_embeddings(dataset(), other))}) == 3


@pytest.mark.parametrize(
    ("texts", "vectors", "changes", "told"),
    [
        (list(VECTORS)[:4], [(1, 2)] * 4, {}, r"has no embedding of 1 of 5 captions: 'small'"),
        (list(VECTORS), [(1, 2)] * 4, {}, r"text must be floats \(5, d\), one row a caption, not float32 \(4, 2\)"),
        (list(VECTORS), [(1, np.nan)] * 5, {}, "text holds NaN or infinite numbers"),
        (list(VECTORS), [(1, 2)] * 5, {"text": np.ones((5, 2), int)}, "text must be floats"),
        (list(VECTORS), [(0, 0)] * 5, {}, "the embedding of 'a blue bird' is all zeros"),
        ([*VECTORS, "small"], [(1, 2)] * 5 + [(2, 1)], {}, "the embedding of 'small' differs from another of it"),
        (list(VECTORS), [(1, 2)] * 5, {"caption": np.arange(5)}, r"caption must be strings \(m,\), not int64 \(5,\)"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, texts, vectors, changes, told):
    path = written(tmp_path / "text.npz", texts, vectors, **changes)
    with pytest.raises(InputError, match=told):
        with_embeddings(dataset(), path)


def test_captions_that_the_data_have_cut_are_found(tmp_path):
    whole = dataset().train
    cut = Dataset("birds", {**whole, "caption": captions.padded(whole["caption"], 8)})
    path = written(tmp_path / "text.npz", ["a red bird", "it is red", "a blue bird", "it is blue", "small"], [(1, 2)] * 5)
    assert with_embeddings(cut, path).train["text"].shape == (3, 2, 2)


def test_a_file_without_captions_is_refused(tmp_path):
    np.savez(tmp_path / "text.npz", text=np.ones((5, 2), np.float32))
    with pytest.raises(InputError, match="has no array 'caption': it has text. Without the captions the order"):
        with_embeddings(dataset(), tmp_path / "text.npz")
