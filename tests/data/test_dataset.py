"""The order of examples, fingerprints, the embedded digits, and the mixtures of Gaussians."""

import numpy as np
import pytest

from gan_jax.data import MIXTURES, Dataset, Order, digits, ring, square_grid
from gan_jax.errors import InputError

GOLDEN = ([501, 1198, 1005, 691, 459, 871, 402, 862], [1176, 205, 135, 1208, 932, 1172, 1145, 158])
DIGITS_TRAIN = [5, 4, 4, 6, 3, 0, 3, 0, 3, 7]
DIGITS_HELD_OUT = [0, 5, 1, 6, 2, 2, 9, 9, 0, 5]


def test_order_is_a_function_of_seed_and_step() -> None:
    forwards = Order(3, size=10, batch=4)
    batches = [forwards(step) for step in range(12)]
    jumping = Order(3, size=10, batch=4)
    for step in (11, 0, 7, 7, 2, 3, 10, 1):
        np.testing.assert_array_equal(jumping(step), batches[step])
        np.testing.assert_array_equal(Order(3, size=10, batch=4)(step), batches[step])


@pytest.mark.parametrize(("size", "batch"), [(10, 5), (10, 4), (10, 10), (7, 3), (5, 1)])
def test_every_epoch_shows_every_example_once(size: int, batch: int) -> None:
    order = Order(0, size, batch)
    batches = [order(step) for step in range(4 * size)]
    assert all(indices.shape == (batch,) and indices.dtype == np.int32 for indices in batches)
    for epoch in np.concatenate(batches).reshape(-1, size):  # batch divides 4 * size * batch
        assert sorted(epoch.tolist()) == list(range(size))


