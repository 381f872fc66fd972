"""Noise that fades, by its standard deviation; augmentations one after the other."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, PartitionSpec

from gan_jax import core, latents, losses
from gan_jax.augment import ada, none
from gan_jax.core import Players
from gan_jax.errors import InputError
from gan_jax.instance_noise import chained, instance_noise
from gan_jax.models import mlp
from gan_jax.objectives import image_gan

KEY = jax.random.key(0)
X = jnp.zeros((64, 5, 7, 3))


@pytest.mark.parametrize(("made", "strength"), [(0, 0.5), (5, 0.25), (10, 0.0), (99, 0.0)])
def test_its_standard_deviation_falls_to_0(made, strength):
    noise = instance_noise(0.5, updates=10)
    state = noise.init()
    for _ in range(made):
        state = noise.update(state, jnp.zeros(4))
    found = np.asarray(noise.apply(X, KEY, state), np.float64)
    np.testing.assert_allclose(found.std(), strength, rtol=0.03)
    assert abs(found.mean()) <= 0.03 * strength


def test_it_is_the_same_on_several_devices():
    noise, x = instance_noise(0.5), jnp.ones((8, 2))
    mesh = jax.make_mesh((4,), ("batch",), axis_types=(AxisType.Auto,), devices=jax.devices()[:4])
    rows = PartitionSpec("batch")
    shared = jax.shard_map(lambda x: noise.apply(x, KEY, noise.init()), mesh=mesh, in_specs=rows, out_specs=rows)
    np.testing.assert_array_equal(shared(x), noise.apply(x, KEY, noise.init()))


def test_a_game_counts_the_discriminators_updates():
    gan = image_gan(
        mlp.Generator(width=4, depth=1),
        mlp.Discriminator(width=4, depth=1),
        losses.non_saturating,
        latents.Normal(2),
        augment=instance_noise(0.1),
    )
    tx, batch = Players(optax.sgd(0.1), optax.sgd(0.1)), {"image": jnp.ones((8, 2))}
    state, _ = core.make_step(gan, tx, disc_steps=2)(core.init_state(gan, tx, KEY, batch), batch)
    assert float(state.disc.stats["augment"]["noise_updates"]) == 2


def test_chained_ones_have_noise_and_state_of_their_own():
    noise = instance_noise(0.5)
    both = chained(none, noise, ada())
    state = both.init()
    assert state.keys() == noise.init().keys() | ada().init().keys()
    np.testing.assert_array_equal(both.apply(X, KEY, state), noise.apply(X, jax.random.fold_in(KEY, 1), noise.init()))
    new = both.update(state, jnp.ones(4))
    assert (float(new["noise_updates"]), float(new["batches"])) == (1, 1)
    assert not np.allclose(chained(noise).apply(X, KEY, state), noise.apply(X, KEY, state))
    with pytest.raises(InputError, match="two of these augmentations keep noise_updates"):
        chained(noise, noise)


@pytest.mark.parametrize(("stddev", "updates", "message"), [(-1.0, 5, "at least 0, not -1"), (0.1, 0, "at least 1, not 0")])
def test_bad_settings(stddev, updates, message):
    with pytest.raises(InputError, match=message):
        instance_noise(stddev, updates)
