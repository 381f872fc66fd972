"""Latent codes: their distribution, and that they are a function of the key."""

import jax
import numpy as np
import pytest

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
def test_values(latent):
    assert latent == type(latent)(3)
    assert hash(latent) == hash(type(latent)(3))
    assert latent.dim == 3
