"""A discriminator that tells the classes of real examples, and generated ones from all of them (Salimans et al. 2016)."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, PyTree

from gan_jax import penalties as penalty
from gan_jax.augment import Augment
from gan_jax.core import Batch, Metrics, Objective, Players, Turn, Variables
from gan_jax.errors import InputError
from gan_jax.latents import Latent
from gan_jax.losses import Loss
from gan_jax.objectives.critic import Critic, Judged, game_metrics, generator_cost, judges_in_one_batch, require_alike
from gan_jax.objectives.image import image_sampler
from gan_jax.objectives.networks import AnyNetwork, Network, network, sown_loss


def class_gan(
    generator: AnyNetwork,
    discriminator: AnyNetwork,
    loss: Loss,
    latent: Latent,
    classes: int,
    *,
    class_weight: float = 1.0,
    penalties: Sequence[penalty.Term | tuple[Any, ...]] = (),
    real: str = "image",
    augment: Augment | None = None,
    pack: int = 1,
    feature_matching: Any = 0.0,
    adversarial: Any = 1.0,
) -> Objective:
    """The game of an unconditional generator and a discriminator of K = `classes` classes and "generated", K + 1 in all.

    `discriminator(x, train=)` gives logits (b, K + 1) or (b, K), the last class having the logit l_{K+1} = 0 then (arXiv:
    1606.03498, section 5). With

        s(x) = log sum_{k <= K} exp l_k(x) - l_{K+1}(x),        D(x) = sigmoid(s(x)) = p(real | x)

    the two players have the costs of `loss` on s, and the discriminator has beside them `class_weight` times the cross entropy
    -E log p(y | x, y <= K) over the real examples whose label `batch["label"]` is one of the K; others have no known class. The
    authors' program for CIFAR-10 has half the cost of `losses.minimax` on s. A discriminator whose field `dropout` is not 0
    also takes a `key`. All else is as in `gan_jax.objectives.image_gan`; with `classes=0` there are no labels, the
    discriminator gives logits (b,), and the game is that of `image_gan` but for the key.

    Metrics: those of `image_gan`, and with classes `disc/class_loss`. Raises `InputError` for a single class, for a
    discriminator of another number of logits, for packed examples, and as `image_gan`.
    """
    if not isinstance(loss, Loss):
        raise InputError(f"loss is a gan_jax.losses.Loss such as losses.non_saturating, not {loss!r}")
    if classes == 1 or classes < 0:
        raise InputError(
            f"a discriminator of K + 1 classes needs 2 classes of real examples or more, not {classes}: one class is the plain "
            "game, gan_jax.objectives.image_gan"
        )
    if pack != 1:
        raise InputError(f"examples have one class each, and packs of {pack} have not: use pack=1")
    terms = penalty.terms(penalties)
    joint = judges_in_one_batch(discriminator, terms)
    player, critic = network(generator), Critic(_telling(discriminator, classes), augment, 1, joint)
    sampler = image_sampler(generator, latent, ())

    def show(variables: Variables, batch: Batch, fake: Array, keys: Array, keep: bool = True) -> tuple[Judged, Judged]:
        """Real and generated examples, judged with four keys; the cross entropy of the former is what was sown."""
        y = jnp.asarray(batch["label"], jnp.int32) if classes else jnp.zeros(len(batch[real]), jnp.int32)
        none = jnp.full_like(y, classes), _each(keys[3], y)
        augmented = keys[0], keys[1]
        return critic.show_both(variables, batch[real], fake, y, _each(keys[2], y), of_fakes=none, keys=augmented, keep=keep)

    def init(key: Array, batch: Batch) -> Players:
        key_gen, key_disc, key_inputs, key_noise = jax.random.split(key, 4)
        rows = getattr(generator, "init_rows", 0) or len(batch[real])
        inputs = sampler.inputs(key_inputs, {real: jnp.zeros((rows, 1))})
        gen_vars = player.start(key_gen, inputs["z"])
        few = {"z": inputs["z"][: len(batch[real])]}
        require_alike(real, batch[real], jax.eval_shape(lambda v: sampler.sample(v, few, key_gen, True)[0], gen_vars))
        y = jnp.zeros(len(batch[real]), jnp.int32)
        return Players(gen=gen_vars, disc=critic.init(key_disc, batch[real], y, _each(key_noise, y)))

    def disc_loss(disc_vars: Variables, fake: Array, turn: Turn) -> tuple[Array, tuple[PyTree, Metrics]]:
        key_penalty, key = jax.random.split(turn.key)
        keys = jax.random.split(key, 4)
        require_alike(real, turn.batch[real], fake)
        reals, fakes = show(disc_vars, turn.batch, fake, keys)
        y = jnp.full(len(fake), classes, jnp.int32)
        judge = critic.at(disc_vars, y, _each(keys[2], y), key=keys[0])  # the noise that real examples were judged with
        regulariser = penalty.total(terms, judge, reals.x, fakes.x, key_penalty, turn.updates)
        stats, numbers = critic.new_stats(reals, fakes)
        value = loss.disc(reals.logits, fakes.logits) + regulariser + class_weight * reals.loss + fakes.loss
        metrics = {"disc/penalty": regulariser, **game_metrics(reals, fakes), **numbers}
        if classes:
            metrics["disc/class_loss"] = reals.loss
        return value, (stats, metrics)

    def gen_loss(disc_vars: Variables, fake: Array, turn: Turn) -> tuple[Array, Metrics]:
        require_alike(real, turn.batch[real], fake)
        reals, fakes = show(disc_vars, turn.batch, fake, jax.random.split(turn.key, 4), keep=False)
        value, metrics = generator_cost(loss, reals, fakes, feature_matching, adversarial)
        return value + sown_loss(player, turn.gen, turn.inputs["z"]), metrics

    return Objective(init, sampler, disc_loss, gen_loss, needs=(real, "label") if classes else (real,))


def real_logit(logits: Float[Array, "b l"], classes: int) -> Float[Array, " b"]:
    """log sum_{k <= K} exp l_k - l_{K+1}, the logit of p(real); l_{K+1} is 0 where there are K logits."""
    generated = logits[:, classes] if logits.shape[1] > classes else 0.0
    return jax.nn.logsumexp(logits[:, :classes], axis=1) - generated


def class_loss(logits: Float[Array, "b k"], y: Int[Array, " b"]) -> Float[Array, ""]:
    """-E log p(y | x, y <= K), the mean over the examples whose label is one of the K classes; 0 without any."""
    known = (y >= 0) & (y < logits.shape[1])
    chosen = jnp.take_along_axis(logits, jnp.where(known, y, 0)[:, None], axis=1)[:, 0]
    costs = jax.nn.logsumexp(logits, axis=1) - chosen
    return jnp.sum(jnp.where(known, costs, 0.0)) / jnp.maximum(jnp.sum(known), 1)


def _telling(discriminator: AnyNetwork, classes: int) -> Network:
    """The network as (x, y, keys) -> logits of p(real), which sows the cross entropy of y; it gets the first of the keys."""
    given, drops = network(discriminator), getattr(discriminator, "dropout", 0)

    def inputs(x: Array, keys: Array) -> tuple[Array, ...]:
        return (x, keys[0]) if drops else (x,)

    def init(key: Array, x: Array, y: Array, noise: Array) -> Variables:
        return given.init(key, *inputs(x, noise))

    def apply(variables: Variables, x: Array, y: Array, noise: Array, *, train: bool) -> tuple[Array, Variables]:
        logits, new = given.apply(variables, *inputs(x, noise), train=train)
        if not classes:
            return logits, new
        if logits.ndim != 2 or logits.shape[1] not in (classes, classes + 1):
            raise InputError(
                f"a discriminator of {classes} classes gives logits (b, {classes}) or (b, {classes + 1}), not {logits.shape}"
            )
        sown = {"losses": {**new.get("losses", {}), "classes": class_loss(logits[:, :classes], y)}}
        return real_logit(logits, classes), {**new, **(sown if train else {})}

    return Network(init, apply)


def _each(key: Array, y: Array) -> Array:
    """The key once for each example, as conditions are."""
    return jnp.broadcast_to(key, y.shape)
