"""The game: one explicit state, one pure step.

    state, metrics = step(state, batch)

A GAN is an `Objective`, a handful of pure functions. `make_step` turns it into one round of play: discriminator updates,
generator updates and the generator's moving average. It is the only code that touches optimizers. The result can be jitted,
scanned, vmapped over seeds and sharded (`gan_jax.parallel`).
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from numbers import Integral
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Int, PyTree

from gan_jax import batch_axis, keys
from gan_jax.arrays import check_arrays
from gan_jax.errors import InputError

Variables = dict[str, Any]  # {"params": ..., "batch_stats": ..., ...}, as Flax returns it
GUESTS = ("augment", "picture_encoder")  # collections of a discriminator that its network does not take, nor transfers need
Batch = Mapping[str, Array | np.ndarray]  # every array has the same first axis
Metrics = dict[str, Array]  # flat, scalars
Schedule = Literal["disc_first", "gen_first", "simultaneous"]


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
        """As the networks' functions take them: {"params": ..., and the statistics}."""
        return {"params": self.params, **self.stats}


class TrainState(NamedTuple):
    """Everything that a run needs to continue: `step` counts rounds, `key` never changes."""

    step: Int[Array, ""]
    key: Array
    gen: Player
    disc: Player
    ema_params: PyTree


class Turn(NamedTuple):
    """What one update is played on.

    batch:   a minibatch of examples
    inputs:  the generator's inputs that go with it
    key:     for everything but the generator's forward pass
    play:    the key of that forward pass, the same for both players
    updates: how many updates the player in question has made before this one (schedules, lazy penalties)
    gen:     the generator's variables; those that the gradient is taken of in `gen_loss`
    """

    batch: Batch
    inputs: PyTree
    key: Array
    play: Array
    updates: Int[Array, ""]
    gen: Variables


class Sampler(NamedTuple):
    """The generator's half of a GAN: all that sampling, evaluation and export need.

    inputs: (key, batch) -> what the generator needs for len(batch) samples, by name: latents, and what the batch asks for
    sample: (gen_vars, inputs, key, train) -> fakes (images, or a tree), new_gen_stats
    needs:  names in the batch that it is asked by, such as ("label",); () if any array that says how many will do
    classes: how many labels it knows; 0 if that is not known
    alphabet: the characters that it knows in captions; "" if that is not known
    embed:   (gen_vars, rows that it is asked by) -> their embeddings, which its inputs may have as `text` in place of the rows;
             None of generators that are not asked by text
    """

    inputs: Callable[[Array, Batch], dict[str, Array]]
    sample: Callable[[Variables, dict[str, Array], Array, bool], tuple[PyTree, PyTree]]
    needs: tuple[str, ...] = ()
    classes: int = 0
    alphabet: str = ""
    embed: Callable[[Variables, Array], Array] | None = None


class Objective(NamedTuple):
    """A GAN as a value.

    init:      (key, batch) -> Players[variables]
    sampler:   the generator's half
    disc_loss: (disc_vars, fakes, turn) -> loss, (new_disc_stats, metrics)
    gen_loss:  (disc_vars, fakes, turn) -> loss, metrics
    needs:     names in the batch that it is played on

    Losses and metrics are means over the batch; what else couples its examples goes through `gan_jax.batch_axis`. A term of the
    generator's loss that depends on its parameters (path length, say) is written with `turn.gen`.
    """

    init: Callable[[Array, Batch], Players]
    sampler: Sampler
    disc_loss: Callable[[Variables, PyTree, Turn], tuple[Array, tuple[PyTree, Metrics]]]
    gen_loss: Callable[[Variables, PyTree, Turn], tuple[Array, Metrics]]
    needs: tuple[str, ...] = ()


Step = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
Advance = Callable[[TrainState, int, int], tuple[TrainState, Metrics]]  # a step and its data: (state, first round, rounds)


def init_state(objective: Objective, tx: Players, key: Array, batch: Batch) -> TrainState:
    """The state before the first round; `batch` gives shapes and types only.

    `key` is a typed key, `jax.random.key(0)`. Raises `InputError` for what is no key, no objective or no pair of optimizers,
    where the batch lacks an array that the objective needs, and for arrays that cannot be played on (`gan_jax.arrays`).
    """
    _require_game(objective, tx)
    if not keys.is_key(key) or key.ndim:
        raise InputError(f"key is a typed key such as jax.random.key(0), not {_described(key)}")
    _require_batch(objective, batch)
    begin = partial(_begin, objective, tx)
    return begin(key, batch) if isinstance(key, jax.core.Tracer) else jax.jit(begin)(key, batch)  # not hundreds of programs


