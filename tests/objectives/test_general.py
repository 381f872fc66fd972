"""`make_step` is general: other games, written here on `Critic`, run on it unchanged; the doctor has its signals."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import core, losses, sampling
from gan_jax.core import Objective, Players, Sampler, split_variables
from gan_jax.latents import Normal
from gan_jax.objectives import image_gan
from gan_jax.objectives.critic import Critic, game_metrics
from gan_jax.objectives.networks import network
from gan_jax.training.doctor import SIGNALS, signals

B = 6
TX = Players(gen=optax.adam(1e-3), disc=optax.adam(1e-3))


class Net(nn.Module):
    """Two layers over all inputs side by side; one output is given as logits (b,)."""

    out: int

    @nn.compact
    def __call__(self, *inputs, train):
        x = jnp.concatenate([x.reshape(x.shape[0], -1) for x in inputs], axis=-1)
        h = nn.relu(nn.Dense(16)(x))
        self.sow("intermediates", "features", h)
        out = nn.Dense(self.out)(h)
        return out[:, 0] if self.out == 1 else out


def text_gan() -> Objective:
    """Reed et al. 2016: D judges image and sentence; real images with the wrong sentence are a third kind."""
    generator, critic = network(Net(12)), Critic(network(Net(1)))

    def inputs(key, batch):
        return {"z": jax.random.normal(key, (len(batch["text"]), 4)), "text": batch["text"]}

    def sample(variables, inputs, key, train):
        out, new, _ = generator.forward(variables, inputs["z"], inputs["text"], train=train)
        return out, split_variables(new)[1]

    def init(key, batch):
        gen = generator.start(key, *inputs(key, batch).values())
        return Players(gen, critic.init(key, batch["image"], batch["text"]))

    def disc_loss(disc_vars, fake, turn):
        x, t = turn.batch["image"], turn.batch["text"]
        real = critic.show(disc_vars, x, t, key=turn.key)
        wrong = critic.show(real.variables, x, jnp.roll(t, 1, axis=0), key=turn.key)
        fakes = critic.show(wrong.variables, fake.reshape(x.shape), t, key=turn.key)
        mismatch = jnp.mean(jax.nn.softplus(wrong.logits))
        value = (losses.non_saturating.disc(real.logits, fakes.logits) + mismatch) / 2
        stats, _ = critic.new_stats(real, fakes)
        return value, (stats, {"disc/wrong": mismatch, **game_metrics(real, fakes)})

    def gen_loss(disc_vars, fake, turn):
        logits = critic.show(disc_vars, fake, turn.batch["text"], key=turn.key).logits
        return losses.non_saturating.gen(logits, logits), {}

    return Objective(init, Sampler(inputs, sample, ("text",)), disc_loss, gen_loss, ("image", "text"))


def superres_gan() -> Objective:
    """Ledig et al. 2017: G is fed a small image and pays for content beside the game."""
    generator, critic = network(Net(12)), Critic(network(Net(1)))

    def sample(variables, inputs, key, train):
        out, new, _ = generator.forward(variables, inputs["low"], train=train)
        return out.reshape(-1, 2, 2, 3), split_variables(new)[1]

    def init(key, batch):
        return Players(gen=generator.start(key, batch["low"]), disc=critic.init(key, batch["high"]))

    def disc_loss(disc_vars, fake, turn):
        real = critic.show(disc_vars, turn.batch["high"], key=turn.key)
        fakes = critic.show(real.variables, fake, key=turn.key)
        stats, _ = critic.new_stats(real, fakes)
        return losses.non_saturating.disc(real.logits, fakes.logits), (stats, game_metrics(real, fakes))

    def gen_loss(disc_vars, fake, turn):
        content = jnp.mean((fake - turn.batch["high"]) ** 2)
        logits = critic.show(disc_vars, fake, key=turn.key).logits
        return content + 1e-3 * losses.non_saturating.gen(logits, logits), {"gen/content": content}

    sampler = Sampler(lambda key, batch: {"low": batch["low"]}, sample, ("low",))
    return Objective(init, sampler, disc_loss, gen_loss, ("low", "high"))


def packed_gan() -> Objective:
    """Lin et al. 2018: D judges several samples of one kind at once; points, here, of 12 numbers."""
    return image_gan(Net(12), Net(1), losses.hinge, Normal(4), real="point", pack=2)


def batches(parts):
    generator = np.random.default_rng(0)
    shapes = {"image": (2, 2, 3), "high": (2, 2, 3), "low": (1, 1, 3), "text": (5,), "point": (12,)}
    drawn = {name: generator.normal(size=(parts * B, *shape)) for name, shape in shapes.items()}
    return {name: jnp.asarray(np.clip(x, -1, 1), jnp.float32) for name, x in drawn.items()}


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
    assert images.reshape(disc_steps * B, -1).shape == (disc_steps * B, 12)
    assert history[-1][extra] < history[0][extra]  # the term of its own is learned
    assert int(state.disc.opt_state[0].count) == 60 * disc_steps
    assert int(state.gen.opt_state[0].count) == 60
    assert set(signals(history)) == set(SIGNALS) - {"overfit"}  # which needs held-out examples
