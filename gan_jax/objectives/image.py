"""Unconditional and class-conditional GANs on images, or on any arrays."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, PyTree

from gan_jax import penalties as penalty
from gan_jax.core import Batch, Metrics, Objective, Players, Variables, split_variables
from gan_jax.images import to_float
from gan_jax.latents import Latent
from gan_jax.losses import Loss


def image_gan(
    generator: nn.Module,
    discriminator: nn.Module,
    loss: Loss,
    latent: Latent,
    penalties: Sequence[penalty.Term | tuple[Any, ...]] = (),
    real: str = "image",
) -> Objective:
    """The two-player game on `batch[real]`, uint8 or float in [-1, 1], with labels `batch["label"]` for conditional nets.

    `generator(z, y, train=)` gives images, `discriminator(x, y, train=)` logits (b,); y is None without labels. Fakes take
    the labels of the batch. Real and generated examples pass the discriminator separately, so that batch norm sees one kind
    at a time. `penalties` holds (weight, penalty) or (weight, penalty, every), see `gan_jax.penalties.Term`.

    Metrics: `disc/real` and `disc/fake`, the mean D(x) and D(G(z)); `disc/penalty`; `data/diversity` and `gen/diversity`,
    the root mean square distance of an example to the batch's mean.
    """
    terms = [penalty.Term(*term) for term in penalties]
    inputs, sample = image_sampler(generator, latent)

    def init(key: Array, batch: Batch) -> Players:
        key_gen, key_disc, key_inputs = jax.random.split(key, 3)
        z, y = inputs(key_inputs, batch)
        gen_vars = generator.init(key_gen, z, y, train=True)
        return Players(gen=gen_vars, disc=discriminator.init(key_disc, to_float(batch[real]), y, train=True))

    def judge(disc_vars: Variables, x: Array, y: Array | None) -> tuple[Array, Variables]:
        logits, stats = _apply(discriminator, disc_vars, x, y)
        return logits, {**disc_vars, **stats}

    def disc_loss(
        disc_vars: Variables, gen_vars: Variables, batch: Batch, key: Array, count: Array
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        key_inputs, key_penalty = jax.random.split(key)
        x = to_float(batch[real])
        z, y = inputs(key_inputs, batch)
        fake, _ = _apply(generator, gen_vars, z, y)
        real_logits, new_vars = judge(disc_vars, x, y)
        fake_logits, new_vars = judge(new_vars, fake, y)
        regulariser = penalty.total(terms, lambda x: judge(disc_vars, x, y)[0], x, fake, key_penalty, count)
        metrics = {
            "disc/real": jnp.mean(jax.nn.sigmoid(real_logits)),
            "disc/fake": jnp.mean(jax.nn.sigmoid(fake_logits)),
            "disc/penalty": regulariser,
            "data/diversity": _diversity(x),
            "gen/diversity": _diversity(fake),
        }
        return loss.disc(real_logits, fake_logits) + regulariser, (split_variables(new_vars)[1], metrics)

    def gen_loss(
        gen_vars: Variables, disc_vars: Variables, batch: Batch, key: Array, count: Array
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        z, y = inputs(key, batch)
        fake, stats = _apply(generator, gen_vars, z, y)
        real_logits, _ = judge(disc_vars, to_float(batch[real]), y)  # dead code, removed by XLA, unless the loss reads it
        fake_logits, _ = judge(disc_vars, fake, y)
        return loss.gen(real_logits, fake_logits), (stats, {})

    return Objective(init, disc_loss, gen_loss, inputs, sample)


Inputs = tuple[Float[Array, "b z"], Any]  # latents, and labels or None


def image_sampler(generator: nn.Module, latent: Latent) -> tuple[Callable, Callable]:
    """The `inputs` and `sample` functions of an image GAN's objective, which need the generator alone.

    Inputs are (z, y), the labels y taken from `batch["label"]` where the generator has `num_classes`.
    """
    conditional = bool(getattr(generator, "num_classes", 0))

    def inputs(key: Array, batch: Batch) -> Inputs:
        n = jax.tree.leaves(batch)[0].shape[0]
        return latent(key, n), batch["label"] if conditional else None

    def sample(gen_vars: Variables, inputs: Inputs, key: Array, train: bool = False) -> tuple[Float[Array, "b ..."], PyTree]:
        z, y = inputs
        if train:
            return _apply(generator, gen_vars, z, y)
        images: Any = generator.apply(gen_vars, z, y, train=False)
        return images, split_variables(gen_vars)[1]

    return inputs, sample


def _apply(module: nn.Module, variables: Variables, x: Array, y: Array | None) -> tuple[Array, PyTree]:
    """Forward in training mode: output and new statistics."""
    collections = list(split_variables(variables)[1])
    out, stats = module.apply(variables, x, y, train=True, mutable=collections)
    return out, stats


def _diversity(x: Array) -> Array:
    return jnp.sqrt(jnp.sum(jnp.var(x, axis=0)))
