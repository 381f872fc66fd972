"""Normalisation over the batch and by the class, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.layers.norm import ConditionalBatchNorm, batch_norm


def test_conditional_batch_norm_is_a_gain_and_a_bias_of_the_class():
    """(x - mean) / std * gain_y + bias_y over batch and places, with running statistics when not training."""
    x = 3 + 2 * jax.random.normal(jax.random.key(0), (6, 4, 5, 2))
    y = jnp.array([0, 2, 1, 1, 0, 2])
    layer = ConditionalBatchNorm(3)
    variables = layer.init(jax.random.key(1), x, y, train=True)
    gain, bias = (jax.random.normal(jax.random.key(i), (3, 2)) for i in (2, 3))
    params = {"gain": {"embedding": gain}, "bias": {"embedding": bias}}
    assert jax.tree.map(jnp.shape, variables["params"]) == jax.tree.map(jnp.shape, params)
    found, changed = layer.apply({**variables, "params": params}, x, y, train=True, mutable=["batch_stats"])
    pixels = np.asarray(x)
    mean, variance = pixels.mean(axis=(0, 1, 2)), pixels.var(axis=(0, 1, 2))
    g, b = np.asarray(gain)[y][:, None, None], np.asarray(bias)[y][:, None, None]
    np.testing.assert_allclose(found, (pixels - mean) / np.sqrt(variance + 1e-5) * g + b, atol=1e-4)
    running = {"mean": 0.1 * mean, "var": 0.9 + 0.1 * variance}
    later = layer.apply({"params": params, **changed}, x, y, train=False)
    wanted = (pixels - running["mean"]) / np.sqrt(running["var"] + 1e-5) * g + b
    np.testing.assert_allclose(later, wanted, atol=1e-4)


def test_batch_norm_where_the_mean_is_large():
    """In float32 the mean of squares minus the squared mean would be 0 or noise here."""
    x = 5000 + np.random.default_rng(0).standard_normal((64, 3)).astype(np.float32)
    exact = x.astype(np.float64)
    wanted = (exact - exact.mean(axis=0)) / np.sqrt(exact.var(axis=0) + 1e-5)
    layer = batch_norm(use_scale=False, use_running_average=False)
    found, changed = layer.apply(layer.init(jax.random.key(0), x), x, mutable=["batch_stats"])
    np.testing.assert_allclose(found, wanted, atol=2e-3)
    np.testing.assert_allclose(changed["batch_stats"]["var"], 0.9 + 0.1 * exact.var(axis=0), rtol=1e-3)
