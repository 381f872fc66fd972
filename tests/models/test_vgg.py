"""VGG against torchvision's with the same random weights, and the normalised one with its real weights."""

import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gan_jax.errors import InputError
from gan_jax.models.pretrained import convert, read_weights
from gan_jax.models.vgg import VGG
from tests.oracles import oracle

KEY = jax.random.key(0)
LAST = {16: "relu5_3", 19: "relu5_4"}


# Keras' VGG16 and VGG19 without the top: 14,714,688 and 20,024,384 (keras.io/api/applications/vgg).
@pytest.mark.parametrize(("depth", "count"), [(16, 14_714_688), (19, 20_024_384)])
def test_counts(depth, count):
    out, variables = jax.eval_shape(VGG(depth, (LAST[depth],)).init_with_output, KEY, jnp.zeros((2, 64, 48, 3)))
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == count
    assert out[LAST[depth]].shape == (2, 4, 3, 512)


def test_what_comes_after_the_last_name_is_not_computed():
    out, variables = jax.eval_shape(VGG(19, ("relu2_2", "conv1_1")).init_with_output, KEY, jnp.zeros((2, 64, 48, 3)))
    assert set(out) == {"relu2_2", "conv1_1"}
    assert set(variables["params"]) == {"conv1_1", "conv1_2", "conv2_1", "conv2_2"}


@pytest.mark.parametrize(
    ("depth", "names"), [(16, ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")), (19, ("relu2_2", "conv5_4", "relu5_4"))]
)
def test_activations_are_torchvisions(depth, names, tmp_path):
    torch = oracle("torch")
    module = oracle("torchvision.models.vgg")
    torch.manual_seed(0)
    theirs = module.make_layers(module.cfgs["D" if depth == 16 else "E"])
    for layer in theirs:
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            torch.nn.init.normal_(layer.bias, 0, 0.1)
    torch.save({f"features.{name}": array for name, array in theirs.state_dict().items()}, tmp_path / "random.pth")
    convert([tmp_path / "random.pth"], f"vgg{depth}", tmp_path / "random.npz", any_hash=True)
    variables, _ = read_weights(tmp_path / "random.npz", f"vgg{depth}")

    x = np.random.default_rng(0).normal(size=(2, 36, 33, 3)).astype(np.float32)
    expected, h = {}, torch.from_numpy(x).permute(0, 3, 1, 2)
    stage, i = 1, 0
    with torch.inference_mode():
        for layer in theirs:
            if isinstance(layer, torch.nn.ReLU):
                h = torch.relu(h)  # torchvision's own overwrites its input
                expected[f"relu{stage}_{i}"] = h
            else:
                h = layer(h)
                stage, i = (stage + 1, 0) if isinstance(layer, torch.nn.MaxPool2d) else (stage, i + 1)
                expected[f"conv{stage}_{i}"] = h
    actual = jax.jit(VGG(depth, names).apply)(variables, x)
    for name in names:
        array = expected[name].permute(0, 2, 3, 1).numpy()
        np.testing.assert_allclose(actual[name], array, rtol=0, atol=1e-5 * np.abs(array).max(), err_msg=name)


@pytest.fixture(scope="module")
def normalised(real_data):
    return read_weights(real_data / "weights" / "vgg19_normalised_to_conv3_1_hwio.npz", "vgg19_normalised")


@pytest.mark.slow
def test_normalised_activations_have_means_near_1(normalised, real_data):
    """On photographs that its makers did not have; and not for pixels in another range."""
    with zipfile.ZipFile(real_data / "sr" / "bsds_train200_jpg.zip") as archive:
        files = sorted(name for name in archive.namelist() if name.endswith(".jpg"))[::16]
        x = np.stack([np.asarray(Image.open(archive.open(name)).convert("RGB"))[:160, :160] for name in files]) / np.float32(
            255
        )
    variables, digest = normalised
    assert digest == "e513bc783b9442ce"
    names = ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1")
    look = jax.jit(lambda x: {k: jnp.mean(h) for k, h in VGG(19, names, normalised=True).apply(variables, x).items()})
    for right, wrong in zip(look(x).values(), look(2 * x - 1).values(), strict=True):
        assert 0.6 < right < 1.4
        assert wrong > 1.5


def test_normalised_in_pytorch(normalised):
    """AdaIN's layers one by one: reflected edges, pools that keep an odd last row."""
    torch = oracle("torch")
    f, (variables, _) = torch.nn.functional, normalised
    x = np.random.default_rng(0).uniform(0, 1, (2, 37, 33, 3)).astype(np.float32)
    h = torch.from_numpy(x).permute(0, 3, 1, 2)
    for name, layer in sorted(variables["params"].items(), key=lambda item: item[0] != "pre1x1"):
        kernel, bias = (torch.from_numpy(np.array(layer[k])) for k in ("kernel", "bias"))
        if name != "pre1x1":
            h = f.pad(h, (1, 1, 1, 1), mode="reflect")
        h = f.conv2d(h, kernel.permute(3, 2, 0, 1), bias)
        h = h if name == "pre1x1" else torch.relu(h)
        h = f.max_pool2d(h, 2, 2, ceil_mode=True) if name in ("conv1_2", "conv2_2") else h
    actual = jax.jit(VGG(19, ("relu3_1",), normalised=True).apply)(variables, x)["relu3_1"]
    assert actual.shape[1:3] == (10, 9)
    expected = h.permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_bad_input():
    with pytest.raises(InputError, match=r"VGG-16 has no relu5_4: it has conv1_1, relu1_1,"):
        jax.eval_shape(VGG(16, ("relu1_2", "relu5_4")).init, KEY, jnp.zeros((1, 64, 64, 3)))
    with pytest.raises(InputError, match=r"images of 64x15 are too small for stage 5"):
        jax.eval_shape(VGG(16, ("relu5_1",)).init, KEY, jnp.zeros((1, 64, 15, 3)))
