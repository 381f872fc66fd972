"""Packed discriminators: several examples judged at once, gradient penalties on whole packs."""

from functools import partial

import flax.jax_utils
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import core, latents, losses, parallel, penalties
from gan_jax.augment import Augment, ada
from gan_jax.core import Players, Turn
from gan_jax.errors import InputError
from gan_jax.models import dcgan, mlp
from gan_jax.objectives import image_gan
from gan_jax.objectives.critic import Critic
from gan_jax.objectives.networks import network
from tests.game import Discriminator, Generator, numbers

KEY = jax.random.key(0)
IMAGES = {"image": np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 3)).astype(np.float32)}
TRIPLE = Augment(dict, lambda x, key, state: 3 * x, lambda state, real_logits: state)


def beside(x, m):
    """Examples 0 ... m-1 side by side along the channels, then the next m."""
    return np.concatenate([np.asarray(x)[i::m] for i in range(m)], axis=-1)


def pictures(terms=(), augment=None, pack=2):
    generator = dcgan.Generator(size=(16, 16), channels=3, width=4, norm="none")
    return image_gan(
        generator,
        dcgan.Discriminator(width=4, norm="none"),
        losses.non_saturating,
        latents.Normal(4),
        terms,
        augment=augment,
        pack=pack,
    )


@pytest.mark.parametrize("pack", [2, 4])
def test_packs_are_those_made_by_hand(pack):
    """Losses and penalties are those of a discriminator that is given the packs; the augmentation sees single pictures."""
    objective = pictures(((0.5, penalties.r1), (2.0, penalties.wgan_gp)), TRIPLE, pack)
    discriminator = dcgan.Discriminator(width=4, norm="none")
    gen, disc = jax.jit(objective.init)(KEY, IMAGES)
    assert disc["params"]["Conv_0"]["kernel"].shape == (5, 5, 3 * pack, 4)
    inputs = objective.sampler.inputs(KEY, IMAGES)
    fake = 50 * jax.jit(lambda: objective.sampler.sample(gen, inputs, KEY, True)[0])()  # other pictures than nearly grey ones
    turn = Turn(IMAGES, inputs, jax.random.key(1), KEY, jnp.zeros((), jnp.int32), gen)
    value, (_, metrics) = jax.jit(objective.disc_loss)(disc, fake, turn)

    @jax.jit
    def critic(x):
        return discriminator.apply(disc, 3 * x, train=True)

    x, g = jnp.asarray(beside(IMAGES["image"], pack)), jnp.asarray(beside(fake, pack))
    key, *_ = jax.random.split(turn.key, 3)
    r1, wgan_gp = (jax.jit(partial(f, critic)) for f in (penalties.r1, penalties.wgan_gp))
    penalty = 0.5 * r1(x, g, KEY) + 2 * wgan_gp(x, g, jax.random.fold_in(key, 1))
    np.testing.assert_allclose(metrics["disc/penalty"], penalty, rtol=1e-4)
    np.testing.assert_allclose(value, losses.non_saturating.disc(critic(x), critic(g)) + penalty, rtol=1e-4)
    np.testing.assert_allclose(
        jax.jit(objective.gen_loss)(disc, fake, turn)[0], losses.non_saturating.gen(critic(x), critic(g)), rtol=1e-5
    )
    distances = (IMAGES["image"] - IMAGES["image"].mean(axis=0)) ** 2
    np.testing.assert_allclose(metrics["data/diversity"], np.sqrt(distances.sum((1, 2, 3)).mean()), rtol=1e-5)  # single ones


def test_points_are_packed_into_longer_ones():
    objective = image_gan(mlp.Generator(width=8), mlp.Discriminator(width=8), losses.hinge, latents.Normal(4), pack=3)
    batch = {"image": np.arange(12, dtype=np.float32).reshape(6, 2)}
    assert objective.init(KEY, batch).disc["params"]["Dense_0"]["kernel"].shape == (6, 8)
    critic = Critic(network(mlp.Discriminator(width=8)), pack=3)
    np.testing.assert_array_equal(critic.packed(jnp.asarray(batch["image"])), batch["image"].reshape(2, 6))


@pytest.mark.slow
def test_ada_counts_pictures_not_packs():
    """Four pictures that are surely real, in two packs: p rises by 4 of 320."""

    class Sure(nn.Module):
        @nn.compact
        def __call__(self, x, *, train):
            return jnp.sum(self.param("b", nn.initializers.ones, ()) + 0 * x, axis=(1, 2, 3))

    critic = Critic(network(Sure()), ada(images=320, every=1), pack=2)
    variables = critic.init(KEY, IMAGES["image"][:4])
    seen = critic.show(variables, IMAGES["image"][:4], key=KEY)
    assert seen.logits.shape == (2,)
    stats, metrics = critic.new_stats(seen, seen)
    assert float(metrics["augment/p"]) == float(stats["augment"]["p"]) == pytest.approx(4 / 320)


def test_what_cannot_be_packed_is_refused():
    with pytest.raises(InputError, match="8 examples cannot be packed by 3: choose a batch that is a multiple of 3"):
        pictures(pack=3).init(KEY, IMAGES)
    with pytest.raises(InputError, match="at least 1, not 0"):
        pictures(pack=0)
    players = dcgan.Generator(size=(16, 16), num_classes=2, width=4), dcgan.Discriminator(num_classes=2, width=4)
    objective = image_gan(*players, losses.hinge, latents.Normal(4), pack=2)
    with pytest.raises(InputError, match="cannot judge packs of 2: .* Use pack=1"):
        objective.init(KEY, IMAGES | {"label": np.zeros(8, np.int32)})


@pytest.mark.slow
def test_four_devices_equal_one():
    """Two minibatches a round, on each device two packs of two from each."""
    generator, discriminator = Generator(), Discriminator(minibatch="stddev")
    terms = ((0.5, penalties.wgan_gp), (0.5, penalties.dragan))
    objective = image_gan(
        generator, discriminator, losses.non_saturating, latents.Normal(5), terms, augment=ada(images=64), pack=2
    )
    tx = Players(gen=optax.sgd(0.02), disc=optax.sgd(0.02))
    step = core.make_step(objective, tx, disc_steps=2)
    draws = np.random.default_rng(1)
    batches = [{"image": draws.integers(0, 256, (32, 16, 16, 1)).astype(np.uint8)} for _ in range(3)]

    def start():
        return core.init_state(objective, tx, KEY, batches[0])

    def play(run, state, given=batches):
        for batch in given:
            state, metrics = run(state, batch)
        return state, metrics

    wanted = play(jax.jit(step), start())
    devices = jax.devices()[:4]
    mesh = parallel.batch_mesh(devices)
    shared = play(parallel.sharded_step(step, mesh), parallel.replicate(start(), mesh))
    mapped_state, metrics = play(
        parallel.pmap_step(step, devices),
        flax.jax_utils.replicate(start(), devices),
        [parallel.split(batch, 4) for batch in batches],
    )
    for found in (shared, (flax.jax_utils.unreplicate(mapped_state), metrics)):
        assert jax.tree.structure(found) == jax.tree.structure(wanted)
        for a, b in zip(numbers(found), numbers(wanted), strict=True):
            np.testing.assert_allclose(a, b, rtol=5e-6, atol=5e-6)
