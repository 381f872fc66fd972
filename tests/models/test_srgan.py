"""SRResNet and SRGAN's discriminator: shapes, parameter counts by hand, enlargement without checkerboards, reach."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.errors import InputError
from gan_jax.images.imresize import imresize
from gan_jax.models.srgan import Discriminator, Generator, PatchDiscriminator, icnr, pixel_shuffle

KEY = jax.random.key(0)


def shapes(module, *size):
    return jax.eval_shape(partial(module.init_with_output, train=True), KEY, jnp.zeros((2, *size)))


def count(variables):
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


# Layers of the paper (figure 4), a slope of PReLU for each channel, no biases before batch norm, whose gain and bias are 2 a
# channel:
#   k9: 81*3*64 + 64, PReLU 64                                       = 15680
#   16 blocks: 2*(9*64*64 + 2*64) + 64 = 74048 each                   = 1184768
#   k3: 9*64*64 + 2*64                                                = 36992
#   two enlargements: 9*64*256 + 256 + 64 = 147776 each               = 295552
#   k9: 81*64*3 + 3                                                   = 15555
TRUNK, ENLARGEMENT = 15680 + 1184768 + 36992 + 15555, 147776
# Discriminator at 96x96: 9*3*64 + 64, then convolutions without bias and batch norm of 2 a channel, 64-64, 64-128, 128-128,
# 128-256, 256-256, 256-512, 512-512, then 6*6*512*1024 + 1024 and 1024 + 1.
DISCRIMINATOR = 1792 + sum(
    9 * a * b + 2 * b for a, b in [(64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512)]
)
HEAD = 6 * 6 * 512 * 1024 + 1024 + 1025


def test_patches_of_70_pixels_are_judged():
    """2.765 million parameters, as the authors' program prints; a logit knows 70x70 pixels, of its own picture."""
    model, key = PatchDiscriminator(), jax.random.key(0)
    params = jax.eval_shape(partial(model.init, train=True), key, jnp.zeros((1, 16, 16, 3)))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 2_764_737
    small = PatchDiscriminator(width=4)
    x = jax.random.normal(key, (2, 160, 160, 3))
    params = small.init(key, x, train=True)
    slope = jax.grad(lambda x: small.apply(params, x, train=True).reshape(2, 20, 20)[1, 10, 10])(x)
    seen = np.abs(slope).sum(axis=-1) > 0
    assert not seen[0].any()
    assert seen[1].any(axis=1).sum() == 70
    assert seen[1].any(axis=0).sum() == 70


@pytest.mark.parametrize(("factor", "enlargements"), [(2, 1), (4, 2), (8, 3)])
def test_the_papers_generator(factor, enlargements):
    images, variables = shapes(Generator(factor), 12, 10, 3)
    assert images.shape == (2, 12 * factor, 10 * factor, 3)
    assert count(variables) == TRUNK + enlargements * ENLARGEMENT


def test_the_papers_discriminator():
    logits, variables = shapes(Discriminator(), 96, 96, 3)
    assert logits.shape == (2,)
    assert count(variables) == DISCRIMINATOR + HEAD == 23_563_649


# Without batch norm: a bias in the place of gain and bias, no PReLU in blocks. RRDB: three dense blocks of convolutions from
# 64 + 32 i channels to 32, and from 192 to 64.
DENSE = sum(9 * (64 + 32 * i) * 32 + 32 for i in range(4)) + 9 * 192 * 64 + 64


@pytest.mark.parametrize(("trunk", "block"), [("plain", 2 * (9 * 64 * 64 + 64)), ("rrdb", 3 * DENSE)])
def test_generators_without_batch_norm(trunk, block):
    images, variables = shapes(Generator(3, 1, blocks=2, trunk=trunk), 7, 5, 1)
    assert images.shape == (2, 21, 15, 1)
    assert variables.keys() == {"params"}
    others = 81 * 64 + 2 * 64 + (9 * 64 * 64 + 64) + (9 * 64 * 576 + 576 + 64) + 81 * 64 + 1
    assert count(variables) == others + 2 * block


def test_resizing_has_fewer_weights():
    _, shuffled = shapes(Generator(4, trunk="plain"), 8, 8, 3)
    images, resized = shapes(Generator(4, trunk="plain", upsample="resize"), 8, 8, 3)
    assert images.shape == (2, 32, 32, 3)
    assert count(shuffled) - count(resized) == 2 * 3 * (9 * 64 * 64 + 64)


