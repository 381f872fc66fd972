"""Which captions fit which pictures, and losses that bring pictures and their captions together."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int, Shaped

from gan_jax import batch_axis

Shown = Shaped[np.ndarray | Array, "m s t"]  # the s captions that stand for m pictures, each a row of t bytes
Captions = Shaped[np.ndarray | Array, "n k t"]  # all k captions of n pictures
MARGIN = 1.0


def fits(captions: Captions, shown: Shown) -> Bool[Array, "n m"]:
    """Whether all captions `shown` of picture j are captions of picture i too, at (i, j)."""
    equal = jnp.all(jnp.asarray(captions)[:, :, None, None] == jnp.asarray(shown)[None, None], axis=-1)  # n k m s
    return jnp.all(jnp.any(equal, axis=1), axis=-1)


def mismatched(
    key: Array,
    captions: Shaped[Array, "b k t"],
    shown: Shaped[Array, "b s t"],
    nearness: Float[Array, "b n"] | float = 0.0,
) -> tuple[Int[Array, " b"], Bool[Array, " b"]]:
    """For each picture another row of the whole batch, at random, whose captions do not fit it; and whether there is one.

    Row j of the n is drawn with a chance in proportion to exp(nearness_j). Rows are numbered over all parts of the batch
    (`gan_jax.batch_axis`).
    """
    wrong = ~fits(captions, batch_axis.gather(shown))  # b n
    chance = batch_axis.draw(partial(_gumbel, key, wrong.shape[1]), len(wrong))
    return jnp.argmax(jnp.where(wrong, chance + nearness, -jnp.inf), axis=1), jnp.any(wrong, axis=1)


def _gumbel(key: Array, columns: int, rows: int) -> Float[Array, "rows columns"]:
    return jax.random.gumbel(key, (rows, columns))


def similarity(pictures: Float[Array, "n d"], texts: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """The cosine of each picture's embedding and each caption's."""
    directions = [x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-6) for x in (pictures, texts)]
    return directions[0] @ directions[1].T


def contrastive(logits: Float[Array, "b b"], also: Bool[Array, "b b"]) -> Float[Array, ""]:
    """The mean of both cross entropies: of a picture's own caption among all, and of a caption's own picture among all.

    -1/2b sum_i [log softmax_j(s_ij)_i + log softmax_j(s_ji)_i] of logits s (n pairs, InfoNCE; Radford et al. 2021,
    arXiv:2103.00020, figure 3). Differs: pairs (i, j) that `also` fit take no part as wrong ones.
    """
    logits = jnp.where(also & ~jnp.eye(len(logits), dtype=bool), -jnp.inf, logits)
    own = jnp.diagonal(logits)
    return jnp.mean(jax.nn.logsumexp(logits, axis=1) + jax.nn.logsumexp(logits, axis=0) - 2 * own) / 2


def structured(logits: Float[Array, "b b"], also: Bool[Array, "b b"]) -> Float[Array, ""]:
    """The mean over wrong pairs of max(0, 1 + s_ij - s_ii) + max(0, 1 + s_ji - s_ii): the symmetric structured joint embedding.

    Reed et al. 2016 (arXiv:1605.05395, eq. 5 and 6). Differs: wrong is a pair whose caption does not fit, not one of another
    class.
    """
    wrong = ~also & ~jnp.eye(len(logits), dtype=bool)
    own = jnp.diagonal(logits)
    of_captions = jax.nn.relu(MARGIN + logits - own[:, None])
    of_pictures = jax.nn.relu(MARGIN + logits - own[None])
    return jnp.sum(jnp.where(wrong, of_captions + of_pictures, 0.0)) / jnp.maximum(jnp.sum(wrong), 1)


MATCHINGS = {"contrastive": contrastive, "structured": structured}
