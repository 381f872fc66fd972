"""A linear classifier on features that are given: what it learns, keeps and refuses."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from gan_jax.data.dataset import Dataset
from gan_jax.errors import InputError
from gan_jax.evaluation.features import Network
from gan_jax.evaluation.probe import fitted, probed
from gan_jax.evaluation.seen import Seen

CENTRES = np.random.default_rng(5).integers(40, 216, (3, 4, 4, 1))


def pictures(n, seed, classes=3):
    generator = np.random.default_rng(seed)
    label = (np.arange(n) % classes).astype(np.int32)
    return {"image": (CENTRES[label] + generator.integers(-40, 40, (n, 4, 4, 1))).astype(np.uint8), "label": label}


def dataset(classes=3):
    return Dataset("patches", pictures(300, 0, classes), pictures(90, 1, classes), tuple("abc"[:classes]))


@pytest.fixture
def network():
    """The pixels, on scales that differ a thousand times; it counts how many pictures it has seen."""
    seen = []

    def see(images):
        seen.append(len(images))
        x = images.reshape(len(images), -1).astype(np.float32)
        return Seen(x * np.geomspace(1e-3, 1, x.shape[1], dtype=np.float32)[None])

    return Network({"features": "scaled", "weights": str(id(seen))}, see), seen


@pytest.mark.parametrize("classes", [2, 3])
def test_it_knows_held_out_pictures(network, tmp_path, classes):
    data = dataset(classes)
    found = probed(network[0], data, tmp_path)
    logits = found.see(data.held_out["image"]).known_logits()
    assert logits.shape == (90, classes)
    assert np.mean(logits.argmax(axis=1) == data.held_out["label"]) > 0.95
    assert found.logits_of == "classes"
    assert found.identity.items() > network[0].identity.items()
    np.testing.assert_array_equal(found.see(data.held_out["image"]).features, network[0].see(data.held_out["image"]).features)


def test_it_is_kept_for_the_same_data_and_network(network, tmp_path):
    data, (given, seen) = dataset(), network
    first, looked = probed(given, data, tmp_path), len(seen)
    assert probed(given, data, tmp_path).identity == first.identity
    assert len(seen) == looked
    next(tmp_path.iterdir()).write_bytes(b"torn")
    assert probed(given, data, tmp_path).identity == first.identity
    other = replace(given, identity={**given.identity, "weights": "others"})
    probed(other, data, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_it_is_softmax_regression():
    """Of one feature with classes at -1 and 1, its probability of the second class rises through 1/2 at 0."""
    generator = np.random.default_rng(0)
    y = np.arange(2000) % 2
    x = (2.0 * y - 1 + generator.normal(size=2000))[:, None] * 50 + 7
    chance = softmax(fitted(x, y, 2)(np.array([[-43.0], [7.0], [57.0]])), axis=1)[:, 1]
    np.testing.assert_allclose(chance, [1 / (1 + np.e**2), 0.5, 1 / (1 + np.e**-2)], atol=0.04)  # log odds 2 x, of unit spread


def test_a_class_without_training_pictures_is_never_taken(network, tmp_path):
    data = replace(dataset(2), class_names=("a", "b", "none"), stored_fingerprint="")
    logits = probed(network[0], data, tmp_path).see(data.held_out["image"]).known_logits()
    assert logits.shape == (90, 3)
    assert set(logits.argmax(axis=1)) == {0, 1}


def test_what_cannot_be_classified(network):
    one = {**pictures(300, 0), "label": np.zeros(300, np.int32)}
    for lacking in ({"class_names": ()}, {"held_out": {}}, {"class_names": ("a",)}, {"train": one}):
        with pytest.raises(InputError, match="has no two classes, or no held-out pictures"):
            probed(network[0], replace(dataset(), **lacking))
