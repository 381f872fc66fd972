"""Latent codes: their distribution, and that they are a function of the key."""

from functools import partial
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from gan_jax import batch_axis
from gan_jax.errors import InputError
from gan_jax.latents import Normal, Uniform

N = 20_000
BOTH = [Normal(3), Uniform(3)]


@pytest.mark.parametrize(("latent", "variance", "fourth"), [(Normal(3), 1, 3), (Uniform(3), 1 / 3, 1 / 5)])
def test_moments(latent, variance, fourth):
    z = np.asarray(latent(jax.random.key(0), N), np.float64)
    assert z.shape == (N, 3)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=0.03)
    np.testing.assert_allclose(np.cov(z.T), variance * np.eye(3), atol=0.04)
    np.testing.assert_allclose((z**4).mean(axis=0), fourth, rtol=0.1)


def test_uniform_fills_its_range():
    z = np.asarray(Uniform(3)(jax.random.key(0), N))
    assert -1 <= z.min() < -0.999
    assert 0.999 < z.max() <= 1


@pytest.mark.parametrize("latent", BOTH)
def test_a_function_of_the_key(latent):
    one, same, other = (latent(jax.random.key(seed), 4) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.isin(one, other).any()


@pytest.mark.parametrize("latent", BOTH)
def test_rows_and_coordinates_are_drawn_apart(latent):
    """Neighbours are uncorrelated: rows that follow each other, and coordinates of a row; 0.03 is four deviations."""
    z = np.asarray(latent(jax.random.key(2), N), np.float64)
    centred = z / z.std(axis=0)
    assert np.abs(np.mean(centred[1:] * centred[:-1], axis=0)).max() < 0.03
    assert np.abs(np.mean(centred * np.roll(centred, 1, axis=1), axis=0)).max() < 0.03
    assert len(np.unique(z)) > 0.99 * z.size


@pytest.mark.parametrize("latent", BOTH)
def test_a_batch_over_devices_has_the_codes_of_the_whole(latent):
    """By `batch_axis.draw`, as objectives draw: two parts of 4 are the 8 of one device, in order."""
    whole = latent(jax.random.key(3), 8)
    parts = jax.pmap(lambda _: batch_axis.draw(partial(latent, jax.random.key(3)), 4), axis_name=batch_axis.AXIS)(np.zeros(2))
    np.testing.assert_array_equal(parts.reshape(8, 3), whole)


@pytest.mark.parametrize("kind", [Normal, Uniform])
@pytest.mark.parametrize("dim", [0, -1, 2.5, "4"])
def test_lengths_that_cannot_be(kind, dim):
    with pytest.raises(InputError, match=f"length of a latent code is a whole number of at least 1, not {dim!r}"):
        kind.__post_init__(SimpleNamespace(dim=dim))  # without the tests' check of types


def test_equal_ones_share_what_was_compiled():
    """They are static arguments: equal values must be equal keys, and others not."""
    assert len({Normal(3), Normal(3), Uniform(3), Uniform(3), Normal(4)}) == 3
