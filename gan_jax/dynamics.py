"""Diagnostics of small games at a point: the Jacobian of the simultaneous gradient field, its rotation, best responses.

The field of a game is v(theta, psi) = (grad_theta L_G, grad_psi L_D), with the generator's parameters theta and the
discriminator's psi. Simultaneous gradient descent moves along -v; its Jacobian J says what happens near a point where v = 0:
descent is stable where all eigenvalues have positive real parts and a small rate, and turns about the point where imaginary
parts are large beside them (Mescheder et al. 2017, arXiv:1705.10461, section 3; 2018, arXiv:1801.04406, section 2).

All are pure functions of (objective, state, batch): the same latents and noise, those of round `state.step`, belong to every
gradient, and the statistics of both players stay as they are. `batch` is one minibatch. Of players of a few thousand
parameters; only `eigenvalues` makes a matrix, (parameters)^2 numbers.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree
from jaxtyping import Complex, Float, PyTree

from gan_jax import batch_axis
from gan_jax.core import Batch, Objective, Players, TrainState, Turn
from gan_jax.errors import InputError

MOST = 4096  # parameters of both players: the matrix takes 64 MiB
Costs = Callable[[Players], Players]


class Rotation(NamedTuple):
    """How the field turns, at the direction in which it moves.

    cosine:        cos of the angle between v and J v: 1 or -1 where the field runs straight, to or from a point, 0 where it
                   turns
    antisymmetric: ||A v||^2 / (||S v||^2 + ||A v||^2) with S, A the symmetric and antisymmetric parts of J: 0 in a game with a
                   potential, 1 in a Hamiltonian one (Balduzzi et al. 2018, arXiv:1802.05642, section 2)
    players:       cos of the angle between the gradients that the two players' costs have in both players' parameters, -1 in a
                   zero-sum game, 1 where they want the same
    """

    cosine: Float[Array, ""]
    antisymmetric: Float[Array, ""]
    players: Float[Array, ""]


class Gap(NamedTuple):
    """What either player gains by answering the other as it stands, and what it ended at.

    gen, disc: L now minus the least L on the way; `total` is their sum, 0 at a (local) Nash equilibrium: the duality gap of a
               zero-sum game (Grnarova et al. 2019, arXiv:1811.05512, eq. 2)
    """

    gen: Float[Array, ""]
    disc: Float[Array, ""]
    total: Float[Array, ""]


def costs(objective: Objective, state: TrainState, batch: Batch) -> Costs:
    """L_G and L_D as a function of both players' parameters, at one minibatch."""
    key_inputs, key_play, key_disc, key_gen = jax.random.split(jax.random.fold_in(state.key, state.step), 4)
    batch = jax.tree.map(jnp.asarray, dict(batch))
    inputs = objective.sampler.inputs(key_inputs, batch)

    def both(params: Players) -> Players:
        gen, disc = {"params": params.gen, **state.gen.stats}, {"params": params.disc, **state.disc.stats}
        fakes, _ = objective.sampler.sample(gen, inputs, key_play, True)
        turn = Turn(batch, inputs, key_disc, key_play, state.step, gen)
        loss_disc, _ = objective.disc_loss(disc, fakes, turn)
        loss_gen, _ = objective.gen_loss(disc, fakes, turn._replace(key=key_gen))
        return batch_axis.mean(Players(gen=loss_gen, disc=loss_disc))

    return both


def field(objective: Objective, state: TrainState, batch: Batch) -> Players:
    """v = (grad_theta L_G, grad_psi L_D) at the state's parameters, as trees."""
    return _field(costs(objective, state, batch))(_params(state))


def eigenvalues(objective: Objective, state: TrainState, batch: Batch, k: int = 10) -> Complex[Array, " k"]:
    """The k eigenvalues of J of the largest modulus, the largest first; all where there are fewer.

    By the whole matrix, on the CPU (XLA has no eigenvalues of unsymmetric matrices elsewhere). Raises `InputError` for games
    of more than 4,096 parameters, and for k below 1.
    """
    if k < 1:
        raise InputError(f"ask for at least 1 eigenvalue, not {k}")
    _, matrix = _jacobian(objective, state, batch)
    found = jnp.linalg.eigvals(matrix)
    return found[jnp.argsort(-jnp.abs(found))][:k]


