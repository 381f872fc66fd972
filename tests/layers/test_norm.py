"""Normalisation over the batch, by the class and by a reference batch, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.layers.norm import ConditionalBatchNorm, VirtualBatchNorm, batch_norm


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


@pytest.mark.parametrize("places", [(4, 5), ()])
def test_virtual_batch_norm_is_by_the_reference_and_the_example_itself(places):
    """In float64: mean = (m_i + n m) / (n + 1), the same of squares, for each example i; also where the mean is large."""
    generator = np.random.default_rng(0)
    reference, x = (jnp.asarray(50 + generator.standard_normal((n, *places, 3)), jnp.float32) for n in (4, 5))
    layer = VirtualBatchNorm()
    gain, bias = np.array([0.5, 1, 2]), np.array([-1.0, 0, 1])
    learned = {"params": {"scale": jnp.asarray(gain, jnp.float32), "bias": jnp.asarray(bias, jnp.float32)}}
    variables = layer.init(jax.random.key(0), reference, x)
    assert jax.tree.map(jnp.shape, variables) == {"params": {"scale": (3,), "bias": (3,)}}
    normed, found = layer.apply(learned, reference, x)
    r, e, inner = np.asarray(reference, np.float64), np.asarray(x, np.float64), tuple(range(1, 1 + len(places)))
    m, s = r.mean(axis=(0, *inner)), (r**2).mean(axis=(0, *inner))
    np.testing.assert_allclose(normed, (r - m) / np.sqrt(s - m**2 + 1e-5) * gain + bias, atol=1e-3)
    mean = (e.mean(axis=inner, keepdims=True) + 4 * m) / 5
    square = ((e**2).mean(axis=inner, keepdims=True) + 4 * s) / 5
    np.testing.assert_allclose(found, (e - mean) / np.sqrt(square - mean**2 + 1e-5) * gain + bias, atol=1e-3)
    _, alone = layer.apply(learned, reference, x[2:3])
    np.testing.assert_allclose(alone[0], found[2], atol=1e-5)  # of no other example