def _begin(objective: Objective, tx: Players, key: Array, batch: Batch) -> TrainState:
    key_init, key_run = jax.random.split(key)
    variables = objective.init(key_init, batch)
    gen, disc = (_new_player(v, t) for v, t in zip(variables, tx, strict=True))
    ema_params = jax.tree.map(jnp.copy, gen.params)  # a buffer of its own: the state is donated
    return TrainState(jnp.zeros((), jnp.int32), key_run, gen, disc, ema_params)


def _require_game(objective: Objective, tx: Players) -> None:
    if not isinstance(objective, Objective):
        raise InputError(f"objective is an Objective, such as image_gan(...) gives, not {_described(objective)}")
    if not isinstance(tx, Players) or not all(hasattr(one, "init") and hasattr(one, "update") for one in tx):
        raise InputError(f"tx is Players(gen=optax.adam(2e-4), disc=optax.adam(2e-4)), not {_described(tx)}")


def _require_batch(objective: Objective, batch: Any) -> None:
    if not isinstance(batch, Mapping):
        raise InputError(f"a batch is named arrays, such as {{'image': x}}, not {_described(batch)}")
    if missing := [name for name in objective.needs if name not in batch]:
        raise InputError(f"the objective needs {', '.join(missing)}, and the batch has {', '.join(map(str, batch))}")
    check_arrays(batch, "the batch", objective.sampler.classes)


def _described(value: Any) -> str:
    """A value in an error message: short, and an array by its shape."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"an array {value.dtype}{list(value.shape)}"
    return f"the {type(value).__name__} {str(value)[:60]!r}"


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
    schedule: Schedule = "disc_first",
    accumulate: int = 1,
    ema: float = 0.999,
    ema_warmup: bool = True,
    unroll: int = 0,
) -> Step:
    """One round of the game as a pure function (state, batch) -> (state, metrics): Algorithm 1 of Goodfellow et al. 2014.

    The batch is cut into max(disc_steps, gen_steps) minibatches, its rows dealt out in turn; update i of the discriminator
    uses minibatch i, the generator's updates use the last `gen_steps` ones. `schedule` says who moves first; in
    "simultaneous" both answer the other's parameters from before the round. Each update averages the gradients of
    `accumulate` equal parts of its minibatch, taken one after the other. `ema` is the decay of the generator's moving average,
    after t rounds at most (1 + t) / (10 + t) if `ema_warmup`; 0 keeps the newest parameters.

    With `unroll` k > 0 the generator answers the discriminator as it would be after k more updates on the same minibatch (the
    same part of it, where gradients are accumulated), differentiated through them (Metz et al. 2016, arXiv:1611.02163, eq. 8
    to 10); these updates are not kept, and leave the discriminator's statistics as they are: batch norm reads none in
    training, and spectral norm divides by the singular values of the update before. Each costs three to four updates, since
    it is computed anew on the way back and then differentiated; memory hardly grows with k. Give Adam an `eps_root` then:
    else the derivative of its update is not finite where a gradient is exactly 0.

    Differs from Algorithm 1: each minibatch has its own latents, the same for both players. So where each makes one update, and
    the generator not the first, its forward pass is made once, and its gradient goes back through that.

    Metrics: those of the objective, averaged over the updates of a round, and for each player `loss` and `grad_norm`.
    Raises `InputError` for what is no objective or no pair of optimizers, for numbers that cannot be, where the batch cannot be
    cut, and where the objective does not give its statistics back.
    """
    _require_game(objective, tx)
    for name, number, least in (
        ("disc_steps", disc_steps, 1),
        ("gen_steps", gen_steps, 1),
        ("accumulate", accumulate, 1),
        ("unroll", unroll, 0),
    ):
        if not isinstance(number, Integral) or number < least:
            raise InputError(f"{name} is a whole number of at least {least}, not {number!r}")
    if not 0 <= ema < 1:
        raise InputError(f"ema is a decay in [0, 1), not {ema}")
    if schedule not in ("disc_first", "gen_first", "simultaneous"):
        raise InputError(f"schedule is disc_first, gen_first or simultaneous, not {schedule!r}")
    parts = minibatches_per_round(disc_steps, gen_steps)
    plays_once = parts == accumulate == 1 and schedule != "gen_first"  # both players learn from the same fakes

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        _require_batch(objective, batch)
        key_inputs, key_play, key_disc, key_gen = jax.random.split(jax.random.fold_in(state.key, state.step), 4)
        dealt = _deal(objective, batch, parts, accumulate, key_inputs, key_play)
        disc_turns = _turns(dealt, slice(disc_steps), key_disc, state.step)
        gen_turns = _turns(dealt, slice(parts - gen_steps, parts), key_gen, state.step)
        shared = _play(objective.sampler, state.gen, jax.tree.map(lambda x: x[0, 0], disc_turns)) if plays_once else None
        made = (state.step + (schedule == "disc_first")) * disc_steps  # updates of D before those that are unrolled

        def play(gen: Player, turn: Turn) -> _Played:
            return shared or _play(objective.sampler, gen, turn)

        def train_disc(disc: Player, gen: Player) -> tuple[Player, Metrics]:
            return _updates("disc", partial(_disc_gradients, objective, play, gen), tx.disc, disc, disc_turns)

        def train_gen(gen: Player, disc: Player) -> tuple[Player, Metrics]:
            look_ahead = partial(_look_ahead, objective, tx.disc, disc, unroll, made)
            return _updates("gen", partial(_gen_gradients, objective, play, look_ahead), tx.gen, gen, gen_turns)

        gen, disc = state.gen, state.disc
        if schedule == "gen_first":
            gen, gen_metrics = train_gen(gen, disc)
        disc, disc_metrics = train_disc(disc, gen)
        if schedule != "gen_first":
            gen, gen_metrics = train_gen(gen, state.disc if schedule == "simultaneous" else disc)
        with jax.named_scope("moving_average"):
            ema_params = _moving_average(gen.params, state.ema_params, state.step, ema, ema_warmup)
        return TrainState(state.step + 1, state.key, gen, disc, ema_params), disc_metrics | gen_metrics

    vars(step)["classes"] = objective.sampler.classes  # so that labels can be checked where the step alone is given
    return step


class _Dealt(NamedTuple):
    """The minibatches of a round, their inputs and the keys of the generator's forward passes: (parts, accumulate, ...)."""

    batch: Batch
    inputs: PyTree
    play: Array


