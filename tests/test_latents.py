"""Latent codes: their distribution, that they are a function of the key, walks and arithmetic in closed form."""

from functools import partial
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from scipy.stats import norm

from gan_jax import batch_axis
from gan_jax.errors import InputError
from gan_jax.latents import (
    Normal,
    Uniform,
    arithmetic,
    mean_code,
    ring,
    slerp,
    spline,
    truncate,
    truncated_normal,
    turn,
    walk,
)

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


@pytest.mark.parametrize("latent", [Normal(7), Uniform(7)])
def test_length_is_the_root_mean_square(latent):
    z = np.asarray(latent(jax.random.key(4), N), np.float64)
    assert latent.norm == pytest.approx(np.sqrt(np.mean(np.sum(z**2, axis=1))), rel=0.01)


def test_truncation():
    """Within the threshold as without it: a truncated normal's variance is 1 - 2 t phi(t) / (2 Phi(t) - 1)."""
    z = np.asarray(truncated_normal(jax.random.key(0), N, 3, 0.5), np.float64)
    assert np.abs(z).max() <= 0.5
    assert z.var() == pytest.approx(1 - norm.pdf(0.5) / (2 * norm.cdf(0.5) - 1), rel=0.03)
    np.testing.assert_array_equal(z, truncated_normal(jax.random.key(0), N, 3, 0.5))
    with pytest.raises(InputError, match="above 0, not 0"):
        truncated_normal(jax.random.key(0), 2, 3, 0.0)


def test_codes_scaled_towards_a_mean():
    codes = np.array([[2.0, 0.0], [0.0, 4.0]], np.float32)
    np.testing.assert_allclose(truncate(codes, 0.5), codes / 2)
    np.testing.assert_allclose(truncate(codes, 0.25, np.array([1.0, 1.0], np.float32)), [[1.25, 0.75], [0.75, 1.75]])


def test_means_and_arithmetic():
    a = np.array([[2.0, 0.0], [0.0, 2.0]], np.float32)  # mean (1, 1)
    b, c = np.array([[1.0, 0.0]], np.float32), np.array([[0.0, 5.0]], np.float32)
    np.testing.assert_allclose(mean_code(a), [1, 1])
    np.testing.assert_allclose(mean_code(a, 2.0), [np.sqrt(2), np.sqrt(2)], rtol=1e-6)
    np.testing.assert_array_equal(mean_code(np.stack([b[0], -b[0]]), 3.0), [0, 0])
    np.testing.assert_allclose(arithmetic(a, b, c), [0, 6])  # as in the paper
    np.testing.assert_allclose(arithmetic(a, b, c, 2.0, "result"), [0, 2])
    means = np.array([np.sqrt(2) - 2, np.sqrt(2) + 2])  # each mean of norm 2 before
    np.testing.assert_allclose(arithmetic(a, b, c, 2.0, "means"), 2 * means / np.linalg.norm(means), rtol=1e-5)


def test_ring_of_neighbours():
    code = np.arange(400, dtype=np.float32)
    near = np.asarray(ring(jax.random.key(0), code)) - code
    assert near.shape == (9, 400)
    np.testing.assert_array_equal(near[4], 0)
    others = np.delete(near, 4, axis=0)
    assert 0.24 < others.max() <= 0.2501
    assert np.std(others) == pytest.approx(0.25 / np.sqrt(3), rel=0.05)


def test_turn():
    left, right = np.array([[0.0, 0.0], [0.0, 2.0]], np.float32), np.array([[4.0, 1.0]], np.float32)
    np.testing.assert_allclose(turn(left, right, 3), [[0, 1], [2, 1], [4, 1]])
    np.testing.assert_allclose(turn(left, right, 3, np.array([7.0, 7.0], np.float32)), [[5, 7], [7, 7], [9, 7]])


T = np.linspace(0, 1, 5, dtype=np.float32)
UNIT = np.eye(3, dtype=np.float32)


def test_slerp_of_orthogonal_directions():
    """cos and sin of t pi / 2, and the norm changing linearly from 1 to 3."""
    expected = np.stack([np.cos(T * np.pi / 2), np.sin(T * np.pi / 2), 0 * T], axis=1)
    np.testing.assert_allclose(slerp(UNIT[0], UNIT[1], T), expected, atol=1e-6)
    np.testing.assert_allclose(slerp(UNIT[0], 3 * UNIT[1], T), (1 + 2 * T)[:, None] * expected, atol=1e-6)


