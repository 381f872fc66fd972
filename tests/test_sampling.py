"""Samples of given inputs: in chunks, by statistics that were settled once."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import core, latents, losses, sampling
from gan_jax.core import Players, Sampler
from gan_jax.errors import InputError
from gan_jax.models import dcgan
from gan_jax.objectives import image_gan


@pytest.fixture(scope="module")
def game():
    """A conditional DCGAN of 16x16 with batch norm, untrained, and its variables."""
    generator = dcgan.Generator(size=(16, 16), channels=1, width=4, num_classes=3, label="batch_norm")
    discriminator = dcgan.Discriminator(width=4, norm="none")
    objective = image_gan(generator, discriminator, losses.hinge, latents.Normal(5))
    variables = objective.init(jax.random.key(0), {"image": np.zeros((4, 16, 16, 1), np.uint8), "label": np.arange(4) % 3})
    return objective.sampler, variables.gen


def rows(n: int) -> dict[str, np.ndarray]:
    return {"label": (np.arange(n) % 3).astype(np.int32)}


def test_batch_and_settled_statistics(game):
    sampler, variables = game
    inputs = sampler.inputs(jax.random.key(1), {"label": jnp.asarray(rows(64)["label"])})
    batch = sampling.render(sampler, variables, inputs, jax.random.key(2), statistics="batch")
    stale = sampling.render(sampler, variables, inputs, jax.random.key(2))
    settled = sampling.settle(sampler, variables, rows(64), jax.random.key(3))
    standing = sampling.render(sampler, settled, inputs, jax.random.key(2))
    assert np.mean(np.abs(standing - batch)) < 0.3 * np.mean(np.abs(stale - batch))
    assert settled["params"] is variables["params"]


def test_chunks_make_no_difference(game):
    sampler, variables = game
    whole, inputs = sampling.draw(sampler, variables, rows(10), jax.random.key(1))
    parts = sampling.render(sampler, variables, inputs, jax.random.key(7), chunk=4)
    np.testing.assert_allclose(parts, whole, atol=1e-6)
    assert whole.shape == (10, 16, 16, 1)
    assert inputs["label"].tolist() == rows(10)["label"].tolist()


def test_a_number_is_no_batch(game):
    draw = getattr(sampling.draw, "__wrapped__", sampling.draw)  # without the tests' check of types
    with pytest.raises(InputError, match="named arrays with a row for each sample.*not 10"):
        draw(*game, 10, jax.random.key(0))


def test_given_inputs_are_rendered(game):
    """The same latents as other classes are other pictures; the same again are the same."""
    sampler, variables = game
    z = jax.random.normal(jax.random.key(0), (3, 5))
    look = [sampling.render(sampler, variables, {"z": z, "label": jnp.full(3, y)}, jax.random.key(0)) for y in (0, 0, 1)]
    np.testing.assert_array_equal(look[0], look[1])
    assert (look[0] != look[2]).any()


def test_noise_is_drawn_by_the_key_and_for_each_chunk():
    """A generator that shows its latents and noise of its own: (b, 2), drawn apart."""

    def sample(variables, inputs, key, train):
        return jnp.stack([inputs["z"], jax.random.normal(key, inputs["z"].shape)], axis=1), {}

    sampler = Sampler(lambda key, batch: {"z": jax.random.normal(key, (len(batch["row"]),))}, sample)
    asked = {"row": np.arange(10)}
    one, same, other = (sampling.draw(sampler, {"params": {}}, asked, jax.random.key(i), chunk=5)[0] for i in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert len(np.unique(np.stack([one, other]))) == 40
    latents, _ = sampling.draw(sampler, {"params": {}}, {"row": np.arange(5)}, jax.random.key(0))
    assert not np.isclose(latents[:, 0], latents[:, 1]).any()


def test_settling_sees_rows_of_the_whole_population():
    """300 labels, 16 at a time; statistics that note which ones they saw."""

    def sample(variables, inputs, key, train):
        return None, {"seen": variables["seen"].at[inputs["label"]].set(1.0)}

    sampler = Sampler(lambda key, batch: {"label": batch["label"]}, sample, ("label",))
    variables = {"params": {}, "seen": jnp.zeros(300)}
    found = sampling.settle(sampler, variables, {"label": np.arange(300)}, jax.random.key(0), size=16)
    assert float(jnp.mean(found["seen"])) == pytest.approx(1 - np.exp(-64 * 16 / 300), abs=0.02)


def test_a_generator_without_statistics_is_settled_already():
    variables = {"params": {"w": jnp.ones(())}}
    sampler = Sampler(lambda key, batch: {}, lambda *args: pytest.fail("was called"))
    assert sampling.settle(sampler, variables, {"row": np.arange(3)}, jax.random.key(0)) is variables


def test_averaged_and_newest_parameters():
    objective = image_gan(
        dcgan.Generator(size=(16, 16), channels=1, width=4),
        dcgan.Discriminator(width=4, norm="none"),
        losses.hinge,
        latents.Normal(5),
    )
    tx = Players(gen=optax.sgd(1.0), disc=optax.sgd(1.0))
    batch = {"image": np.zeros((4, 16, 16, 1), np.uint8)}
    state = core.init_state(objective, tx, jax.random.key(0), batch)._replace(ema_params="averaged")
    assert sampling.sampling_variables(state)["params"] == "averaged"
    newest = sampling.sampling_variables(state, averaged=False)
    assert newest["params"] is state.gen.params
    assert newest["batch_stats"] is state.gen.stats["batch_stats"]
