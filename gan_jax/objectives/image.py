"""Unconditional and class-conditional GANs on images, or on any arrays."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, PyTree

from gan_jax import batch_axis
from gan_jax import penalties as penalty
from gan_jax.augment import Augment
from gan_jax.core import Batch, Metrics, Objective, Players, Sampler, Turn, Variables, split_variables
from gan_jax.errors import InputError
from gan_jax.latents import Latent
from gan_jax.losses import Loss
from gan_jax.objectives.critic import Critic, game_metrics, generator_cost, judges_in_one_batch, require_alike
from gan_jax.objectives.networks import AnyNetwork, network, sown_loss


def image_gan(
    generator: AnyNetwork,
    discriminator: AnyNetwork,
    loss: Loss,
    latent: Latent,
    penalties: Sequence[penalty.Term | tuple[Any, ...]] = (),
    real: str = "image",
    augment: Augment | None = None,
    pack: int = 1,
    needs: Sequence[str] | None = None,
    feature_matching: Any = 0.0,
    adversarial: Any = 1.0,
) -> Objective:
    """The two-player game on `batch[real]`, uint8 or float in [-1, 1], with labels `batch["label"]` for conditional networks.

    `generator(z, *conditions, train=)` gives images and `discriminator(x, *conditions, train=)` logits (b,); see
    `gan_jax.objectives.networks.network` for what they may be. Conditions are the arrays of the batch that `needs` names: the
    label where the generator has `num_classes`, unless given. Fakes take the conditions of the batch. Real and generated
    examples pass the discriminator separately, so that batch norm sees one kind at a time, but in one batch, [real; generated],
    where its `minibatch` is "discrimination_groups", which compares them. `penalties` holds (weight, penalty)
    or (weight, penalty, every), see `gan_jax.penalties.Term`. What the discriminator judges, real or generated, for either
    player's loss, passes `augment` first, and is then packed by `pack` (see `gan_jax.objectives.critic.Critic`); penalties
    are on whole packs. Scalars that a network sows in "losses" are added to its player's loss: the discriminator's both for
    real and for generated examples. The generator's cost is `adversarial` times that of the loss, and `feature_matching` times
    that of `gan_jax.objectives.critic.feature_matching`.

    Metrics: `disc/penalty`; those of `gan_jax.objectives.critic.game_metrics`; ADA's `augment/p` and `augment/r`.
    Raises `InputError` for what is no network, loss, latent or penalty, for `pack` below 1 or with conditions, and where a
    batch cannot be packed or is not of the generator's size.
    """
    if not isinstance(loss, Loss):
        raise InputError(f"loss is a gan_jax.losses.Loss such as losses.non_saturating, not {loss!r}")
    terms = penalty.terms(penalties)
    joint = judges_in_one_batch(discriminator, terms)
    player, critic = network(generator), Critic(network(discriminator), augment, pack, joint)
    sampler = image_sampler(generator, latent, needs)

    def init(key: Array, batch: Batch) -> Players:
        key_gen, key_disc, key_inputs = jax.random.split(key, 3)
        inputs = sampler.inputs(key_inputs, batch)
        z, *conditions = _arguments(sampler.needs, inputs)
        if rows := getattr(generator, "init_rows", 0):
            many = sampler.inputs(key_inputs, {name: jnp.resize(x, (rows, *x.shape[1:])) for name, x in batch.items()})
            gen_vars = player.start(key_gen, *_arguments(sampler.needs, many))
        else:
            gen_vars = player.start(key_gen, z, *conditions)
        require_alike(real, batch[real], jax.eval_shape(lambda v: sampler.sample(v, inputs, key_gen, True)[0], gen_vars))
        return Players(gen=gen_vars, disc=critic.init(key_disc, batch[real], *conditions))

    def disc_loss(disc_vars: Variables, fake: Array, turn: Turn) -> tuple[Array, tuple[PyTree, Metrics]]:
        key_penalty, key_real, key_fake = jax.random.split(turn.key, 3)
        _, *conditions = _arguments(sampler.needs, turn.inputs)
        require_alike(real, turn.batch[real], fake)
        reals, fakes = critic.show_both(disc_vars, turn.batch[real], fake, *conditions, keys=(key_real, key_fake))
        judge = critic.at(disc_vars, *conditions, key=key_real)
        regulariser = penalty.total(terms, judge, critic.packed(reals.x), critic.packed(fakes.x), key_penalty, turn.updates)
        stats, numbers = critic.new_stats(reals, fakes)
        value = loss.disc(reals.logits, fakes.logits) + regulariser + reals.loss + fakes.loss
        return value, (stats, {"disc/penalty": regulariser, **game_metrics(reals, fakes), **numbers})

    def gen_loss(disc_vars: Variables, fake: Array, turn: Turn) -> tuple[Array, Metrics]:
        key_real, key_fake = jax.random.split(turn.key)
        z, *conditions = _arguments(sampler.needs, turn.inputs)
        require_alike(real, turn.batch[real], fake)
        keys = key_real, key_fake
        # one after the other, the reals are dead code unless the loss reads them
        reals, fakes = critic.show_both(disc_vars, turn.batch[real], fake, *conditions, keys=keys, keep=False)
        value, metrics = generator_cost(loss, reals, fakes, feature_matching, adversarial)
        return value + sown_loss(player, turn.gen, z, *conditions), metrics

    return Objective(init, sampler, disc_loss, gen_loss, needs=(real, *sampler.needs))


def image_sampler(generator: AnyNetwork, latent: Latent, needs: Sequence[str] | None = None) -> Sampler:
    """The sampler of an image GAN, which needs the generator alone.

    Inputs are latents `z` and the arrays of the batch that `needs` names, given to the generator in this order: the label
    where it has `num_classes`, unless given. Raises `InputError` for what is no network or latent.
    """
    player = network(generator)
    if not callable(latent) or isinstance(latent, type):
        raise InputError(f"latent is a distribution such as latents.Normal(64), not {latent!r}")
    if needs is None:
        needs = ("label",) if getattr(generator, "num_classes", 0) else ()
    needs = tuple(needs)

    def inputs(key: Array, batch: Batch) -> dict[str, Array]:
        n = jax.tree.leaves(batch)[0].shape[0]
        return {"z": batch_axis.draw(partial(latent, key), n), **{name: jnp.asarray(batch[name]) for name in needs}}

    def sample(
        gen_vars: Variables, inputs: dict[str, Array], key: Array, train: bool = False
    ) -> tuple[Float[Array, "b ..."], PyTree]:
        images, new, _ = player.forward(gen_vars, *_arguments(needs, inputs), train=train)
        return images, split_variables(new)[1]

    return Sampler(inputs, sample, needs, int(getattr(generator, "num_classes", 0) or 0) if "label" in needs else 0)


def _arguments(needs: Sequence[str], inputs: dict[str, Array]) -> list[Array]:
    """The latents, then the conditions, in the order of `needs`; that of a dict is lost where it passes a transformation."""
    return [inputs[name] for name in ("z", *needs)]
