"""Penalties on critics whose gradients are known, and the bookkeeping around them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax.errors import InputError
from gan_jax.penalties import PENALTIES, Term, clip_weights, dragan, historical_averaging, r1, r2, terms, total, wgan_gp

SHAPE = (5, 4, 3, 2)
W = np.random.default_rng(0).normal(size=SHAPE[1:]).astype(np.float32)
NORM = float(np.sqrt(np.sum(W.astype(np.float64) ** 2)))


def linear(x):
    """D(x) = w.x: the gradient is w everywhere."""
    return jnp.sum(x * W[None], axis=(1, 2, 3))


def quadratic(x):
    """D(x) = ||x||^2 / 2: the gradient at x is x."""
    return jnp.sum(x**2, axis=tuple(range(1, x.ndim))) / 2


@pytest.fixture
def batches():
    real, fake = np.random.default_rng(1).normal(size=(2, *SHAPE)).astype(np.float32)
    return jnp.asarray(real), jnp.asarray(fake)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("r1", NORM**2 / 2), ("r2", NORM**2 / 2), ("wgan_gp", (NORM - 1) ** 2), ("dragan", (NORM - 1) ** 2)],
)
def test_linear_critic(name, expected, batches):
    assert PENALTIES[name](linear, *batches, jax.random.key(0)) == pytest.approx(expected, rel=1e-5)


def test_every_penalty_is_checked_with_a_linear_critic():
    assert set(PENALTIES) == {"r1", "r2", "wgan_gp", "dragan"}


def test_r1_looks_at_real_and_r2_at_fake(batches):
    real, fake = batches
    assert r1(quadratic, real, fake, jax.random.key(0)) == pytest.approx(np.sum(np.square(real)) / 5 / 2, rel=1e-5)
    assert r2(quadratic, real, fake, jax.random.key(0)) == pytest.approx(np.sum(np.square(fake)) / 5 / 2, rel=1e-5)


def seen_by(penalty, real, fake, seed=0):
    """The points at which a penalty evaluates its critic."""
    points = []

    def critic(x):
        jax.debug.callback(lambda x: points.append(np.asarray(x)), x)
        return jnp.sum(x, axis=tuple(range(1, x.ndim)))

    penalty(critic, real, fake, jax.random.key(seed))
    jax.effects_barrier()
    return points[0]


def test_wgan_gp_looks_between_aligned_pairs(batches):
    real, fake = map(np.asarray, batches)
    e = (seen_by(wgan_gp, *batches) - fake) / (real - fake)  # one share for every pixel of an example
    shares = np.median(e, axis=(1, 2, 3))
    np.testing.assert_allclose(e, np.broadcast_to(shares[:, None, None, None], SHAPE), atol=1e-3)
    assert ((shares > 0) & (shares < 1)).all()
    assert len(np.unique(shares.round(4))) == 5
    assert not np.allclose(seen_by(wgan_gp, *batches), seen_by(wgan_gp, *batches, seed=1))


def test_dragan_looks_around_real_data(batches):
    real, fake = batches[0] + 3, batches[1]  # their mean is no part of their standard deviation
    moved = seen_by(dragan, real, fake) - np.asarray(real)
    assert ((moved > 0) & (moved < 0.5 * float(jnp.std(real)))).all()
    assert (np.std(moved, axis=(1, 2, 3)) > 0.2 * np.mean(moved, axis=(1, 2, 3))).all()  # a shift of its own for each pixel
    np.testing.assert_array_equal(seen_by(dragan, real, fake), seen_by(dragan, real, 100 * fake))


@pytest.mark.parametrize("name", PENALTIES)
def test_gradient_is_finite_where_the_critic_is_flat(name, batches):
    gradient = jax.grad(lambda w: PENALTIES[name](lambda x: w * linear(x), *batches, jax.random.key(0)))(jnp.zeros(()))
    assert np.isfinite(gradient)


def test_gradient_reaches_the_critic(batches):
    """d/dw of ||w v||^2 / 2 is w ||v||^2."""
    gradient = jax.grad(lambda w: r1(lambda x: w * linear(x), *batches, jax.random.key(0)))(jnp.float32(3))
    assert gradient == pytest.approx(3 * NORM**2, rel=1e-5)


def strengths(terms, real, fake, counts):
    value = jax.jit(lambda count: total(terms, linear, real, fake, jax.random.key(0), count))
    return np.array([value(jnp.int32(i)) for i in range(counts)]) / (NORM**2 / 2)


def test_lazy_terms_keep_their_mean_strength(batches):
    lazy = strengths([Term(2.0, r1, every=4)], *batches, counts=8)
    np.testing.assert_allclose(lazy, [8, 0, 0, 0, 8, 0, 0, 0], rtol=1e-5)
    assert lazy.mean() == pytest.approx(strengths([Term(2.0, r1)], *batches, counts=8).mean(), rel=1e-5)


def test_weight_may_follow_the_update_count(batches):
    np.testing.assert_allclose(strengths([Term(lambda i: 0.5 * i, r1)], *batches, counts=4), [0, 0.5, 1, 1.5], rtol=1e-5)


def test_terms_add_up_and_draw_apart(batches):
    np.testing.assert_allclose(strengths([Term(1.0, r1), Term(3.0, r2)], *batches, counts=1), [4], rtol=1e-5)
    assert strengths([], *batches, counts=1) == 0
    one, two = (Term(1.0, partial(dragan)), Term(1.0, dragan))
    count, key = jnp.int32(0), jax.random.key(0)
    first = total([one], quadratic, *batches, key, count)
    assert total([one, two], quadratic, *batches, key, count) != pytest.approx(2 * float(first), rel=1e-6)


@pytest.mark.parametrize("every", [0, -3])
def test_every_must_be_positive(every):
    with pytest.raises(InputError, match="at least 1"):
        terms([Term(1.0, r1, every)])


def test_clip_weights_bounds_parameters():
    params = {"a": jnp.array([0.05, -0.5, 0.099]), "b": jnp.array([[0.0]])}
    gradients = {"a": jnp.array([0.01, -1.0, -3.0]), "b": jnp.array([[2.0]])}
    tx = optax.chain(optax.sgd(1.0), clip_weights(0.1))
    updates, _ = tx.update(gradients, tx.init(params), params)
    after = optax.apply_updates(params, updates)
    np.testing.assert_allclose(after["a"], [0.04, 0.1, 0.1], rtol=1e-5)  # the first moves as plain SGD would
    np.testing.assert_allclose(after["b"], [[-0.1]], rtol=1e-6)


def test_clip_weights_needs_parameters():
    with pytest.raises(InputError, match="needs the parameters"):
        clip_weights(0.1).update({"a": jnp.zeros(2)}, optax.EmptyState())


def test_historical_averaging_pulls_to_the_mean_of_all_parameters():
    """theta <- theta - a (g + 2 w (theta - mean of theta_1 .. theta_t)), with the sum over all of them in float64."""
    rate, weight, gradient = 0.1, 0.7, np.array([0.5, -2.0])
    tx = optax.chain(historical_averaging(weight), optax.sgd(rate))
    params = {"w": jnp.array([1.0, -1.0])}
    state, past = tx.init(params), [np.array([1.0, -1.0])]
    for _ in range(6):
        updates, state = tx.update({"w": jnp.asarray(gradient)}, state, params)
        params = optax.apply_updates(params, updates)
        theta = past[-1]
        past.append(theta - rate * (gradient + 2 * weight * (theta - np.mean(past, axis=0))))
        np.testing.assert_allclose(params["w"], past[-1], rtol=1e-5)
    with pytest.raises(InputError, match="needs the parameters"):
        historical_averaging(1.0).update(params, historical_averaging(1.0).init(params))


def test_historical_averaging_finds_the_equilibrium_of_its_papers_game():
    """V = (f(x) - 1) (y - 1), f(x) = x below 0 and x^2 above, minimised in x, maximised in y: plain descent orbits (1, 1)."""

    def gradients(params):
        value = jax.grad(lambda p: (jnp.where(p["x"] < 0, p["x"], p["x"] ** 2) - 1) * (p["y"] - 1))(params)
        return {"x": value["x"], "y": -value["y"]}

    def distance(tx):
        def step(carry, _):
            params, state = carry
            updates, state = tx.update(gradients(params), state, params)
            return (optax.apply_updates(params, updates), state), None

        params = {"x": jnp.float32(0.5), "y": jnp.float32(0.5)}
        (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), length=3000)
        return float(jnp.hypot(params["x"] - 1, params["y"] - 1))

    assert distance(optax.sgd(0.02)) > 0.5
    assert distance(optax.chain(historical_averaging(1.0), optax.sgd(0.02))) < 0.1