def rotation(objective: Objective, state: TrainState, batch: Batch) -> Rotation:
    """How the two gradients turn; see `Rotation`. Each is 0 where the gradients are."""
    both, flat, unravel = _flat(objective, state, batch)

    def v(flat: Array) -> Array:
        return ravel_pytree(_field(both)(unravel(flat)))[0]

    here, pull_back = jax.vjp(v, flat)
    (transposed,) = pull_back(here)  # J^T v
    along = _forward(v, flat, here)
    symmetric, antisymmetric = (along + transposed) / 2, (along - transposed) / 2
    parts = jnp.sum(symmetric**2), jnp.sum(antisymmetric**2)
    gen, disc = (ravel_pytree(jax.grad(lambda p, i=i: both(p)[i])(unravel(flat)))[0] for i in (0, 1))
    return Rotation(_cosine(here, along), _share(parts[1], parts[0] + parts[1]), _cosine(gen, disc))


def best_response_gap(objective: Objective, state: TrainState, batch: Batch, rate: float = 0.01, steps: int = 100) -> Gap:
    """What each player gains by `steps` of gradient descent at `rate`, the other held still; see `Gap`.

    Differs from the best response: it is local, found by so many steps, and on this one minibatch. Raises `InputError` for
    `rate` or `steps` that cannot be.
    """
    if not rate > 0 or steps < 1:
        raise InputError(f"a best response is sought by at least 1 step at a rate above 0, not {steps} at {rate}")
    both, params = costs(objective, state, batch), _params(state)

    def gained(i: int) -> Array:
        def loss(own: PyTree) -> Array:
            return both(_with(params, i, own))[i]

        def descend(carry: tuple[PyTree, Array], _: Any) -> tuple[tuple[PyTree, Array], None]:
            own, least = carry
            value, slope = jax.value_and_grad(loss)(own)
            slope = batch_axis.mean(slope)
            return (jax.tree.map(lambda p, g: p - rate * g, own, slope), jnp.minimum(least, value)), None

        now = loss(params[i])
        (own, least), _ = jax.lax.scan(descend, (params[i], now), length=steps)
        return now - jnp.minimum(least, loss(own))

    gen, disc = gained(0), gained(1)
    return Gap(gen, disc, gen + disc)


def _params(state: TrainState) -> Players:
    return Players(gen=state.gen.params, disc=state.disc.params)


def _with(params: Players, i: int, own: PyTree) -> Players:
    return Players(own, params.disc) if i == 0 else Players(params.gen, own)


def _field(both: Costs) -> Callable[[Players], Players]:
    def v(params: Players) -> Players:
        own = (jax.grad(lambda own, i=i: both(_with(params, i, own))[i])(params[i]) for i in (0, 1))
        return batch_axis.mean(Players(*own))

    return v


def _flat(objective: Objective, state: TrainState, batch: Batch) -> tuple[Costs, Array, Callable[[Array], Players]]:
    flat, unravel = ravel_pytree(_params(state))
    return costs(objective, state, batch), flat, unravel


def _jacobian(objective: Objective, state: TrainState, batch: Batch) -> tuple[Array, Float[Array, "p p"]]:
    both, flat, unravel = _flat(objective, state, batch)
    if flat.size > MOST:
        raise InputError(
            f"these players have {flat.size:,} parameters, and eigenvalues are of games of at most {MOST:,}: take smaller "
            "networks, or `rotation`, which makes no matrix"
        )

    def v(flat: Array) -> Array:
        return ravel_pytree(_field(both)(unravel(flat)))[0]

    return v(flat), jax.jacrev(v)(flat)


def _forward(v: Callable[[Array], Array], at: Array, along: Array) -> Array:
    """J `along` by two reverse passes, since our convolutions have no forward mode: the transpose of u -> J^T u."""
    pull_back = jax.vjp(v, at)[1]
    return jax.vjp(lambda u: pull_back(u)[0], jnp.zeros_like(along))[1](along)[0]


def _cosine(a: Array, b: Array) -> Float[Array, ""]:
    return _share(jnp.vdot(a, b), jnp.linalg.norm(a) * jnp.linalg.norm(b))


def _share(part: Array, whole: Array) -> Float[Array, ""]:
    """part / whole, 0 where there is nothing."""
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1.0), 0.0)
