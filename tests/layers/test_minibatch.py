"""Features of the whole minibatch against NumPy, and where the discriminator has them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.layers.minibatch import MinibatchDiscrimination, append_stddev
from gan_jax.models import dcgan, mlp, resnet

F = jax.random.normal(jax.random.key(0), (6, 10))
LAYER = MinibatchDiscrimination(kernels=4, dims=3)
TENSOR = {"params": {"tensor": 0.1 * jax.random.normal(jax.random.key(1), (10, 12))}}


def test_minibatch_discrimination_is_the_sum_of_salimans_et_al():
    """o(x_i)_k = sum over j != i of exp(-||M_ik - M_jk||_1), one pair at a time; the features themselves go first."""
    m = (np.asarray(F, np.float64) @ np.asarray(TENSOR["params"]["tensor"])).reshape(6, 4, 3)
    wanted = np.zeros((6, 4))
    for i in range(6):
        for j in range(6):
            for k in range(4):
                wanted[i, k] += np.exp(-np.abs(m[i, k] - m[j, k]).sum()) if j != i else 0
    assert wanted.min() > 0.01
    found = LAYER.apply(TENSOR, F)
    np.testing.assert_array_equal(found[:, :10], F)
    np.testing.assert_allclose(found[:, 10:], wanted, rtol=1e-5)
    assert jax.tree.map(jnp.shape, LAYER.init(jax.random.key(0), F)) == jax.tree.map(jnp.shape, TENSOR)


def test_examples_that_change_places_take_their_features_along():
    order = jnp.array([3, 0, 5, 1, 4, 2])
    np.testing.assert_allclose(LAYER.apply(TENSOR, F[order]), LAYER.apply(TENSOR, F)[order], rtol=1e-6)


def test_a_collapsed_batch_is_more_similar():
    collapsed = F[:1] + 0.01 * F
    apart, near = (LAYER.apply(TENSOR, f)[:, 10:] for f in (F, collapsed))
    assert float(near.min()) > float(apart.max())
    np.testing.assert_allclose(near, 5, atol=0.5)  # each of the other five counts as nearly the same


def test_stddev_is_numpys():
    x = jax.random.normal(jax.random.key(2), (5, 4, 6, 3)) * jnp.arange(1.0, 4)[None, None, None]
    found = append_stddev(x)
    np.testing.assert_array_equal(found[..., :3], x)
    np.testing.assert_allclose(found[..., 3], np.full((5, 4, 6), np.std(np.asarray(x), axis=0).mean()), rtol=1e-5)
    assert append_stddev(x.astype(jnp.bfloat16)).dtype == jnp.bfloat16
    same = jnp.ones((5, 4, 6, 3))
    assert float(append_stddev(same)[0, 0, 0, 3]) < 1e-3
    assert np.isfinite(jax.grad(lambda x: jnp.sum(append_stddev(x)))(same)).all()  # a root at 0


@pytest.mark.parametrize(
    ("minibatch", "more"),
    [
        ("none", 0),
        ("stddev", 4 * 4),  # one more feature map of 4x4 before the linear unit
        ("discrimination", 4 * 4 * 8 * 50 * 5 + 50),  # the tensor, and 50 more features
    ],
)
def test_a_discriminator_that_sees_the_batch(minibatch, more):
    x = jax.random.normal(jax.random.key(3), (6, 16, 16, 1))
    network = dcgan.Discriminator(width=4, norm="none", minibatch=minibatch)
    params = network.init(jax.random.key(0), x, train=True)
    plain = 5 * 5 * 1 * 4 + 4 + 5 * 5 * 4 * 8 + 8 + 4 * 4 * 8 + 1
    assert sum(p.size for p in jax.tree.leaves(params)) == plain + more
    logits = network.apply(params, x, train=True)
    assert logits.shape == (6,)
    others = network.apply(params, x.at[1:].mul(3), train=True)
    assert (float(logits[0]) != float(others[0])) == (minibatch != "none")


def test_stddev_of_vectors_is_one_number():
    x = jax.random.normal(jax.random.key(2), (5, 3)) * jnp.arange(1.0, 4)[None]
    found = append_stddev(x)
    np.testing.assert_array_equal(found[:, :3], x)
    np.testing.assert_allclose(found[:, 3], np.full(5, np.std(np.asarray(x), axis=0).mean()), rtol=1e-5)


@pytest.mark.parametrize(("minibatch", "more"), [("none", 0), ("stddev", 1), ("discrimination", 50)])
@pytest.mark.parametrize(
    ("network", "shape", "width"),
    [(mlp.Discriminator(width=6, depth=1), (5, 2), 6), (resnet.Discriminator(width=4), (3, 32, 32, 3), 4)],
    ids=["mlp", "resnet"],
)
def test_every_discriminator_may_see_the_batch(network, shape, width, minibatch, more):
    """The features that it sows, and the kernel of its linear unit, are longer by those of the batch."""
    x = jnp.zeros(shape)
    network = network.clone(minibatch=minibatch)
    init = partial(network.init_with_output, train=True, mutable=["params", "intermediates", "batch_stats"])
    logits, variables = jax.eval_shape(init, jax.random.key(0), x)
    assert logits.shape == shape[:1]
    assert variables["intermediates"]["features"][0].shape == (shape[0], width + more)
    *_, last = sorted(name for name in variables["params"] if name.startswith("Dense"))
    assert variables["params"][last]["kernel"].shape == (width + more, 1)
    assert ("MinibatchDiscrimination_0" in variables["params"]) == (minibatch == "discrimination")
