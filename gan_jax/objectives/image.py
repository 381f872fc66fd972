"""Unconditional and class-conditional GANs on images, or on any arrays."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict
from jax import Array
from jaxtyping import Float, PyTree

from gan_jax import batch_axis
from gan_jax import penalties as penalty
from gan_jax.augment import Augment
from gan_jax.core import Batch, Metrics, Objective, Players, Sampler, Turn, Variables, split_variables
from gan_jax.images.convert import to_float
from gan_jax.latents import Latent
from gan_jax.losses import Loss


def image_gan(
    generator: nn.Module,
    discriminator: nn.Module,
    loss: Loss,
    latent: Latent,
    penalties: Sequence[penalty.Term | tuple[Any, ...]] = (),
    real: str = "image",
    augment: Augment | None = None,
) -> Objective:
    """The two-player game on `batch[real]`, uint8 or float in [-1, 1], with labels `batch["label"]` for conditional nets.

    `generator(z, y, train=)` gives images, `discriminator(x, y, train=)` logits (b,); y is None without labels. Fakes take
    the labels of the batch. Real and generated examples pass the discriminator separately, so that batch norm sees one kind
    at a time. `penalties` holds (weight, penalty) or (weight, penalty, every), see `gan_jax.penalties.Term`. What the
    discriminator judges, real or generated, for either player's loss, passes `augment` first; its state is the
    discriminator's collection "augment".

    Metrics: `disc/real` and `disc/fake`, the mean D(x) and D(G(z)); `disc/penalty`; `data/diversity` and `gen/diversity`,
    the root mean square distance of an example to the batch's mean; of a discriminator that sows its "features", at
    whatever depth, `gen/rms_distance` and `gen/offset`: the same distance among fakes, and that of the fakes' mean from the
    reals', both in its features and over the distance among reals; ADA's `augment/p` and `augment/r`.
    """
    terms = [penalty.Term(*term) for term in penalties]
    remembers = augment is not None and bool(augment.init())
    sampler = image_sampler(generator, latent)

    def init(key: Array, batch: Batch) -> Players:
        key_gen, key_disc, key_inputs = jax.random.split(key, 3)
        z, y = _latents_and_labels(sampler.inputs(key_inputs, batch))
        gen_vars = generator.init(key_gen, z, y, train=True)
        disc_vars = discriminator.init(key_disc, to_float(batch[real]), y, train=True)
        if augment and remembers:  # arrays of its own for every state, since states are donated
            disc_vars = {**disc_vars, "augment": augment.init()}
        return Players(gen=gen_vars, disc=disc_vars)

    def judge(disc_vars: Variables, x: Array, y: Array | None, key: Array) -> tuple[Array, Array | None, Variables]:
        """Logits, the features behind them, and the variables with new statistics."""
        state = disc_vars.get("augment", {})
        shown = augment.apply(x, key, state) if augment else x
        network = {name: value for name, value in disc_vars.items() if name != "augment"}
        logits, stats = _apply(discriminator, network, shown, y, "intermediates")
        features = _sown(stats.pop("intermediates", {}), "features")
        return logits, features, {**disc_vars, **stats}

    def remember(variables: Variables, real_logits: Array) -> tuple[Variables, Metrics]:
        if augment is None or not remembers:
            return variables, {}
        state = augment.update(variables["augment"], real_logits)
        numbers = {f"augment/{name}": state[name] for name in ("p", "r") if name in state}
        return {**variables, "augment": state}, numbers

    def disc_loss(disc_vars: Variables, fake: Array, turn: Turn) -> tuple[Array, tuple[PyTree, Metrics]]:
        key_penalty, key_real, key_fake = jax.random.split(turn.key, 3)
        x, y = to_float(turn.batch[real]), turn.inputs.get("label")
        real_logits, real_features, new_vars = judge(disc_vars, x, y, key_real)
        fake_logits, fake_features, new_vars = judge(new_vars, fake, y, key_fake)
        regulariser = penalty.total(terms, lambda x: judge(disc_vars, x, y, key_real)[0], x, fake, key_penalty, turn.updates)
        new_vars, numbers = remember(new_vars, real_logits)
        metrics = {
            "disc/real": jnp.mean(jax.nn.sigmoid(real_logits)),
            "disc/fake": jnp.mean(jax.nn.sigmoid(fake_logits)),
            "disc/penalty": regulariser,
            "data/diversity": _diversity(x),
            "gen/diversity": _diversity(fake),
            **_compared(real_features, fake_features),
            **numbers,
        }
        return loss.disc(real_logits, fake_logits) + regulariser, (split_variables(new_vars)[1], metrics)

    def gen_loss(disc_vars: Variables, fake: Array, turn: Turn) -> tuple[Array, Metrics]:
        (key_real, key_fake), y = jax.random.split(turn.key), turn.inputs.get("label")
        real_logits, *_ = judge(disc_vars, to_float(turn.batch[real]), y, key_real)  # dead code unless the loss reads it
        fake_logits, *_ = judge(disc_vars, fake, y, key_fake)
        return loss.gen(real_logits, fake_logits), {}

    return Objective(init, sampler, disc_loss, gen_loss, needs=(real, *sampler.needs))


def image_sampler(generator: nn.Module, latent: Latent) -> Sampler:
    """The sampler of an image GAN, which needs the generator alone.

    Inputs are latents `z` and, where the generator has `num_classes`, `label`, taken from the batch.
    """
    needs = ("label",) if getattr(generator, "num_classes", 0) else ()

    def inputs(key: Array, batch: Batch) -> dict[str, Array]:
        n = jax.tree.leaves(batch)[0].shape[0]
        return {"z": batch_axis.draw(partial(latent, key), n), **{name: jnp.asarray(batch[name]) for name in needs}}

    def sample(
        gen_vars: Variables, inputs: dict[str, Array], key: Array, train: bool = False
    ) -> tuple[Float[Array, "b ..."], PyTree]:
        z, y = _latents_and_labels(inputs)
        if train:
            return _apply(generator, gen_vars, z, y)
        images: Any = generator.apply(gen_vars, z, y, train=False)
        return images, split_variables(gen_vars)[1]

    return Sampler(inputs, sample, needs)


def _latents_and_labels(inputs: dict[str, Array]) -> tuple[Array, Array | None]:
    return inputs["z"], inputs.get("label")


def _apply(module: nn.Module, variables: Variables, x: Array, y: Array | None, *more: str) -> tuple[Array, dict[str, Any]]:
    """Forward in training mode: output, new statistics, and the collections `more` that were sown."""
    collections = [*split_variables(variables)[1], *more]
    out, stats = module.apply(variables, x, y, train=True, mutable=collections)
    return out, dict(stats)


def _sown(intermediates: dict[str, Any], name: str) -> Array | None:
    """What modules sowed under this name, at whatever depth, as rows side by side; None if none did."""
    found = [x for path, sown in flatten_dict(intermediates).items() if path[-1] == name for x in sown]
    return jnp.concatenate([x.reshape(len(x), -1) for x in found], axis=-1) if found else None


def _compared(real: Array | None, fake: Array | None) -> Metrics:
    """Fakes against reals in the discriminator's features, if it tells them."""
    if real is None or fake is None:
        return {}
    real, fake = (jax.lax.stop_gradient(x).astype(jnp.float32).reshape(len(x), -1) for x in (real, fake))
    scale = _diversity(real) + 1e-12
    offset = batch_axis.mean(jnp.mean(real, axis=0)) - batch_axis.mean(jnp.mean(fake, axis=0))
    return {"gen/rms_distance": _diversity(fake) / scale, "gen/offset": jnp.sqrt(jnp.sum(offset**2)) / scale}


def _diversity(x: Array) -> Array:
    mean = batch_axis.mean(jnp.mean(x, axis=0))
    return jnp.sqrt(jnp.sum(batch_axis.mean(jnp.mean(jnp.square(x - mean[None]), axis=0))))