@pytest.mark.parametrize("trunk", ["batch", "plain", "rrdb"])
def test_bfloat16_gives_float32_pictures_of_float32_parameters(trunk):
    generator = Generator(2, width=4, blocks=1, trunk=trunk, growth=2, dtype=jnp.bfloat16)
    x = jax.random.uniform(KEY, (1, 8, 8, 3), minval=-1)
    images, variables = jax.jit(partial(generator.init_with_output, train=True))(KEY, x)
    assert images.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    exact = generator.clone(dtype=jnp.float32).apply(variables, x, train=False)
    assert 0 < np.abs(generator.apply(variables, x, train=False) - exact).max() < 0.1


def test_pixel_shuffle():
    """Channel (row, column) of a pixel is its cell's pixel (row, column)."""
    x = jnp.arange(2 * 3 * 4, dtype=jnp.float32).reshape(1, 2, 3, 4)
    out = pixel_shuffle(x, 2)
    assert out.shape == (1, 4, 6, 1)
    np.testing.assert_array_equal(out[0, :2, :2, 0], [[0, 1], [2, 3]])
    np.testing.assert_array_equal(out[0, 2:, 4:, 0], x[0, 1, 2].reshape(2, 2))


@pytest.mark.parametrize(("upsample", "values"), [("resize", 1), ("shuffle", 16)])
def test_resizing_leaves_no_pattern_of_the_grid(upsample, values):
    """An even picture stays even, where each of a pixel's 4x4 has weights of its own otherwise."""
    generator = Generator(4, 1, width=8, blocks=1, trunk="plain", upsample=upsample)
    x = jnp.full((1, 40, 40, 1), 0.3)
    middle = generator.apply(generator.init(KEY, x, train=True), x, train=False)[0, 72:88, 72:88, 0]
    assert len(np.unique(np.round(middle, 4))) == values


def test_icnr_repeats_pixels():
    kernel = icnr(jax.nn.initializers.he_normal(), 2)(KEY, (3, 3, 5, 4 * 6))
    x = jax.random.normal(KEY, (1, 8, 8, 5))
    fine = pixel_shuffle(jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")), 2)
    np.testing.assert_allclose(fine, jnp.repeat(jnp.repeat(fine[:, ::2, ::2], 2, axis=1), 2, axis=2), atol=1e-6)
    assert jnp.std(fine) > 0.1


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"blocks": 1, "factor": 2}, 10),
        ({"blocks": 1, "factor": 4, "trunk": "plain"}, 10),
        ({"blocks": 1, "factor": 4, "trunk": "plain", "upsample": "resize"}, 10),
    ],
)
def test_reach_bounds_what_a_pixel_depends_on(fields, wanted):
    """4 of the first kernel, 2 of the block, 1 after it, 1 and 1/2 of enlargements, 4 of the last kernel over the factor."""
    generator = Generator(width=4, **fields)
    assert generator.reach == wanted
    x = jax.random.normal(KEY, (1, 41, 41, 3))
    variables = generator.init(KEY, x, train=True)
    centre = 20 * generator.factor
    slope = jax.grad(lambda x: generator.apply(variables, x, train=False)[0, centre, centre].sum())(x)
    rows = np.flatnonzero(np.abs(slope[0]).sum(axis=(1, 2)))
    assert 20 - wanted <= rows.min() <= 20 - wanted + 1
    assert rows.max() <= 20 + wanted


def test_what_is_added_to_the_bicubic_enlargement_is_nothing_at_first():
    generator, x = Generator(2, width=4, blocks=1, bicubic=True), jax.random.uniform(KEY, (1, 9, 8, 3), minval=-1)
    variables = generator.init(KEY, x, train=True)
    np.testing.assert_allclose(generator.apply(variables, x, train=False), imresize(x, 2.0), atol=1e-6)
    slopes = jax.grad(lambda p: jnp.sum(generator.apply({**variables, "params": p}, x, train=False) ** 2))(variables["params"])
    assert jnp.abs(slopes["Conv_3"]["kernel"]).max() > 0


def test_bad_sizes():
    with pytest.raises(InputError, match="enlarged 1, 2, 3, 4, 8 times, not 5"):
        shapes(Generator(5), 8, 8, 3)
    with pytest.raises(InputError, match="40x48 are no multiples of 16"):
        shapes(Discriminator(width=2), 40, 48, 3)
