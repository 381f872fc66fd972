"""SNGAN's residual players: counts of the authors' networks, blocks in the paper's order, spectral norm, labels, types."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.errors import InputError
from gan_jax.models.resnet import AveragedConv, Discriminator, DownBlock, EnlargedConv, Generator, UpBlock
from tests.models.networks import KEY, count, init, shaken

Y = jnp.array([0, 1])
Z = jax.random.normal(KEY, (2, 10))
X = jax.random.normal(KEY, (2, 32, 32, 3))


def generate(**fields):
    """Shapes of the images, parameters and statistics of a generator with the paper's 128 latents."""
    y = Y if fields.get("num_classes") else None
    return jax.eval_shape(partial(Generator(**fields).init_with_output, train=True), KEY, jnp.zeros((2, 128)), y)


def discriminate(size, channels=3, **fields):
    y = Y if fields.get("num_classes") else None
    x = jnp.zeros((2, *size, channels))
    return jax.eval_shape(partial(Discriminator(**fields).init_with_output, train=True), KEY, x, y)


def up(i, o):
    return 2 * i + (9 * i * o + o) + 2 * o + (9 * o * o + o) + (i * o + o)


def down(i, o):
    return (9 * i * i + i) + (9 * i * o + o) + (i * o + o)


def first(o):
    return (27 * o + o) + (9 * o * o + o) + (3 * o + o)


# By hand from the layers of mimicry (github.com/kwotsin/mimicry, torch_mimicry/nets/sngan/sngan_{32,64,128}.py and
# modules/resblocks.py), which are those of github.com/pfnet-research/sngan_projection (gen_models/resnet{_32,_64,}.py and
# dis_models/snresnet{_32,_64,}.py), whose last layer of D at 32x32 alone has no bias. `up` is batch norm, 3x3, batch norm, 3x3
# and 1x1, `down` 3x3, 3x3 and 1x1. All convolutions have biases; G begins with 128 latents and ends in batch norm and 3x3.
COUNTS = {
    32: (
        129 * 4096 + 3 * up(256, 256) + 2 * 256 + 27 * 256 + 3,
        first(128) + down(128, 128) + 2 * 2 * (9 * 128 * 128 + 128) + 129,
    ),
    64: (
        129 * 16384 + up(1024, 512) + up(512, 256) + up(256, 128) + up(128, 64) + 2 * 64 + 27 * 64 + 3,
        first(64) + down(64, 128) + down(128, 256) + down(256, 512) + down(512, 1024) + 1025,
    ),
    128: (32_150_787, 29_017_857),  # 64x64, with up(1024, 1024) and with 2 * (9 * 1024 * 1024 + 1024) more
}


def test_counts_by_hand():
    assert COUNTS[32] == (4_276_739, 1_053_825)
    assert COUNTS[64] == (12_220_675, 10_141_441)
    assert COUNTS[128] == (COUNTS[64][0] + up(1024, 1024), COUNTS[64][1] + 2 * (9 * 1024 * 1024 + 1024))


@pytest.mark.parametrize("side", COUNTS)
def test_the_papers_networks(side):
    images, generator = generate(size=(side, side))
    logits, discriminator = discriminate((side, side))
    assert images.shape == (2, side, side, 3)
    assert logits.shape == (2,)
    assert (count(generator), count(discriminator)) == COUNTS[side]


# mimicry's cgan_pd_32.py: the six batch norms of the blocks have 2 * 256 numbers for each class instead of once, D has 128
# numbers a class more. A one-hot label is 10 latents more.
def test_classes():
    assert count(generate(num_classes=10)[1]) == 4_276_739 + 9 * 6 * 512 == 4_304_387
    assert count(generate(num_classes=10, label="concat")[1]) == 4_276_739 + 10 * 4096
    assert count(discriminate((32, 32), num_classes=10)[1]) == 1_053_825 + 1280 == 1_055_105


def test_width_and_channels():
    images, generator = generate(size=(64, 64), width=4, channels=1)
    assert images.shape == (2, 64, 64, 1)
    assert count(generator) == 129 * 1024 + up(64, 32) + up(32, 16) + up(16, 8) + up(8, 4) + 2 * 4 + 9 * 4 + 1
    discriminator = discriminate((32, 32), channels=1, width=8)[1]
    assert count(discriminator) == first(8) - 2 * 10 * 8 + down(8, 8) + 2 * 2 * (9 * 64 + 8) + 9


@pytest.mark.parametrize(("size", "nearest"), [((16, 16), 32), ((48, 48), 32), ((256, 256), 128), ((64, 96), 64)], ids=str)
def test_bad_sizes(size, nearest):
    wrong = rf"{size[0]}x{size[1]} .* 32x32, 64x64 and 128x128; the nearest is {nearest}x{nearest}"
    with pytest.raises(InputError, match=wrong):
        generate(size=size)
    with pytest.raises(InputError, match=wrong):
        discriminate(size)


