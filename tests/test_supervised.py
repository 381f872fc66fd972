"""The supervised loop: updates by hand, keys of the steps, losses that are not finite."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import supervised
from gan_jax.errors import RunError
from gan_jax.supervised import fit


def squares(params, batch, key):
    x, y = batch
    return jnp.mean((x @ params["w"] - y) ** 2)


def test_updates_by_hand():
    """Gradient descent with rate 0.1 on the mean squared error: w - 0.1 * 2/n X^T (X w - y), in NumPy."""
    generator = np.random.default_rng(0)
    batches = [(generator.standard_normal((4, 3)), generator.standard_normal(4)) for _ in range(5)]
    start = {"w": jnp.ones(3)}
    found = fit(squares, start, optax.sgd(0.1), lambda step: batches[step], 5, jax.random.key(0))
    w = np.ones(3)
    for x, y in batches:
        w = w - 0.1 * 2 / 4 * x.T @ (x @ w - y)
    np.testing.assert_allclose(found["w"], w, rtol=1e-5)
    np.testing.assert_array_equal(start["w"], np.ones(3))


def test_each_step_has_its_own_batch_in_order_its_own_key_and_the_same_program():
    """The gradient is a random number of the step's key, so the parameter is minus their sum."""
    loaded, traced = [], []

    def loss(params, batch, key):
        traced.append(batch)
        return params * jax.random.normal(key)

    found = fit(loss, jnp.zeros(()), optax.sgd(1.0), lambda step: loaded.append(step) or step, 7, jax.random.key(3))
    keys = [jax.random.fold_in(jax.random.key(3), step) for step in range(7)]
    assert float(found) == pytest.approx(-sum(float(jax.random.normal(key)) for key in keys), rel=1e-5)
    assert loaded == list(range(7))
    assert len(traced) == 1


@pytest.mark.parametrize("bad", [0, 7, 12])
def test_a_loss_that_is_not_finite_stops_the_training(monkeypatch, bad):
    monkeypatch.setattr(supervised, "CHECK_EVERY", 5)
    loaded = []

    def load(step):
        loaded.append(step)
        x = np.full((2, 3), np.nan if step == bad else 1.0)
        return x, np.ones(2)

    with pytest.raises(RunError, match=rf"^classifier of x: the loss is nan at step {bad} .*Lower the learning rate"):
        fit(squares, {"w": jnp.ones(3)}, optax.sgd(0.1), load, 13, jax.random.key(0), what="classifier of x")
    assert len(loaded) == min(bad // 5 * 5 + 5, 13)


def test_no_steps_leave_the_parameters():
    assert fit(squares, {"w": 1.0}, optax.sgd(0.1), lambda step: pytest.fail("loaded"), 0, jax.random.key(0)) == {"w": 1.0}
