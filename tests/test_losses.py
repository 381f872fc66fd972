"""Losses against values computed by hand, far logits, and which way each player is pushed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.errors import InputError
from gan_jax.losses import LOSSES, aim_lower, hinge, minimax, non_saturating, smooth_labels

REAL = np.array([2.0, -1.0, 0.5, 3.0], np.float32)
FAKE = np.array([-0.5, 1.5, -2.0, 0.25], np.float32)

# (cost of D, cost of G) at REAL and FAKE. From logarithms of probabilities in NumPy, float64, with s(x) = 1 / (1 + exp(-x)):
#   -log(s(r)).mean() - log(1 - s(f)).mean(); log(1 - s(f)).mean(), -log(s(f)).mean(), -exp(f).mean();
#   -log(s(r - f)).mean(), -log(s(f - r)).mean()
# The others by hand: least squares ((1 + 4 + .25 + 4) + (.25 + 2.25 + 4 + .0625)) / 8, (2.25 + .25 + 9 + .5625) / 8;
#   Wasserstein -.1875 - 1.125, .1875; hinge ((0 + 2 + .5 + 0) + (.5 + 2.5 + 0 + 1.25)) / 4.
GOLDEN = {
    "minimax": (1.2728029, -0.7820894),
    "non_saturating": (1.2728029, 0.9695894),
    "maximum_likelihood": (1.2728029, -1.6268951),
    "least_squares": (1.9765625, 1.5078125),
    "wasserstein": (-1.3125, 0.1875),
    "hinge": (1.6875, 0.1875),
    "relativistic_paired": (0.6996592, 2.0121592),
}


def test_every_loss_has_golden_values():
    assert set(GOLDEN) == set(LOSSES)


@pytest.mark.parametrize("shape", [(4,), (2, 2, 1), (2, 1, 2)], ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_values(name, shape):
    real, fake = jnp.asarray(REAL).reshape(shape), jnp.asarray(FAKE).reshape(shape)
    loss = LOSSES[name]
    np.testing.assert_allclose((loss.disc(real, fake), loss.gen(real, fake)), GOLDEN[name], rtol=1e-6)


@pytest.mark.parametrize("fake", [-1e3, 0.0, 1e3])
@pytest.mark.parametrize("real", [-1e3, 0.0, 1e3])
@pytest.mark.parametrize("name", LOSSES)
def test_far_logits_are_finite(name, real, fake):
    for cost in LOSSES[name]:
        value, slopes = jax.value_and_grad(cost, argnums=(0, 1))(jnp.full(2, real), jnp.full(2, fake))
        assert np.isfinite([value, *slopes[0], *slopes[1]]).all()


@pytest.mark.parametrize("name", LOSSES)
def test_each_player_is_pushed_its_way(name):
    real, fake = jnp.array([0.3, -0.2]), jnp.array([-0.4, 0.1])
    loss = LOSSES[name]
    real_slope, fake_slope = jax.grad(loss.disc, argnums=(0, 1))(real, fake)
    assert (real_slope < 0).all()
    assert (jax.grad(loss.gen, argnums=1)(real, fake) < 0).all()
    assert fake_slope[1] > 0
    assert fake_slope[0] < 0 if name == "least_squares" else fake_slope[0] > 0  # least squares pulls to 0


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"relativistic_paired"}))
def test_only_the_relativistic_generator_sees_real_logits(name):
    assert not jax.grad(LOSSES[name].gen)(jnp.asarray(REAL), jnp.asarray(FAKE)).any()
    assert jax.grad(LOSSES["relativistic_paired"].gen)(jnp.asarray(REAL), jnp.asarray(FAKE)).all()


def test_minimax_saturates_where_non_saturating_does_not():
    real, rejected = jnp.zeros(()), jnp.full((), -20.0)
    assert -1e-8 < jax.grad(minimax.gen, argnums=1)(real, rejected) < 0
    assert jax.grad(non_saturating.gen, argnums=1)(real, rejected) == pytest.approx(-1, abs=1e-6)


def test_maximum_likelihood_is_linear_with_the_same_slope_above_20():
    slope = jax.grad(LOSSES["maximum_likelihood"].gen, argnums=1)
    below, above, far = (float(slope(jnp.zeros(()), jnp.float32(x))) for x in (19.999, 20.001, 500.0))
    assert below == pytest.approx(-np.exp(19.999), rel=1e-4)
    assert above == far == pytest.approx(-np.exp(20), rel=1e-4)


@pytest.mark.parametrize("logit", [-30.0, 0.0, 19.0, np.nextafter(np.float32(20), np.float32(0)), 20.0, 21.0, 300.0])
def test_maximum_likelihood_by_its_closed_form(logit):
    """exp(x) up to 20, exp(20) (x - 19) above, in float64; the slope at 20 is that of both sides."""
    x = np.float64(logit)
    value, slope = (np.exp(x), np.exp(x)) if x < 20 else (np.exp(20.0) * (x - 19), np.exp(20.0))
    found = jax.value_and_grad(LOSSES["maximum_likelihood"].gen, argnums=1)(jnp.zeros(()), jnp.float32(logit))
    np.testing.assert_allclose(found, (-value, -slope), rtol=3e-6)


@pytest.mark.parametrize("target", [0.7, 0.9, 1.0])
def test_smooth_labels_are_soft_targets(target):
    real, fake = REAL.astype(np.float64), FAKE.astype(np.float64)
    d_real, d_fake = 1 / (1 + np.exp(-real)), 1 / (1 + np.exp(-fake))
    cross_entropy = -np.mean(target * np.log(d_real) + (1 - target) * np.log(1 - d_real)) - np.mean(np.log(1 - d_fake))
    squares = np.mean((real - target) ** 2) / 2 + np.mean(fake**2) / 2
    for name in ("minimax", "non_saturating", "maximum_likelihood", "least_squares"):
        smooth = smooth_labels(LOSSES[name], target)
        expected = squares if name == "least_squares" else cross_entropy
        assert smooth.disc(jnp.asarray(REAL), jnp.asarray(FAKE)) == pytest.approx(expected, rel=1e-6)
        assert smooth.gen is LOSSES[name].gen


def test_smooth_labels_ask_real_examples_for_the_target():
    optimum = jnp.log(0.9 / 0.1)  # D(x) = 0.9
    assert jax.grad(smooth_labels(minimax).disc)(optimum, jnp.zeros(())) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", ["wasserstein", "hinge", "relativistic_paired"])
def test_smooth_labels_need_targets(name):
    with pytest.raises(InputError, match="loss with targets"):
        smooth_labels(LOSSES[name])


@pytest.mark.parametrize("target", [-0.1, 0.0, 1.1, float("nan")])
def test_smooth_labels_need_a_probability(target):
    with pytest.raises(InputError, match=r"\(0, 1\]"):
        smooth_labels(minimax, target)


def test_smooth_labels_are_not_smoothed_twice():
    with pytest.raises(InputError):
        smooth_labels(smooth_labels(minimax))


def test_hinge_ignores_what_is_beyond_the_margin():
    slopes = jax.grad(hinge.disc, argnums=(0, 1))(jnp.array([1.5, 0.5]), jnp.array([-1.5, -0.5]))
    np.testing.assert_allclose(slopes, [[0, -0.5], [0, 0.5]])


def test_a_generator_that_aims_lower():
    """The optimum of the generator's cost is where D(G(z)) is the target, the cost there the entropy of the target."""
    loss = aim_lower(smooth_labels(non_saturating, 0.75), 0.375)
    optimum = jnp.log(0.375 / 0.625)
    assert float(jax.grad(loss.gen, argnums=1)(jnp.zeros(()), optimum)) == pytest.approx(0, abs=1e-6)
    entropy = -0.375 * np.log(0.375) - 0.625 * np.log(0.625)
    assert float(loss.gen(jnp.zeros(()), optimum)) == pytest.approx(entropy, rel=1e-5)
    assert loss.disc is not non_saturating.disc
    with pytest.raises(InputError, match="needs the non_saturating loss"):
        aim_lower(hinge, 0.5)
    with pytest.raises(InputError, match="must lie in"):
        aim_lower(non_saturating, 0.0)