def test_slerp_is_shoemakes():
    u, v = (x / np.linalg.norm(x) for x in np.random.default_rng(0).standard_normal((2, 6)))
    w = np.arccos(u @ v)
    expected = (np.sin((1 - T) * w)[:, None] * u + np.sin(T * w)[:, None] * v) / np.sin(w)
    np.testing.assert_allclose(slerp(u.astype(np.float32), v.astype(np.float32), T), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("start", "end"),
    [(UNIT[0], -2 * UNIT[0]), (np.ones(3, np.float32), -np.ones(3, np.float32)), (UNIT[0], 2 * UNIT[0])],
)
def test_slerp_of_opposite_and_equal_directions(start, end):
    z = np.asarray(slerp(start, end, T))
    np.testing.assert_allclose(z[[0, -1]], [start, end], atol=1e-6)
    norms = (1 - T) * np.linalg.norm(start) + T * np.linalg.norm(end)
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), norms, rtol=1e-5)


def test_slerp_of_zero_codes():
    np.testing.assert_allclose(slerp(0 * UNIT[0], 2 * UNIT[1], T), 2 * T[:, None] * UNIT[1], atol=1e-6)
    np.testing.assert_allclose(slerp(2 * UNIT[1], 0 * UNIT[0], T), 2 * (1 - T)[:, None] * UNIT[1], atol=1e-6)
    np.testing.assert_array_equal(slerp(0 * UNIT[0], 0 * UNIT[0], T), np.zeros((5, 3)))


def test_spline_is_catmull_roms():
    """Its middle between codes is (-p0 + 9 p1 + 9 p2 - p3) / 16; a line stays a line; closed ones come round."""
    codes = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    at = np.arange(5, dtype=np.float32)
    for keep in (True, False):
        np.testing.assert_allclose(spline(codes, at, keep_norm=keep), codes, atol=1e-5)
    middle = spline(codes, np.array([1.5], np.float32), keep_norm=False)[0]
    np.testing.assert_allclose(middle, (-codes[0] + 9 * codes[1] + 9 * codes[2] - codes[3]) / 16, atol=1e-6)
    kept = spline(codes, np.array([1.5], np.float32))[0]
    assert np.linalg.norm(kept) == pytest.approx(np.linalg.norm(codes[1:3], axis=1).mean(), rel=1e-5)
    line = np.arange(4, dtype=np.float32)[:, None] * np.ones((1, 2), np.float32)
    t = np.linspace(0, 3, 10, dtype=np.float32)
    np.testing.assert_allclose(spline(line, t, keep_norm=False), t[:, None] * np.ones((1, 2)), atol=1e-5)
    np.testing.assert_allclose(spline(codes, np.array([4.0, 5.0], np.float32), closed=True), codes[[4, 0]], atol=1e-5)


@pytest.mark.parametrize("kind", ["lerp", "slerp", "spline"])
@pytest.mark.parametrize("closed", [False, True])
def test_walks_are_evenly_paced_and_pass_the_codes(kind, closed):
    codes = np.random.default_rng(1).standard_normal((4, 8)).astype(np.float32)
    codes[1] *= 3  # segments of unequal length
    z = np.asarray(walk(codes, 400, kind, closed))
    steps = np.linalg.norm(np.diff(np.concatenate([z, z[:1]] if closed else [z]), axis=0), axis=1)
    assert steps.max() < 1.03 * np.median(steps)
    assert np.sort(steps)[4:].min() > 0.97 * np.median(steps)  # a corner may be cut
    distances = np.linalg.norm(codes[:, None] - z[None], axis=2).min(axis=1)
    assert distances.max() < 0.51 * steps.max()
    np.testing.assert_allclose(z[0], codes[0], atol=1e-5)
    end = codes[0] if closed else codes[-1]
    assert np.linalg.norm(z[-1] - end) == pytest.approx(np.median(steps) if closed else 0, abs=1e-3)


def test_walks_of_too_few():
    codes = np.ones((2, 3), np.float32)
    np.testing.assert_allclose(walk(codes, 3), np.ones((3, 3)), rtol=1e-6)  # equal codes: it stands still
    for call in (lambda: walk(codes[:1], 5), lambda: walk(codes, 1), lambda: spline(codes[:1], T)):
        with pytest.raises(InputError, match="2 codes or more"):
            call()
