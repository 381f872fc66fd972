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