def _deal(objective: Objective, batch: Batch, parts: int, accumulate: int, key_inputs: Array, key_play: Array) -> _Dealt:
    batches = _cut(batch, parts)
    rows = [jax.tree.map(lambda x, i=i: x[i], batches) for i in range(parts)]
    inputs = [objective.sampler.inputs(jax.random.fold_in(key_inputs, i), rows[i]) for i in range(parts)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *inputs)
    batches, stacked = jax.vmap(lambda tree: _cut(tree, accumulate))((batches, stacked))
    return _Dealt(batches, stacked, _keys(key_play, parts, accumulate))


def _keys(key: Array, *shape: int) -> Array:
    """Keys numbered along the last axis first."""
    numbers = jnp.arange(math.prod(shape))
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(numbers).reshape(shape)


def _cut(batch: PyTree, parts: int) -> PyTree:
    """Deal the rows of every leaf out into `parts`, in turn: (parts, b, ...).

    So every device that has a contiguous share of the batch has an equal share of each part.
    """
    sizes = {x.shape[0] for x in jax.tree.leaves(batch)}
    if len(sizes) != 1 or next(iter(sizes)) % parts:
        raise InputError(f"a batch with first axes {sorted(sizes)} cannot be cut into {parts} equal minibatches")
    return jax.tree.map(lambda x: jnp.swapaxes(x.reshape(x.shape[0] // parts, parts, *x.shape[1:]), 0, 1), batch)


def _turns(dealt: _Dealt, chosen: slice, key: Array, step: Array) -> Turn:
    """One player's turns of round `step` on the chosen minibatches, with keys and counts of their own."""
    batch, inputs, play = jax.tree.map(lambda x: x[chosen], dealt)
    updates, accumulate = play.shape
    counts = jnp.broadcast_to(step * updates + jnp.arange(updates)[:, None], play.shape)
    return Turn(batch, inputs, _keys(key, updates, accumulate), play, counts, gen={})


class _Played(NamedTuple):
    """The generator's forward pass on a turn: fakes, the way back to its parameters, its new statistics."""

    fakes: PyTree
    pull_back: Callable[[PyTree], tuple[PyTree]]
    stats: PyTree


def _play(sampler: Sampler, gen: Player, turn: Turn) -> _Played:
    def forward(params: PyTree) -> tuple[PyTree, PyTree]:
        return sampler.sample({"params": params, **gen.stats}, turn.inputs, turn.play, True)

    return _Played(*jax.vjp(forward, gen.params, has_aux=True))


Play = Callable[[Player, Turn], _Played]
Gradients = tuple[PyTree, PyTree, Metrics]  # gradients, new statistics, metrics


def _disc_gradients(objective: Objective, play: Play, gen: Player, disc: Player, turn: Turn) -> Gradients:
    return _disc_answer(objective, play(gen, turn).fakes, disc, turn._replace(gen=gen.variables))


def _disc_answer(objective: Objective, fakes: PyTree, disc: Player, turn: Turn) -> Gradients:
    """The discriminator's gradients at given fakes."""

    def loss(params: PyTree) -> tuple[Array, tuple[PyTree, Metrics]]:
        return objective.disc_loss({"params": params, **disc.stats}, fakes, turn)

    (value, (stats, metrics)), grads = jax.value_and_grad(loss, has_aux=True)(disc.params)
    return grads, stats, {"disc/loss": value, **metrics}


def _gen_gradients(
    objective: Objective, play: Play, look_ahead: Callable[[PyTree, Turn], Player], gen: Player, turn: Turn
) -> Gradients:
    """Through the fakes, by the forward pass that was played, and of what the loss takes from the parameters directly."""
    played = play(gen, turn)

    def loss(params: PyTree, fakes: PyTree) -> tuple[Array, Metrics]:
        now = turn._replace(gen={"params": params, **gen.stats})
        return objective.gen_loss(look_ahead(fakes, now).variables, fakes, now)

    (value, metrics), (direct, slope) = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(gen.params, played.fakes)
    grads = jax.tree.map(jnp.add, played.pull_back(slope)[0], direct)
    return grads, played.stats, {"gen/loss": value, **metrics}


def _updates(
    name: str, gradients: Callable[[Player, Turn], Gradients], tx: optax.GradientTransformation, player: Player, turns: Turn
) -> tuple[Player, Metrics]:
    """An update for each of the turns (updates, accumulate, ...), on the mean gradient of its parts."""

    def update(player: Player, turns: Turn) -> tuple[Player, Metrics]:
        def part(stats: PyTree, turn: Turn) -> tuple[PyTree, tuple[PyTree, Metrics]]:
            grads, stats, metrics = gradients(player._replace(stats=stats), turn)
            return stats, (grads, metrics)

        stats, (grads, metrics) = batch_axis.mean(_loop(part, player.stats, turns))
        _require_statistics(name, player.stats, stats)
        metrics[f"{name}/grad_norm"] = optax.tree.norm(grads)
        return _moved(player, tx, grads, stats), metrics

    return _loop(update, player, turns)


def _require_statistics(name: str, old: PyTree, new: PyTree) -> None:
    """Raises `InputError` for an objective that does not give the statistics back: they would be lost with this update."""
    paths = [[path for path, _ in jax.tree_util.tree_leaves_with_path(stats)] for stats in (old, new)]
    if paths[0] != paths[1]:
        where = {"disc": "disc_loss gives loss, (new_disc_stats, metrics)", "gen": "sampler.sample gives fakes, new_gen_stats"}
        raise InputError(
            f"the objective's {where[name]}: these statistics have the collections {sorted(new) or 'none'}, and the "
            f"{name} player has {sorted(old) or 'none'}. Give back the new ones, or the old ones where nothing changed"
        )


def _moved(player: Player, tx: optax.GradientTransformation, grads: PyTree, stats: PyTree) -> Player:
    with jax.named_scope("optimizer"):
        change, opt_state = tx.update(grads, player.opt_state, player.params)
        return Player(optax.apply_updates(player.params, change), stats, opt_state)


def _look_ahead(
    objective: Objective,
    tx: optax.GradientTransformation,
    disc: Player,
    steps: int,
    made: Array,
    fakes: PyTree,
    turn: Turn,
) -> Player:
    """The discriminator after `steps` more updates on this turn, as a function of the fakes; its statistics stay."""

    def update(disc: Player, i: Array) -> tuple[Player, None]:
        ahead = turn._replace(key=jax.random.fold_in(turn.play, i + 1), updates=made + i)
        grads, _, _ = _disc_answer(objective, fakes, disc, ahead)
        return _moved(disc, tx, batch_axis.mean(grads), disc.stats), None

    if steps == 0:
        return disc
    # computed anew on the way back, so that memory holds the states of D after each update, but one of its passes only
    return jax.lax.scan(jax.checkpoint(update, prevent_cse=False), disc, jnp.arange(steps))[0]


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
