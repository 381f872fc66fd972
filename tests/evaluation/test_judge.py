"""The judge knows real digits, and does not take noise for them."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.digits import digits
from gan_jax.errors import InputError
from gan_jax.evaluation import judge as module
from gan_jax.evaluation.judge import train_judge
from gan_jax.images.convert import to_float
from gan_jax.metrics.recognised import recognised_share
from gan_jax.models.classifier import Classifier

GOLDEN = (0.8495, -1.2374, -1.2270, 0.8018, 1.0124, 1.0372, 1.4992, -1.2806, -1.0099, -1.1122)


@pytest.fixture(scope="module")
def dataset():
    return digits(32)


@pytest.fixture(scope="module")
def judge(dataset, tmp_path_factory):
    return train_judge(dataset, steps=200, cache=tmp_path_factory.mktemp("judges"))


@pytest.mark.slow
def test_held_out_accuracy(judge, dataset):
    seen = judge.see(dataset.held_out["image"])
    assert judge.accuracy >= 0.97
    assert judge.accuracy == pytest.approx(np.mean(seen.logits.argmax(-1) == dataset.held_out["label"]))
    assert seen.features.shape == (len(dataset.held_out["image"]), 128)
    assert judge.names == dataset.class_names


@pytest.mark.slow
def test_real_digits_are_recognised_and_noise_is_not(judge, dataset):
    real = dataset.held_out["image"]
    noise = np.random.default_rng(0).integers(0, 256, (300, *real.shape[1:]), dtype=np.uint8)
    assert recognised_share(judge.see(real).logits) > 0.9
    assert recognised_share(judge.see(noise).logits) < 0.1


@pytest.mark.slow
def test_bytes_and_floats_are_judged_alike(judge, dataset):
    real = dataset.held_out["image"][:7]
    np.testing.assert_allclose(judge.see(real).logits, judge.see(real / np.float32(127.5) - 1).logits, rtol=1e-3, atol=1e-3)


def test_a_function_of_data_and_seed(tmp_path):
    dataset = digits(8)
    one, same, other = (
        train_judge(dataset, steps=2, batch=8, seed=seed, cache=tmp_path / name)
        for seed, name in ((0, "a"), (0, "b"), (1, "c"))
    )
    assert one.digest == same.digest != other.digest


def test_is_trained_once_for_the_same_data(tmp_path, monkeypatch):
    dataset = digits(8)
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


@pytest.fixture(scope="module")
def described():
    """Whether a digit is over 4, whether it is odd, and a number that is neither 0 nor 1."""
    dataset = digits(16)

    def described(arrays):
        label = arrays["label"]
        return {"image": arrays["image"], "attributes": np.stack([label > 4, label % 2, label / 9], axis=1).astype(np.float32)}

    return replace(
        dataset,
        train=described(dataset.train),
        held_out=described(dataset.held_out),
        class_names=(),
        attribute_names=("large", "odd", "share"),
        stored_fingerprint="",
    )


@pytest.mark.slow
def test_attributes_are_learned_where_there_are_no_classes(described, tmp_path):
    judge = train_judge(described, steps=400, cache=tmp_path)
    assert judge.names == ("large", "odd")
    assert not judge.exclusive
    assert judge.accuracy > 0.95
    found, truth = judge.see(described.held_out["image"]).logits > 0, described.held_out["attributes"][:, :2] > 0
    for i, (recall, precision, shown) in enumerate(judge.reliability):
        assert recall == pytest.approx(np.mean(found[truth[:, i], i]))
        assert precision == pytest.approx(np.mean(truth[found[:, i], i]))
        assert shown == truth[:, i].sum()
    assert [path.name for path in tmp_path.iterdir()] == [f"{described.fingerprint}-400-64-0-{module.ATTRIBUTES}.msgpack"]


def test_reliability_of_attributes_that_few_or_none_have():
    logits = np.array([[1, -1, -1], [1, -1, 2], [-2, -3, 1], [-1, -1, 3]], np.float32)
    truth = np.array([[1, 0, 1], [0, 0, 1], [0, 0, 1], [0, 1, 0]], np.float32)
    one, two, three = module.reliabilities(logits, truth)
    assert one == (1.0, 0.5, 1)
    assert two[0] == 0.0
    assert np.isnan(two.precision)  # none is taken to have it
    assert three == pytest.approx((2 / 3, 2 / 3, 3))
    assert np.isnan(module.reliabilities(logits, 0 * truth)[0].recall)
    assert str(one) == "recall 1.00, precision 0.50 of 1"


def test_rare_values_weigh_more():
    """One in four, one in a hundred, and half: inverse to the frequency, at most 10."""
    targets = np.zeros((400, 3), np.float32)
    for i, n in enumerate((100, 4, 200)):
        targets[:n, i] = 1
    weights = module._weights(targets)
    np.testing.assert_allclose(weights, [[2 / 3, 0.5 / 0.99, 1], [2, 10, 1]], rtol=1e-6)
    logits = np.array([[0.3, -0.2, 1], [0.3, -0.2, 1]], np.float32)
    truth = np.array([[1, 0, 1], [0, 1, 1]], np.float32)
    entropy = np.log1p(np.exp(-np.where(truth > 0, logits, -logits)))
    wanted = np.mean(np.where(truth > 0, weights[1], weights[0]) * entropy)
    assert float(module._cost_of_attributes(jnp.asarray(logits), jnp.asarray(truth), weights)) == pytest.approx(wanted)


def test_logits_of_rare_attributes_are_lowered_by_half_of_the_weights(described, tmp_path):
    few = described.train["attributes"].copy()
    few[14:, 0], few[:14, 0] = 0, 1  # one in a hundred
    other = replace(described, train=described.train | {"attributes": few})
    judge = train_judge(other, steps=1, batch=8, cache=tmp_path)
    images = other.held_out["image"][:5]
    plain = Classifier(2).apply(judge.params, to_float(jnp.asarray(images)), train=False)
    share = few[:, :2].mean(axis=0)
    wanted = plain - 0.5 * np.log(np.minimum(0.5 / share, 10) / (0.5 / (1 - share)))[None]
    np.testing.assert_allclose(judge.see(images).logits, wanted, rtol=1e-4, atol=1e-5)


def test_half_of_the_pictures_are_mirrored():
    x = np.random.default_rng(0).normal(size=(400, 3, 4, 1)).astype(np.float32)
    found = np.asarray(module._mirrored(jax.random.key(0), jnp.asarray(x)))
    turned = (found == x[:, :, ::-1]).all(axis=(1, 2, 3))
    assert 150 < turned.sum() < 250
    np.testing.assert_array_equal(found[~turned], x[~turned])


def test_classifiers_of_classes_stay_the_same(dataset, tmp_path):
    """What is kept under this name is not trained again: both as noted from the code before there were weights."""
    judge = train_judge(dataset, steps=2, batch=8, cache=tmp_path)
    assert judge.reliability == ()
    assert [path.name for path in tmp_path.iterdir()] == [f"{dataset.fingerprint}-2-8-0.msgpack"]
    bias = np.asarray(judge.params["params"]["Dense_1"]["bias"])
    np.testing.assert_allclose(1e3 * bias, GOLDEN, atol=1e-3)  # of the last layer, which starts at 0


def test_needs_something_to_recognise_and_a_held_out_part(dataset):
    for missing in ({"class_names": ()}, {"held_out": {}}):
        with pytest.raises(InputError, match="nothing can judge"):
            train_judge(replace(dataset, **missing), steps=1)
    unused = "left out: a.csv names 60 pictures that are not there"
    with pytest.raises(InputError, match=f"nothing can judge its samples; {unused}"):
        train_judge(replace(dataset, class_names=(), notes=("drawn", unused)), steps=1)


@pytest.mark.slow
def test_sees_pictures_of_any_size(tmp_path):
    judge = train_judge(digits(28), steps=120, cache=tmp_path)
    assert judge.accuracy > 0.9


@pytest.mark.slow
def test_held_out_accuracy_by_default(dataset, tmp_path):
    assert train_judge(dataset, cache=tmp_path).accuracy >= 0.98
