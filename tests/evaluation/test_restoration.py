"""How different restored pictures look, with random weights of SqueezeNet."""

import numpy as np
import pytest

from gan_jax.evaluation.restoration import feature_distance
from gan_jax.images.convert import to_rgb
from gan_jax.models.pretrained import NETWORKS, read_weights


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "squeezenet.npz"
    generator = np.random.default_rng(1)
    shapes = NETWORKS["squeezenet"].shapes()
    np.savez(path, **{name: generator.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()})
    return read_weights(path, "squeezenet")[0]


def pictures(channels: int, size: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (2, size, size, channels), np.uint8)


def test_kinds_of_pictures(squeezenet):
    """Equal ones do not differ; grey is three equal colours, a transparent picture lies on white, a small one is enlarged."""
    grey, other = pictures(1), pictures(1, seed=1)
    np.testing.assert_allclose(feature_distance(squeezenet, grey, grey), 0, atol=1e-6)
    found = feature_distance(squeezenet, other, grey)
    assert found.shape == (2,)
    assert found.min() > 1e-3
    np.testing.assert_allclose(feature_distance(squeezenet, other.repeat(3, axis=3), grey.repeat(3, axis=3)), found, rtol=1e-5)
    clear, white = pictures(4), np.full((2, 32, 32, 3), 255, np.uint8)
    clear[..., 3] = 0
    np.testing.assert_allclose(feature_distance(squeezenet, clear, white), 0, atol=1e-6)
    small, another = pictures(3, 16), pictures(3, 16, seed=1)
    twice = [each.repeat(2, axis=1).repeat(2, axis=2) for each in (another, small)]
    np.testing.assert_allclose(feature_distance(squeezenet, another, small), feature_distance(squeezenet, *twice), rtol=1e-5)


def test_transparent_pictures_lie_on_white():
    half = np.array([[[[10, 20, 30, 51]]]], np.uint8)  # opaque by a fifth
    np.testing.assert_allclose(to_rgb(half)[0, 0, 0], [206, 208, 210], atol=1e-3)
