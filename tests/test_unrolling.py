"""Unrolled discriminators: what G answers, what is kept, keys, memory, counts (Metz et al. 2016, arXiv:1611.02163)."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import core, latents, losses
from gan_jax.core import Players
from gan_jax.models import mlp
from gan_jax.objectives import image_gan
from tests.game import Discriminator, Generator, begin, images, linear_gan

SGD = Players(gen=optax.sgd(1.0), disc=optax.sgd(1.0))


@pytest.mark.parametrize("k", [0, 1, 3])
def test_unrolling_answers_the_discriminator_to_come(k):
    """Differentiated by hand: with rate a, D's k updates give d_k = (1 - a)^k d + (1 - (1 - a)^k) (x - g)."""
    rate, x, g, d = 0.1, 2.0, 0.5, 0.25
    tx, batch = Players(gen=optax.sgd(1.0), disc=optax.sgd(rate)), {"x": jnp.full(2, x)}
    objective = linear_gan()
    state = begin(objective, tx, jax.random.key(0), batch)
    after, _ = jax.jit(core.make_step(objective, tx, unroll=k))(state, batch)
    d_now = d - rate * (d - (x - g))
    np.testing.assert_allclose(after.disc.params["w"], d_now, rtol=1e-6)  # what was unrolled is not kept
    share = (1 - rate) ** k
    d_then = share * d_now + (1 - share) * (x - g)
    slope = -d_then - (1 - share) * (x - g)  # of d_k (x - g) in g, through d_k too
    np.testing.assert_allclose(after.gen.params["w"], g - slope, rtol=1e-5)


def test_unrolled_updates_draw_for_themselves():
    """No key of the look-ahead is that of another of its updates, of the update that is kept or of the generator's loss."""
    objective, seen = linear_gan(), []

    def watched(loss):
        def play(disc_vars, fake, turn):
            jax.debug.callback(lambda key: seen.append(tuple(np.asarray(key).tolist())), jax.random.key_data(turn.key))
            return loss(disc_vars, fake, turn)

        return play

    watching = objective._replace(disc_loss=watched(objective.disc_loss), gen_loss=watched(objective.gen_loss))
    batch = {"x": jnp.full(2, 2.0)}
    core.make_step(watching, SGD, unroll=3)(begin(objective, SGD, jax.random.key(0), batch), batch)
    jax.effects_barrier()
    assert len(set(seen)) == 1 + 3 + 1  # those of the look-ahead are seen again on the way back


def test_unrolled_updates_leave_batch_statistics_alone():
    """D's running statistics follow the updates that are kept; G's answer changes."""
    objective = image_gan(Generator(), Discriminator(norm="batch"), losses.non_saturating, latents.Normal(5))
    state, batch = begin(objective, SGD, jax.random.key(0), images()), images()
    plain, _ = jax.jit(core.make_step(objective, SGD))(state, batch)
    ahead, _ = jax.jit(core.make_step(objective, SGD, unroll=2))(state, batch)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), ahead.disc.stats, plain.disc.stats)
    moved = jax.tree.map(lambda x, y: float(jnp.max(jnp.abs(x - y))), ahead.gen.params, plain.gen.params)
    assert max(jax.tree.leaves(moved)) > 1e-6


def test_memory_of_unrolling_hardly_grows():
    """Eight more updates of D take less than one more of its passes: each is computed anew on the way back."""
    rows, width = 2048, 16
    networks = mlp.Generator(width=4, depth=1), mlp.Discriminator(width=width, depth=2)
    tx, batch = Players(gen=optax.sgd(0.1), disc=optax.sgd(0.1)), {"image": jnp.ones((rows, 2))}
    objective = image_gan(*networks, losses.non_saturating, latents.Normal(2))
    state = begin(objective, tx, jax.random.key(0), batch)

    def held(k):
        step = core.make_step(objective, tx, unroll=k)
        return jax.jit(step).lower(state, batch).compile().memory_analysis().temp_size_in_bytes

    one_layer = 4 * rows * width
    assert held(10) - held(2) < one_layer


def test_unrolling_through_adam_is_finite():
    tx = Players(gen=optax.adam(1e-3), disc=optax.adam(1e-3, eps_root=1e-16))
    objective = image_gan(mlp.Generator(width=8), mlp.Discriminator(width=8), losses.non_saturating, latents.Normal(4))
    batch = {"image": jnp.ones((4, 2))}
    step = jax.jit(core.make_step(objective, tx, unroll=3))
    state = begin(objective, tx, jax.random.key(0), batch)
    for _ in range(3):
        state, metrics = step(state, batch)
    assert all(np.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize(("schedule", "counts"), [("disc_first", [2, 3, 4]), ("simultaneous", [0, 1, 2])])
def test_unrolled_updates_are_counted_as_the_discriminators(schedule, counts):
    """With two updates of D a round: lazy penalties come when they would."""
    seen = []
    objective = linear_gan()

    def disc_loss(disc_vars, fake, turn):
        jax.debug.callback(lambda n: seen.append(int(n)), turn.updates)
        return objective.disc_loss(disc_vars, fake, turn)

    tx, batch = Players(gen=optax.sgd(0.1), disc=optax.sgd(0.1)), {"x": jnp.full(4, 2.0)}
    state = core.init_state(objective, tx, jax.random.key(0), batch)
    step = core.make_step(objective._replace(disc_loss=disc_loss), tx, disc_steps=2, unroll=3, schedule=schedule)
    jax.block_until_ready(step(state, batch))
    jax.effects_barrier()
    assert sorted(seen) == sorted([0, 1, *counts, *counts])  # those of the look-ahead are seen again on the way back
