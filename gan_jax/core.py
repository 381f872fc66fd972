"""The game: one explicit state, one pure step.

    state, metrics = step(state, batch)

A GAN is an `Objective`, four pure functions and a sampler of inputs. `make_step` turns it into one round of play:
discriminator updates, generator updates and the generator's moving average. It is the only code that touches optimizers.
The result can be jitted, scanned, vmapped over seeds and sharded (`gan_jax.parallel`).
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float, Int, PyTree

from gan_jax import batch_axis
from gan_jax.errors import InputError

Variables = dict[str, Any]  # {"params": ..., "batch_stats": ..., ...}, as Flax returns it
Batch = Mapping[str, Array | np.ndarray]  # every array has the same first axis
Metrics = dict[str, Array]  # flat, scalars
Order = Literal["disc_first", "gen_first", "simultaneous"]


class Players(NamedTuple):
    """A pair, one entry for each player: variables, optimizers, parameter counts."""

    gen: Any
    disc: Any


class Player(NamedTuple):
    """Parameters, all non-trainable collections (batch statistics, spectral-norm vectors) and the optimizer's state."""

    params: PyTree
    stats: PyTree
    opt_state: PyTree

    @property
    def variables(self) -> Variables:
        return {"params": self.params, **self.stats}


class TrainState(NamedTuple):
    """Everything that a run needs to go on: `step` counts rounds, `key` never changes."""

    step: Int[Array, ""]
    key: Array
    gen: Player
    disc: Player
    ema_params: PyTree


class Turn(NamedTuple):
    """What one update is played on: a minibatch, the generator's inputs that go with it, a key for everything else.

    `count` is the number of updates the player in question has made before this one (schedules, lazy penalties).
    """

    batch: Batch
    inputs: PyTree
    key: Array
    count: Int[Array, ""]


Loss = Callable[[Variables, Variables, Turn], tuple[Array, tuple[PyTree, Metrics]]]


class Objective(NamedTuple):
    """A GAN as a value.

    init:      (key, batch) -> Players[variables]
    disc_loss: (disc_vars, gen_vars, turn) -> loss, (new_disc_stats, metrics)
    gen_loss:  (gen_vars, disc_vars, turn) -> loss, (new_gen_stats, metrics)
    inputs:    (key, batch) -> what the generator needs for len(batch) samples: latents, and labels or text of the batch
    sample:    (gen_vars, inputs, key, train) -> images, new_gen_stats

    Losses and metrics are means over the batch; what else couples its examples goes through `gan_jax.batch_axis`.
    """

    init: Callable[[Array, Batch], Players]
    disc_loss: Loss
    gen_loss: Loss
    inputs: Callable[[Array, Batch], PyTree]
    sample: Callable[[Variables, PyTree, Array, bool], tuple[Array, PyTree]]


Step = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
Advance = Callable[[TrainState, int, int], tuple[TrainState, Metrics]]  # a step and its data: (state, first round, rounds)


def init_state(objective: Objective, tx: Players, key: Array, batch: Batch) -> TrainState:
    """The state before the first round; `batch` gives shapes and types only."""
    key_init, key_run = jax.random.split(key)
    variables = objective.init(key_init, batch)
    gen, disc = (_new_player(v, t) for v, t in zip(variables, tx, strict=True))
    ema_params = jax.tree.map(jnp.copy, gen.params)  # a buffer of its own: the state is donated
    return TrainState(jnp.zeros((), jnp.int32), key_run, gen, disc, ema_params)


def _new_player(variables: Variables, tx: optax.GradientTransformation) -> Player:
    params, stats = split_variables(variables)
    return Player(params, stats, tx.init(params))


def split_variables(variables: Variables) -> tuple[PyTree, PyTree]:
    """Trainable parameters, and all other collections."""
    return variables["params"], {name: value for name, value in variables.items() if name != "params"}


def minibatches_per_round(disc_steps: int = 1, gen_steps: int = 1) -> int:
    """How many minibatches one batch given to `step` is cut into: each discriminator update sees a new one."""
    return max(disc_steps, gen_steps)


