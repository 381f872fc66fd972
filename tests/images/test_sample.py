"""Windows, shifts and bilinear samples, against NumPy and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from gan_jax.images.sample import bilinear, shifted, windows


def test_windows_are_slices():
    x = np.random.default_rng(0).integers(0, 256, (3, 7, 9, 2), dtype=np.uint8)
    corner = np.array([[0, 0], [4, 5], [2, 1]])
    found = windows(jnp.asarray(x), jnp.asarray(corner), (3, 4))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, [x[i, top : top + 3, left : left + 4] for i, (top, left) in enumerate(corner)])


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
def test_shifted_images_are_windows_of_padded_ones(mode):
    x = np.random.default_rng(0).normal(size=(4, 6, 5, 3)).astype(np.float32)
    corner = np.array([[0, 0], [2, 1], [4, 2], [1, 2]])
    padded = np.pad(x, ((0, 0), (2, 2), (1, 1), (0, 0)), mode=mode)
    found = shifted(jnp.asarray(x), jnp.asarray(corner), (2, 1), mode)
    np.testing.assert_array_equal(found, [padded[i, top : top + 6, left : left + 5] for i, (top, left) in enumerate(corner)])
    np.testing.assert_array_equal(found[1], x[1])  # the corner equals the padding


@pytest.mark.parametrize("size", [(5, 8), (1, 6), (1, 1)])
def test_bilinear_equals_scipy_also_outside(size):
    generator = np.random.default_rng(0)
    image = generator.normal(size=(*size, 2)).astype(np.float32)
    places = generator.uniform(-2, 10, (2, 4, 50)).astype(np.float32)
    places[:, 0, :4] = [[0, size[0] - 1, 0, 0.5], [0, size[1] - 1, 2, 3]]
    wanted = [ndimage.map_coordinates(image[..., c], places, order=1, mode="nearest") for c in range(2)]
    found = bilinear(jnp.asarray(image), *map(jnp.asarray, places))
    np.testing.assert_allclose(found, np.stack(wanted, axis=-1), atol=2e-6)


def test_samples_are_linear_in_the_image():
    image = jnp.asarray(np.random.default_rng(0).normal(size=(4, 4, 1)).astype(np.float32))
    gradient = jax.grad(lambda x: bilinear(x, jnp.array([1.25]), jnp.array([2.0])).sum())(image)
    wanted = np.zeros((4, 4, 1))
    wanted[1, 2], wanted[2, 2] = 0.75, 0.25
    np.testing.assert_array_equal(gradient, wanted)
