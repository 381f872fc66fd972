"""Gradient penalties on the discriminator, f(critic, real, fake, key) -> scalar; weight clipping; historical averaging.

`critic` maps a batch (b, ...) to logits (b,). Norms are taken over all axes but the first.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float, Int, PyTree

from gan_jax import batch_axis
from gan_jax.errors import InputError

Batch = Float[Array, "b ..."]
Critic = Callable[[Batch], Float[Array, " b"]]
Penalty = Callable[[Critic, Batch, Batch, Array], Float[Array, ""]]


def _squared_norms(critic: Critic, x: Batch) -> Float[Array, " b"]:
    gradients = jax.grad(lambda x: jnp.sum(critic(x)))(x)
    return jnp.sum(gradients**2, axis=tuple(range(1, x.ndim)))


def _norms(critic: Critic, x: Batch) -> Float[Array, " b"]:
    return jnp.sqrt(_squared_norms(critic, x) + 1e-12)  # the square root has no slope at 0


def _each(key: Array, x: Batch) -> Float[Array, "b ..."]:
    """A number from U(0, 1) for each example."""
    return batch_axis.draw(lambda n: jax.random.uniform(key, (n,) + (1,) * (x.ndim - 1)), len(x))


def r1(critic: Critic, real: Batch, fake: Batch, key: Array) -> Float[Array, ""]:
    """E ||grad D(x)||^2 / 2 at real examples (Mescheder et al. 2018, arXiv:1801.04406, eq. 9)."""
    return jnp.mean(_squared_norms(critic, real)) / 2


def r2(critic: Critic, real: Batch, fake: Batch, key: Array) -> Float[Array, ""]:
    """E ||grad D(G(z))||^2 / 2 at generated examples (Mescheder et al. 2018, eq. 10)."""
    return jnp.mean(_squared_norms(critic, fake)) / 2


def wgan_gp(critic: Critic, real: Batch, fake: Batch, key: Array) -> Float[Array, ""]:
    """E (||grad D(x')|| - 1)^2 at x' = e x + (1 - e) G(z), e ~ U(0, 1) (Gulrajani et al. 2017, arXiv:1704.00028, eq. 3)."""
    e = _each(key, real)
    return jnp.mean((_norms(critic, e * real + (1 - e) * fake) - 1) ** 2)


def dragan(critic: Critic, real: Batch, fake: Batch, key: Array) -> Float[Array, ""]:
    """E (||grad D(x + d)|| - 1)^2 with d = e std(x) U(0, 1) / 2, e ~ U(0, 1) (Kodali et al. 2017, arXiv:1705.07215).

    As in the authors' code: the standard deviation is that of the whole batch, e one number an example. Differs: D is the
    logit, not the probability.
    """
    key_noise, key_e = jax.random.split(key)
    mean = batch_axis.mean(jnp.mean(real))
    std = jnp.sqrt(batch_axis.mean(jnp.mean(jnp.square(real - mean))))
    noise = 0.5 * std * batch_axis.draw(lambda n: jax.random.uniform(key_noise, (n, *real.shape[1:])), len(real))
    e = _each(key_e, real)
    return jnp.mean((_norms(critic, real + e * noise) - 1) ** 2)


class Term(NamedTuple):
    """`weight` (a number, or a function of the update count) times `penalty`, at every `every`-th discriminator update.

    A lazy term (every > 1) is multiplied by `every`, so that its mean strength does not change (Karras et al. 2019,
    arXiv:1912.04958, appendix B).
    """

    weight: float | Callable[[Array], Array]
    penalty: Penalty
    every: int = 1


def terms(given: Sequence[Term | tuple[Any, ...]]) -> list[Term]:
    """(weight, penalty) or (weight, penalty, every) each, as terms.

    Raises `InputError` for anything else, a weight that is negative or not finite, and `every` below 1.
    """
    if not isinstance(given, Sequence) or not all(isinstance(one, tuple) and len(one) in (2, 3) for one in given):
        raise InputError(f"penalties are (weight, penalty) or (weight, penalty, every), ((1.0, penalties.r1),), not {given!r}")
    found = [Term(*one) for one in given]
    for weight, penalty, every in found:
        if not callable(penalty):
            raise InputError(f"a penalty is a function such as penalties.r1, not {penalty!r}")
        if isinstance(weight, int | float) and not 0 <= weight < math.inf:
            raise InputError(f"the weight of a penalty is at least 0 and finite, not {weight}")
        if every < 1:
            raise InputError(f"a penalty is applied every n-th update, n at least 1, not {every}")
    return found


def total(
    terms: Sequence[Term], critic: Critic, real: Batch, fake: Batch, key: Array, count: Int[Array, ""]
) -> Float[Array, ""]:
    """The weighted sum of all terms that are due at discriminator update number `count`."""
    value = jnp.zeros(())
    for i, (weight, penalty, every) in enumerate(terms):
        strength = weight(count) if callable(weight) else jnp.asarray(weight, jnp.float32)
        term = _lazily(penalty, every, count)
        value += strength * term(critic, real, fake, jax.random.fold_in(key, i))
    return value


def _lazily(penalty: Penalty, every: int, count: Array) -> Penalty:
    if every == 1:
        return penalty

    def lazy(critic: Critic, real: Batch, fake: Batch, key: Array) -> Array:
        return jax.lax.cond(count % every == 0, lambda: every * penalty(critic, real, fake, key), lambda: jnp.zeros(()))

    return lazy


def clip_weights(limit: float) -> optax.GradientTransformation:
    """Keep every parameter in [-limit, limit]: chain it last, `optax.chain(optax.rmsprop(5e-5), clip_weights(0.01))`.

    Weight clipping of the Wasserstein GAN (Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1). Its `update` raises
    `InputError` without the parameters.
    """

    def update(updates, state, params=None):
        if params is None:
            raise InputError("clip_weights needs the parameters: call update(updates, state, params)")
        clipped = jax.tree.map(lambda p, u: jnp.clip(p + u, -limit, limit) - p, params, updates)
        return clipped, state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


class HistoricalAveragingState(NamedTuple):
    """The number of updates so far, and the mean of the parameters before each of them."""

    updates: Int[Array, ""]
    mean: PyTree


def historical_averaging(weight: Any) -> optax.GradientTransformation:
    """The cost w ||theta - (1/t) sum_{i=1..t} theta_i||^2: chain it first, `optax.chain(historical_averaging(1.0), adam)`.

    Historical averaging (Salimans et al. 2016, arXiv:1606.03498, section 3.3): adds the gradient 2 w (theta - mean) at update
    t, where the mean is of the parameters before updates 1 to t and counts as a constant; it is kept as a running mean. Its
    `update` raises `InputError` without the parameters.
    """

    def init(params):
        return HistoricalAveragingState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, params))

    def update(updates, state, params=None):
        if params is None:
            raise InputError("historical_averaging needs the parameters: call update(updates, state, params)")
        made = state.updates + 1
        mean = jax.tree.map(lambda m, p: m + (p - m) / made, state.mean, params)
        pulled = jax.tree.map(lambda u, p, m: u + 2 * weight * (p - m), updates, params, mean)
        return pulled, HistoricalAveragingState(made, mean)

    return optax.GradientTransformation(init, update)


PENALTIES: dict[str, Penalty] = {"r1": r1, "r2": r2, "wgan_gp": wgan_gp, "dragan": dragan}
