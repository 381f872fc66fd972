"""What a discriminator is shown and what is taken from it: conditions, features, losses of its own, packs."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import core, latents, losses, penalties
from gan_jax.core import Players
from gan_jax.errors import InputError
from gan_jax.models import mlp
from gan_jax.objectives import image_gan
from gan_jax.objectives.critic import Critic, feature_matching, game_metrics
from gan_jax.objectives.networks import network

KEY = jax.random.key(0)
SGD = Players(gen=optax.sgd(1.0), disc=optax.sgd(1.0))
POINTS = {"image": np.random.default_rng(0).standard_normal((8, 2)).astype(np.float32)}


class Conditioned(nn.Module):
    """Logits of examples, a text and a low picture given as a pair; sows two features, one of them a level down."""

    @nn.compact
    def __call__(self, x, t, pair, *, train):
        h = nn.Dense(3)(jnp.concatenate([x, t, *pair], axis=-1))
        self.sow("intermediates", "features", h)
        return Last()(h)


class Last(nn.Module):
    @nn.compact
    def __call__(self, h):
        self.sow("intermediates", "features", 2 * h)
        return nn.Dense(1)(h)[:, 0]


def test_conditions_are_passed_on_as_they_are():
    critic = Critic(network(Conditioned()))
    x, t, pair = jnp.asarray(POINTS["image"]), jnp.ones((8, 4)), (jnp.ones((8, 1)), jnp.zeros((8, 5)))
    variables = critic.init(KEY, x, t, pair)
    assert set(variables) == {"params"}
    seen = critic.show(variables, x, t, pair, key=KEY)
    np.testing.assert_array_equal(seen.logits, Conditioned().apply(variables, x, t, pair, train=True))
    np.testing.assert_array_equal(seen.features[:, 3:], 2 * seen.features[:, :3])
    np.testing.assert_array_equal(critic.at(variables, t, pair, key=KEY)(x), seen.logits)
    assert set(seen.variables) == {"params"}


def test_game_metrics_by_hand():
    """Features are 3 x: distances among fakes are twice those among reals, the means 5 apart in x."""

    class Tripled(nn.Module):
        @nn.compact
        def __call__(self, x, *, train):
            self.sow("intermediates", "features", 3 * x)
            return nn.Dense(1)(x)[:, 0]

    critic, x = Critic(network(Tripled())), POINTS["image"]
    mean = x.mean(axis=0)
    variables = critic.init(KEY, x)
    real = critic.show(variables, x, key=KEY)
    fake = critic.show(variables, mean + 2 * (x - mean) + np.float32([3, 4]), key=KEY)
    distance = np.sqrt(np.mean(np.sum((x - mean) ** 2, axis=1)))
    wanted = {
        "disc/real": np.mean(1 / (1 + np.exp(-np.asarray(real.logits)))),
        "disc/fake": np.mean(1 / (1 + np.exp(-np.asarray(fake.logits)))),
        "data/diversity": distance,
        "gen/diversity": 2 * distance,
        "gen/rms_distance": 2,
        "gen/offset": 5 / distance,
    }
    found = game_metrics(real, fake)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, err_msg=name)
    assert "gen/offset" not in game_metrics(real._replace(features=None), fake)


class Costly(nn.Module):
    """A network that sows `cost` times its parameter, and its mean output, a level down."""

    cost: float
    scalar: bool = True

    @nn.compact
    def __call__(self, x, *, train):
        w = self.param("w", nn.initializers.ones, ())
        out = w * x
        self.sow("losses", "own", self.cost * w if self.scalar else out)
        return out[:, 0] if self.cost < 0 else out


def test_sown_losses_are_their_own_players():
    """SGD with rate 1: the parameters move by `cost` more than without, D's by twice that, for real and for fake ones."""
    moved = {}
    for cost in (0.0, 0.25):
        generator, discriminator = Costly(cost), Costly(-1e-9 - cost)
        objective = image_gan(generator, discriminator, losses.wasserstein, latents.Normal(2))
        state = core.init_state(objective, SGD, KEY, POINTS)
        assert (state.gen.stats, state.disc.stats) == ({}, {})
        for options in ({"schedule": "simultaneous"}, {"accumulate": 2, "schedule": "simultaneous"}):
            after, metrics = jax.jit(core.make_step(objective, SGD, **options))(state, POINTS)
            moved[cost, len(options)] = [
                after.gen.params["w"],
                after.disc.params["w"],
                metrics["gen/loss"],
                metrics["disc/loss"],
            ]
    for n in (1, 2):
        found = np.subtract(moved[0.25, n], moved[0.0, n])
        np.testing.assert_allclose(found, [-0.25, 0.5, 0.25, -0.5], atol=1e-5)


