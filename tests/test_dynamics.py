"""Diagnostics on a bilinear and a quadratic game, whose Jacobians are known."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import core, dynamics, latents, losses
from gan_jax.core import Objective, Players, Sampler
from gan_jax.errors import InputError
from gan_jax.models import mlp
from gan_jax.objectives import image_gan

SGD = Players(gen=optax.sgd(0.1), disc=optax.sgd(0.1))
BATCH = {"x": jnp.ones(4)}
A = np.array([[1.0, 2.0], [0.0, -1.0], [3.0, 1.0]])  # 3 parameters against 2


def small_game(gen_cost, disc_cost, gen, disc) -> tuple[Objective, core.TrainState]:
    """A game of two vectors: costs are functions of (theta, psi); the batch counts in the mean of ones."""

    def init(key, batch):
        return Players({"params": {"w": jnp.asarray(gen, jnp.float32)}}, {"params": {"w": jnp.asarray(disc, jnp.float32)}})

    def disc_loss(disc_vars, fake, turn):
        return disc_cost(fake, disc_vars["params"]["w"]) * jnp.mean(turn.batch["x"]), ({}, {})

    def gen_loss(disc_vars, fake, turn):
        return gen_cost(fake, disc_vars["params"]["w"]) * jnp.mean(turn.batch["x"]), {}

    sampler = Sampler(lambda key, batch: {}, lambda gen_vars, inputs, key, train: (gen_vars["params"]["w"], {}))
    objective = Objective(init, sampler, disc_loss, gen_loss)
    return objective, core.init_state(objective, SGD, jax.random.key(0), BATCH)


def bilinear(gen=(1.0, -2.0, 0.5), disc=(0.5, 1.0)):
    """V = theta A psi, which G minimises and D maximises: J = [[0, A], [-A^T, 0]], antisymmetric."""
    return small_game(lambda t, p: t @ A @ p, lambda t, p: -t @ A @ p, gen, disc)


def quadratic(gen=(2.0,), disc=(3.0,), a=4.0, b=1.0, c=0.5):
    """L_G = a theta^2 / 2 + c theta psi, L_D = b psi^2 / 2 - c theta psi: J = [[a, c], [-c, b]]."""
    return small_game(
        lambda t, p: a * t[0] ** 2 / 2 + c * t[0] * p[0], lambda t, p: b * p[0] ** 2 / 2 - c * t[0] * p[0], gen, disc
    )


def test_the_field_is_both_gradients():
    found = dynamics.field(*bilinear(), BATCH)
    np.testing.assert_allclose(found.gen["w"], A @ [0.5, 1.0], rtol=1e-6)
    np.testing.assert_allclose(found.disc["w"], -np.array([1.0, -2.0, 0.5]) @ A, rtol=1e-6)


def test_eigenvalues_of_a_bilinear_game_are_the_singular_values_on_the_imaginary_axis():
    found = np.asarray(jax.jit(partial(dynamics.eigenvalues, bilinear()[0]))(bilinear()[1], BATCH))
    large, small = np.linalg.svd(A, compute_uv=False)
    np.testing.assert_allclose(found.real, 0, atol=1e-5)
    np.testing.assert_allclose(np.abs(found.imag), [large, large, small, small, 0], atol=1e-5)
    np.testing.assert_allclose(np.sort(found.imag[:2]), [-large, large], rtol=1e-5)
    assert dynamics.eigenvalues(*bilinear(), BATCH, k=2).shape == (2,)


@pytest.mark.parametrize(("c", "wanted"), [(0.5, [3.9142136, 1.0857864]), (2.0, [2.5 + 1.3228757j, 2.5 - 1.3228757j])])
def test_eigenvalues_of_a_quadratic_game(c, wanted):
    """(a + b) / 2 +- sqrt((a - b)^2 / 4 - c^2) with a, b = 4, 1: 2.5 +- sqrt(2), and 2.5 +- i sqrt(1.75)."""
    found = np.asarray(dynamics.eigenvalues(*quadratic(c=c), BATCH))
    order = np.argsort(-found.real - found.imag)
    np.testing.assert_allclose(found[order], wanted, rtol=1e-5)


def test_a_bilinear_game_only_turns():
    """v is at right angles to J v, J has no symmetric part, and the costs are opposite."""
    found = dynamics.rotation(*bilinear(), BATCH)
    assert float(found.cosine) == pytest.approx(0, abs=1e-6)
    assert float(found.antisymmetric) == pytest.approx(1, rel=1e-6)
    assert float(found.players) == pytest.approx(-1, rel=1e-6)
    at_rest = dynamics.rotation(*bilinear((0.0, 0.0, 0.0), (0.0, 0.0)), BATCH)
    assert [float(x) for x in at_rest] == [0, 0, 0]


def test_rotation_of_a_quadratic_game_by_hand():
    a, b, c, theta = 4.0, 1.0, 0.5, np.array([2.0, 3.0])
    jacobian = np.array([[a, c], [-c, b]])
    v = jacobian @ theta
    symmetric, antisymmetric = (jacobian + jacobian.T) / 2 @ v, (jacobian - jacobian.T) / 2 @ v
    gen, disc = [v[0], c * theta[0]], [-c * theta[1], v[1]]
    found = dynamics.rotation(*quadratic(), BATCH)

    def cosine(x, y):
        return np.dot(x, y) / np.linalg.norm(x) / np.linalg.norm(y)

    assert float(found.cosine) == pytest.approx(cosine(v, jacobian @ v), rel=1e-5)
    share = antisymmetric @ antisymmetric / (antisymmetric @ antisymmetric + symmetric @ symmetric)
    assert float(found.antisymmetric) == pytest.approx(share, rel=1e-5)
    assert float(found.players) == pytest.approx(cosine(gen, disc), rel=1e-5)
    assert float(dynamics.rotation(*quadratic(c=0.0), BATCH).antisymmetric) == 0  # each minds its own cost


def test_best_responses_of_a_quadratic_game():
    """G's least cost at psi is -(c psi)^2 / 2a, D's at theta -(c theta)^2 / 2b: gaps a/2 (theta + c psi / a)^2 and so on."""
    a, b, c, theta, psi = 4.0, 1.0, 0.5, 2.0, 3.0
    found = dynamics.best_response_gap(*quadratic(), BATCH, rate=0.1, steps=300)
    gen, disc = a / 2 * (theta + c * psi / a) ** 2, b / 2 * (psi - c * theta / b) ** 2
    np.testing.assert_allclose(found, [gen, disc, gen + disc], rtol=1e-5)
    np.testing.assert_allclose(dynamics.best_response_gap(*quadratic((0.0,), (0.0,)), BATCH), 0, atol=1e-7)


def test_best_responses_of_a_bilinear_game_are_as_far_as_they_are_let():
    """Along a constant gradient g every step gains rate ||g||^2."""
    found = dynamics.best_response_gap(*bilinear(), BATCH, rate=0.01, steps=20)
    for gap, slope in zip(found[:2], jax.tree.leaves(dynamics.field(*bilinear(), BATCH)), strict=True):
        assert float(gap) == pytest.approx(20 * 0.01 * float(jnp.sum(slope**2)), rel=1e-4)


def test_a_step_that_is_too_large_gains_nothing():
    """Descent that runs away from the quadratic's minimum leaves the gap at 0, not below."""
    found = dynamics.best_response_gap(*quadratic(), BATCH, rate=10.0, steps=5)
    assert float(found.gen) == 0


@pytest.mark.slow
def test_networks_and_what_is_refused():
    gan = image_gan(mlp.Generator(width=4, depth=1), mlp.Discriminator(width=4, depth=1), losses.minimax, latents.Normal(2))
    batch = {"image": jax.random.normal(jax.random.key(0), (8, 2))}
    state = core.init_state(gan, SGD, jax.random.key(0), batch)
    found = dynamics.eigenvalues(gan, state, batch, k=5)
    assert np.isfinite(found).all()
    assert float(dynamics.rotation(gan, state, batch).antisymmetric) > 0
    with pytest.raises(InputError, match="at least 1 eigenvalue, not 0"):
        dynamics.eigenvalues(gan, state, batch, k=0)
    with pytest.raises(InputError, match="not 0 at 0.1"):
        dynamics.best_response_gap(gan, state, batch, rate=0.1, steps=0)
    large = image_gan(mlp.Generator(), mlp.Discriminator(), losses.minimax, latents.Normal(2))
    with pytest.raises(InputError, match="eigenvalues are of games of at most 4,096"):
        dynamics.eigenvalues(large, core.init_state(large, SGD, jax.random.key(0), batch), batch)
