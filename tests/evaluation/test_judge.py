"""The judge knows real digits, and does not take noise for them."""

from dataclasses import replace

import numpy as np
import pytest

from gan_jax.data.digits import digits
from gan_jax.errors import InputError
from gan_jax.evaluation import judge as module
from gan_jax.evaluation.judge import train_judge
from gan_jax.metrics.recognised import recognised_share


@pytest.fixture(scope="module")
def dataset():
    return digits(32)


@pytest.fixture(scope="module")
def judge(dataset, tmp_path_factory):
    return train_judge(dataset, steps=300, cache=tmp_path_factory.mktemp("judges"))  # 11 s on two cores


def test_held_out_accuracy(judge, dataset):
    seen = judge.see(dataset.held_out["image"])
    assert judge.accuracy >= 0.97
    assert judge.accuracy == pytest.approx(np.mean(seen.logits.argmax(-1) == dataset.held_out["label"]))
    assert seen.features.shape == (len(dataset.held_out["image"]), 128)
    assert judge.names == dataset.class_names


def test_real_digits_are_recognised_and_noise_is_not(judge, dataset):
    real = dataset.held_out["image"]
    noise = np.random.default_rng(0).integers(0, 256, (300, *real.shape[1:]), dtype=np.uint8)
    assert recognised_share(judge.see(real).logits) > 0.9
    assert recognised_share(judge.see(noise).logits) < 0.1


def test_bytes_and_floats_are_judged_alike(judge, dataset):
    real = dataset.held_out["image"][:7]
    np.testing.assert_allclose(judge.see(real).logits, judge.see(real / np.float32(127.5) - 1).logits, rtol=1e-3, atol=1e-3)


def test_a_function_of_data_and_seed(dataset, tmp_path):
    one, same, other = (
        train_judge(dataset, steps=2, batch=8, seed=seed, cache=tmp_path / name)
        for seed, name in ((0, "a"), (0, "b"), (1, "c"))
    )
    assert one.digest == same.digest != other.digest


def test_is_trained_once_for_the_same_data(dataset, tmp_path, monkeypatch):
    first = train_judge(dataset, steps=2, batch=8, cache=tmp_path)
    taught = []
    monkeypatch.setattr(module, "_train", lambda *args: taught.append(args) or args[1])
    assert train_judge(dataset, steps=2, batch=8, cache=tmp_path).digest == first.digest
    assert not taught
    other = replace(dataset, train={name: array[:1000] for name, array in dataset.train.items()}, stored_fingerprint="")
    train_judge(other, steps=2, batch=8, cache=tmp_path)
    assert len(taught) == 1
    next(tmp_path.glob("*.msgpack")).write_bytes(b"torn")
    for each in (dataset, other):
        train_judge(each, steps=2, batch=8, cache=tmp_path)
    assert len(taught) == 2


@pytest.mark.parametrize(("n", "steps"), [(1437, 600), (50_000, 1666), (3_000_000, 6000)])
def test_default_number_of_steps(dataset, tmp_path, monkeypatch, n, steps):
    """Two epochs, within bounds; digits and CIFAR-10 as ever."""
    size = {"image": np.broadcast_to(dataset.train["image"][:1], (n, 32, 32, 1)), "label": np.zeros(n, np.int32)}
    asked = []
    monkeypatch.setattr(module, "_train", lambda *args: asked.append(args[5]) or args[1])
    train_judge(replace(dataset, train=size, stored_fingerprint="0"), cache=tmp_path)
    assert asked == [steps]


def test_attributes_are_learned_where_there_are_no_classes(tmp_path):
    """Whether a digit is over 4, whether it is odd, and a number that is neither 0 nor 1."""
    dataset = digits(16)

    def described(arrays):
        label = arrays["label"]
        return {"image": arrays["image"], "attributes": np.stack([label > 4, label % 2, label / 9], axis=1).astype(np.float32)}

    other = replace(
        dataset,
        train=described(dataset.train),
        held_out=described(dataset.held_out),
        class_names=(),
        attribute_names=("large", "odd", "share"),
        stored_fingerprint="",
    )
    judge = train_judge(other, steps=300, cache=tmp_path)
    assert judge.names == ("large", "odd")
    assert not judge.exclusive
    assert judge.accuracy > 0.95


def test_needs_something_to_recognise_and_a_held_out_part(dataset):
    for missing in ({"class_names": ()}, {"held_out": {}}):
        with pytest.raises(InputError, match="nothing can judge"):
            train_judge(replace(dataset, **missing), steps=1)


def test_sees_pictures_of_any_size(tmp_path):
    judge = train_judge(digits(28), steps=200, cache=tmp_path)
    assert judge.accuracy > 0.9


@pytest.mark.slow
def test_held_out_accuracy_by_default(dataset, tmp_path):
    assert train_judge(dataset, cache=tmp_path).accuracy >= 0.98
