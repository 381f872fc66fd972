"""Super-resolution: a generator of `high` pictures from `low` ones, with or without a discriminator."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, PyTree

from gan_jax import penalties as penalty
from gan_jax.augment import Augment
from gan_jax.core import Batch, Metrics, Objective, Players, Sampler, Turn, Variables, split_variables
from gan_jax.images.convert import to_float
from gan_jax.losses import Loss
from gan_jax.objectives.critic import Critic, game_metrics, require_alike
from gan_jax.objectives.networks import AnyNetwork, network

Content = Callable[[Float[Array, "b h w c"], Float[Array, "b h w c"]], Float[Array, ""]]


def superres(generator: AnyNetwork, content: Content, tv: Any = 0.0) -> Objective:
    """Super-resolution without a discriminator (SRResNet): the generator's cost is content(G(low), high) + tv TV(G(low)).

    `batch` has `low` and `high`, uint8 or floats in [-1, 1]; the other player has no parameters. `content(fakes, high)` is a
    mean over the batch such as those of `gan_jax.models.content`, TV `total_variation`. Metrics: `gen/psnr` in dB, on colours
    in [-1, 1] that are not cut. Raises `InputError` where the pictures of the batch are not of the generator's size.
    """
    player, sampler = network(generator), superres_sampler(generator)

    def init(key: Array, batch: Batch) -> Players:
        gen_vars = player.start(key, to_float(batch["low"]))
        made = jax.eval_shape(lambda v: sampler.sample(v, sampler.inputs(key, batch), key, True)[0], gen_vars)
        require_alike("high", batch["high"], made)
        return Players(gen=gen_vars, disc={"params": {}})

    def disc_loss(disc_vars: Variables, fake: Array, turn: Turn) -> tuple[Array, tuple[PyTree, Metrics]]:
        return jnp.zeros(()), (split_variables(disc_vars)[1], {})

    def gen_loss(disc_vars: Variables, fake: Array, turn: Turn) -> tuple[Array, Metrics]:
        return _restored(content, tv, fake, turn)

    return Objective(init, sampler, disc_loss, gen_loss, needs=("low", "high"))


def superres_gan(
    generator: AnyNetwork,
    discriminator: AnyNetwork,
    content: Content,
    loss: Loss,
    adversarial: Any = 1e-3,
    tv: Any = 0.0,
    penalties: Sequence[penalty.Term | tuple[Any, ...]] = (),
    augment: Augment | None = None,
) -> Objective:
    """Super-resolution with a discriminator of high pictures (SRGAN, Ledig et al. 2016, arXiv:1609.04802, eq. 3).

    The generator's cost is that of `superres` plus `adversarial` times that of the loss. `penalties` and `augment` are as in
    `gan_jax.objectives.image_gan`. Metrics: those of `superres`, `gen/adversarial`, `disc/penalty`, those of
    `gan_jax.objectives.critic.game_metrics` but `gen/rms_distance`: smooth fakes lie near each other in the discriminator's
    features, which the doctor would call a collapse, though each has a low picture of its own.
    """
    plain, critic, terms = superres(generator, content, tv), Critic(network(discriminator), augment), penalty.terms(penalties)

    def init(key: Array, batch: Batch) -> Players:
        key_gen, key_disc = jax.random.split(key)
        return plain.init(key_gen, batch)._replace(disc=critic.init(key_disc, batch["high"]))

    def disc_loss(disc_vars: Variables, fake: Array, turn: Turn) -> tuple[Array, tuple[PyTree, Metrics]]:
        key_penalty, key_real, key_fake = jax.random.split(turn.key, 3)
        reals, fakes = critic.show_both(disc_vars, turn.batch["high"], fake, keys=(key_real, key_fake))
        judge = critic.at(disc_vars, key=key_real)
        regulariser = penalty.total(terms, judge, reals.x, fakes.x, key_penalty, turn.updates)
        stats, numbers = critic.new_stats(reals, fakes)
        value = loss.disc(reals.logits, fakes.logits) + regulariser + reals.loss + fakes.loss
        game = {name: number for name, number in game_metrics(reals, fakes).items() if name != "gen/rms_distance"}
        return value, (stats, {"disc/penalty": regulariser, **game, **numbers})

    def gen_loss(disc_vars: Variables, fake: Array, turn: Turn) -> tuple[Array, Metrics]:
        key_real, key_fake = jax.random.split(turn.key)
        keys = key_real, key_fake
        reals, fakes = critic.show_both(disc_vars, turn.batch["high"], fake, keys=keys, keep=False)
        value, metrics = _restored(content, tv, fake, turn)
        fooling = loss.gen(reals.logits, fakes.logits)
        return value + adversarial * fooling, {**metrics, "gen/adversarial": fooling}

    return Objective(init, plain.sampler, disc_loss, gen_loss, needs=plain.needs)


def superres_sampler(generator: AnyNetwork) -> Sampler:
    """The sampler of super-resolution: asked by `low` (b, h, w, c), it gives pictures that are as much larger as they are."""
    player = network(generator)

    def inputs(key: Array, batch: Batch) -> dict[str, Array]:
        return {"low": jnp.asarray(batch["low"])}

    def sample(gen_vars: Variables, inputs: dict[str, Array], key: Array, train: bool = False) -> tuple[Array, PyTree]:
        images, new, _ = player.forward(gen_vars, to_float(inputs["low"]), train=train)
        return images, split_variables(new)[1]

    return Sampler(inputs, sample, ("low",))


def total_variation(x: Float[Array, "b h w c"]) -> Float[Array, ""]:
    """The mean over the batch of sum |grad x|, differences to the pixel below and to the right (Ledig et al. 2016, v1)."""
    down, right = x[:, 1:, :-1] - x[:, :-1, :-1], x[:, :-1, 1:] - x[:, :-1, :-1]
    return jnp.mean(jnp.sum(jnp.sqrt(down**2 + right**2 + 1e-12), axis=(1, 2, 3)))


def _restored(content: Content, tv: Any, fake: Array, turn: Turn) -> tuple[Array, Metrics]:
    high = to_float(turn.batch["high"])
    value = content(fake, high)
    error = jnp.mean((fake - high) ** 2, axis=(1, 2, 3))
    metrics = {"gen/content": value, "gen/psnr": jnp.mean(10 * jnp.log10(4 / (error + 1e-12)))}
    if isinstance(tv, int | float) and not tv:
        return value, metrics
    return value + tv * total_variation(fake), metrics
