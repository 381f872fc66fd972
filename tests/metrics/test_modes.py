"""Mode coverage of samplers whose score is known."""

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.mixtures import ring, square_grid
from gan_jax.metrics.modes import mode_coverage


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
