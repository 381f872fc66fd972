"""The Fréchet distance against closed forms, scipy and torch-fidelity."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import sqrtm

from gan_jax.errors import InputError
from gan_jax.metrics import frechet
from gan_jax.metrics.frechet import Moments, frechet_bias, frechet_distance, merge, moments
from tests.oracles import oracle


def normal(n: int, d: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((n, d))
    return (shift + scale * x).astype(np.float32)


def mixed(n: int, d: int, seed: int) -> np.ndarray:
    """Features as networks give them: correlated, not negative."""
    mix = np.random.default_rng(100).standard_normal((d, d)) / np.sqrt(d)
    return np.maximum(normal(n, d, seed) @ mix + 0.1 * seed, 0).astype(np.float32)


@pytest.mark.parametrize(("shift", "scale"), [(0.5, 1.0), (0.0, 2.0), (-0.3, 0.25)])
def test_closed_form_of_gaussians(shift, scale):
    """N(0, I) and N(shift, scale^2 I) in d dimensions: d (shift^2 + (scale - 1)^2), here exactly, from exact moments."""
    d, n = 40, 1000
    eye = Moments(n, np.zeros(d), (n - 1) * np.eye(d))
    other = Moments(n, np.full(d, shift), (n - 1) * scale**2 * np.eye(d))
    assert frechet_distance(eye, other) == pytest.approx(d * (shift**2 + (scale - 1) ** 2), rel=1e-12)


def test_samples_approach_the_closed_form():
    d = 16
    found = frechet_distance(moments(normal(50_000, d, 1)), moments(normal(50_000, d, 2, shift=0.5, scale=1.5)))
    assert found == pytest.approx(d * 0.5, rel=0.02)


def test_falls_as_one_over_n_on_equal_distributions():
    """Two samples of n from N(0, I): d + d (d + 1) / 4 times 2 / n on average, which `frechet_bias` says too."""
    d, sizes = 32, (500, 1000, 2000, 4000)
    law, found = d + d * (d + 1) / 4, {}
    for n in sizes:
        pairs = [(moments(normal(n, d, 10 * n + i)), moments(normal(n, d, 10 * n + i + 5))) for i in range(5)]
        found[n] = np.mean([frechet_distance(a, b) for a, b in pairs])
        assert found[n] == pytest.approx(law * 2 / n, rel=0.1)
        assert frechet_bias(pairs[0][0], n) == pytest.approx(law * 2 / n, rel=0.1)
    slope = np.polyfit(np.log(sizes), np.log(list(found.values())), 1)[0]
    assert slope == pytest.approx(-1, abs=0.05)


def test_equals_scipy_and_torch_fidelity():
    torch = oracle("torch")
    fid = oracle("torch_fidelity.metric_fid")
    a, b = mixed(700, 64, 1), mixed(900, 64, 2)
    ours = frechet_distance(moments(a), moments(b))
    stats = [fid.fid_features_to_statistics(torch.from_numpy(x)) for x in (a, b)]
    theirs = fid.fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]
    assert ours == pytest.approx(theirs, rel=1e-6)
    (mean_a, cov_a), (mean_b, cov_b) = ((x.astype(np.float64).mean(0), np.cov(x.astype(np.float64).T)) for x in (a, b))
    by_hand = np.sum((mean_a - mean_b) ** 2) + np.trace(cov_a + cov_b - 2 * sqrtm(cov_a @ cov_b).real)
    assert ours == pytest.approx(by_hand, rel=1e-6)


def test_the_same_by_numpy_and_on_the_device(monkeypatch):
    """On a CPU NumPy computes, elsewhere JAX."""
    a, b = mixed(700, 64, 1), mixed(900, 64, 2)
    found = []
    for library in (np, jnp):
        monkeypatch.setattr(frechet, "_array_library", lambda library=library: library)
        parts = moments(a, chunk=300)
        assert isinstance(parts.scatter, library.ndarray)
        assert parts.scatter.dtype == np.float64
        found.append(frechet_distance(parts, moments(b)))
    assert found[0] == pytest.approx(found[1], rel=1e-10)


def test_fewer_examples_than_features_give_no_complex_numbers():
    a, b = mixed(30, 64, 1), mixed(20, 64, 2)
    found = frechet_distance(moments(a), moments(b))
    assert 0 < found < np.inf
    assert frechet_distance(moments(a), moments(a)) == pytest.approx(0, abs=1e-6)


def test_streams_and_parts_give_the_same():
    x = mixed(1001, 24, 3) + 1000  # a mean that would cancel in float32
    whole, chunked = moments(x), moments(x, chunk=100)
    parts = merge(moments(x[:300]), moments(x[300:]))
    for found in (chunked, parts):
        assert found.n == 1001
        np.testing.assert_allclose(found.mean, whole.mean, rtol=1e-12)
        np.testing.assert_allclose(found.scatter, whole.scatter, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(whole.covariance, np.cov(x.astype(np.float64).T), rtol=1e-9, atol=1e-9)


def test_leaves_the_types_of_the_caller_alone():
    moments(normal(10, 3, 0))
    assert jax.numpy.ones(3).dtype == np.float32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: moments(np.full((5, 3), np.nan, np.float32)), "5 of 5 examples have features that are not finite"),
        (lambda: moments(np.zeros((5, 3, 2), np.float32).reshape(5, 6)[:0]), "at least 1"),
        (lambda: frechet_distance(moments(normal(1, 3, 0)), moments(normal(9, 3, 0))), "at least 2"),
    ],
)
def test_says_what_is_wrong(call, message):
    with pytest.raises(InputError, match=message):
        call()