def test_seeds_and_epochs_differ() -> None:
    orders = {tuple(Order(seed, 50, 50)(epoch).tolist()) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16
    assert tuple(range(50)) not in orders


def test_order_is_the_one_of_earlier_runs() -> None:
    """Noted from this code, numpy 2.4: a run continued under another order would see some examples twice."""
    order = Order(7, size=1437, batch=8)
    assert order(0).tolist() == GOLDEN[0]
    assert order(179).tolist() == GOLDEN[1]  # 5 of the first epoch, 3 of the second


@pytest.mark.parametrize("batch", [11, 0, -1])
def test_impossible_batches(batch: int) -> None:
    with pytest.raises(InputError, match=f"batch of {batch} .* 10 examples"):
        Order(0, size=10, batch=batch)


def test_fingerprint_notices_every_change() -> None:
    image, label = np.zeros((3, 4, 4, 1), np.uint8), np.arange(3, dtype=np.int32)
    pixel = image.copy()
    pixel[2, 3, 3, 0] = 1
    variants = [
        {"image": image, "label": label},
        {"image": pixel, "label": label},
        {"image": image, "label": label[::-1]},
        {"image": image.reshape(3, 2, 8, 1), "label": label},
        {"image": image.view(np.int8), "label": label},
        {"images": image, "label": label},
        {"image": image},
    ]
    prints = [Dataset("a", arrays).fingerprint for arrays in variants]
    assert len(set(prints)) == len(variants)
    assert all(len(text) == 16 for text in prints)
    again = Dataset("b", {"label": label.copy(), "image": np.asfortranarray(image)})
    assert again.fingerprint == prints[0]  # neither name, order of fields nor memory layout matter


def test_length_and_first() -> None:
    dataset = Dataset("a", {"point": np.arange(10.0).reshape(5, 2), "label": np.arange(5)})
    assert len(dataset) == 5
    first = dataset.first(2)
    assert first["point"].tolist() == [[0, 1], [2, 3]]
    assert first["label"].tolist() == [0, 1]


def test_digits() -> None:
    dataset = digits()
    assert (len(dataset), dataset.class_names) == (1437, tuple("0123456789"))
    for arrays, n in ((dataset.train, 1437), (dataset.held_out, 360)):
        assert arrays["image"].shape == (n, 32, 32, 1)
        assert arrays["image"].dtype == np.uint8
        assert arrays["label"].shape == (n,)
        assert arrays["label"].dtype == np.int32
        assert set(arrays["label"].tolist()) == set(range(10))
        assert arrays["image"].min() == 0
        assert arrays["image"].max() == 255
        assert arrays["image"][:, :, 0].mean() < 10 < 50 < arrays["image"].mean() < 110  # black border, white digits
    assert digits(16).train["image"].shape == (1437, 16, 16, 1)


def test_digits_are_parted_without_loss_or_overlap() -> None:
    from sklearn.datasets import load_digits

    data, dataset = load_digits(), digits(8)  # size 8: nothing is enlarged, so that images can be recognised
    whole = [(image.tobytes(), label) for image, label in zip(scale(data.images), data.target.tolist(), strict=True)]
    assert len({image for image, _ in whole}) == 1797  # no two are equal, hence equal images mean equal indices
    parts = [
        {(image.tobytes(), label) for image, label in zip(part["image"], part["label"].tolist(), strict=True)}
        for part in (dataset.train, dataset.held_out)
    ]
    assert [len(part) for part in parts] == [1437, 360]
    assert not parts[0] & parts[1]
    assert parts[0] | parts[1] == set(whole)


def scale(images: np.ndarray) -> np.ndarray:
    return np.rint(images * (255 / 16)).astype(np.uint8)


def test_digits_are_the_same_every_time() -> None:
    dataset = digits()
    assert dataset.fingerprint == digits().fingerprint
    assert dataset.train["label"][:10].tolist() == DIGITS_TRAIN  # noted from this code: the parts must never move
    assert dataset.held_out["label"][:10].tolist() == DIGITS_HELD_OUT


def test_means_of_ring_and_grid() -> None:
    s = np.sqrt(0.5)
    eight = [(1, 0), (s, s), (0, 1), (-s, s), (-1, 0), (-s, -s), (0, -1), (s, -s)]
    np.testing.assert_allclose(ring().means, eight, atol=1e-12)
    np.testing.assert_allclose(ring(4, radius=2.0).means, [(2, 0), (0, 2), (-2, 0), (0, -2)], atol=1e-12)
    grid = {(x, y) for x in (-4.0, -2.0, 0.0, 2.0, 4.0) for y in (-4.0, -2.0, 0.0, 2.0, 4.0)}
    assert square_grid().means.shape == (25, 2)
    assert set(map(tuple, square_grid().means.tolist())) == grid
    assert (ring().sigma, square_grid().sigma) == (0.01, 0.05)  # Lin et al. 2018


@pytest.mark.parametrize("name", MIXTURES)
def test_points_of_a_mixture(name: str) -> None:
    mixture = MIXTURES[name]()
    n, modes = 20_000, len(mixture.means)
    dataset = mixture.dataset(n)
    points, labels = dataset.train["point"], dataset.train["label"]
    assert dataset.name == mixture.name == name
    assert not dataset.held_out
    assert points.shape == (n, 2)
    assert points.dtype == np.float32
    assert labels.shape == (n,)
    assert labels.dtype == np.int32
    counts = np.bincount(labels, minlength=modes)
    assert np.abs(counts - n / modes).max() < 5 * np.sqrt(n / modes)  # 5 standard deviations of a count
    noise = (points - mixture.means[labels]) / mixture.sigma
    assert np.abs(noise.mean(axis=0)).max() < 5 / np.sqrt(n)
    np.testing.assert_allclose(np.cov(noise.T), np.eye(2), atol=5 * np.sqrt(2 / n))


@pytest.mark.parametrize("name", MIXTURES)
def test_points_are_a_function_of_the_seed(name: str) -> None:
    mixture = MIXTURES[name]()
    assert mixture.dataset(100).fingerprint == mixture.dataset(100, seed=0).fingerprint
    assert mixture.dataset(100).fingerprint != mixture.dataset(100, seed=1).fingerprint
    assert len(mixture.dataset()) == 100_000
