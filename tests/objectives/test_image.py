"""The image game with an augmentation between the pictures and the discriminator."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import core, losses, parallel, penalties
from gan_jax.augment import Augment, ada, diffaugment
from gan_jax.core import Players, Turn
from gan_jax.latents import Normal
from gan_jax.models import dcgan
from gan_jax.objectives import image_gan


def turn(objective, batch, key=1, gen=None):
    inputs = objective.sampler.inputs(jax.random.key(2), batch)
    return Turn(batch, inputs, jax.random.key(key), jax.random.key(9), jnp.zeros((), jnp.int32), gen or {})


def fakes(objective, variables):
    sampler = objective.sampler
    return sampler.sample(variables.gen, sampler.inputs(jax.random.key(2), BATCH), jax.random.key(0), True)[0]


TX = Players(gen=optax.sgd(1e-3), disc=optax.sgd(1e-3))
BATCH = {"image": np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)}


def game(augment: Augment | None = None, terms=()):
    generator = dcgan.Generator(size=(16, 16), channels=3, width=4, norm="none")
    discriminator = dcgan.Discriminator(width=4, norm="none")
    return image_gan(generator, discriminator, losses.non_saturating, Normal(4), terms, augment=augment)


def spy(seen: list) -> Augment:
    """Shifts all pictures by one, and notes what it was given."""

    def apply(x, key, state):
        seen.append((x, jax.random.key_data(key)))
        return x + 1

    return Augment(dict, apply, lambda state, real_logits: state)


def test_both_players_see_real_and_fake_through_it():
    seen: list = []
    objective = game(spy(seen))
    variables = objective.init(jax.random.key(0), BATCH)
    objective.disc_loss(variables.disc, fakes(objective, variables), turn(objective, BATCH))
    real = BATCH["image"] / 127.5 - 1
    assert len(seen) == 2
    np.testing.assert_allclose(seen[0][0], real, atol=1e-6)
    assert np.abs(seen[1][0] - real).max() > 0.5  # the generated ones
    assert (seen[0][1] != seen[1][1]).any()  # not altered alike: a key of its own for each
    objective.gen_loss(variables.disc, fakes(objective, variables), turn(objective, BATCH, 3, variables.gen))
    assert len(seen) == 4
    keys = {tuple(np.asarray(key).tolist()) for _, key in seen}
    assert len(keys) >= 3


def test_penalties_are_taken_through_it():
    """R1 of D(a x) is a^2 times that of D at a x: with a = 3 the gradients are three times as long."""
    triple = Augment(dict, lambda x, key, state: 3 * x, lambda state, real_logits: state)
    plain, tripled = game(terms=((1.0, penalties.r1),)), game(triple, ((1.0, penalties.r1),))
    variables = plain.init(jax.random.key(0), BATCH)
    larger = {"image": np.clip(BATCH["image"].astype(np.float32) / 127.5 - 1, -1, 1)}
    _, (_, wanted) = plain.disc_loss(variables.disc, fakes(plain, variables), turn(plain, {"image": 3 * larger["image"]}))
    _, (_, found) = tripled.disc_loss(variables.disc, fakes(tripled, variables), turn(tripled, larger))
    np.testing.assert_allclose(found["disc/penalty"], 9 * wanted["disc/penalty"], rtol=1e-4)


def test_ada_finds_its_strength():
    """A discriminator that is sure of all real pictures raises p by 4 minibatches of 8 in every fourth round."""
    objective = game(ada(images=320))
    step = parallel.jit_step(core.make_step(objective, TX))
    state = core.init_state(objective, TX, jax.random.key(0), BATCH)
    bias = jax.tree_util.tree_map_with_path(
        lambda path, x: x + 50 if "bias" in str(path[-1]) and x.shape == (1,) else x, state.disc.params
    )
    state = state._replace(disc=state.disc._replace(params=bias))
    strengths = []
    for _ in range(12):
        state, metrics = step(state, BATCH)
        strengths.append(float(metrics["augment/p"]))
    np.testing.assert_allclose(strengths, np.repeat([0, 0.1, 0.2, 0.3], [3, 4, 4, 1]), atol=1e-6)


def test_states_of_one_objective_share_no_arrays():
    objective = game(ada())
    step = parallel.jit_step(core.make_step(objective, TX))
    first = core.init_state(objective, TX, jax.random.key(0), BATCH)
    step(first, BATCH)  # donates it
    second = core.init_state(objective, TX, jax.random.key(1), BATCH)
    assert np.isfinite(step(second, BATCH)[1]["disc/loss"])


@pytest.mark.parametrize("augment", [diffaugment(), ada()])
def test_population_and_one_run_agree(augment):
    objective = game(augment)
    step = core.make_step(objective, TX)
    states = [core.init_state(objective, TX, jax.random.key(seed), BATCH) for seed in range(2)]
    many = jax.tree.map(lambda *x: jnp.stack(x), *states)
    _, metrics = parallel.vmap_step(step)(many, BATCH)
    for i, state in enumerate(states):
        np.testing.assert_allclose(metrics["disc/loss"][i], parallel.jit_step(step)(state, BATCH)[1]["disc/loss"], rtol=1e-4)
