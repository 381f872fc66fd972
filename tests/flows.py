"""Small games that are asked by more than noise: a picture to enlarge, a caption."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import losses
from gan_jax.core import Objective, Players, Sampler
from gan_jax.images import to_float


class Net(nn.Module):
    """Two layers over all inputs side by side."""

    shape: tuple[int, ...]
    width: int = 16

    @nn.compact
    def __call__(self, *inputs):
        x = jnp.concatenate([x.reshape(x.shape[0], -1).astype(jnp.float32) for x in inputs], axis=-1)
        x = nn.Dense(self.width)(x)
        out = 1
        for n in self.shape:
            out *= n
        return nn.Dense(out)(nn.relu(x)).reshape(-1, *self.shape)


def asking_sampler(generator: nn.Module, name: str, scale: float = 255.0) -> Sampler:
    """G is given noise and the batch's array of this name."""

    def inputs(key: Any, batch: Any) -> Any:
        rows = jnp.asarray(batch[name])
        return {"z": jax.random.normal(key, (len(rows), 4)), name: rows}

    def sample(gen_vars: Any, inputs: Any, key: Any, train: bool) -> Any:
        return jnp.tanh(generator.apply(gen_vars, inputs["z"], inputs[name] / scale)), {}

    return Sampler(inputs, sample, (name,))


def asking_gan(generator: nn.Module, name: str, real: str) -> Objective:
    """D judges pictures `real` by themselves."""
    sampler, discriminator = asking_sampler(generator, name), Net(())

    def init(key: Any, batch: Any) -> Players:
        inputs = sampler.inputs(key, batch)
        gen = generator.init(key, inputs["z"], inputs[name] / 255.0)
        return Players(gen=gen, disc=discriminator.init(key, to_float(jnp.asarray(batch[real]))))

    def logits(disc_vars: Any, x: Any) -> Any:
        return discriminator.apply(disc_vars, to_float(x))

    def disc_loss(disc_vars: Any, fakes: Any, turn: Any) -> Any:
        real_logits, fake_logits = logits(disc_vars, turn.batch[real]), logits(disc_vars, fakes)
        metrics = {"disc/real": jnp.mean(jax.nn.sigmoid(real_logits)), "disc/fake": jnp.mean(jax.nn.sigmoid(fake_logits))}
        return losses.non_saturating.disc(real_logits, fake_logits), ({}, metrics)

    def gen_loss(disc_vars: Any, fakes: Any, turn: Any) -> Any:
        fake_logits = logits(disc_vars, fakes)
        return losses.non_saturating.gen(fake_logits, fake_logits), {}

    return Objective(init, sampler, disc_loss, gen_loss, needs=(real, name))
