"""The heart is general: three more games, written here, run on `make_step` unchanged."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import core, losses, sampling
from gan_jax.core import Objective, Players, Sampler

B = 6
TX = Players(gen=optax.adam(1e-3), disc=optax.adam(1e-3))


class Net(nn.Module):
    """Two layers over all inputs side by side."""

    out: int

    @nn.compact
    def __call__(self, *inputs):
        x = jnp.concatenate([x.reshape(x.shape[0], -1) for x in inputs], axis=-1)
        return nn.Dense(self.out)(nn.relu(nn.Dense(16)(x)))


def text_gan() -> Objective:
    """Reed et al. 2016: D judges picture and sentence; real pictures with the wrong sentence are a third kind."""
    generator, discriminator = Net(12), Net(1)

    def inputs(key, batch):
        return {"z": jax.random.normal(key, (len(batch["text"]), 4)), "text": batch["text"]}

    def init(key, batch):
        return Players(
            gen=generator.init(key, *inputs(key, batch).values()), disc=discriminator.init(key, batch["image"], batch["text"])
        )

    def disc_loss(disc_vars, fake, turn):
        x, t = turn.batch["image"], turn.batch["text"]
        real, wrong = discriminator.apply(disc_vars, x, t), discriminator.apply(disc_vars, x, jnp.roll(t, 1, axis=0))
        mismatch = jnp.mean(jax.nn.softplus(wrong))
        fake_logits = discriminator.apply(disc_vars, fake, t)
        return (losses.non_saturating.disc(real, fake_logits) + mismatch) / 2, ({}, {"disc/wrong": mismatch})

    def gen_loss(disc_vars, fake, turn):
        logits = discriminator.apply(disc_vars, fake, turn.batch["text"])
        return losses.non_saturating.gen(logits, logits), {}

    def sample(variables, inputs, key, train):
        return generator.apply(variables, inputs["z"], inputs["text"]), {}

    return Objective(init, Sampler(inputs, sample, ("text",)), disc_loss, gen_loss, ("image", "text"))


def superres_gan() -> Objective:
    """Ledig et al. 2017: G is fed a small picture and pays for content beside the game."""
    generator, discriminator = Net(12), Net(1)

    def init(key, batch):
        return Players(gen=generator.init(key, batch["low"]), disc=discriminator.init(key, batch["high"]))

    def disc_loss(disc_vars, fake, turn):
        real_logits, fake_logits = (discriminator.apply(disc_vars, x) for x in (turn.batch["high"], fake))
        return losses.non_saturating.disc(real_logits, fake_logits), ({}, {})

    def gen_loss(disc_vars, fake, turn):
        content = jnp.mean((fake - turn.batch["high"].reshape(fake.shape)) ** 2)
        logits = discriminator.apply(disc_vars, fake)
        return content + 1e-3 * losses.non_saturating.gen(logits, logits), {"gen/content": content}

    def sample(variables, inputs, key, train):
        return generator.apply(variables, inputs["low"]), {}

    sampler = Sampler(lambda key, batch: {"low": batch["low"]}, sample, ("low",))
    return Objective(init, sampler, disc_loss, gen_loss, ("low", "high"))


def packed_gan(pack: int = 2) -> Objective:
    """Lin et al. 2018: D judges several samples of one kind at once."""
    generator, discriminator = Net(12), Net(1)

    def packed(x):
        return x.reshape(x.shape[0] // pack, -1)

    def inputs(key, batch):
        return {"z": jax.random.normal(key, (len(batch["image"]), 4))}

    def init(key, batch):
        real = packed(batch["image"])
        return Players(gen=generator.init(key, inputs(key, batch)["z"]), disc=discriminator.init(key, real))

    def logits(disc_vars, fake, turn):
        return discriminator.apply(disc_vars, packed(turn.batch["image"])), discriminator.apply(disc_vars, packed(fake))

    def disc_loss(disc_vars, fake, turn):
        return losses.hinge.disc(*logits(disc_vars, fake, turn)), ({}, {})

    def gen_loss(disc_vars, fake, turn):
        return losses.hinge.gen(*logits(disc_vars, fake, turn)), {}

    sampler = Sampler(inputs, lambda v, inputs, key, train: (generator.apply(v, inputs["z"]), {}))
    return Objective(init, sampler, disc_loss, gen_loss, ("image",))


def batches(parts):
    generator = np.random.default_rng(0)
    shapes = {"image": (2, 2, 3), "high": (2, 2, 3), "low": (1, 1, 3), "text": (5,)}
    return {name: jnp.asarray(generator.normal(size=(parts * B, *shape)), jnp.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("objective", "disc_steps", "extra"),
    [(text_gan(), 1, "disc/wrong"), (superres_gan(), 1, "gen/content"), (packed_gan(), 3, "disc/loss")],
    ids=["text", "superres", "packed"],
)
def test_the_same_step_plays_other_games(objective, disc_steps, extra):
    step = jax.jit(core.make_step(objective, TX, disc_steps=disc_steps))
    batch = batches(disc_steps)
    state = core.init_state(objective, TX, jax.random.key(0), batch)
    history = []
    for _ in range(60):
        state, metrics = step(state, batch)
        history.append({name: float(value) for name, value in metrics.items()})
    images, _ = sampling.draw(objective.sampler, sampling.sampling_variables(state), batch, jax.random.key(1))
    assert images.shape == (disc_steps * B, 12)
    assert history[-1][extra] < history[0][extra]  # the term of its own is learned
    assert int(state.disc.opt_state[0].count) == 60 * disc_steps
    assert int(state.gen.opt_state[0].count) == 60
