"""DCGAN's players: shapes and parameter counts of the paper's networks, labels, normalisation, types."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import core, latents, losses, parallel
from gan_jax.core import Players
from gan_jax.errors import InputError
from gan_jax.models.dcgan import Discriminator, Generator, stages, widths
from gan_jax.objectives import image_gan
from tests.models.networks import KEY, count, init

Y = jnp.array([0, 1])
SMALL = {"width": 8, "kernel_size": 4}


def generate(z=100, **fields):
    """Shapes of the images, parameters and statistics of a generator."""
    y = Y if fields.get("num_classes") else None
    return jax.eval_shape(partial(Generator(**fields).init_with_output, train=True), KEY, jnp.zeros((2, z)), y)


def discriminate(size=(64, 64), channels=3, **fields):
    y = Y if fields.get("num_classes") else None
    x = jnp.zeros((2, *size, channels))
    return jax.eval_shape(partial(Discriminator(**fields).init_with_output, train=True), KEY, x, y)


# Layers of the paper at 64x64 (Radford et al. 2015, figure 1; code with 5x5 kernels): 100 -> 4x4x1024 -> 512 -> 256 -> 128
# -> 3 and back. No biases before batch norm, whose gain and bias are 2 numbers a channel.
#   G: 100*16384 + 2*1024 + 25*1024*512 + 2*512 + 25*512*256 + 2*256 + 25*256*128 + 2*128 + 25*128*3 + 3
#    = 1638400 + 2048 + 13107200 + 1024 + 3276800 + 512 + 819200 + 256 + 9600 + 3 = 18855043
#   D: 25*3*128 + 128 + 25*128*256 + 2*256 + 25*256*512 + 2*512 + 25*512*1024 + 2*1024 + 16384 + 1
#    = 9600 + 128 + 819200 + 512 + 3276800 + 1024 + 13107200 + 2048 + 16384 + 1 = 17232897
def test_the_papers_networks():
    images, variables = generate()
    assert images.shape == (2, 64, 64, 3)
    assert count(variables) == 18_855_043
    logits, variables = discriminate()
    assert logits.shape == (2,)
    assert count(variables) == 17_232_897


@pytest.mark.parametrize("size", [(16, 16), (32, 32), (128, 128), (256, 256), (64, 96), (96, 64), (32, 64), (16, 20)], ids=str)
@pytest.mark.parametrize("upsample", ["transpose", "resize"])
def test_sizes(size, upsample):
    assert generate(size=size, upsample=upsample, width=4)[0].shape == (2, *size, 3)
    assert discriminate(size=size, width=4)[0].shape == (2,)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels(channels):
    images, variables = generate(channels=channels)
    assert images.shape == (2, 64, 64, channels)
    assert count(variables) == 18_855_043 + (channels - 3) * (25 * 128 + 1)
    assert count(discriminate(channels=channels)[1]) == 17_232_897 + (channels - 3) * 25 * 128


def test_stages_and_widths():
    assert stages(64, 96) == (4, (4, 6))
    assert stages(256, 256) == (6, (4, 4))
    assert widths(128, 4) == (128, 256, 512, 1024)
    assert widths(64, 6) == (64, 128, 256, 512, 512, 512)


@pytest.mark.parametrize(
    ("size", "nearest"),
    [((28, 28), 32), ((48, 48), 32), ((8, 8), 16), ((512, 512), 256), ((64, 72), 64), ((0, 0), 16), ((100, 64), 64)],
    ids=str,
)
def test_bad_sizes(size, nearest):
    with pytest.raises(InputError, match=f"{size[0]}x{size[1]} .* nearest square size is {nearest}x{nearest}"):
        generate(size=size)
    if min(size):
        with pytest.raises(InputError, match=f"nearest square size is {nearest}x{nearest}"):
            discriminate(size=size)


def test_no_batch_norm_on_the_image_layers():
    """Of D's first and G's last layer the paper says so; they have biases instead."""
    generator, discriminator = generate()[1], discriminate()[1]
    assert [leaf["mean"].shape for leaf in generator["batch_stats"].values()] == [(1024,), (512,), (256,), (128,)]
    assert [leaf["mean"].shape for leaf in discriminator["batch_stats"].values()] == [(256,), (512,), (1024,)]
    biased = [
        [name for name, leaf in v["params"].items() if "kernel" in leaf and "bias" in leaf] for v in (generator, discriminator)
    ]
    assert biased == [["ConvTranspose_3"], ["Conv_0", "Dense_0"]]


def test_norm_none_has_neither_statistics_nor_missing_biases():
    for _, variables in (generate(norm="none"), discriminate(norm="none")):
        assert set(variables) == {"params"}
        assert all(set(layer) == {"kernel", "bias"} for layer in variables["params"].values())


def test_first_weights_are_those_of_the_paper():
    z, x = jnp.zeros((2, 100)), jnp.zeros((2, 16, 16, 3))
    players = [init(Generator(size=(16, 16), width=32), z), init(Discriminator(width=32), x)]
    for name, leaf in [item for v in players for layer in v["params"].values() for item in layer.items()]:
        mean, std = {"kernel": (0, 0.02), "scale": (1, 0.02), "bias": (0, 0)}[name]
        margin = 5 * std / np.sqrt(leaf.size)
        assert abs(float(jnp.mean(leaf)) - mean) <= margin
        assert abs(float(jnp.std(leaf)) - std) <= margin


def test_generator_ends_in_tanh():
    generator = Generator(size=(16, 16), norm="none", **SMALL)
    z = 1e4 * jax.random.normal(KEY, (4, 10))
    images = generator.apply(init(generator, z), z, train=False)
    assert float(jnp.max(images)) == pytest.approx(1, abs=1e-3)
    assert float(jnp.min(images)) == pytest.approx(-1, abs=1e-3)


def test_training_uses_and_moves_batch_statistics():
    x = 3 + jax.random.normal(KEY, (4, 16, 16, 3))
    discriminator = Discriminator(**SMALL)
    variables = init(discriminator, x)
    logits, moved = discriminator.apply(variables, x, train=True, mutable="batch_stats")
    still, unmoved = discriminator.apply(variables, x, train=False, mutable="batch_stats")
    assert not np.allclose(logits, still)
    assert any(jax.tree.leaves(jax.tree.map(lambda a, b: (a != b).any(), moved["batch_stats"], variables["batch_stats"])))
    assert not unmoved or not any(
        jax.tree.leaves(jax.tree.map(lambda a, b: (a != b).any(), unmoved["batch_stats"], variables["batch_stats"]))
    )


CONDITIONAL = [
    (Generator(size=(16, 16), num_classes=3, label="concat", **SMALL), jax.random.normal(KEY, (2, 10))),
    (Generator(size=(16, 16), num_classes=3, label="batch_norm", **SMALL), jax.random.normal(KEY, (2, 10))),
    (Discriminator(num_classes=3, label="concat", **SMALL), jax.random.normal(KEY, (2, 16, 16, 3))),
    (Discriminator(num_classes=3, label="projection", **SMALL), jax.random.normal(KEY, (2, 16, 16, 3))),
]


@pytest.mark.parametrize(("module", "inputs"), CONDITIONAL, ids=lambda v: getattr(v, "label", ""))
def test_labels_change_their_own_example_only(module, inputs):
    variables = init(module, inputs, Y)
    before, after = (module.apply(variables, inputs, y, train=False) for y in (Y, jnp.array([0, 2])))
    np.testing.assert_allclose(before[0], after[0], rtol=1e-5, atol=1e-7)
    assert float(jnp.max(jnp.abs(before[1] - after[1]))) > 1e-4 * float(jnp.max(jnp.abs(before)))


@pytest.mark.parametrize(("module", "inputs"), CONDITIONAL, ids=lambda v: getattr(v, "label", ""))
def test_conditional_networks_need_labels(module, inputs):
    with pytest.raises(InputError, match="needs labels"):
        jax.eval_shape(partial(module.init, train=True), KEY, inputs)


@pytest.mark.parametrize(
    "module",
    [
        Generator(size=(16, 16), spectral_norm=True, norm="none", **SMALL),
        Discriminator(spectral_norm=True, norm="none", **SMALL),
    ],
    ids=["G", "D"],
)
def test_spectral_norm_divides_kernels_by_their_largest_singular_value(module):
    inputs = jax.random.normal(KEY, (2, 10) if isinstance(module, Generator) else (2, 16, 16, 3))
    variables = init(module, inputs)
    update = jax.jit(partial(module.apply, train=True, mutable="batch_stats"))

    def converge(variables):
        for _ in range(60):
            outputs, stats = update(variables, inputs)
            variables = variables | stats
        return outputs, variables

    outputs, variables = converge(variables)
    sigmas = [v for leaf in variables["batch_stats"].values() for name, v in leaf.items() if name.endswith("sigma")]
    kernels = [np.asarray(layer["kernel"]) for layer in variables["params"].values()]
    largest = [np.linalg.svd(k.reshape(-1, k.shape[-1]), compute_uv=False)[0] for k in kernels]
    np.testing.assert_allclose(sorted(sigmas), sorted(largest), rtol=1e-2)
    larger = variables | {"params": jax.tree.map(lambda p: 10 * p, variables["params"])}  # biases are 0
    np.testing.assert_allclose(converge(larger)[0], outputs, rtol=1e-2)


@pytest.mark.parametrize("module", [Generator, Discriminator])
def test_bfloat16_computation_with_float32_parameters(module):
    fields = SMALL | ({"size": (16, 16)} if module is Generator else {})
    inputs = jax.random.normal(KEY, (4, 10) if module is Generator else (4, 16, 16, 3))
    full, half = module(**fields), module(dtype=jnp.bfloat16, **fields)
    variables = init(half, inputs)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    traced = jax.jit(partial(half.apply, train=True, mutable="batch_stats")).trace(variables, inputs)
    for platform, dtypes in (("tpu", {"bf16"}), ("cpu", {"bf16", "f32"})):  # a CPU's convolutions are rounded at their end
        lowered = traced.lower(lowering_platforms=(platform,)).as_text()
        results = re.findall(r"stablehlo\.(?:convolution|dot_general).* -> tensor<(?:\d+x)*(\w+)>", lowered)
        assert len(results) >= 3
        assert set(results) == dtypes
    exact, rounded = (m.apply(variables, inputs, train=True, mutable="batch_stats")[0] for m in (full, half))
    assert exact.dtype == rounded.dtype == jnp.float32
    error = float(jnp.max(jnp.abs(exact - rounded)) / jnp.max(jnp.abs(exact)))
    assert 1e-5 < error < 0.05


VIRTUAL = Generator(size=(16, 16), channels=1, width=4, norm="virtual", num_classes=3, reference=6)


def test_virtual_batch_norm_keeps_its_reference_batch_with_the_statistics():
    """Samples do not depend on their batch or on the mode, but on the reference, whose labels are drawn."""
    z, y = jax.random.normal(KEY, (6, 5)), jnp.array([0, 1, 2, 0, 1, 2])
    variables = init(VIRTUAL, z, jnp.zeros(6, jnp.int32))
    reference = variables["reference"]["z"]
    np.testing.assert_array_equal(reference[:, :5], z)
    assert len(np.unique(np.asarray(reference[:, 5:]).argmax(axis=1))) > 1
    apply = jax.jit(VIRTUAL.apply, static_argnames="train")
    images = apply(variables, z, y, train=True)
    np.testing.assert_allclose(apply(variables, z[:2], y[:2], train=False), images[:2], atol=1e-5)
    others = {**variables, "reference": {"z": -reference}}
    assert np.abs(np.asarray(apply(others, z, y, train=True) - images)).max() > 0.01
    with pytest.raises(InputError, match='needs norm="batch"'):
        generate(norm="virtual", num_classes=2, label="batch_norm")


def test_a_game_gives_virtual_batch_norm_as_many_latents_as_it_asks_for():
    """However small the batch is that the state is made of; the reference stays as it is, on several devices too."""
    objective = image_gan(VIRTUAL, Discriminator(width=4, norm="none"), losses.non_saturating, latents.Normal(5))
    tx = Players(gen=optax.sgd(0.1), disc=optax.sgd(0.1))
    one = {"image": np.zeros((1, 16, 16, 1), np.uint8), "label": np.zeros(1, np.int32)}
    state = core.init_state(objective, tx, KEY, one)
    reference = state.gen.stats["reference"]["z"]
    assert reference.shape == (6, 8)
    assert len(np.unique(reference[:, 0])) == 6
    batch = {"image": np.arange(4 * 256).reshape(4, 16, 16, 1) % 251 / 125 - 1, "label": np.array([0, 1, 2, 0], np.int32)}
    step = core.make_step(objective, tx)
    alone, _ = jax.jit(step)(state, batch)
    mesh = parallel.batch_mesh(jax.devices()[:2])
    shared, _ = parallel.sharded_step(step, mesh)(parallel.replicate(state, mesh), batch)
    np.testing.assert_array_equal(alone.gen.stats["reference"]["z"], reference)
    for a, b in zip(jax.tree.leaves((alone.gen, alone.disc)), jax.tree.leaves((shared.gen, shared.disc)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
