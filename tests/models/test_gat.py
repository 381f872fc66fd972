"""Transformers as players: counts by hand, patches, what depends on what, penalties through attention, labels, sizes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.errors import InputError
from gan_jax.models.gat import Discriminator, Generator, patched, unpatched
from tests.models.networks import KEY, count, init, shaken

SMALL = {"width": 32, "depth": 1}
Z = jax.random.normal(KEY, (2, 8))
X = jax.random.normal(KEY, (2, 16, 16, 3))
Y = jnp.array([0, 1])


def test_counts_by_hand():
    c, z, n, pixels = 64, 8, 16, 48
    attention, dense = 4 * (c * c + c), 8 * c * c + 5 * c
    style = z * c + c + 2 * (c * c + c)
    adaptive = c * 2 * c + 2 * c
    gen = jax.eval_shape(partial(Generator((16, 16), width=c, depth=3).init, train=True), KEY, Z)
    assert count(gen) == style + n * c + 3 * (attention + dense + 2 * adaptive) + adaptive + c * pixels + pixels
    disc = jax.eval_shape(partial(Discriminator(c, depth=3).init, train=True), KEY, X)
    norms = 2 * 2 * c
    assert count(disc) == pixels * c + c + c + (n + 1) * c + 3 * (attention + dense + norms) + 2 * c + c + 1


def test_patches_are_squares_row_by_row():
    x = jnp.arange(4 * 6 * 2.0).reshape(1, 4, 6, 2)
    tokens = patched(x, 2)
    assert tokens.shape == (1, 6, 8)
    np.testing.assert_array_equal(tokens[0, 4], x[0, 2:4, 2:4].reshape(-1))
    np.testing.assert_array_equal(unpatched(tokens, 2, 2), x)


@pytest.mark.slow
def test_a_picture_depends_on_its_code_and_a_logit_on_every_patch():
    generator, discriminator = Generator((16, 16), **SMALL), Discriminator(**SMALL)
    variables = shaken(init(generator, Z))
    images = generator.apply(variables, Z, train=True)
    assert images.shape == (2, 16, 16, 3)
    assert np.abs(images).max() <= 1
    assert np.abs(images[0] - images[1]).max() > 1e-3
    np.testing.assert_allclose(generator.apply(variables, Z[:1], train=True), images[:1], atol=1e-5)
    judge = shaken(init(discriminator, X))
    slope = jax.grad(lambda x: discriminator.apply(judge, x, train=True)[1])(X)
    assert not slope[0].any()
    assert (np.abs(patched(slope, 4)[1]).max(axis=-1) > 0).all()


@pytest.mark.slow
def test_penalties_pass_attention():
    """The gradient of ||grad D||^2 in a weight is that of finite differences."""
    discriminator = Discriminator(**SMALL)
    variables = shaken(init(discriminator, X))

    def penalty(shift, variables, x):
        moved = jax.tree.map(lambda leaf: leaf + shift, variables)
        slope = jax.grad(lambda x: discriminator.apply(moved, x, train=True).sum())(x)
        return jnp.sum(slope**2)

    with jax.enable_x64(True):
        doubled = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), (variables, X))
        found = jax.grad(penalty)(0.0, *doubled)
        expected = (penalty(1e-4, *doubled) - penalty(-1e-4, *doubled)) / 2e-4
    assert float(found) == pytest.approx(float(expected), rel=1e-2)


@pytest.mark.slow
def test_labels():
    generator, discriminator = Generator((16, 16), num_classes=2, **SMALL), Discriminator(num_classes=2, **SMALL)
    same = jnp.stack([Z[0], Z[0]])
    images = generator.apply(shaken(init(generator, same, Y)), same, Y, train=True)
    assert np.abs(images[0] - images[1]).max() > 1e-3
    alike = jnp.stack([X[0], X[0]])
    logits = discriminator.apply(shaken(init(discriminator, alike, Y)), alike, Y, train=True)
    assert logits[0] != logits[1]
    with pytest.raises(InputError, match="needs labels"):
        init(generator, Z)


def test_bfloat16_gives_float32_pictures_of_float32_parameters():
    generator = Generator((16, 16), dtype=jnp.bfloat16, **SMALL)
    variables = init(generator, Z)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    assert generator.apply(variables, Z, train=True).dtype == jnp.float32


def test_sizes():
    with pytest.raises(InputError, match="image size 18x16 is not made of patches of 4x4"):
        init(Generator((18, 16), **SMALL), Z)
    with pytest.raises(InputError, match="a width of 48 is not made of attention heads of 32"):
        init(Discriminator(width=48), X)
