"""Directions of codes, where the answer is known."""

import jax
import numpy as np
import pytest

from gan_jax.directions import along, principal_directions, probe_direction
from gan_jax.errors import InputError


def codes(n: int = 400, d: int = 6) -> np.ndarray:
    return np.array(jax.random.normal(jax.random.key(0), (n, d)))


def test_principal_directions_are_those_that_activations_depend_on():
    """Activations 5 (z.u) w + 2 (z.v) x with orthogonal u, v and w, x: u explains 25 / 29, v the rest."""
    z = codes(4000)
    u, v = np.eye(6)[2], -np.eye(6)[4]
    activations = 5 * np.outer(z @ u, np.eye(9)[0]) + 2 * np.outer(z @ v, np.eye(9)[1]) + 7
    found = principal_directions(activations, z, 2)
    np.testing.assert_allclose(found.vectors[0], u, atol=0.06)
    np.testing.assert_allclose(found.vectors[1], -v, atol=0.06)  # the largest entry is positive
    np.testing.assert_allclose(found.shares, [25 / 29, 4 / 29], atol=0.02)


def test_of_codes_they_are_the_components_of_these():
    z = codes() * np.array([1, 9, 1, 1, 3, 1], np.float32)
    found = principal_directions(z, z, 2)
    np.testing.assert_allclose(np.abs(found.vectors), np.eye(6)[[1, 4]], atol=0.1)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("k", [0, 7])
def test_more_directions_than_there_are(k):
    with pytest.raises(InputError, match=f"1 to 6 directions, not {k}"):
        principal_directions(codes(), codes(), k)


def test_activations_that_do_not_vary():
    with pytest.raises(InputError, match="all activations are equal"):
        principal_directions(np.ones((400, 6), np.float32), codes(), 1)


def test_a_probe_finds_the_normal_of_a_plane():
    z = codes()
    normal = np.array([0, 3, 0, 4, 0, 0]) / 5
    found = probe_direction(z, z @ normal > 0.8)
    assert found.vector @ normal > 0.98
    assert np.linalg.norm(found.vector) == pytest.approx(1, rel=1e-5)
    assert found.accuracy > 0.9
    assert 0.7 < found.chance < 0.9
    noise = probe_direction(z, np.arange(400) % 2 == 0)  # nothing that codes tell
    assert noise.accuracy < 0.65
    assert noise.chance == 0.5


def test_a_rare_attribute_counts_as_much_as_its_absence():
    """Of codes that tell nothing a fit to frequencies would call all the commoner one; a balanced one does not."""
    found = probe_direction(codes(), np.arange(400) % 8 == 0)
    assert found.chance == pytest.approx(0.88)
    assert found.accuracy < 0.75


def test_a_probe_of_too_few():
    with pytest.raises(InputError, match="7 of 400 codes have the attribute"):
        probe_direction(codes(), np.arange(400) < 7)


def test_along():
    code, vector = np.array([3.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)
    amounts = np.array([-4.0, 0.0, 4.0], np.float32)
    np.testing.assert_allclose(along(code, vector, amounts, keep_norm=False), [[3, -4], [3, 0], [3, 4]])
    np.testing.assert_allclose(along(code, vector, amounts), [[1.8, -2.4], [3, 0], [1.8, 2.4]], rtol=1e-6)
