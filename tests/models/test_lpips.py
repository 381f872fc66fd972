"""LPIPS against its authors' package: its own heads, and the same random backbones through `convert`."""

import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.errors import InputError
from gan_jax.models.lpips import LPIPS
from gan_jax.models.pretrained import convert, read_weights
from tests.oracles import oracle

KEY = jax.random.key(0)
HEADS = {"alex": 1152, "vgg": 1472, "squeeze": 2240}  # channels that are compared
# without their classifiers: torchvision's alexnet has 61,100,840 parameters, 58,631,144 of them its classifier's
BACKBONES = {"alex": 61_100_840 - 58_631_144, "vgg": 14_714_688, "squeeze": 722_496}


def images(size=(2, 48, 65, 3)):
    x, y = np.random.default_rng(0).uniform(-1, 1, (2, *size)).astype(np.float32)
    return x, 0.7 * x + 0.3 * y


@pytest.mark.parametrize("net", HEADS)
def test_counts(net):
    x = jnp.zeros((2, 64, 64, 3))
    out, variables = jax.eval_shape(LPIPS(net).init_with_output, KEY, x, x)
    assert out.shape == (2,)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == BACKBONES[net] + HEADS[net]


@pytest.mark.parametrize("net", HEADS)
def test_distances_are_the_packages(net, tmp_path):
    torch = oracle("torch")
    lpips = oracle("lpips")
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks torchvision in an old way
        theirs = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    backbone = {f"features.{name.split('.', 1)[1]}": array for name, array in theirs.net.state_dict().items()}
    torch.save(backbone, tmp_path / "random.pth")
    heads = Path(lpips.__file__).parent / "weights" / "v0.1" / f"{net}.pth"
    convert([tmp_path / "random.pth", heads], f"lpips_{net}", tmp_path / "random.npz", any_hash=True)
    variables, _ = read_weights(tmp_path / "random.npz", f"lpips_{net}")

    x, y = images()
    with torch.inference_mode():
        expected = theirs(*(torch.from_numpy(z).permute(0, 3, 1, 2) for z in (x, y))).flatten().numpy()
    actual = jax.jit(LPIPS(net).apply)(variables, x, y)
    assert expected.min() > 1e-3
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


def test_equal_images_and_dead_pixels():
    """Distance 0, and gradients that are finite, for equal images and where no channel of a map is active."""
    x, y = map(jnp.asarray, images((2, 32, 32, 3)))
    variables = jax.jit(LPIPS("squeeze").init)(KEY, x, y)
    dead = {"params": variables["params"] | {"net": jax.tree.map(jnp.zeros_like, variables["params"]["net"])}}
    look = jax.jit(jax.value_and_grad(lambda x, y, variables: jnp.sum(LPIPS("squeeze").apply(variables, x, y))))
    for other, params in ((x, variables), (x, dead), (y, dead)):
        distance, gradient = look(x, other, params)
        assert abs(float(distance)) < 1e-12
        assert jnp.isfinite(gradient).all()
    distance, gradient = look(x, y, variables)
    assert float(distance) > 1e-3
    assert float(jnp.max(jnp.abs(gradient))) > 0


@pytest.mark.parametrize(("net", "least"), [("alex", 31), ("vgg", 16), ("squeeze", 17)])
def test_smallest_images(net, least):
    x, small = jnp.zeros((1, least, least, 3)), jnp.zeros((1, least - 1, 40, 3))
    assert jax.eval_shape(LPIPS(net).init_with_output, KEY, x, x)[0].shape == (1,)
    with pytest.raises(InputError, match=f"{least - 1}x40"):
        jax.eval_shape(LPIPS(net).init, KEY, small, small)