def enlarge(x):
    return np.repeat(np.repeat(x, 2, axis=1), 2, axis=2)


def average(x):
    b, h, w, c = x.shape
    return np.asarray(x).reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))


def plain_conv(x, layer):
    """A convolution of stride 1 with zeros around the image, shift by shift."""
    kernel = np.asarray(layer["kernel"])
    size, (_, h, w, _) = len(kernel), x.shape
    padded = np.pad(x, ((0, 0), (size // 2, size // 2), (size // 2, size // 2), (0, 0)))
    taps = [padded[:, i : i + h, j : j + w] @ kernel[i, j] for i in range(size) for j in range(size)]
    return sum(taps) + np.asarray(layer["bias"])


@pytest.mark.parametrize("channels", [5, 16])
def test_folded_convolutions(channels):
    x = np.random.default_rng(1).normal(size=(2, 8, 4, channels)).astype(np.float32)
    enlarged, averaged = EnlargedConv(16), AveragedConv(16)
    variables = shaken(jax.jit(enlarged.init)(KEY, jnp.asarray(x)))
    expected = plain_conv(enlarge(x), variables["params"])
    np.testing.assert_allclose(enlarged.apply(variables, jnp.asarray(x)), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        averaged.apply(variables, jnp.asarray(x)), average(plain_conv(x, variables["params"])), rtol=1e-4, atol=1e-4
    )


def relu(x):
    return np.maximum(x, 0)


def normalise(x, layer):
    centred = x - np.mean(x, (0, 1, 2))
    return centred / np.sqrt(np.mean(centred**2, (0, 1, 2)) + 1e-5) * np.asarray(layer["scale"]) + np.asarray(layer["bias"])


def test_up_block_in_the_papers_order():
    x = np.random.default_rng(1).normal(size=(2, 4, 4, 6)).astype(np.float32)
    variables = shaken(init(UpBlock(5), x))
    p = variables["params"]
    h = plain_conv(enlarge(relu(normalise(x, p["BatchNorm_0"]))), p["EnlargedConv_0"])
    h = plain_conv(relu(normalise(h, p["BatchNorm_1"])), p["Conv_1"])
    expected = h + plain_conv(enlarge(x), p["Conv_0"])
    actual, _ = UpBlock(5).apply(variables, jnp.asarray(x), train=True, mutable="batch_stats")
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(("halve", "features"), [(True, 6), (True, 5), (False, 6)])
def test_down_block_in_the_papers_order(is_first, halve, features):
    block = DownBlock(features, first=is_first, halve=halve, spectral_norm=False)
    x = np.random.default_rng(1).normal(size=(2, 4, 4, 6)).astype(np.float32)
    variables = shaken(init(block, x))
    p = variables["params"]
    h = relu(plain_conv(x if is_first else relu(x), p["Conv_0"]))
    if halve:
        expected = average(plain_conv(h, p["AveragedConv_0"])) + average(plain_conv(x, p["Conv_1"]))
    else:
        expected = plain_conv(h, p["Conv_1"]) + x
    np.testing.assert_allclose(block.apply(variables, jnp.asarray(x), train=True), expected, rtol=1e-4, atol=1e-4)


def test_sum_over_all_pixels():
    discriminator = Discriminator(width=4, spectral_norm=False)
    variables = init(discriminator, X)
    empty = jax.tree.map(jnp.zeros_like, variables["params"]) | {"Dense_0": {"kernel": jnp.ones((4, 1)), "bias": jnp.zeros(1)}}
    empty["DownBlock_1"]["Conv_1"]["bias"] = jnp.full(4, 0.5)  # then 8x8 pixels of 4 channels hold 0.5
    np.testing.assert_allclose(jax.jit(partial(discriminator.apply, train=True))({"params": empty}, X), [128, 128], rtol=1e-6)


def test_generator_ends_in_tanh():
    generator = Generator(width=4)
    variables = init(generator, Z)
    variables["params"]["Conv_0"]["kernel"] *= 1e4
    images, _ = jax.jit(partial(generator.apply, train=True, mutable="batch_stats"))(variables, Z)
    assert float(jnp.max(images)) == pytest.approx(1, abs=1e-3)
    assert float(jnp.min(images)) == pytest.approx(-1, abs=1e-3)


def test_first_weights_are_those_of_the_authors():
    """Glorot's limit sqrt(6 / (fan in + fan out)), times sqrt(2) for the 3x3 kernels in blocks; gains of batch norm 1."""
    params = init(Generator(width=16), Z)["params"], init(Discriminator(width=16, spectral_norm=False), X)["params"]
    leaves = jax.tree_util.tree_leaves_with_path(params)
    for path, leaf in leaves:
        name = jax.tree_util.keystr(path)
        if "kernel" not in name:
            assert set(np.unique(leaf)) == {float("scale" in name)}
            continue
        taps = leaf.size // (leaf.shape[-1] * leaf.shape[-2])
        limit = np.sqrt(6 / (taps * (leaf.shape[-1] + leaf.shape[-2])))
        limit *= np.sqrt(2) if taps == 9 and "Block" in name else 1
        largest = float(jnp.max(jnp.abs(leaf)))
        assert largest <= limit, name
        assert largest > 0.9 * limit or leaf.size < 100, name


CONDITIONAL = [
    (Generator(width=4, num_classes=3), Z),
    (Generator(width=4, num_classes=3, label="concat"), Z),
    (Discriminator(width=4, num_classes=3), X),
]


@pytest.mark.parametrize(("module", "inputs"), CONDITIONAL, ids=["G batch_norm", "G concat", "D"])
def test_labels_change_their_own_example_only(module, inputs):
    variables = init(module, inputs, Y)
    apply = jax.jit(partial(module.apply, train=False))
    before, after = (apply(variables, inputs, y) for y in (Y, jnp.array([0, 2])))
    np.testing.assert_allclose(before[0], after[0], rtol=1e-5, atol=1e-6)
    assert float(jnp.max(jnp.abs(before[1] - after[1]))) > 1e-4 * float(jnp.max(jnp.abs(before)))


@pytest.mark.parametrize(("module", "inputs"), CONDITIONAL, ids=["G batch_norm", "G concat", "D"])
def test_conditional_networks_need_labels(module, inputs):
    with pytest.raises(InputError, match="needs labels"):
        jax.eval_shape(partial(module.init, train=True), KEY, inputs)


def test_spectral_norm_divides_every_kernel_by_its_largest_singular_value():
    discriminator = Discriminator(width=4, num_classes=3)
    variables = init(discriminator, X, Y)
    update = jax.jit(partial(discriminator.apply, train=True, mutable="batch_stats"))
    for _ in range(100):
        logits, stats = update(variables, X, Y)
        variables = variables | stats
    leaves = jax.tree_util.tree_leaves_with_path(variables["batch_stats"])
    sigmas = [float(leaf) for path, leaf in leaves if "sigma" in jax.tree_util.keystr(path)]
    kernels = [np.asarray(leaf) for leaf in jax.tree.leaves(variables["params"]) if leaf.ndim > 1]
    largest = [np.linalg.svd(k.reshape(-1, k.shape[-1]), compute_uv=False)[0] for k in kernels]
    assert len(sigmas) == 3 + 3 + 2 + 2 + 2
    np.testing.assert_allclose(sorted(sigmas), sorted(largest), rtol=1e-2)
    larger = variables | {"params": jax.tree.map(lambda p: 10 * p, variables["params"])}  # biases are 0
    np.testing.assert_allclose(update(larger, X, Y)[0], logits, rtol=1e-3)


def test_spectral_norm_moves_in_training_only_and_can_be_left_out():
    discriminator = Discriminator(width=4)
    variables = init(discriminator, X)
    for train in (True, False):
        _, stats = jax.jit(partial(discriminator.apply, train=train, mutable="batch_stats"))(variables, X)
        moved = jax.tree.map(lambda a, b: bool((a != b).any()), stats.get("batch_stats", {}), variables["batch_stats"])
        assert any(jax.tree.leaves(moved)) == train
    assert set(discriminate((32, 32), spectral_norm=False)[1]) == {"params"}


@pytest.mark.parametrize("module", [Generator, Discriminator])
def test_bfloat16_computation_with_float32_parameters(module):
    fields = {"width": 4} | ({"spectral_norm": False} if module is Discriminator else {})
    inputs = Z if module is Generator else X
    full, half = module(**fields), module(dtype=jnp.bfloat16, **fields)
    variables = init(half, inputs)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    run = {m: jax.jit(partial(m.apply, train=True, mutable="batch_stats")) for m in (full, half)}
    lowered = run[half].trace(variables, inputs).lower(lowering_platforms=("tpu",)).as_text()
    assert set(re.findall(r"stablehlo\.(?:convolution|dot_general).* -> tensor<(?:\d+x)*(\w+)>", lowered)) == {"bf16"}
    exact, rounded = (run[m](variables, inputs)[0] for m in (full, half))
    assert exact.dtype == rounded.dtype == jnp.float32
    error = float(jnp.max(jnp.abs(exact - rounded)) / jnp.max(jnp.abs(exact)))
    assert 1e-5 < error < 0.1
