"""SqueezeNet: torchvision's with the same weights, counts, sizes, and what its real weights know of CIFAR-10."""

import io
import tarfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import RidgeClassifier
from sklearn.preprocessing import StandardScaler

from gan_jax.errors import InputError
from gan_jax.images.resize import resize
from gan_jax.models.pretrained import convert, read_weights
from gan_jax.models.squeezenet import FEATURES_SIZE, SqueezeNet, features
from tests.oracles import oracle

KEY = jax.random.key(0)


def shapes(layout, size):
    found = jax.eval_shape(SqueezeNet(layout).init_with_output, KEY, jnp.zeros((2, *size, 3)))[0]
    return {name: leaf.shape[1:] for name, leaf in found.items()}


def test_count():
    """torchvision's squeezenet1_1 has 1,235,496 parameters, of which 512 * 1000 + 1000 are the classifier's."""
    variables = jax.eval_shape(SqueezeNet().init, KEY, jnp.zeros((1, 64, 64, 3)))
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == 1_235_496 - 513_000


# By hand: (n - 3) // 2 + 1 after conv1 and each pool; torchvision's pools round up. At 228 the first pool has one row over.
@pytest.mark.parametrize(
    ("layout", "size", "expected"),
    [
        ("caffe", 31, (15, 7, 3, 1)),
        ("caffe", 228, (113, 56, 27, 13)),
        ("torchvision", 228, (113, 56, 28, 14)),
        ("torchvision", 17, (8, 4, 2, 1)),
    ],
)
def test_sizes(layout, size, expected):
    found = shapes(layout, (size, size))
    channels = dict(zip(("conv1", "fire3", "fire5", "fire9"), (64, 128, 256, 512), strict=True))
    for (name, c), n in zip(channels.items(), expected, strict=True):
        assert found[name] == (n, n, c)


@pytest.mark.parametrize(("layout", "size"), [("caffe", (30, 64)), ("torchvision", (64, 16))])
def test_images_that_are_too_small(layout, size):
    with pytest.raises(InputError, match=rf"needs images of \d+x\d+ or more, not {size[0]}x{size[1]}"):
        shapes(layout, size)


@pytest.mark.parametrize("size", [(65, 86)])
def test_activations_are_torchvisions(size, tmp_path):
    torch = oracle("torch")
    models = oracle("torchvision.models")
    torch.manual_seed(0)
    theirs = models.squeezenet1_1(weights=None)
    torch.save(theirs.state_dict(), tmp_path / "random.pth")
    convert([tmp_path / "random.pth"], "squeezenet_torchvision", tmp_path / "random.npz", any_hash=True)
    variables, _ = read_weights(tmp_path / "random.npz", "squeezenet_torchvision")

    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # torchvision's documentation
    planes = torch.from_numpy(((images / 255 - mean) / deviation).astype(np.float32)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected = theirs.features(planes).mean((2, 3)).numpy()
    actual = jax.jit(features, static_argnums=2)(variables, images, "torchvision")
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.fixture(scope="module")
def cifar10(real_data):
    """3,000 pictures of the training set and their labels."""
    with tarfile.open(real_data / "cifar10" / "cifar10_train20k_test2k.tar") as archive:
        labels = np.load(io.BytesIO(archive.extractfile("cifar10/labels.npz").read()))["y_train"][:3000]
        sheets = [Image.open(archive.extractfile(f"cifar10/train_{i:02}.webp")).convert("RGB") for i in range(3)]
        tiles = [np.asarray(sheet).reshape(25, 32, 40, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3) for sheet in sheets]
    return np.concatenate(tiles), labels


def probe(variables, images, labels):
    """Accuracy of a linear classifier of the features: learnt on 2,000 pictures, examined on 1,000."""
    extract = jax.jit(lambda x: features(variables, resize(x, (FEATURES_SIZE, FEATURES_SIZE), "pytorch")))
    found = np.concatenate([extract(images[i : i + 250]) for i in range(0, len(images), 250)])
    scaled = StandardScaler().fit(found[:2000]).transform(found)
    return RidgeClassifier(1000.0).fit(scaled[:2000], labels[:2000]).score(scaled[2000:], labels[2000:])


@pytest.mark.slow
def test_real_weights_know_cifar10(real_data, cifar10):
    """Random weights of the same deviations do not: a wrong order of colours, mean or kernel axes would show."""
    images, labels = cifar10
    variables, digest = read_weights(real_data / "weights" / "squeezenet11_imagenet_notop_hwio.npz", "squeezenet")
    assert digest == "e3a6366fb6992218"
    generator = np.random.default_rng(0)
    random = jax.tree.map(lambda w: jnp.asarray(generator.normal(0, w.std(), w.shape), jnp.float32), variables)
    known = probe(variables, images, labels)
    assert known >= 0.69
    assert probe(random, images, labels) <= known - 0.2