def make_step(
    objective: Objective,
    tx: Players,
    *,
    disc_steps: int = 1,
    gen_steps: int = 1,
    order: Order = "disc_first",
    accumulate: int = 1,
    ema: float = 0.999,
    ema_warmup: bool = True,
) -> Step:
    """One round of the game as a pure function (state, batch) -> (state, metrics): Algorithm 1 of Goodfellow et al. 2014.

    The batch is cut into max(disc_steps, gen_steps) minibatches, its rows dealt out in turn; update i of the discriminator
    uses minibatch i, the generator's updates use the last `gen_steps` ones. `order` says who moves first; in "simultaneous"
    both answer the other's parameters from before the round. Each update averages the gradients of `accumulate` equal parts
    of its minibatch, taken one after the other. Differs from Algorithm 1: a minibatch has its own latents for both players,
    so that with one update each the generator's forward pass serves both (XLA computes equal things once). `ema` is the decay of the generator's moving average, after t rounds at most
    (1 + t) / (10 + t) if `ema_warmup`; 0 keeps the newest parameters.

    Metrics: those of the objective, averaged over the updates of a round, and for each player `loss` and `grad_norm`.
    Raises `InputError` for numbers below 1 or a decay outside [0, 1), and where the batch cannot be cut.
    """
    for name, number in (("disc_steps", disc_steps), ("gen_steps", gen_steps), ("accumulate", accumulate)):
        if number < 1:
            raise InputError(f"{name} must be at least 1, not {number}")
    if not 0 <= ema < 1:
        raise InputError(f"ema is a decay in [0, 1), not {ema}")
    if order not in ("disc_first", "gen_first", "simultaneous"):
        raise InputError(f"order is disc_first, gen_first or simultaneous, not {order!r}")
    train_disc = _trainer("disc", objective.disc_loss, tx.disc, disc_steps, accumulate)
    train_gen = _trainer("gen", objective.gen_loss, tx.gen, gen_steps, accumulate)
    parts = minibatches_per_round(disc_steps, gen_steps)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key_inputs, key_disc, key_gen = jax.random.split(jax.random.fold_in(state.key, state.step), 3)
        batches = _cut(batch, parts)
        inputs = [
            objective.inputs(jax.random.fold_in(key_inputs, i), jax.tree.map(lambda x, i=i: x[i], batches))
            for i in range(parts)
        ]
        minibatches = batches, jax.tree.map(lambda *x: jnp.stack(x), *inputs)
        first = jax.tree.map(lambda x: x[:disc_steps], minibatches)
        last = jax.tree.map(lambda x: x[parts - gen_steps :], minibatches)
        gen, disc = state.gen, state.disc
        if order == "gen_first":
            gen, gen_metrics = train_gen(gen, disc, last, key_gen, state.step)
        disc, disc_metrics = train_disc(disc, gen, first, key_disc, state.step)
        if order != "gen_first":
            opponent = state.disc if order == "simultaneous" else disc
            gen, gen_metrics = train_gen(gen, opponent, last, key_gen, state.step)
        ema_params = _moving_average(gen.params, state.ema_params, state.step, ema, ema_warmup)
        return TrainState(state.step + 1, state.key, gen, disc, ema_params), disc_metrics | gen_metrics

    return step


