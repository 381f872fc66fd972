"""Mode coverage of samplers whose score is known."""

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.mixtures import ring, square_grid
from gan_jax.metrics.modes import class_coverage, mode_coverage, stacked_coverage, stacked_floor


@pytest.mark.parametrize("mixture", [ring(), square_grid()], ids=lambda m: m.name)
def test_ideal_sampler(mixture):
    points = jnp.asarray(mixture.dataset(20_000, seed=1).train["point"])
    coverage = mode_coverage(points, jnp.asarray(mixture.means, jnp.float32), mixture.sigma)
    assert coverage.modes == len(mixture.means)
    assert coverage.high_quality == pytest.approx(1 - np.exp(-4.5), abs=0.003)  # 0.9889; its deviation is 0.0007
    assert 0 <= coverage.reverse_kl < 0.002


def test_collapsed_sampler():
    mixture = ring()
    points = jnp.broadcast_to(jnp.asarray(mixture.means[3], jnp.float32), (50, 2))
    coverage = mode_coverage(points, jnp.asarray(mixture.means, jnp.float32), mixture.sigma)
    assert (coverage.modes, coverage.high_quality) == (1, 1)
    assert coverage.reverse_kl == pytest.approx(np.log(8), rel=1e-6)


def test_counts_by_hand():
    """Two good points at one mode, one at the other; one just outside three deviations of the third."""
    means = jnp.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    points = jnp.array([[0.0, 2.9], [-2.0, 2.0], [10.0, -1.0], [0.0, 13.1]])
    coverage = mode_coverage(points, means, 1.0)
    assert (coverage.modes, coverage.high_quality) == (2, 0.75)
    assert coverage.reverse_kl == pytest.approx(2 / 3 * np.log(2 / 3 * 3) + 1 / 3 * np.log(1 / 3 * 3), rel=1e-6)


def test_no_good_point():
    coverage = mode_coverage(jnp.full((10, 2), 5.0), jnp.zeros((2, 2)), 0.1)
    assert (coverage.modes, coverage.high_quality, coverage.reverse_kl) == (0, 0, np.inf)


def test_classes_by_hand():
    """Six samples of four classes, the last one not good; a class counts from half its share of the data on."""
    labels, good = np.array([0, 0, 0, 1, 2, 3]), np.array([True] * 5 + [False])
    frequencies = np.array([0.5, 0.1, 0.35, 0.05])
    found = class_coverage(labels, frequencies, good, least=0.5)
    np.testing.assert_array_equal(found.covered, [True, True, False, False])  # class 2 has 1 and needs 0.5 * 0.35 * 6 = 1.05
    assert found.modes == 2
    p = np.array([3, 1, 1]) / 5
    assert found.kl == pytest.approx(np.sum(p * np.log(p / frequencies[:3])), rel=1e-6)


def test_half_of_the_classes_and_a_perfect_generator():
    """1,000 classes, 500 of them drawn evenly: KL log 2; of 26,000 samples of all classes about 999 / 52,000."""
    even = np.full(1000, 1e-3)
    found = class_coverage(np.arange(2000) % 500, even)
    assert found.modes == 500
    assert found.kl == pytest.approx(np.log(2), rel=1e-5)
    labels = np.random.default_rng(0).integers(1000, size=26_000)
    assert class_coverage(labels, even).kl == pytest.approx(999 / (2 * 26_000), rel=0.1)


def by_numpy(digits, frequencies):
    """Modes, KL to uniform and KL to the data, summed mode by mode."""
    counts = {}
    for row in digits.tolist():
        counts[tuple(row)] = counts.get(tuple(row), 0) + 1
    kl, kl_data = 0.0, 0.0
    for mode, count in counts.items():
        p = count / len(digits)
        kl += p * np.log(p * 1000)
        kl_data += p * np.log(p / np.prod([frequencies[channel, digit] for channel, digit in enumerate(mode)]))
    return len(counts), kl, kl_data


def test_stacked_digits_against_sums_over_modes():
    rng = np.random.default_rng(0)
    frequencies = rng.dirichlet(np.full(10, 20.0), 3)
    digits = np.minimum(rng.integers(10, size=(500, 3)), rng.integers(10, size=(500, 3)))
    np.testing.assert_allclose(stacked_coverage(digits, frequencies), by_numpy(digits, frequencies), rtol=1e-12)


def test_stacked_extremes():
    even = np.full((3, 10), 0.1)
    every = np.stack(np.unravel_index(np.arange(1000), (10, 10, 10)), axis=-1)
    np.testing.assert_allclose(stacked_coverage(every, even), (1000, 0, 0), atol=1e-12)
    one = stacked_coverage(np.zeros((50, 3), int) + 7, even)
    np.testing.assert_allclose(one, (1, np.log(1000), np.log(1000)), rtol=1e-12)
    lacking = np.stack([np.eye(10)[0], even[1], even[2]])
    assert stacked_coverage(every, lacking).kl_data == np.inf


def test_floor_of_stacked_digits():
    """MNIST's frequencies give 0.0237 to uniform at 26,000 samples, uniform ones 0.0193 = 999 / 52,000 to first order; the
    mean of ten has a deviation of 0.0003. Of 1,000 samples 1000 (1 - exp(-1)) modes are seen."""
    counts = np.array([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
    mnist = np.stack([counts / counts.sum()] * 3)
    assert stacked_floor(26_000, mnist).kl == pytest.approx(0.0237, abs=0.001)
    assert stacked_floor(26_000, mnist).kl_data == pytest.approx(0.0193, abs=0.001)
    assert stacked_floor(26_000, mnist).modes == 1000
    assert stacked_floor(1000, np.full((3, 10), 0.1)).modes == pytest.approx(1000 * (1 - np.exp(-1)), abs=15)
