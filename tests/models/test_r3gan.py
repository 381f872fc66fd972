"""R3GAN's players: the authors' parameter counts, layer by layer against a transcription in PyTorch, first weights, labels."""

import math
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.errors import InputError
from gan_jax.models.r3gan import Block, Discriminator, Generator, enlarged, reduced
from tests.models.networks import KEY, count, init, shaken
from tests.oracles import oracle

Y = jnp.array([0, 1])
Z = jax.random.normal(KEY, (2, 10))
X = jax.random.normal(KEY, (2, 32, 32, 3))


def generate(dim=64, **fields):
    y = Y if fields.get("num_classes") else None
    return jax.eval_shape(partial(Generator(**fields).init_with_output, train=True), KEY, jnp.zeros((2, dim)), y)


def discriminate(size, channels=3, **fields):
    y = Y if fields.get("num_classes") else None
    x = jnp.zeros((2, *size, channels))
    return jax.eval_shape(partial(Discriminator(**fields).init_with_output, train=True), KEY, x, y)


# Millions of parameters of G and D in the paper's table of hyper-parameters (arXiv:2501.05441, appendix), rounded there. Its
# widths and groups are those of the presets in the authors' train.py: a group has 16 channels, and 32 in the networks for
# ImageNet, whose width is doubled and whose number of groups is not.
PAPER = [
    ({"size": (32, 32)}, (20.73, 20.68)),  # stacked MNIST
    ({"size": (32, 32), "num_classes": 10}, (20.78, 21.28)),  # CIFAR-10
    ({"size": (64, 64)}, (22.43, 22.38)),  # FFHQ-64
    ({"size": (256, 256)}, (23.06, 23.01)),  # FFHQ-256
    ({"size": (32, 32), "num_classes": 1000, "width": 1536, "group": 32}, (82.9, 86.6)),  # ImageNet-32
]


def block(c, group=16):
    return 2 * c * 2 * c + 9 * group * 2 * c + 2 * 2 * c


# By hand: eight blocks, a basis of 4x4 and a linear map of z, and the 1x1 to the image; a linear map without z in D.
def test_counts_by_hand():
    assert count(generate()[1]) == 8 * block(768) + 16 * 768 + 64 * 768 + 3 * 768 == 20_732_160
    assert count(discriminate((32, 32))[1]) == 8 * block(768) + 3 * 768 + 16 * 768 + 768 == 20_683_776
    assert count(generate(num_classes=10)[1]) == 20_732_160 + 64 * 768 + 640
    assert count(discriminate((32, 32), num_classes=10)[1]) == 20_683_776 - 768 + 768 * 768 + 7680
    between = 768 * 384 + 384 * 192  # 1x1 where the channels change
    blocks = 8 * block(768) + 2 * block(384) + 2 * block(192)
    assert count(generate(size=(128, 128))[1]) == blocks + between + 16 * 768 + 64 * 768 + 3 * 192
    assert count(discriminate((128, 128))[1]) == blocks + between + 3 * 192 + 16 * 768 + 768


@pytest.mark.parametrize(("fields", "millions"), PAPER, ids=["mnist", "cifar", "ffhq64", "ffhq256", "imagenet32"])
def test_the_papers_counts(fields, millions):
    images, generator = generate(**fields)
    size = fields["size"]
    logits, discriminator = discriminate(size, **{name: value for name, value in fields.items() if name != "size"})
    assert images.shape == (2, *size, 3)
    assert logits.shape == (2,)
    for variables, printed in ((generator, millions[0]), (discriminator, millions[1])):
        rounding = 0.006 if printed < 80 else 0.06  # 86.549 is printed as 86.6
        assert count(variables) / 1e6 == pytest.approx(printed, abs=rounding)


def test_width_and_channels():
    images, generator = generate(dim=10, size=(64, 64), width=8, channels=1)
    assert images.shape == (2, 64, 64, 1)
    assert count(generator) == 8 * block(16) + 2 * block(8) + 16 * 8 + 16 * 16 + 10 * 16 + 8


@pytest.mark.parametrize(("size", "nearest"), [((16, 16), 32), ((48, 48), 32), ((512, 512), 256), ((64, 96), 64)], ids=str)
def test_bad_sizes(size, nearest):
    wrong = rf"{size[0]}x{size[1]} .* 32x32, 64x64, 128x128 and 256x256; the nearest is {nearest}x{nearest}"
    with pytest.raises(InputError, match=wrong):
        generate(size=size)
    with pytest.raises(InputError, match=wrong):
        discriminate(size)


