"""Precision, recall, density and coverage against the definitions written out and the reference code."""

import numpy as np
import pytest

from gan_jax.errors import InputError
from gan_jax.metrics import neighbours
from gan_jax.metrics.prdc import density_coverage, precision_recall
from tests.oracles import oracle


def points(n: int, seed: int, shift: float = 0.0, d: int = 12) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((n, d)) + shift).astype(np.float32)


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sqrt(((x[:, None].astype(float) - y[None].astype(float)) ** 2).sum(-1))


def radii(x: np.ndarray, k: int) -> np.ndarray:
    return np.sort(distances(x, x), axis=1)[:, k]  # itself comes first


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", 64)


def test_by_the_definitions():
    real, fake, k = points(150, 1), points(130, 2, shift=0.4), 4
    across = distances(real, fake)
    found = precision_recall(real, fake, k)
    assert found.precision == pytest.approx(np.mean((across <= radii(real, k)[:, None]).any(0)), abs=1e-12)
    assert found.recall == pytest.approx(np.mean((across <= radii(fake, k)[None]).any(1)), abs=1e-12)
    found = density_coverage(real, fake, k)
    assert found.density == pytest.approx((across < radii(real, k)[:, None]).sum() / (k * 130), abs=1e-12)
    assert found.coverage == pytest.approx(np.mean(across.min(1) < radii(real, k)), abs=1e-12)


def exact(real: np.ndarray, fake: np.ndarray, k: int) -> dict[str, float]:
    """The definitions on whole numbers, whose squared distances float64 holds exactly, also where they tie."""
    squared = lambda x, y: ((x[:, None].astype(int) - y[None].astype(int)) ** 2).sum(-1)  # noqa: E731
    real_radii, fake_radii = (np.sort(squared(x, x), axis=1)[:, k] for x in (real, fake))
    across = squared(real, fake)
    return {
        "precision": np.mean((across <= real_radii[:, None]).any(0)),
        "recall": np.mean((across <= fake_radii[None]).any(1)),
        "density": (across < real_radii[:, None]).sum() / (k * len(fake)),
        "coverage": np.mean((across < real_radii[:, None]).any(1)),
    }


@pytest.mark.parametrize(("high", "d"), [(3, 8), (2, 20), (9, 3)])
@pytest.mark.parametrize("copies", [False, True])
def test_where_distances_tie(high, d, copies):
    """Whole numbers, far from the origin and unlike in their means; copies of the reals tie with their own distances."""
    generator = np.random.default_rng(high)
    real, fake = (generator.integers(0, high, (n, d)).astype(np.float32) + 200 for n in (170, 130))
    fake = real[:130] if copies else fake + (generator.random((130, d)) < 0.1)
    found = {**precision_recall(real, fake, 3)._asdict(), **density_coverage(real, fake, 3)._asdict()}
    assert found == pytest.approx(exact(real, fake, 3), abs=1e-12)


def test_a_real_example_lies_in_as_many_balls_as_have_it_nearer_than_their_kth_neighbour():
    """150 of 400 reals as fakes: each lies in its own ball and in those it is among the first k - 1 neighbours of."""
    real = points(400, 11, shift=5)
    order = np.argsort(distances(real, real), axis=1)[:, :5]  # itself and four of five
    assert density_coverage(real, real[:150], 5).density == pytest.approx(np.sum(order < 150) / (5 * 150), abs=1e-12)
    assert precision_recall(real, real[:150]).precision == 1


def test_equals_torch_fidelity_and_prdc():
    torch = oracle("torch")
    prc = oracle("torch_fidelity.metric_prc")
    prdc = oracle("prdc")
    real, fake = points(300, 3), points(280, 4, shift=0.3)
    theirs = prc.prc_features_to_metric(torch.from_numpy(fake), torch.from_numpy(real), prc_neighborhood=3, verbose=False)
    ours = precision_recall(real, fake)
    assert ours.precision == pytest.approx(theirs["precision"], rel=1e-6)
    assert ours.recall == pytest.approx(theirs["recall"], rel=1e-6)
    theirs = prdc.compute_prdc(real.astype(float), fake.astype(float), nearest_k=5)
    found = density_coverage(real, fake, 5)
    assert found.density == pytest.approx(theirs["density"], rel=1e-6)
    assert found.coverage == pytest.approx(theirs["coverage"], rel=1e-6)


def test_of_equal_distributions():
    """Density 1 and coverage 1 - 2^-k on average (Naeem et al. 2020, section 4)."""
    found = density_coverage(points(2000, 5, d=3), points(2000, 6, d=3), 5)
    assert found.density == pytest.approx(1, abs=0.03)
    assert found.coverage == pytest.approx(1 - 2.0**-5, abs=0.015)


def test_of_a_collapsed_and_of_a_foreign_set():
    real = points(300, 7)
    one = np.tile(real[:1], (200, 1)) + points(200, 8) * 1e-3
    assert precision_recall(real, one).precision == 1
    assert precision_recall(real, one).recall < 0.02
    far = points(200, 9, shift=50)
    assert precision_recall(real, far) == (0, 0)
    assert density_coverage(real, far) == (0, 0)


def test_equal_examples_are_neighbours_at_distance_0():
    x = points(50, 10) + 1000  # far from the origin, where sums of squares cancel
    distance, which = neighbours.nearest_other(np.concatenate([x, x]))
    assert distance.max() < 1e-5
    np.testing.assert_array_equal(which, np.concatenate([np.arange(50) + 50, np.arange(50)]))


def test_needs_more_than_k_examples():
    with pytest.raises(InputError, match="at least 6"):
        density_coverage(points(5, 0), points(50, 1))