def test_sown_losses_are_scalars():
    objective = image_gan(Costly(1.0), Costly(-1.0, scalar=False), losses.wasserstein, latents.Normal(2))
    state = core.init_state(objective, SGD, KEY, POINTS)
    with pytest.raises(InputError, match=r"losses\['own'\]\[0\] has the shape \(8, 2\): sow scalars"):
        core.make_step(objective, SGD)(state, POINTS)


class Centred(nn.Module):
    """Logits that depend on the mean of the batch, so that they tell who was shown together."""

    @nn.compact
    def __call__(self, x, y=None, *, train):
        h = nn.Dense(3)(x) - jnp.mean(x)
        self.sow("intermediates", "features", h)
        self.sow("losses", "size", jnp.mean(h**2))
        return nn.Dense(1)(h)[:, 0] + (0 if y is None else y)


def test_both_kinds_in_one_batch():
    """Packed, with conditions and features in halves, and a loss that counts once."""
    real, fake = jnp.asarray(POINTS["image"]), 3 + jnp.asarray(POINTS["image"])[::-1]
    critic, y = Critic(network(Centred()), joint=True), jnp.arange(8.0)
    variables = critic.init(KEY, real, y)
    both = Centred().apply(variables, jnp.concatenate([real, fake]), jnp.concatenate([y, y]), train=True, mutable=["losses"])
    reals, fakes = critic.show_both(variables, real, fake, y, keys=(KEY, KEY))
    np.testing.assert_allclose(jnp.concatenate([reals.logits, fakes.logits]), both[0], rtol=1e-6)
    np.testing.assert_allclose(reals.loss + fakes.loss, both[1]["losses"]["size"][0], rtol=1e-6)
    assert reals.features.shape == fakes.features.shape == (8, 3)
    np.testing.assert_array_equal(fakes.x, fake)
    apart = Critic(network(Centred())).show_both(variables, real, fake, y, keys=(KEY, KEY))
    assert np.abs(np.asarray(apart[0].logits - reals.logits)).max() > 0.01
    packs = Critic(network(Centred()), pack=2, joint=True)
    reals, fakes = packs.show_both(packs.init(KEY, real), real, fake, keys=(KEY, KEY))
    assert reals.logits.shape == fakes.logits.shape == (4,)


def test_groups_of_real_and_generated_examples_are_shown_together():
    networks = mlp.Generator(width=4, depth=1), mlp.Discriminator(width=4, depth=1, minibatch="discrimination_groups")
    gan = image_gan(*networks, losses.non_saturating, latents.Normal(2))
    _state, metrics = core.make_step(gan, SGD)(core.init_state(gan, SGD, KEY, POINTS), POINTS)
    assert np.isfinite(metrics["disc/loss"])
    assert float(metrics["gen/grad_norm"]) > 0
    with pytest.raises(InputError, match="no slope at one kind alone"):
        image_gan(*networks, losses.non_saturating, latents.Normal(2), penalties=((1.0, penalties.r1),))


