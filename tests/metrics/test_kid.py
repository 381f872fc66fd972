"""The kernel distance and the Inception score against torch-fidelity, and where their values are known."""

import numpy as np
import pytest

from gan_jax.errors import InputError
from gan_jax.metrics.inception_score import inception_score
from gan_jax.metrics.kid import kernel_distance
from tests.oracles import oracle


def features(n: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.abs(np.random.default_rng(seed).standard_normal((n, 48)) + shift).astype(np.float32)


def test_kid_equals_torch_fidelity():
    torch = oracle("torch")
    kid = oracle("torch_fidelity.metric_kid")
    real, fake = features(300, 1), features(250, 2, shift=0.3)
    theirs = kid.kid_features_to_metric(
        torch.from_numpy(fake).double(), torch.from_numpy(real).double(), kid_subsets=10, kid_subset_size=100, verbose=False
    )
    ours = kernel_distance(real, fake, subsets=10, size=100)
    assert ours.mean == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-6)
    assert ours.std == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-6)


def test_kid_by_the_definition():
    """All pairs written out, on one subset that is everything."""
    x, y = features(6, 1), features(6, 2, shift=0.5)
    kernel = lambda a, b: (a.astype(float) @ b.astype(float) / 48 + 1) ** 3  # noqa: E731
    others = sum(kernel(a, b) for z in (x, y) for i, a in enumerate(z) for j, b in enumerate(z) if i != j) / 30
    across = np.mean([[kernel(a, b) for b in y] for a in x])
    assert kernel_distance(x, y, subsets=1, size=6).mean == pytest.approx(others - 2 * across, rel=1e-9)


def test_kid_has_no_bias():
    """On equal distributions it lies about 0 for few examples as for many, and goes below it."""
    values = [kernel_distance(features(60, 2 * i), features(60, 2 * i + 1), subsets=1, size=60).mean for i in range(40)]
    assert min(values) < 0 < max(values)
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(40)


@pytest.mark.parametrize(("subsets", "size"), [(1, 300), (0, 10), (1, 1)])
def test_kid_needs_enough_examples(subsets, size):
    with pytest.raises(InputError, match="cannot be drawn from 250 real and 250 generated"):
        kernel_distance(features(250, 1), features(250, 2), subsets=subsets, size=size)


def test_inception_score_equals_torch_fidelity():
    torch = oracle("torch")
    isc = oracle("torch_fidelity.metric_isc")
    logits = 3 * features(503, 4)
    theirs = isc.isc_features_to_metric(torch.from_numpy(logits), splits=10, shuffle=True, rng_seed=2020)
    ours = inception_score(logits)
    assert ours.mean == pytest.approx(theirs["inception_score_mean"], rel=1e-6)
    assert ours.std == pytest.approx(theirs["inception_score_std"], rel=1e-5)


def test_inception_score_at_its_ends():
    """Certain and evenly spread over k classes: k. All the same answer: 1."""
    sure = 100 * np.eye(5, dtype=np.float32)[np.arange(500) % 5]
    assert inception_score(sure, splits=1).mean == pytest.approx(5, rel=1e-6)
    assert inception_score(np.tile(features(1, 0), (50, 1)), splits=1).mean == pytest.approx(1, rel=1e-6)


def test_inception_score_needs_enough_examples():
    with pytest.raises(InputError, match="19 examples cannot be cut into 10 parts"):
        inception_score(features(19, 0))
