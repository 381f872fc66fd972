"""Operations that are counted by hand: products, convolutions and their gradients, loops, groups."""

import jax
import jax.numpy as jnp
import pytest

from gan_jax import core
from gan_jax.layers.conv import conv
from gan_jax.parallel.arithmetic import arithmetic
from tests.game import SGD, batches, game, start

X, KERNEL = jax.ShapeDtypeStruct((2, 8, 8, 6), jnp.float32), jax.ShapeDtypeStruct((4, 4, 6, 10), jnp.float32)
PLAIN = 2 * 2 * 4 * 4 * 16 * 6 * 10  # of a stride of 2: taps at every pixel of the smaller side


def square(x, kernel):
    return jnp.sum(conv(x, kernel, 2) ** 2)


@pytest.mark.parametrize(
    ("function", "times"),
    [
        (square, 1),
        (jax.grad(square), 2),  # forward and in x
        (jax.grad(square, (0, 1)), 3),
        (lambda x, k: jax.lax.scan(lambda c, _: (c + square(x, k), None), 0.0, length=5)[0], 5),
        (lambda x, k: jax.checkpoint(square)(x, k), 1),
        (lambda x, k: jax.lax.cond(x[0, 0, 0, 0] > 0, square, lambda x, k: 0.0, x, k), 1),
    ],
)
def test_convolutions_are_counted_as_plain_sums(function, times):
    """Whatever form this CPU computes them in."""
    assert arithmetic(function, X, KERNEL) == times * PLAIN


def test_groups_see_their_own_inputs():
    kernel = jax.ShapeDtypeStruct((3, 3, 3, 8), jnp.float32)
    assert arithmetic(lambda x, k: conv(x, k, 1, 2), X, kernel) == 2 * 2 * 64 * 9 * 3 * 8


def test_products():
    a, b = jax.ShapeDtypeStruct((3, 5, 7), jnp.float32), jax.ShapeDtypeStruct((3, 7, 11), jnp.float32)
    assert arithmetic(jnp.matmul, a, b) == 2 * 3 * 5 * 7 * 11


def test_updates_of_a_round_are_counted():
    """Three updates of the discriminator take more than one, and a round of twice the batch takes twice as much."""
    objective, _ = game("DCGAN, R1")
    counts = {}
    for steps, size in ((1, 16), (3, 16), (1, 32)):
        step = core.make_step(objective, SGD, disc_steps=steps)
        counts[steps, size] = arithmetic(step, start(objective), batches(1, size=steps * size)[0])
    assert counts[1, 32] == pytest.approx(2 * counts[1, 16], rel=0.02)
    assert counts[3, 16] > 1.5 * counts[1, 16]
