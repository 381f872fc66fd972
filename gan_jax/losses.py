"""Costs of the two players as functions of logits of any shape.

A `Loss` is a pair of functions of (real_logits, fake_logits), each a mean over all entries, to be minimised by the player it
is named for. D(x) = sigmoid(logit); sigma^-1 below is the logit itself. Only `relativistic_paired` lets the generator's cost
depend on the real logits. The constant factors follow the papers named; 1/2 before the discriminator's cost in Goodfellow's
tutorial is left out.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.nn import relu, softplus
from jaxtyping import Float

from gan_jax.errors import InputError

Logits = Float[Array, "..."]
Cost = Callable[..., Float[Array, ""]]


class Loss(NamedTuple):
    """The costs of one game: `disc(real_logits, fake_logits)` and `gen(real_logits, fake_logits)`."""

    disc: Cost
    gen: Cost


def _logistic_disc(real_logits: Logits, fake_logits: Logits, *, real_target: float = 1.0) -> Float[Array, ""]:
    """-E[a log D(x) + (1 - a) log(1 - D(x))] - E log(1 - D(G(z))), with target a for real (Goodfellow et al. 2014, eq. 1)."""
    real = softplus(-real_logits) + (1 - real_target) * real_logits
    return jnp.mean(real) + jnp.mean(softplus(fake_logits))


def _minimax_gen(real_logits: Logits, fake_logits: Logits) -> Float[Array, ""]:
    """E log(1 - D(G(z))): the zero-sum game; saturates when D wins (Goodfellow et al. 2014, eq. 1)."""
    return -jnp.mean(softplus(fake_logits))


def _non_saturating_gen(real_logits: Logits, fake_logits: Logits) -> Float[Array, ""]:
    """-E log D(G(z)) (Goodfellow et al. 2014, section 3)."""
    return jnp.mean(softplus(-fake_logits))


_LINEAR_FROM = 20.0


def _maximum_likelihood_gen(real_logits: Logits, fake_logits: Logits) -> Float[Array, ""]:
    """-E exp(sigma^-1(D(G(z)))), maximum likelihood if D is optimal (Goodfellow 2016, arXiv:1701.00160, section 3.2.4).

    Differs: linear in the logit above 20, with continuous slope, where exp would leave the range of float32.
    """
    linear = jnp.exp(_LINEAR_FROM) * (1 + fake_logits - _LINEAR_FROM)
    likelihoods = jnp.where(fake_logits < _LINEAR_FROM, jnp.exp(jnp.minimum(fake_logits, _LINEAR_FROM)), linear)
    return -jnp.mean(likelihoods)


def _least_squares_disc(real_logits: Logits, fake_logits: Logits, *, real_target: float = 1.0) -> Float[Array, ""]:
    """E (D(x) - a)^2 / 2 + E D(G(z))^2 / 2 on raw outputs (Mao et al. 2016, arXiv:1611.04076, eq. 9)."""
    return jnp.mean((real_logits - real_target) ** 2) / 2 + jnp.mean(fake_logits**2) / 2


def _least_squares_gen(real_logits: Logits, fake_logits: Logits) -> Float[Array, ""]:
    """E (D(G(z)) - 1)^2 / 2."""
    return jnp.mean((fake_logits - 1) ** 2) / 2


def _wasserstein_disc(real_logits: Logits, fake_logits: Logits) -> Float[Array, ""]:
    """E D(G(z)) - E D(x); needs a Lipschitz bound: weight clipping or `wgan_gp` (Arjovsky et al. 2017, arXiv:1701.07875)."""
    return jnp.mean(fake_logits) - jnp.mean(real_logits)


def _wasserstein_gen(real_logits: Logits, fake_logits: Logits) -> Float[Array, ""]:
    """-E D(G(z)); also the generator's cost of the hinge game."""
    return -jnp.mean(fake_logits)


def _hinge_disc(real_logits: Logits, fake_logits: Logits) -> Float[Array, ""]:
    """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))) (Lim & Ye 2017, arXiv:1705.02894)."""
    return jnp.mean(relu(1 - real_logits)) + jnp.mean(relu(1 + fake_logits))


def _relativistic_paired_disc(real_logits: Logits, fake_logits: Logits) -> Float[Array, ""]:
    """E softplus(-(D(x) - D(G(z)))), pairs aligned in the batch (Jolicoeur-Martineau 2018, arXiv:1807.00734)."""
    return jnp.mean(softplus(fake_logits - real_logits))


def _relativistic_paired_gen(real_logits: Logits, fake_logits: Logits) -> Float[Array, ""]:
    """E softplus(-(D(G(z)) - D(x)))."""
    return jnp.mean(softplus(real_logits - fake_logits))


minimax = Loss(_logistic_disc, _minimax_gen)
non_saturating = Loss(_logistic_disc, _non_saturating_gen)
maximum_likelihood = Loss(_logistic_disc, _maximum_likelihood_gen)
least_squares = Loss(_least_squares_disc, _least_squares_gen)
wasserstein = Loss(_wasserstein_disc, _wasserstein_gen)
hinge = Loss(_hinge_disc, _wasserstein_gen)
relativistic_paired = Loss(_relativistic_paired_disc, _relativistic_paired_gen)


def smooth_labels(loss: Loss, real_target: float = 0.9) -> Loss:
    """One-sided label smoothing: real examples are asked to score `real_target`, fakes still 0 (Salimans et al. 2016, 3.4).

    Raises `InputError` for a loss whose discriminator has no target, and for targets outside (0, 1].
    """
    if loss.disc not in (_logistic_disc, _least_squares_disc):
        raise InputError(
            "label smoothing needs a loss with targets: minimax, non_saturating, maximum_likelihood, least_squares"
        )
    if not 0 < real_target <= 1:
        raise InputError(f"the smoothed target of real examples must lie in (0, 1], not {real_target}")
    return loss._replace(disc=partial(loss.disc, real_target=real_target))


def aim_lower(loss: Loss, target: float) -> Loss:
    """The generator is asked to score `target`, not 1: -E[a log D(G(z)) + (1 - a) log(1 - D(G(z)))] with a = target.

    As in the program for ImageNet of Salimans et al. 2016 (a = 0.375, half of the smoothed target of real examples, which is
    where an even game ends). Raises `InputError` for a loss that is not `non_saturating`, smoothed or not, and for targets
    outside (0, 1].
    """
    if loss.gen is not _non_saturating_gen:
        raise InputError("a generator that is asked for less than 1 needs the non_saturating loss")
    if not 0 < target <= 1:
        raise InputError(f"the target of generated examples must lie in (0, 1], not {target}")
    return loss._replace(gen=partial(_aimed_gen, target=target))


def _aimed_gen(real_logits: Logits, fake_logits: Logits, *, target: float) -> Float[Array, ""]:
    return jnp.mean(softplus(-fake_logits) + (1 - target) * fake_logits)


LOSSES: dict[str, Loss] = {
    "minimax": minimax,
    "non_saturating": non_saturating,
    "maximum_likelihood": maximum_likelihood,
    "least_squares": least_squares,
    "wasserstein": wasserstein,
    "hinge": hinge,
    "relativistic_paired": relativistic_paired,
}

if TYPE_CHECKING:
    LossName = str
else:  # a command line offers what the table has
    LossName = Literal[tuple(LOSSES)]
