"""A new objective in one file: CycleGAN (Zhu et al. 2017, arXiv:1703.10593), two generators as the one player.

python -m experiments.research.cyclegan    # points of a line to points of another one, and back, without pairs
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax import Objective, Players, Sampler, init_state, jit_step, losses, make_step, penalties, sampling_variables
from gan_jax.models.mlp import Discriminator


class Pair(nn.Module):
    """Both generators, a to b and b to a: each is also applied to what the other makes."""

    @nn.compact
    def __call__(self, a, b):
        nets = [
            nn.Sequential([nn.Dense(64), nn.relu, nn.Dense(64), nn.relu, nn.Dense(2)], name=name) for name in ("to_b", "to_a")
        ]
        fake_b, fake_a = nets[0](a), nets[1](b)
        return {"a": fake_a, "b": fake_b, "back_a": nets[1](fake_b), "back_b": nets[0](fake_a)}


def cyclegan(pair: nn.Module, critic: nn.Module, loss: losses.Loss, cycle: float = 1.0) -> Objective:
    """Each domain has a critic of its own, which pays R1; the generators pay `cycle` (|F(G(a)) - a| + |G(F(b)) - b|) too."""

    def init(key, batch):
        keys = dict(zip("gab", jax.random.split(key, 3), strict=True))
        critics = {name: critic.init(keys[name], batch[name], train=True)["params"] for name in "ab"}
        return Players(gen=pair.init(keys["g"], batch["a"], batch["b"]), disc={"params": critics})

    def judge(disc_vars, name, x):
        return critic.apply({"params": disc_vars["params"][name]}, x, train=True)

    def disc_loss(disc_vars, fakes, turn):
        total = 0.0
        for name in "ab":
            real, fake, critic = turn.batch[name], fakes[name], partial(judge, disc_vars, name)
            total += loss.disc(critic(real), critic(fake)) + penalties.r1(critic, real, fake, turn.key)
        return total, ({}, {})  # no statistics, no metrics of its own

    def gen_loss(disc_vars, fakes, turn):
        costs = [loss.gen(judge(disc_vars, name, turn.batch[name]), judge(disc_vars, name, fakes[name])) for name in "ab"]
        back = sum(jnp.mean(jnp.abs(fakes[f"back_{name}"] - turn.batch[name])) for name in "ab")
        return sum(costs) + cycle * back, {"gen/cycle": back}

    def inputs(key, batch):
        return {name: jnp.asarray(batch[name]) for name in "ab"}

    def sample(gen_vars, inputs, key, train):
        return pair.apply(gen_vars, inputs["a"], inputs["b"]), {}

    return Objective(init, Sampler(inputs, sample, needs=("a", "b")), disc_loss, gen_loss, needs=("a", "b"))


def main(steps: int = 2000, batch: int = 128):
    """Play; returns the translations of one batch to b (batch, 2), that batch, and the last metrics."""
    gan, tx = cyclegan(Pair(), Discriminator(width=64), losses.non_saturating), Players(*[optax.adam(1e-3, b1=0.5)] * 2)
    random = np.random.default_rng(0)
    flat, steep = np.array([[1, 0.1]]), np.array([[0.1, 1]])
    draws = [{"a": random.normal(size=(batch, 2)) * flat, "b": 2 + random.normal(size=(batch, 2)) * steep} for _ in range(100)]
    batches = [{name: jnp.asarray(x, jnp.float32) for name, x in each.items()} for each in draws]
    state, step = init_state(gan, tx, jax.random.key(0), batches[0]), jit_step(make_step(gan, tx))
    for i in range(steps):
        state, metrics = step(state, batches[i % 100])
    return gan.sampler.sample(sampling_variables(state), batches[0], jax.random.key(0), False)[0]["b"], batches[0], metrics


if __name__ == "__main__":
    made, batch, metrics = main()
    print(f"to b: mean {made.mean(axis=0)} of {batch['b'].mean(axis=0)}; back within {metrics['gen/cycle']:.3f}")
