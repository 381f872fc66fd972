"""Players for points of the plane: counts by hand and the same sums in NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.models.mlp import Discriminator, Generator

KEY = jax.random.key(0)


# 2 -> 256 -> 256 -> 256 -> 2 or 1. G: 2*256 + 256 + 2*(256*256 + 256) + 256*2 + 2; D: 256*1 + 1 at the end;
# G with batch norm: 2*256 + 2*256*256 + 3*2*256 + 256*2 + 2.
@pytest.mark.parametrize(
    ("module", "shape", "size"),
    [(Generator(), (5, 2), 132_866), (Generator(norm="batch"), (5, 2), 133_634), (Discriminator(), (5,), 132_609)],
    ids=["G", "G with batch norm", "D"],
)
def test_shapes_and_counts(module, shape, size):
    outputs, variables = jax.eval_shape(partial(module.init_with_output, train=True), KEY, jnp.zeros((5, 2)))
    assert outputs.shape == shape
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == size


def forward(params, x, activation):
    *hidden, last = (params[f"Dense_{i}"] for i in range(len(params)))
    for layer in hidden:
        x = activation(x @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"]))
    return x @ np.asarray(last["kernel"]) + np.asarray(last["bias"])


def leaky_relu(x):
    return np.where(x > 0, x, 0.2 * x)


@pytest.mark.parametrize(
    ("module", "activation"),
    [
        (Generator(width=16, depth=2), partial(np.maximum, 0)),
        (Generator(width=16, features=3, activation="tanh"), np.tanh),
        (Discriminator(width=16, depth=2), leaky_relu),
        (Discriminator(width=16, activation="tanh"), np.tanh),
        (Discriminator(width=16, activation="relu"), partial(np.maximum, 0)),
        (Discriminator(width=4, activation="maxout"), lambda x: x.reshape(len(x), 4, 5).max(axis=-1)),
    ],
)
def test_forward(module, activation):
    x = jax.random.normal(KEY, (5, 2))
    variables = module.init(KEY, x, train=True)
    expected = forward(variables["params"], np.asarray(x), activation)
    np.testing.assert_allclose(module.apply(variables, x, train=False), np.squeeze(expected), rtol=1e-4, atol=1e-5)


def test_scale_divides_the_input():
    x = jax.random.normal(KEY, (5, 2))
    variables = Discriminator(width=16).init(KEY, x, train=True)
    plain, scaled = (Discriminator(width=16, scale=s).apply(variables, s * x, train=False) for s in (1.0, 4.0))
    np.testing.assert_allclose(scaled, plain, rtol=1e-5)


def test_kernels_begin_as_asked():
    x = jnp.zeros((5, 128))
    for kind, gain in (("orthogonal", 0.8), ("normal", 0.02)):
        params = Generator(width=128, depth=1, kernels=kind, gain=gain).init(KEY, x, train=True)["params"]
        kernel = np.asarray(params["Dense_0"]["kernel"])
        if kind == "orthogonal":
            np.testing.assert_allclose(kernel.T @ kernel, gain**2 * np.eye(128), atol=1e-4)
        else:
            assert kernel.std() == pytest.approx(gain, rel=0.05)
            assert np.asarray(params["Dense_1"]["kernel"]).std() == pytest.approx(gain, rel=0.2)
