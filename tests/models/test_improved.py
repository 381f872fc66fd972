"""Improved GAN's released networks: shapes and counts by hand, weight norm and its first minibatch, noise, dropout, labels."""

from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.errors import InputError
from gan_jax.models.improved import Discriminator, Generator, WeightNorm

KEY = jax.random.key(0)
Z = jax.random.normal(KEY, (4, 10))


def shapes(module, *inputs):
    return jax.eval_shape(partial(module.init_with_output, train=True), KEY, *inputs)


def count(variables):
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


# By hand from the authors' programs. CIFAR-10: a dense layer and two 5x5 without bias, batch norm with a bias and no gain, the
# last layer with a gain and a bias for each colour.
SMALL = 100 * 8192 + 512 + 25 * 512 * 256 + 256 + 25 * 256 * 128 + 128 + 25 * 128 * 3 + 6


def conv(i, o, size=3):
    return size * size * i * o + o


# Its discriminator: kernels and biases of nine layers, T, its scales and biases of 100 kernels x 5, and ten logits with a gain.
DISC = conv(3, 96) + 2 * conv(96, 96) + conv(96, 192) + 3 * conv(192, 192) + 2 * conv(192, 192, 1)
DISC += 192 * 500 + 500 + 100 + 292 * 10 + 20

# ImageNet: virtual batch norm has a gain and a bias. 64, 64, 32, 16, 8 and 8 maps of noise stand beside the features.
LARGE = 8192 * 8192 + 2 * 512 + 25 * (512 + 64) * 256 + 2 * 256 + 25 * (256 + 64) * 128 + 2 * 128
LARGE += 25 * (128 + 32) * 64 + 25 * (64 + 16) * 64 + 25 * (64 + 8) * 64 + 3 * 2 * 64 + 25 * (64 + 8) * 3 + 3
NOISE = 16 * 64 + 64 * 64 + 256 * 32 + 1024 * 16 + 4096 * 8 + 16384 * 8


def kernels(*channels):
    return sum(9 * a * b + 2 * b for a, b in pairwise(channels))


# Its discriminator: batch norm of 2 a channel, 4x4x512 to 2560, T of 300 x 50, 1,001 logits of 2560 + 600 features.
DISC_LARGE = kernels(3, 64, 128, 256, 256, 256, 512, 512) + 8192 * 2560 + 2 * 2560 + 2560 * 15000 + 3160 * 1001 + 1001


def test_networks_for_cifar():
    images, variables = shapes(Generator(), jnp.zeros((2, 100)))
    assert (images.shape, count(variables)) == ((2, 32, 32, 3), SMALL)
    module = Discriminator(10, minibatch="discrimination_scaled")
    logits, variables = shapes(module, jnp.zeros((2, 32, 32, 3)), KEY)
    assert (logits.shape, count(variables)) == ((2, 10), DISC)


def test_networks_for_imagenet():
    generator = Generator((128, 128), norm="virtual", weight_norm=False)
    assert generator.noise_dim == NOISE
    images, variables = shapes(generator, jnp.zeros((2, 8192 + NOISE)))
    assert (images.shape, count(variables)) == ((2, 128, 128, 3), LARGE)
    module = Discriminator(1001, dropout=0.0, minibatch="discrimination_groups")
    logits, variables = shapes(module, jnp.zeros((4, 128, 128, 3)))
    assert (logits.shape, count(variables)) == ((4, 1001), DISC_LARGE)


def test_latents_that_hold_no_code_are_refused():
    with pytest.raises(InputError, match=f"latents of 100 numbers hold no code beside {NOISE} of noise"):
        shapes(Generator((128, 128)), jnp.zeros((2, 100)))


@pytest.mark.parametrize(("size", "nearest"), [((64, 64), 32), ((96, 96), 128), ((32, 64), 32)])
def test_bad_sizes(size, nearest):
    wrong = f"{size[0]}x{size[1]} is not one of Improved GAN's .* nearest is {nearest}x{nearest}"
    with pytest.raises(InputError, match=wrong):
        shapes(Generator(size), jnp.zeros((2, 100)))
    with pytest.raises(InputError, match=wrong):
        shapes(Discriminator(), jnp.zeros((2, *size, 3)), KEY)


def test_every_map_of_noise_changes_the_picture():
    generator = Generator((128, 128), width=8, norm="none", weight_norm=False)
    z = jax.random.uniform(KEY, (1, 5 + generator.noise_dim), minval=-1)
    variables = jax.jit(partial(generator.init, train=True))(KEY, z)
    slope = jax.jit(jax.grad(lambda z: jnp.sum(generator.apply(variables, z, train=False) ** 2)))(z)[0]
    parts = np.split(np.asarray(slope), 5 + np.cumsum([16 * 8, 64 * 8, 256 * 4, 1024 * 2, 4096]))
    assert all(np.abs(part).max() > 0 for part in parts)


