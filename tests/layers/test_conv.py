"""Convolutions against flax, and their derivatives against plain lax."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gan_jax.layers.conv import Conv, ConvTranspose, ResizeConv, conv, conv_transpose, one_hot_planes

KERNELS = (3, 4, 5)
X = jax.random.normal(jax.random.key(0), (2, 8, 12, 3))
NHWC = ("NHWC", "HWIO", "NHWC")


def close(a, b, rtol=1e-4):
    """Equal but for rounding, relative to the largest entry."""
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=rtol * float(jnp.max(jnp.abs(y))))


def variables(module, x):
    """Parameters with a bias that is not zero."""
    params = module.init(jax.random.key(1), x)["params"]
    return {"params": params | {"bias": jnp.arange(1.0, 1 + params["bias"].size)}}


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("size", KERNELS)
def test_conv_equals_flax(size, stride):
    ours = Conv(4, kernel_size=size, stride=stride)
    theirs = nn.Conv(4, (size, size), strides=(stride, stride), padding="SAME")
    params = variables(ours, X)
    assert jax.tree.map(jnp.shape, theirs.init(jax.random.key(0), X)) == jax.tree.map(jnp.shape, params)
    assert ours.apply(params, X).shape == (2, 8 // stride, 12 // stride, 4)
    close(ours.apply(params, X), theirs.apply(params, X), 1e-5)


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("size", KERNELS)
def test_conv_transpose_equals_flax(size, stride):
    ours = ConvTranspose(4, kernel_size=size, stride=stride)
    theirs = nn.ConvTranspose(4, (size, size), strides=(stride, stride), padding="SAME")
    params = variables(ours, X)
    assert jax.tree.map(jnp.shape, theirs.init(jax.random.key(0), X)) == jax.tree.map(jnp.shape, params)
    assert ours.apply(params, X).shape == (2, 8 * stride, 12 * stride, 4)
    close(ours.apply(params, X), theirs.apply(params, X), 1e-5)


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("size", KERNELS)
def test_conv_transpose_is_the_adjoint(size, stride):
    """<conv(x, k), y> = <x, conv_transpose(y, k')>, where k' is k turned round, its channels exchanged."""
    kernel = jax.random.normal(jax.random.key(1), (size, size, 3, 4))
    y = jax.random.normal(jax.random.key(2), (2, 8 // stride, 12 // stride, 4))
    back = conv_transpose(y, jnp.flip(kernel, (0, 1)).swapaxes(2, 3), stride)
    np.testing.assert_allclose(jnp.vdot(conv(X, kernel, stride), y), jnp.vdot(X, back), rtol=1e-4)


def lax_conv(x, kernel, stride):
    return lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=NHWC)


def lax_conv_transpose(x, kernel, stride):
    return lax.conv_transpose(x, kernel, (stride, stride), "SAME", dimension_numbers=NHWC)


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("size", KERNELS)
@pytest.mark.parametrize(("ours", "theirs"), [(conv, lax_conv), (conv_transpose, lax_conv_transpose)])
def test_gradients_of_any_order_equal_those_of_lax(ours, theirs, size, stride):
    """Two layers: derivatives of a score, and of its squared gradients in the input (as in R1) and in the kernels."""
    first = jax.random.normal(jax.random.key(1), (size, size, 3, 4))
    second = jax.random.normal(jax.random.key(2), (size, size, 4, 2))

    def derivatives(f):
        def score(x, first, second):
            return jnp.sum(f(jnp.tanh(0.1 * f(x, first, stride)), second, 2) ** 2)

        def penalty(x, first, second):
            gradients = jax.grad(score, argnums=(0, 1, 2))(x, first, second)
            return sum(weight * jnp.sum(g**2) for weight, g in zip((10, 1, 1), gradients, strict=True))

        x = jax.random.normal(jax.random.key(3), (2, 2 * stride, 4 * stride, 3))
        return jax.jit(lambda: [jax.grad(g, argnums=(0, 1, 2))(x, first, second) for g in (score, penalty)])()

    close(derivatives(ours), derivatives(theirs))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", KERNELS)
def test_resize_conv_is_nearest_enlargement_then_conv(size, stride):
    ours = ResizeConv(4, kernel_size=size, stride=stride)
    params = variables(ours, X)
    enlarged = jax.image.resize(X, (2, 8 * stride, 12 * stride, 3), "nearest")
    close(ours.apply(params, X), nn.Conv(4, (size, size), padding="SAME").apply(params, enlarged), 1e-5)


@pytest.mark.parametrize("module", [Conv, ConvTranspose, ResizeConv])
def test_computes_in_its_dtype_and_keeps_float32_parameters(module):
    layer = module(4, dtype=jnp.bfloat16)
    params = layer.init(jax.random.key(0), X)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    assert layer.apply(params, X).dtype == jnp.bfloat16
    assert set(module(4, use_bias=False).init(jax.random.key(0), X)["params"]) == {"kernel"}


def test_one_hot_planes():
    planes = one_hot_planes(jnp.array([2, 0]), 3, 4, 5)
    assert planes.shape == (2, 4, 5, 3)
    np.testing.assert_array_equal(planes[0], np.broadcast_to([0, 0, 1], (4, 5, 3)))
    np.testing.assert_array_equal(planes[1], np.broadcast_to([1, 0, 0], (4, 5, 3)))
