"""FID's Inception against torch-fidelity's, with the same random weights and statistics through `convert`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.images.resize import resize
from gan_jax.models.imagenet import inception_input
from gan_jax.models.inception import INPUT_SIZE, InceptionV3
from gan_jax.models.pretrained import convert, read_weights
from tests.oracles import oracle


def test_shapes_and_count():
    """torchvision's inception_v3 without its auxiliary classifier has 23,834,568 parameters with 1,000 classes and two for
    every one of the 17,216 channels of batch norm, where we have one; and here are 1,008 classes without biases.
    """
    out, variables = jax.eval_shape(InceptionV3().init_with_output, jax.random.key(0), jnp.zeros((2, 299, 299, 3)))
    assert (out.pool3.shape, out.logits.shape) == ((2, 2048), (2, 1008))
    count = sum(leaf.size for leaf in jax.tree.leaves(variables))
    assert count == 23_834_568 - 2049 * 1000 - 17_216 + 2048 * 1008 == 23_832_736


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Both with He's weights, so that what comes out depends on what goes in, and statistics all different."""
    torch = oracle("torch")
    module = oracle("torch_fidelity.feature_extractor_inceptionv3")

    class Random(module.FeatureExtractorInceptionV3):
        def load_state_dict(self, *args, **options):
            """Keeps the first weights, so that nothing is downloaded."""

    folder = tmp_path_factory.mktemp("inception")
    torch.save({}, folder / "empty.pth")
    torch.manual_seed(0)
    theirs = Random("random", ["2048", "logits_unbiased"], feature_extractor_weights_path=folder / "empty.pth")
    for layer in theirs.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.7, 1.3)
            torch.nn.init.normal_(layer.bias, 0, 0.2)
            torch.nn.init.normal_(layer.running_mean, 0, 0.2)
            torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)
    torch.save(theirs.state_dict(), folder / "random.pth")
    convert([folder / "random.pth"], "inception", folder / "random.npz", any_hash=True)
    variables, _ = read_weights(folder / "random.npz", "inception")
    ours = jax.jit(lambda x: InceptionV3().apply(variables, inception_input(resize(x, INPUT_SIZE, "tf1"))))
    return ours, lambda x: [f.numpy() for f in theirs(torch.from_numpy(x).permute(0, 3, 1, 2))]


def test_features_are_torch_fidelitys(networks):
    ours, theirs = networks
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    images[1] = images[1] // 4 + 40
    for actual, expected in zip(ours(images), theirs(images), strict=True):
        scale = np.abs(expected).max()
        assert np.ptp(expected, axis=0).max() > 0.1 * scale  # the images are told apart
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * scale)