def test_feature_matching_by_hand():
    """||E f(x) - E f(G(z))||^2 in float64, the same with the batch on several devices, and its gradient at the fakes."""
    critic, real = Critic(network(Conditioned())), POINTS["image"]
    rest = jnp.ones((8, 4)), (jnp.ones((8, 1)), jnp.zeros((8, 5)))
    variables, fake = critic.init(KEY, real, *rest), jnp.asarray(real[::-1] * 2 + 1)

    def cost(real, fake, *rest):
        return feature_matching(*critic.show_both(variables, real, fake, *rest, keys=(KEY, KEY)))

    f = [np.asarray(critic.show(variables, x, *rest, key=KEY).features, np.float64) for x in (real, fake)]
    wanted = np.sum((f[0].mean(axis=0) - f[1].mean(axis=0)) ** 2)
    assert wanted > 0.1
    np.testing.assert_allclose(cost(real, fake, *rest), wanted, rtol=1e-5)
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:2])
    rows, whole = jax.sharding.PartitionSpec("batch"), jax.sharding.PartitionSpec()
    shared = jax.shard_map(cost, mesh=mesh, in_specs=(rows, rows, rows, (rows, rows)), out_specs=whole, check_vma=False)
    np.testing.assert_allclose(jax.jit(shared)(jnp.asarray(real), fake, *rest), wanted, rtol=1e-5)
    kernel = np.asarray(variables["params"]["Dense_0"]["kernel"], np.float64)[:2]
    slope = 2 * (f[1].mean(axis=0) - f[0].mean(axis=0))
    found = jax.grad(cost, argnums=1)(real, fake, *rest)
    np.testing.assert_allclose(found[0], kernel @ (slope[:3] + 2 * slope[3:]) / 8, rtol=1e-4)


def test_the_generators_cost_may_be_feature_matching_alone():
    networks = mlp.Generator(width=4, depth=1), mlp.Discriminator(width=4, depth=1)
    gan, alone = (
        image_gan(*networks, losses.non_saturating, latents.Normal(2), **weights)
        for weights in ({"feature_matching": 3.0}, {"feature_matching": 3.0, "adversarial": 0.0})
    )
    state = core.init_state(gan, SGD, KEY, POINTS)
    _, both = core.make_step(gan, SGD)(state, POINTS)
    _, only = core.make_step(alone, SGD)(state, POINTS)
    _, usual = core.make_step(image_gan(*networks, losses.non_saturating, latents.Normal(2)), SGD)(state, POINTS)
    np.testing.assert_allclose(only["gen/loss"], 3 * only["gen/feature_matching"], rtol=1e-5)
    np.testing.assert_allclose(both["gen/loss"], usual["gen/loss"] + only["gen/loss"], rtol=1e-5)
    assert float(only["gen/grad_norm"]) > 0

    class Silent(nn.Module):
        @nn.compact
        def __call__(self, x, *, train):
            return nn.Dense(1)(x)[:, 0]

    silent = image_gan(networks[0], Silent(), losses.non_saturating, latents.Normal(2), feature_matching=1.0)
    with pytest.raises(InputError, match="needs a discriminator that sows"):
        core.make_step(silent, SGD)(core.init_state(silent, SGD, KEY, POINTS), POINTS)


def test_patches_count_as_the_example_that_they_are_of():
    """R1 of the mean over an example's patches, and one logit an example for ADA."""

    class Patches(nn.Module):
        @nn.compact
        def __call__(self, x, *, train):
            return (x * self.param("weight", nn.initializers.ones, (4,))[None]).reshape(-1)

    critic = Critic(network(Patches()))
    x = jnp.arange(12.0).reshape(3, 4) / 12
    variables = critic.init(jax.random.key(0), x)
    judge = critic.at(variables, key=jax.random.key(1))
    np.testing.assert_allclose(judge(x), x.mean(axis=1), rtol=1e-6)
    slope = jax.grad(lambda x: judge(x).sum())(x)
    np.testing.assert_allclose(slope, np.full((3, 4), 0.25), rtol=1e-6)
