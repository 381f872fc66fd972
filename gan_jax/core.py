"""The game: one explicit state, one pure step.

    state, metrics = step(state, batch)

A GAN is an `Objective`, four pure functions and a sampler of inputs. `make_step` turns it into one round of play:
discriminator updates, generator updates and the generator's moving average. It is the only code that touches optimizers.
The result can be jitted, scanned, vmapped over seeds and sharded (`gan_jax.parallel`).
"""

from collections.abc import Callable, Mapping
from functools import partial
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
    """What one update is played on: a minibatch, the inputs that its fakes were made of, a key for everything else.

    `updates` is how many updates the player in question has made before this one (schedules, lazy penalties).
    """

    batch: Batch
    inputs: PyTree
    key: Array
    updates: Int[Array, ""]


class Objective(NamedTuple):
    """A GAN as a value.

    init:      (key, batch) -> Players[variables]
    inputs:    (key, batch) -> what the generator needs for len(batch) samples: latents, and labels or text of the batch
    sample:    (gen_vars, inputs, key, train) -> fakes (images, or a tree), new_gen_stats
    disc_loss: (disc_vars, fakes, turn) -> loss, (new_disc_stats, metrics)
    gen_loss:  (disc_vars, fakes, turn) -> loss, metrics

    Losses and metrics are means over the batch; what else couples its examples goes through `gan_jax.batch_axis`.
    """

    init: Callable[[Array, Batch], Players]
    inputs: Callable[[Array, Batch], PyTree]
    sample: Callable[[Variables, PyTree, Array, bool], tuple[PyTree, PyTree]]
    disc_loss: Callable[[Variables, PyTree, Turn], tuple[Array, tuple[PyTree, Metrics]]]
    gen_loss: Callable[[Variables, PyTree, Turn], tuple[Array, Metrics]]


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
    of its minibatch, taken one after the other. `ema` is the decay of the generator's moving average, after t rounds at most
    (1 + t) / (10 + t) if `ema_warmup`; 0 keeps the newest parameters.

    Differs from Algorithm 1: each minibatch has its own latents, the same for both players. So where each makes one update,
    and the generator not the first, its forward pass is made once, and its gradient goes back through that.

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
    parts = minibatches_per_round(disc_steps, gen_steps)
    play_once = parts == accumulate == 1 and order != "gen_first"

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key_inputs, key_play, key_disc, key_gen = jax.random.split(jax.random.fold_in(state.key, state.step), 4)
        minibatches = _minibatches(objective, _cut(batch, parts), key_inputs)
        first = jax.tree.map(lambda x: x[:disc_steps], minibatches)
        last = jax.tree.map(lambda x: x[parts - gen_steps :], minibatches)

        def sample(gen_vars: Variables, minibatch: _Minibatch) -> tuple[PyTree, PyTree]:
            return objective.sample(gen_vars, minibatch.inputs, jax.random.fold_in(key_play, minibatch.number), True)

        gen, disc = state.gen, state.disc
        played = _play(sample, gen, jax.tree.map(lambda x: x[0], first)) if play_once else None

        def train_disc(disc: Player, gen: Player) -> tuple[Player, Metrics]:
            fakes_of = (lambda minibatch: played.fakes) if played else (lambda minibatch: sample(gen.variables, minibatch)[0])
            gradients = partial(_disc_gradients, objective.disc_loss, fakes_of)
            return _updates("disc", gradients, tx.disc, disc, first, key_disc, state.step, accumulate)

        def train_gen(gen: Player, disc: Player) -> tuple[Player, Metrics]:
            play = (lambda gen, minibatch: played) if played else partial(_play, sample)
            gradients = partial(_gen_gradients, partial(objective.gen_loss, disc.variables), play)
            return _updates("gen", gradients, tx.gen, gen, last, key_gen, state.step, accumulate)

        if order == "gen_first":
            gen, gen_metrics = train_gen(gen, disc)
        disc, disc_metrics = train_disc(disc, gen)
        if order != "gen_first":
            gen, gen_metrics = train_gen(gen, state.disc if order == "simultaneous" else disc)
        ema_params = _moving_average(gen.params, state.ema_params, state.step, ema, ema_warmup)
        return TrainState(state.step + 1, state.key, gen, disc, ema_params), disc_metrics | gen_metrics

    return step


class _Minibatch(NamedTuple):
    """Examples, the generator's inputs that go with them, and its number in the round."""

    batch: Batch
    inputs: PyTree
    number: Int[Array, " *parts"]


class _Played(NamedTuple):
    """The generator's forward pass on a minibatch: fakes, the way back to its parameters, its new statistics."""

    fakes: PyTree
    pull_back: Callable[[PyTree], tuple[PyTree]]
    stats: PyTree


Sample = Callable[[Variables, _Minibatch], tuple[PyTree, PyTree]]


def _minibatches(objective: Objective, batches: Batch, key: Array) -> _Minibatch:
    """`batches` (parts, b, ...) with their inputs, stacked likewise."""
    parts = jax.tree.leaves(batches)[0].shape[0]
    inputs = [objective.inputs(jax.random.fold_in(key, i), jax.tree.map(lambda x, i=i: x[i], batches)) for i in range(parts)]
    return _Minibatch(batches, jax.tree.map(lambda *x: jnp.stack(x), *inputs), jnp.arange(parts))