LAYERS = [
    {},
    {"kernel_size": 3, "stride": 2},
    {"kernel_size": 5, "stride": 2, "transpose": True},
    {"kernel_size": 3, "border": 1},
]


@pytest.mark.parametrize("layer", LAYERS)
def test_the_first_minibatch_sets_mean_and_deviation(layer):
    module = WeightNorm(6, first_std=0.3, **layer)
    x = 5 + jax.random.normal(KEY, (8, 4, 4, 3))
    variables = module.init(KEY, x)
    first, kept = module.apply(variables, x, mutable=["weight_norm"])
    np.testing.assert_allclose(jnp.mean(first, (0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(jnp.std(first, (0, 1, 2)), 0.3, rtol=1e-3)
    second, again = module.apply({**variables, **kept}, 2 * x, mutable=["weight_norm"])
    jax.tree.map(np.testing.assert_array_equal, again, kept)  # later ones change nothing
    np.testing.assert_allclose(module.apply({**variables, **kept}, 2 * x), second)
    assert float(jnp.std(second)) > 0.35


def test_the_length_of_a_kernel_does_not_matter():
    module = WeightNorm(4, 3)
    x = jax.random.normal(KEY, (2, 4, 4, 3))
    variables = module.init(KEY, x)
    longer = {**variables, "params": {**variables["params"], "kernel": 7 * variables["params"]["kernel"]}}
    np.testing.assert_allclose(module.apply(longer, x), module.apply(variables, x), rtol=1e-4, atol=1e-5)
    kernel = np.asarray(variables["params"]["kernel"], np.float64)
    unit = jnp.asarray(kernel / np.sqrt((kernel**2).sum((0, 1, 2))), jnp.float32)
    expected = jax.lax.conv_general_dilated(x, unit, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    np.testing.assert_allclose(module.apply(variables, x), expected, rtol=1e-4, atol=1e-4)


def test_gain_and_bias_are_learned_on_top():
    module = WeightNorm(2, train_gain=True)
    x = jax.random.normal(KEY, (50, 3))
    variables = module.init(KEY, x)
    _, kept = module.apply(variables, x, mutable=["weight_norm"])
    params = {**variables["params"], "gain": jnp.full(2, 2.0), "bias": jnp.full(2, 0.5)}
    y = module.apply({"params": params, **kept}, x)
    np.testing.assert_allclose(jnp.mean(y, 0), 0.5, atol=1e-4)
    np.testing.assert_allclose(jnp.std(y, 0), 2, rtol=1e-3)


def test_dropout_needs_a_key_and_leaves_evaluation_alone():
    module = Discriminator(width=4, weight_norm=False)
    x = jax.random.normal(KEY, (2, 32, 32, 3))
    variables = jax.jit(partial(module.init, train=True))(KEY, x, KEY)
    run = jax.jit(module.apply, static_argnames="train")
    a, b, c = (run(variables, x, jax.random.key(i), train=True) for i in (1, 2, 1))
    assert float(jnp.max(jnp.abs(a - b))) > 1e-6
    np.testing.assert_array_equal(a, c)
    np.testing.assert_array_equal(run(variables, x, KEY, train=False), run(variables, x, None, train=False))


@pytest.mark.parametrize("norm", ["batch", "virtual", "none"])
def test_norms_of_the_generator(norm):
    """By virtual batch norm a picture does not depend on those beside it; by batch norm it does."""
    module = Generator(width=4, norm=norm, weight_norm=False, reference=4)
    assert module.init_rows == (4 if norm == "virtual" else 0)
    variables = jax.jit(partial(module.init, train=True))(KEY, Z)
    run = jax.jit(partial(module.apply, train=True, mutable=["batch_stats"]))
    together, alone = run(variables, Z)[0][:2], run(variables, Z[:2])[0]
    assert (float(jnp.max(jnp.abs(together - alone))) > 1e-4) == (norm == "batch")


def test_pictures_of_imagenet_are_dark_at_first_as_in_the_program():
    generator = Generator((128, 128), width=8, norm="none", weight_norm=False)
    params = jax.jit(partial(generator.init, train=True))(jax.random.key(0), jnp.zeros((2, 10 + generator.noise_dim)))["params"]
    last = max((name for name in params if name.startswith("ConvTranspose")), key=lambda name: int(name.rpartition("_")[2]))
    np.testing.assert_allclose(params[last]["bias"], -0.45)
    assert float(jnp.std(params[last]["kernel"])) == pytest.approx(0.075, rel=0.05)