def test_widths_without_equal_groups_are_refused():
    with pytest.raises(InputError, match="12 channels make 24 .* no groups of 16: choose a width that is a multiple of 8"):
        generate(width=12)
    assert count(generate(width=5)[1]) == 8 * block(5, group=10) + 16 * 5 + 64 * 5 + 3 * 5  # one group of fewer channels


# A transcription of the authors' layers (github.com/brownvc/R3GAN, R3GAN/Networks.py, Resamplers.py): functions of NumPy
# arrays in PyTorch, channels first.


class Torch:
    """The layers in PyTorch, taking parameters as Flax has them."""

    def __init__(self):
        self.torch = oracle("torch")
        self.functional = self.torch.nn.functional

    def tensor(self, x):
        return self.torch.tensor(np.asarray(x, np.float32))

    def one(self, x, layer):
        return self.functional.conv2d(x, self.tensor(layer["kernel"]).T[:, :, None, None])

    def biased(self, x, bias):
        return self.functional.leaky_relu(x + self.tensor(bias).view(1, -1, 1, 1), 0.2)

    def block(self, x, p, group=16):
        kernel = self.tensor(p["Conv_0"]["kernel"]).permute(3, 2, 0, 1)
        y = self.biased(self.one(x, p["Dense_0"]), p["bias_0"])
        y = self.functional.conv2d(y, kernel, padding=1, groups=max(kernel.shape[0] // group, 1))
        return x + self.one(self.biased(y, p["bias_1"]), p["Dense_1"])

    @property
    def filter(self):
        taps = np.convolve([1, 2, 1], [1, 1])
        return self.tensor(np.outer(taps, taps) / 64)[None, None]

    def up(self, x):
        y = self.functional.conv_transpose2d(x.reshape(-1, 1, *x.shape[2:]), 4 * self.filter, stride=2, padding=1)
        return y.reshape(*x.shape[:2], *y.shape[2:])

    def down(self, x):
        y = self.functional.conv2d(x.reshape(-1, 1, *x.shape[2:]), self.filter, stride=2, padding=1)
        return y.reshape(*x.shape[:2], *y.shape[2:])

    def first(self, x):
        """(b, h, w, c) to channels first."""
        return self.tensor(x).permute(0, 3, 1, 2)

    def last(self, x):
        return x.permute(0, 2, 3, 1).numpy()


@pytest.fixture(scope="module")
def theirs():
    return Torch()


@pytest.mark.parametrize(("shape", "resample"), [((2, 4, 6, 5), (enlarged, "up")), ((2, 6, 8, 5), (reduced, "down"))])
def test_resampling(theirs, shape, resample):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    expected = theirs.last(getattr(theirs, resample[1])(theirs.first(x)))
    np.testing.assert_allclose(resample[0](jnp.asarray(x)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("channels", [4, 8, 24, 64])
def test_block(theirs, channels):
    """In one group, one, three and eight of 16 channels."""
    x = np.random.default_rng(1).normal(size=(2, 4, 4, channels)).astype(np.float32)
    variables = shaken(jax.jit(Block(8).init)(KEY, x))
    expected = theirs.last(theirs.block(theirs.first(x), variables["params"]))
    np.testing.assert_allclose(Block(8).apply(variables, jnp.asarray(x)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("num_classes", [0, 3])
def test_generator(theirs, num_classes):
    module = Generator((64, 64), width=8, num_classes=num_classes, blocks=1)
    variables = shaken(init(module, Z, Y if num_classes else None))
    p = variables["params"]
    z = theirs.tensor(Z)
    if num_classes:
        z = theirs.torch.cat([z, theirs.tensor(p["Embed_0"]["embedding"])[[0, 1]]], dim=1)
    code = z @ theirs.tensor(p["Dense_0"]["kernel"])
    x = theirs.tensor(p["basis"]).permute(2, 0, 1)[None] * code[:, :, None, None]
    x = theirs.block(x, p["Block_0"])
    for i in (1, 2, 3):
        x = theirs.block(theirs.up(x), p[f"Block_{i}"])
    x = theirs.block(theirs.up(theirs.one(x, p["Dense_1"])), p["Block_4"])
    expected = theirs.last(theirs.one(x, p["Dense_2"]))
    found = jax.jit(partial(module.apply, train=False))(variables, Z, Y if num_classes else None)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("num_classes", [0, 3])
def test_discriminator(theirs, num_classes):
    x = np.random.default_rng(2).normal(size=(2, 64, 64, 3)).astype(np.float32)
    module = Discriminator(width=8, num_classes=num_classes, blocks=1)
    variables = shaken(init(module, x, Y if num_classes else None))
    p = variables["params"]
    h = theirs.block(theirs.one(theirs.first(x), p["Dense_0"]), p["Block_0"])
    h = theirs.one(theirs.down(h), p["Dense_1"])
    for i in (1, 2, 3):
        h = theirs.down(theirs.block(h, p[f"Block_{i}"]))
    h = theirs.block(h, p["Block_4"])
    h = theirs.functional.conv2d(h, theirs.tensor(p["basis"]).permute(2, 0, 1)[:, None], groups=16).flatten(1)
    expected = h @ theirs.tensor(p["Dense_2"]["kernel"])
    if num_classes:
        expected = (expected * theirs.tensor(p["Embed_0"]["embedding"])[[0, 1]]).sum(1, keepdim=True)
    found = jax.jit(partial(module.apply, train=True))(variables, x, Y if num_classes else None)
    np.testing.assert_allclose(found, expected[:, 0], rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_first_weights_are_those_of_the_authors():
    """N(0, 1 / fan in), times sqrt(2 / 1.04) L^(-1/4) in the blocks, whose last kernels are 0; bases N(0, 1) and N(0, 1/16)."""
    params = (
        init(Generator(width=64, num_classes=100), Z, Y)["params"],
        init(Discriminator(width=64, num_classes=100), X, Y)["params"],
    )
    gain = math.sqrt(2 / 1.04) * 8 ** (-1 / 4)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name = jax.tree_util.keystr(path)
        if "bias" in name or ("Block" in name and "Dense_1" in name):
            assert not leaf.any(), name
            continue
        std = 1 / math.sqrt(np.prod(leaf.shape[:-1])) * (gain if "Block" in name else 1)
        if "basis" in name:
            std = 1 if "[0]" in name else 1 / 4
        if "embedding" in name:
            std = 1 / 10 if "[0]" in name else 1 / 10 / math.sqrt(64)
        assert float(jnp.std(leaf)) == pytest.approx(std, rel=5 / math.sqrt(2 * leaf.size)), name


def test_every_block_begins_as_the_identity():
    variables = jax.jit(Block(8).init)(KEY, X)
    np.testing.assert_array_equal(Block(8).apply(variables, X), X)


CONDITIONAL = [(Generator(width=8, num_classes=3), Z), (Discriminator(width=8, num_classes=3), X)]


@pytest.mark.parametrize(("module", "inputs"), CONDITIONAL, ids=["G", "D"])
def test_labels_change_their_own_example_only(module, inputs):
    variables = init(module, inputs, Y)
    apply = jax.jit(partial(module.apply, train=False))
    before, after = (apply(variables, inputs, y) for y in (Y, jnp.array([0, 2])))
    np.testing.assert_allclose(before[0], after[0], rtol=1e-5, atol=1e-6)
    assert float(jnp.max(jnp.abs(before[1] - after[1]))) > 1e-4 * float(jnp.max(jnp.abs(before)))


@pytest.mark.parametrize(("module", "inputs"), CONDITIONAL, ids=["G", "D"])
def test_conditional_networks_need_labels(module, inputs):
    with pytest.raises(InputError, match="needs labels"):
        jax.eval_shape(partial(module.init, train=True), KEY, inputs)


def test_features_are_sown():
    module = Discriminator(width=8)
    _, sown = jax.jit(partial(module.apply, train=True, mutable="intermediates"))(init(module, X), X)
    assert sown["intermediates"]["features"][0].shape == (2, 8)


@pytest.mark.parametrize("module", [Generator, Discriminator])
def test_bfloat16_computation_with_float32_parameters(module):
    inputs = Z if module is Generator else X
    full, half = module(width=8), module(width=8, dtype=jnp.bfloat16)
    variables = shaken(init(half, inputs))
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    run = {m: jax.jit(partial(m.apply, train=True)) for m in (full, half)}
    lowered = run[half].trace(variables, inputs).lower(lowering_platforms=("tpu",)).as_text()
    assert set(re.findall(r"stablehlo\.convolution.* -> tensor<(?:\d+x)*(\w+)>", lowered)) == {"bf16"}
    exact, rounded = (run[m](variables, inputs) for m in (full, half))
    assert exact.dtype == rounded.dtype == jnp.float32
    error = float(jnp.max(jnp.abs(exact - rounded)) / jnp.max(jnp.abs(exact)))
    assert 1e-5 < error < 0.1