def _play(sample: Sample, gen: Player, minibatch: _Minibatch) -> _Played:
    return _Played(*jax.vjp(lambda params: sample({"params": params, **gen.stats}, minibatch), gen.params, has_aux=True))


def _cut(batch: PyTree, parts: int) -> PyTree:
    """Deal the rows of every leaf out into `parts`, in turn: (parts, b, ...).

    So every device that has a contiguous share of the batch has an equal share of each part.
    """
    sizes = {x.shape[0] for x in jax.tree.leaves(batch)}
    if len(sizes) != 1 or next(iter(sizes)) % parts:
        raise InputError(f"a batch with first axes {sorted(sizes)} cannot be cut into {parts} equal minibatches")
    return jax.tree.map(lambda x: jnp.swapaxes(x.reshape(x.shape[0] // parts, parts, *x.shape[1:]), 0, 1), batch)


Gradients = Callable[[Player, _Minibatch, Turn], tuple[PyTree, PyTree, Metrics]]  # and new statistics


def _disc_gradients(
    disc_loss: Callable, fakes_of: Callable[[_Minibatch], PyTree], disc: Player, minibatch: _Minibatch, turn: Turn
) -> tuple[PyTree, PyTree, Metrics]:
    fakes = fakes_of(minibatch)

    def loss(params: PyTree) -> tuple[Array, tuple[PyTree, Metrics]]:
        value, (stats, metrics) = disc_loss({"params": params, **disc.stats}, fakes, turn)
        return value, (stats, {"disc/loss": value, **metrics})

    grads, (stats, metrics) = jax.grad(loss, has_aux=True)(disc.params)
    return grads, stats, metrics


def _gen_gradients(
    gen_loss: Callable, play: Callable[[Player, _Minibatch], _Played], gen: Player, minibatch: _Minibatch, turn: Turn
) -> tuple[PyTree, PyTree, Metrics]:
    fakes, pull_back, stats = play(gen, minibatch)

    def loss(fakes: PyTree) -> tuple[Array, Metrics]:
        value, metrics = gen_loss(fakes, turn)
        return value, {"gen/loss": value, **metrics}

    slope, metrics = jax.grad(loss, has_aux=True)(fakes)
    return pull_back(slope)[0], stats, metrics


def _updates(
    name: str,
    gradients: Gradients,
    tx: optax.GradientTransformation,
    player: Player,
    minibatches: _Minibatch,
    key: Array,
    step: Array,
    accumulate: int,
) -> tuple[Player, Metrics]:
    """An update on each of the minibatches; `key` and the round's number `step` give each its own key and count."""
    updates = len(minibatches.number)

    def update(player: Player, x: tuple[_Minibatch, Array]) -> tuple[Player, Metrics]:
        (batch, inputs, number), i = x

        def part(stats: PyTree, x: tuple[PyTree, Array]) -> tuple[PyTree, tuple[PyTree, Metrics]]:
            (batch, inputs), j = x
            turn = Turn(batch, inputs, jax.random.fold_in(key, i * accumulate + j), step * updates + i)
            small = _Minibatch(batch, inputs, number * accumulate + j)
            grads, stats, metrics = gradients(player._replace(stats=stats), small, turn)
            return stats, (grads, metrics)

        found = _loop(part, player.stats, (_cut((batch, inputs), accumulate), jnp.arange(accumulate)))
        stats, (grads, metrics) = batch_axis.mean(found)
        change, opt_state = tx.update(grads, player.opt_state, player.params)
        metrics[f"{name}/grad_norm"] = optax.tree.norm(grads)
        return Player(optax.apply_updates(player.params, change), stats, opt_state), metrics

    return _loop(update, player, (minibatches, jnp.arange(updates)))


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


def _some(batch: Batch, size: int, key: Array) -> Batch:
    """`size` entries drawn at random, with replacement."""
    n = jax.tree.leaves(batch)[0].shape[0]
    chosen = jax.random.randint(key, (size,), 0, n)
    return jax.tree.map(lambda x: jnp.asarray(x)[chosen], batch)


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
    objective_inputs: Callable,
    sample: Callable,
    variables: Variables,
    batch: Batch,
    key: Array,
    passes: int = 64,
    size: int | None = None,
) -> Variables:
    """The variables with statistics re-estimated by `passes` forward passes in training mode on inputs like `batch`'s.

    Each pass is on the whole batch, or on `size` entries of it drawn at random, with replacement.

    Standing statistics (Brock et al. 2018, arXiv:1809.11096, appendix B): they belong to these very parameters, while the
    running ones followed the parameters of the last rounds, not their average. Differs: averaged with the layers' own
    momentum (0.9 forgets the statistics before the first pass to 0.1 % in 64 passes).
    """
    params, stats = split_variables(variables)

    def body(stats: PyTree, key: Array) -> tuple[PyTree, None]:
        key_inputs, key_sample = jax.random.split(key)
        rows = batch if size is None else _some(batch, size, jax.random.fold_in(key, 0))
        _, stats = sample({"params": params, **stats}, objective_inputs(key_inputs, rows), key_sample, True)
        return stats, None

    stats, _ = jax.lax.scan(body, stats, jax.random.split(key, passes))
    return {"params": params, **stats}