def _cut(batch: PyTree, parts: int) -> PyTree:
    """Deal the rows of every leaf out into `parts`, in turn: (parts, b, ...).

    So every device that has a contiguous share of the batch has an equal share of each part.
    """
    sizes = {x.shape[0] for x in jax.tree.leaves(batch)}
    if len(sizes) != 1 or next(iter(sizes)) % parts:
        raise InputError(f"a batch with first axes {sorted(sizes)} cannot be cut into {parts} equal minibatches")
    return jax.tree.map(lambda x: jnp.swapaxes(x.reshape(x.shape[0] // parts, parts, *x.shape[1:]), 0, 1), batch)


def _trainer(name: str, loss_fn: Loss, tx: optax.GradientTransformation, updates: int, accumulate: int) -> Callable:
    """A function (player, opponent, minibatches, key, round) -> (player, metrics) that makes `updates` updates."""

    def update(player: Player, opponent: Player, turn: Turn) -> tuple[Player, Metrics]:
        grads, stats, metrics = batch_axis.mean(_gradients(name, loss_fn, player, opponent, turn, accumulate))
        change, opt_state = tx.update(grads, player.opt_state, player.params)
        metrics[f"{name}/grad_norm"] = optax.tree.norm(grads)
        return Player(optax.apply_updates(player.params, change), stats, opt_state), metrics

    def train(player: Player, opponent: Player, minibatches: PyTree, key: Array, step: Array) -> tuple[Player, Metrics]:
        def body(player: Player, x: tuple[PyTree, Array]) -> tuple[Player, Metrics]:
            (batch, inputs), i = x
            return update(player, opponent, Turn(batch, inputs, jax.random.fold_in(key, i), step * updates + i))

        return _loop(body, player, (minibatches, jnp.arange(updates)))

    return train


def _gradients(
    name: str, loss_fn: Loss, player: Player, opponent: Player, turn: Turn, parts: int
) -> tuple[PyTree, PyTree, Metrics]:
    """Gradients and metrics averaged over `parts` of the minibatch; the statistics pass through all of them."""

    def loss(params: PyTree, stats: PyTree, turn: Turn) -> tuple[Array, tuple[PyTree, Metrics]]:
        value, (stats, metrics) = loss_fn({"params": params, **stats}, opponent.variables, turn)
        return value, (stats, {f"{name}/loss": value, **metrics})

    def body(stats: PyTree, x: tuple[PyTree, Array]) -> tuple[PyTree, tuple[PyTree, Metrics]]:
        (batch, inputs), i = x
        part = Turn(batch, inputs, jax.random.fold_in(turn.key, i), turn.count)
        grads, (stats, metrics) = jax.grad(loss, has_aux=True)(player.params, stats, part)
        return stats, (grads, metrics)

    stats, (grads, metrics) = _loop(body, player.stats, (_cut((turn.batch, turn.inputs), parts), jnp.arange(parts)))
    return grads, stats, metrics


def _loop(body: Callable, carry: PyTree, xs: PyTree) -> tuple[PyTree, PyTree]:
    """`lax.scan` with its outputs averaged; a single turn is called directly."""
    if jax.tree.leaves(xs)[0].shape[0] == 1:
        return body(carry, jax.tree.map(lambda x: x[0], xs))
    carry, out = jax.lax.scan(body, carry, xs)
    return carry, jax.tree.map(lambda x: jnp.mean(x, axis=0), out)


def _moving_average(new: PyTree, old: PyTree, step: Array, decay: float, warmup: bool) -> PyTree:
    if decay == 0:
        return new
    t = step.astype(jnp.float32) + 1
    rate = jnp.minimum(decay, (1 + t) / (10 + t)) if warmup else jnp.asarray(decay, jnp.float32)
    return optax.incremental_update(new, old, 1 - rate)


def sampling_variables(state: TrainState, ema: bool = True) -> Variables:
    """The generator's variables for sampling: averaged (`ema`) or newest parameters, with the running statistics."""
    return {"params": state.ema_params if ema else state.gen.params, **state.gen.stats}


Sampler = Callable[[Variables, PyTree, Array], Float[Array, "b ..."]]


def make_sampler(sample: Callable, statistics: Literal["running", "batch"] = "running") -> Sampler:
    """Samples (variables, inputs, key) -> images from `objective.sample`, normalised by running or by batch statistics."""

    def draw(variables: Variables, inputs: PyTree, key: Array) -> Float[Array, "b ..."]:
        images, _ = sample(variables, inputs, key, statistics == "batch")
        return images

    return draw


def standing_statistics(
    objective_inputs: Callable, sample: Callable, variables: Variables, batch: Batch, key: Array, passes: int = 64
) -> Variables:
    """The variables with statistics re-estimated by `passes` forward passes in training mode on inputs like `batch`'s.

    Standing statistics (Brock et al. 2018, arXiv:1809.11096, appendix B): they belong to these very parameters, while the
    running ones followed the parameters of the last rounds, not their average. Differs: averaged with the layers' own
    momentum (0.9 forgets the statistics before the first pass to 0.1 % in 64 passes).
    """
    params, stats = split_variables(variables)

    def body(stats: PyTree, key: Array) -> tuple[PyTree, None]:
        key_inputs, key_sample = jax.random.split(key)
        _, stats = sample({"params": params, **stats}, objective_inputs(key_inputs, batch), key_sample, True)
        return stats, None

    stats, _ = jax.lax.scan(body, stats, jax.random.split(key, passes))
    return {"params": params, **stats}
