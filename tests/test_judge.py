"""The judge knows real digits, and does not take noise for them."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.digits import digits
from gan_jax.errors import InputError
from gan_jax.judge import accuracy, recognition, train_judge


@pytest.fixture(scope="module")
def dataset():
    return digits(32)


@pytest.fixture(scope="module")
def judged(dataset):
    return train_judge(dataset, steps=300)  # 11 s on two cores, 0.994


def test_held_out_accuracy(judged, dataset):
    judge, score = judged
    assert score >= 0.97
    assert score == pytest.approx(np.mean(np.argmax(judge(dataset.held_out["image"]), -1) == dataset.held_out["label"]))


def test_real_digits_are_recognised_and_noise_is_not(judged, dataset):
    judge, _ = judged
    real = dataset.held_out["image"]
    noise = np.random.default_rng(0).integers(0, 256, (300, *real.shape[1:]), dtype=np.uint8)
    of_noise, of_real = recognition(judge, noise, real), recognition(judge, dataset.train["image"][:300], real)
    assert of_noise["recognised"] < 0.1
    assert of_real["real_recognised"] > 0.9
    assert of_real["recognised_ratio"] == pytest.approx(1, abs=0.1)
    assert of_real["classes"] == 10
    assert of_real["class_entropy"] > 0.98


def test_bytes_and_floats_are_judged_alike(judged, dataset):
    judge, _ = judged
    real = dataset.held_out["image"][:7]
    np.testing.assert_allclose(judge(real), judge(real / np.float32(127.5) - 1), rtol=1e-3, atol=1e-3)


def test_recognition_by_hand():
    """The samples' first pixel stands for their logits: 20 is certain, 0 is not."""

    def judge(images):
        return jnp.asarray(images[:, 0, :, 0], jnp.float32)

    samples = np.array([[20, 0, 0, 0], [0, 20, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0]], np.uint8)[:, None, :, None]
    scores = recognition(judge, samples, samples[[0, 0, 0, 2]])
    assert scores == pytest.approx(
        {"recognised": 0.5, "real_recognised": 0.75, "recognised_ratio": 2 / 3, "classes": 2, "class_entropy": 0.5}
    )
    assert accuracy(judge, {"image": samples, "label": np.array([0, 1, 1, 3])}) == 0.75


def test_a_function_of_data_and_seed(dataset):
    few = dataset.held_out["image"][:8]
    one, same, other = (train_judge(dataset, steps=2, batch=8, seed=seed)[0](few) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


def test_needs_labels_and_a_held_out_part(dataset):
    for missing in ({"class_names": ()}, {"held_out": {}}):
        with pytest.raises(InputError, match="nothing can judge"):
            train_judge(replace(dataset, **missing), steps=1)


@pytest.mark.slow
def test_held_out_accuracy_by_default(dataset):
    assert train_judge(dataset)[1] >= 0.98
