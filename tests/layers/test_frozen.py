"""The quick forms equal XLA's convolution and flax's pools; precision is kept."""

import re
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gan_jax.layers.frozen import convolve, max_pool, mean_3x3

NHWC = ("NHWC", "HWIO", "NHWC")


def noise(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(
    ("size", "channels", "stride"),
    [((1, 1), 3, 1), ((1, 1), 3, 2), ((3, 3), 3, 1), ((3, 3), 32, 1), ((3, 3), 32, 2), ((1, 7), 4, 1)],
)
@pytest.mark.parametrize("image", [(8, 8), (9, 12), (8, 11)])
def test_convolve(size, channels, stride, padding, image):
    x, kernel = noise(2, *image, channels), noise(*size, channels, 33)
    options = {"dimension_numbers": NHWC, "precision": lax.Precision.HIGHEST}
    actual, expected = (
        jax.jit(partial(f, padding=padding, **options), static_argnums=2)(x, kernel, (stride, stride))
        for f in (convolve, lax.conv_general_dilated)
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("size", "stride", "edge"), [(3, 2, 0), (2, 2, 0), (3, 1, 1)])
@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("image", [(8, 9), (10, 13), (3, 4)])
def test_max_pool(size, stride, edge, ceil, image):
    x = noise(2, *image, 3) - 5  # a border of zeros would show
    more = [(-(n + 2 * edge - size) % stride) * ceil for n in image]
    expected = nn.max_pool(x, (size, size), (stride, stride), padding=[(edge, edge + m) for m in more])
    np.testing.assert_array_equal(max_pool(x, size, stride, edge=edge, ceil=ceil), expected)


def test_mean():
    x = noise(2, 5, 7, 3) + 3
    expected = nn.avg_pool(x, (3, 3), (1, 1), "SAME", count_include_pad=False)
    np.testing.assert_allclose(mean_3x3(x), expected, rtol=1e-6)


@pytest.mark.parametrize("precision", [lax.Precision.HIGHEST, lax.Precision.DEFAULT])
@pytest.mark.parametrize(("size", "channels"), [((1, 1), 3), ((3, 3), 32), ((3, 3), 3)])
def test_precision_on_every_platform(size, channels, precision):
    x, kernel = noise(2, 8, 8, channels), noise(*size, channels, 32)
    forward = partial(convolve, strides=(1, 1), padding="SAME", dimension_numbers=NHWC, precision=precision)
    traced = str(jax.make_jaxpr(forward)(x, kernel))
    found = re.findall(r"(?:dot_general|conv_general_dilated)\[.*?precision=(.*?)\n", traced, re.DOTALL)
    assert found
    assert all(precision.name in each for each in found), found
