"""Text to image: GAN-CLS and GAN-INT (Reed et al. 2016, arXiv:1605.05396), and AttnGAN's cost of whole sentences."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, PyTree

from gan_jax import batch_axis, matching
from gan_jax import penalties as penalty
from gan_jax.augment import Augment
from gan_jax.core import Batch, Metrics, Objective, Players, Sampler, Turn, Variables, split_variables
from gan_jax.errors import InputError
from gan_jax.latents import Latent
from gan_jax.losses import Loss
from gan_jax.objectives.critic import Critic, game_metrics, generator_cost, require_alike
from gan_jax.objectives.networks import AnyNetwork, network, sown_loss

ENCODER = "text_encoder"  # the generator's collection of the encoder's variables, which are never trained
PICTURES = "picture_encoder"  # the discriminator's of those of its partner for pictures
GAMMA = 10.0  # factor on the cosines of samples and captions (AttnGAN: gamma_3)


def text_gan(
    generator: AnyNetwork,
    discriminator: AnyNetwork,
    loss: Loss,
    latent: Latent,
    encoder: nn.Module | None = None,
    encoder_variables: PyTree = None,
    picture_encoder: nn.Module | None = None,
    picture_variables: PyTree = None,
    *,
    agreement: float = 0.0,
    mismatch: float = 0.5,
    hard_negatives: float = 0.0,
    interpolation: float = 0.0,
    beta: float = 0.5,
    penalties: Sequence[penalty.Term | tuple[Any, ...]] = (),
    real: str = "image",
    augment: Augment | None = None,
    pack: int = 1,
    feature_matching: Any = 0.0,
    adversarial: Any = 1.0,
) -> Objective:
    """The game on `batch[real]` and what is said of it; `generator(z, t, train=)`, `discriminator(x, t, train=)`.

    t is the embedding `batch["text"]` (b, t) or, without that, what `encoder` makes of `batch["caption"]` (b, bytes); its
    `encoder_variables` travel with the generator's statistics and never change. Without an encoder there is `text` alone.

    GAN-CLS (algorithm 1): with a = `mismatch`, 0 for the plain conditional game,

        L_D = mean of (1 - a) loss.disc(s_r, s_f) + a loss.disc(s_r, s_w)

    s_r = D(x, t), s_w = D(x, t') with t' of another row whose captions `batch["shown"]` (b, s, bytes) are not all among the
    picture's `batch["captions"]` (b, k, bytes); of data without these two, whose `caption` differs. A row for which there is
    none is judged with a = 0. The paper's costs are those of `losses.non_saturating` with a = 1/2. The other row is drawn with
    a chance in proportion to exp(`hard_negatives` cos(t, t')): above 0 captions that are nearly right come more often.
    GAN-INT (eq. 5): `interpolation` times loss.gen of G(z, h) judged with h = `beta` t_i + (1 - `beta`) t_j is added to the
    generator's cost, for every second row. The rest of it is as in `image_gan`, by `feature_matching` and `adversarial`.
    `agreement` times the contrastive cost (`gan_jax.matching.contrastive`) of 10 cos(e(G(z, t)), t) over the batch is added to
    it too, e being the `picture_encoder` that was trained with the encoder; its `picture_variables` are among the
    discriminator's statistics and never change: AttnGAN's cost of whole sentences (Xu et al. 2018, arXiv:1711.10485, section
    3.2). Differs: half of the sum of both directions, and captions that fit take no part as wrong.

    Metrics: as `image_gan`, `disc/wrong`, the mean D(x, t') as a probability, and `gen/interpolated` and `gen/agreement`, the
    costs before their weights. Raises `InputError` for what is no network, loss, latent or penalty, for an encoder without
    variables, agreement without `picture_encoder`, weights that cannot be, `pack` above 1 and features that compare real with
    generated examples, and where the batch is not of the generator's size.
    """
    if not isinstance(loss, Loss):
        raise InputError(f"loss is a gan_jax.losses.Loss such as losses.non_saturating, not {loss!r}")
    if (encoder is None) != (encoder_variables is None):
        raise InputError("an encoder and its variables go together: give both, or none and embeddings `text`")
    if agreement and (picture_encoder is None or picture_variables is None):
        raise InputError(
            "agreement compares samples with captions by the encoder of pictures that was trained with that of captions, and "
            "there is none: embeddings from a file have none"
        )
    weights = {"hard_negatives": hard_negatives, "interpolation": interpolation, "agreement": agreement}
    if not (0 <= mismatch < 1 and 0 <= beta <= 1 and min(weights.values()) >= 0):
        asked = ", ".join(f"{name} {value}" for name, value in {"mismatch": mismatch, "beta": beta, **weights}.items())
        raise InputError(f"{asked}: a share below 1, a share, and weights")
    terms = penalty.terms(penalties)
    if getattr(discriminator, "minibatch", "") == "discrimination_groups":
        raise InputError("real and generated examples of text to image are not judged in one batch: choose another minibatch")
    player, critic = network(generator), Critic(network(discriminator), augment, pack)
    sampler = text_sampler(generator, latent, encoder)
    told = partial(embedding, encoder)

    def init(key: Array, batch: Batch) -> Players:
        key_gen, key_disc, key_inputs = jax.random.split(key, 3)
        inputs = sampler.inputs(key_inputs, batch)
        frozen = {} if encoder is None else {ENCODER: encoder_variables}
        t = told(frozen, inputs)
        gen_vars = {**player.start(key_gen, inputs["z"], t), **frozen}
        require_alike(real, batch[real], jax.eval_shape(lambda v: sampler.sample(v, inputs, key_gen, True)[0], gen_vars))
        seen = {PICTURES: picture_variables} if agreement else {}
        return Players(gen=gen_vars, disc={**critic.init(key_disc, batch[real], t), **seen})

    def disc_loss(disc_vars: Variables, fake: Array, turn: Turn) -> tuple[Array, tuple[PyTree, Metrics]]:
        key_penalty, key_real, key_wrong, key_fake, key_rows = jax.random.split(turn.key, 5)
        x, t = turn.batch[real], told(turn.gen, turn.inputs)
        require_alike(real, x, fake)
        reals = critic.show(disc_vars, x, t, key=key_real)
        wrongs, there = reals, jnp.zeros(len(t), bool)
        if mismatch:
            every = batch_axis.gather(t)
            nearness = hard_negatives * matching.similarity(t, every) if hard_negatives else 0.0
            rows, there = matching.mismatched(key_rows, *_captions(turn.batch, t), nearness)
            wrongs = critic.show(reals.variables, x, every[rows], key=key_wrong)
        fakes = critic.show(wrongs.variables, fake, t, key=key_fake)
        judge = critic.at(disc_vars, t, key=key_real)
        regulariser = penalty.total(terms, judge, reals.x, fakes.x, key_penalty, turn.updates)
        costs = [jax.vmap(loss.disc)(reals.logits, other.logits) for other in (fakes, wrongs)]  # of each row
        value = jnp.mean(jnp.where(there, (1 - mismatch) * costs[0] + mismatch * costs[1], costs[0]))
        stats, numbers = critic.new_stats(reals, fakes)
        metrics = {"disc/penalty": regulariser, **game_metrics(reals, fakes), **numbers}
        if mismatch:
            metrics["disc/wrong"] = jnp.mean(jax.nn.sigmoid(wrongs.logits))
        sown = reals.loss + fakes.loss + (wrongs.loss if mismatch else 0.0)
        return value + regulariser + sown, (stats, metrics)

    def gen_loss(disc_vars: Variables, fake: Array, turn: Turn) -> tuple[Array, Metrics]:
        key_real, key_fake, key_mixed, key_play = jax.random.split(turn.key, 4)
        x, t = turn.batch[real], told(turn.gen, turn.inputs)
        require_alike(real, x, fake)
        reals = critic.show(disc_vars, x, t, key=key_real)  # dead code unless the loss reads it
        fakes = critic.show(disc_vars, fake, t, key=key_fake)
        value, metrics = generator_cost(loss, reals, fakes, feature_matching, adversarial)
        value += sown_loss(player, _own(turn.gen), turn.inputs["z"], t)
        if agreement:
            seen = picture_encoder.apply(disc_vars[PICTURES], fake)  # type: ignore[union-attr]
            cost = _agreement(seen, t, *_captions(turn.batch, t))
            value, metrics = value + agreement * cost, {**metrics, "gen/agreement": cost}
        if not interpolation:
            return value, metrics
        h = _mixed(t, beta)  # what the generator sows of it is not added: its conditioning is fitted to captions
        between, _ = sampler.sample(turn.gen, {"z": turn.inputs["z"][::2], "text": h}, key_play, True)
        cost = loss.gen(reals.logits[::2], critic.show(disc_vars, between, h, key=key_mixed).logits)
        return value + interpolation * cost, {**metrics, "gen/interpolated": cost}

    return Objective(init, sampler, disc_loss, gen_loss, needs=(real, *sampler.needs))


def text_sampler(generator: AnyNetwork, latent: Latent, encoder: nn.Module | None = None) -> Sampler:
    """The sampler of a text-to-image GAN: it is asked by `caption`, bytes (n, t), or without an encoder by `text` (n, d).

    A batch may hold `text` beside captions: their embeddings, computed before. Raises `InputError` for what is no network.
    """
    player = network(generator)
    needs = "text" if encoder is None else "caption"

    def inputs(key: Array, batch: Batch) -> dict[str, Array]:
        name = "text" if "text" in batch else needs
        rows = jnp.asarray(batch[name])
        return {"z": batch_axis.draw(partial(latent, key), len(rows)), name: rows}

    def sample(
        gen_vars: Variables, inputs: dict[str, Array], key: Array, train: bool = False
    ) -> tuple[Float[Array, "b h w c"], PyTree]:
        t = embedding(encoder, gen_vars, inputs)
        images, new, _ = player.forward(_own(gen_vars), inputs["z"], t, train=train)
        frozen = {name: value for name, value in gen_vars.items() if name == ENCODER}
        return images, split_variables({**new, **frozen})[1]

    def embed(gen_vars: Variables, rows: Array) -> Array:
        return embedding(encoder, gen_vars, {needs: rows})

    return Sampler(inputs, sample, (needs,), alphabet=getattr(encoder, "alphabet", ""), embed=embed)


def embedding(encoder: nn.Module | None, gen_vars: Variables, inputs: dict[str, Array]) -> Float[Array, "b t"]:
    """What the inputs say, as embeddings: given ones, or those of captions by the encoder that travels with the generator."""
    if "text" in inputs or encoder is None:
        return jnp.asarray(inputs["text"])
    found: Any = encoder.apply(gen_vars[ENCODER], inputs["caption"])
    return jax.lax.stop_gradient(found)


def _own(gen_vars: Variables) -> Variables:
    """The generator's variables without the encoder's."""
    return {name: value for name, value in gen_vars.items() if name != ENCODER}


def _agreement(seen: Any, t: Array, captions: Array, shown: Array) -> Float[Array, ""]:
    """The contrastive cost of the pictures' embeddings (b, t) and the captions' over the whole batch."""
    seen, t, captions, shown = map(batch_axis.gather, (seen, t, captions, shown))
    return matching.contrastive(GAMMA * matching.similarity(seen, t), matching.fits(captions, shown))


def _captions(batch: Batch, t: Array) -> tuple[Array, Array]:
    """All captions of each picture (b, k, bytes), and those shown (b, s, bytes); embeddings where there are no captions."""
    if "captions" in batch and "shown" in batch:
        return jnp.asarray(batch["captions"]), jnp.asarray(batch["shown"])
    own = jnp.asarray(batch.get("caption", t))[:, None]
    return own, own


def _mixed(t: Float[Array, "b t"], beta: float) -> Float[Array, "half t"]:
    """Embeddings between each second row and the one half of the whole batch further on."""
    whole = batch_axis.gather(t)
    partner = batch_axis.mine(jnp.roll(whole, -(len(whole) // 2), axis=0))
    return beta * t[::2] + (1 - beta) * partner[::2]
