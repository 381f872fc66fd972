"""Content losses: by hand, with random weights of the real shapes, and with the real ones where they are at hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.errors import InputError
from gan_jax.models import content
from gan_jax.models.content import NAMES, content_loss, squeezenet_distance
from gan_jax.models.imagenet import torchvision_input
from gan_jax.models.lpips import LPIPS
from gan_jax.models.pretrained import NETWORKS
from gan_jax.models.vgg import VGG


def pair(size=36):
    generator = np.random.default_rng(0)
    x = generator.uniform(-1, 1, (2, size, size, 3)).astype(np.float32)
    return jnp.asarray(x), jnp.asarray(np.clip(x + generator.normal(0, 0.2, x.shape), -1, 1).astype(np.float32))


def weights(path, network):
    """Random weights of a network's shapes, small ones."""
    generator = np.random.default_rng(1)
    shapes = NETWORKS[network].shapes()
    np.savez(path, **{name: generator.normal(0, 0.05, shape).astype(np.float32) for name, shape in shapes.items()})
    return path


def test_pixels():
    x, y = pair()
    np.testing.assert_allclose(content_loss("mse")(x, y), np.mean((np.asarray(x) - y) ** 2), rtol=1e-5)
    np.testing.assert_allclose(content_loss("l1")(x, y), np.mean(np.abs(np.asarray(x) - y)), rtol=1e-5)
    np.testing.assert_allclose(
        content_loss("mse", pixel=0.5)(x, y), content_loss("mse")(x, y) + 0.5 * content_loss("l1")(x, y), rtol=1e-6
    )


@pytest.mark.parametrize(("name", "layer"), [("vgg22", "relu2_2"), pytest.param("vgg54", "relu5_4", marks=pytest.mark.slow)])
def test_vgg_losses_are_of_activations_scaled_as_in_the_paper(name, layer, tmp_path):
    x, y = pair()
    path = weights(tmp_path / "vgg19.npz", "vgg19")
    variables, _ = content.read_weights(path, "vgg19")
    maps = [np.asarray(VGG(19, (layer,)).apply(variables, torchvision_input(each))[layer]) for each in (x, y)]
    wanted = np.mean((maps[0] - maps[1]) ** 2) / 12.75**2
    assert wanted > 0
    np.testing.assert_allclose(content_loss(name, path)(x, y), wanted, rtol=1e-4)


def test_lpips_is_the_mean_distance_by_vgg16(tmp_path):
    x, y = pair()
    path = weights(tmp_path / "lpips_vgg.npz", "lpips_vgg")
    variables, _ = content.read_weights(path, "lpips_vgg")
    np.testing.assert_allclose(content_loss("lpips", path)(x, y), LPIPS("vgg").apply(variables, x, y).mean(), rtol=1e-4)


def test_the_normalised_vgg(real_data):
    """It is of the order of the squared error, so that the adversarial weight of the paper means the same."""
    x, y = pair()
    path = real_data / "weights" / "vgg19_normalised_to_conv3_1_hwio.npz"
    loss = content_loss("vgg22", path)
    assert 0.2 < loss(x, y) / content_loss("mse")(x, y) < 5
    assert loss(x, x) == 0
    slope = jax.grad(loss)(x, y)
    assert np.isfinite(slope).all()
    assert np.abs(slope).max() > 0
    with pytest.raises(InputError, match="is the normalised VGG-19 up to conv3_1, which has no relu5_4: --content vgg22"):
        content_loss("vgg54", path)


def test_squeezenet_distance(real_data):
    path = real_data / "weights" / "squeezenet11_imagenet_notop_hwio.npz"
    variables, _ = content.read_weights(path, "squeezenet")
    x, y = pair()
    found = squeezenet_distance(variables, jnp.concatenate([x, x]), jnp.concatenate([x, y]))
    np.testing.assert_allclose(found[:2], 0, atol=1e-5)
    assert (found[2:] > 0.01).all()
    nearer = squeezenet_distance(variables, x, x + 0.2 * (y - x))
    assert (nearer < found[2:]).all()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("mse", "l1")])
def test_missing_weights(name, tmp_path):
    with pytest.raises(InputError, match=r"--content mse, which needs none. Download https://"):
        content_loss(name)
    with pytest.raises(InputError, match=r"there is no .*gone.npz. Download https://"):
        content_loss(name, tmp_path / "gone.npz")
