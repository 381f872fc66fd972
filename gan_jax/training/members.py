"""The program of a population: rounds of many members at once, as pure functions of states, settings, data and plans."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from gan_jax import keys, progress
from gan_jax.core import Batch, Metrics, Objective, Players, Step, TrainState, init_state
from gan_jax.data.dataset import Arrays
from gan_jax.data.rounds import Rounds, Shapes
from gan_jax.errors import InputError
from gan_jax.parallel.memory import account, free_memory

Setting = Any  # a named tuple or dictionary of numbers, `seed` among them
Build = Callable[[Setting], tuple[Objective, Players]]
Make = Callable[[Objective, Players], Step]
_MEASURED = 2**31 - 1  # folded into a member's key for what is measured: no round has this number


class Measure(NamedTuple):
    """Metrics of every member, measured every `interval` rounds by `call(objective, state, data, key)`, which is compiled.

    `data` are arguments of the compiled program. Numbers become rows of the member's eval.jsonl; arrays, such as samples, are
    kept by a population with a directory: looks/FIRST-STEP.npz has them with a leading axis of the members from FIRST on.
    """

    interval: int
    call: Callable[[Objective, TrainState, Any, Array], Metrics]
    data: Any = ()


class Members(NamedTuple):
    """Members together: rounds played, the state of each, and the round at which it died, 0 while it lives.

    The state of a dead member is the last finite one.
    """

    step: Array
    games: TrainState
    died: Array


class Record(NamedTuple):
    """Rounds as they were played: metrics, and whether the member was alive afterwards, (rounds, members)."""

    metrics: Metrics
    alive: Array


class Program:
    """The compiled functions, the same for every chunk of members, and the data on the devices of a `run_mesh`."""

    def __init__(self, build: Build, make: Make, rounds: Rounds, share_batches: bool, measure: Measure | None, mesh: Mesh):
        whole, each, orders = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("runs",), (None, "runs")))
        self.rounds, self.share_batches, self.measure, self.devices = rounds, share_batches, measure, mesh.size
        self.whole, self.each, self.plans = whole, each, whole if share_batches else orders
        placed: Any = (whole, each, each)
        self.members = Members(*placed)
        self.start = partial(_begin, build, rounds.shapes)
        self.begin = jax.jit(self.start, out_shardings=self.members)
        self.play = jax.jit(
            partial(_play, build, make, rounds.finish, share_batches),
            donate_argnums=0,
            in_shardings=(self.members, each, whole, self.plans),
            out_shardings=(self.members, whole, whole),
        )
        self.look = jax.jit(partial(_measured, build, measure.call), out_shardings=whole) if measure else None
        self.compiled: dict[tuple[int, int], Any] = {}
        self.data: Any = None

    def require_room(self, setting: Setting, members: int) -> None:
        """Raises `InputError` where the states of so many members alone take more memory than there is."""
        one = jax.eval_shape(self.start, jax.tree.map(lambda x: np.asarray(x)[None], setting), jax.random.key(0)[None])
        each = sum(math.prod(x.shape) * 4 for x in jax.tree.leaves(one.games))
        free = free_memory(self.devices)
        if each * members / self.devices > free:
            self._refuse(members, each * members / self.devices, int(free / each) * self.devices)

    def _refuse(self, members: int, needed: float, fit: int) -> NoReturn:
        cure = f"train {fit} together" if fit else "and not even one a device fits: choose a smaller batch or networks"
        raise InputError(
            f"{members} members take {needed / 2**20:,.0f} MiB on each of {self.devices} devices, "
            f"and {free_memory(self.devices) / 2**20:,.0f} MiB are free: {cure}"
        )

    def prepare(self, chunk: "Chunk") -> None:
        """Compile the rounds of the chunk, and place the data; raises `InputError` for more memory than there is."""
        if (chunk.size, chunk.dispatch) not in self.compiled:
            self.compiled[chunk.size, chunk.dispatch] = self._compile(chunk, chunk.dispatch)
        if self.data is None:
            held = self.measure.data if self.measure else ()
            self.data = jax.device_put((self.rounds.arrays, held), self.whole)

    def _compile(self, chunk: "Chunk", dispatch: int) -> Any:
        like = jax.eval_shape(self.begin, chunk.settings, chunk.keys), chunk.settings
        with progress.step(f"compiling {dispatch} rounds of {chunk.size} members"):
            compiled = self.play.lower(*_shapes((*like, self.rounds.arrays, chunk.plan(0, dispatch)))).compile()
        (peak, _), free = account(compiled), free_memory(self.devices)
        if peak > free:
            data = sum(array.nbytes for array in self.rounds.arrays.values())
            share = 0.9 * max(free - data, 0) / (peak - data)  # of these members; 0.9 since the peak does not grow quite evenly
            self._refuse(chunk.size, float(peak), int(share * chunk.size) // self.devices * self.devices)
        return compiled


class Chunk:
    """Members that one dispatch plays, once the program is prepared for them."""

    def __init__(self, program: Program, settings: Sequence[Setting], dispatch: int):
        self.program, self.size, self.dispatch = program, len(settings), dispatch
        self.seeds = [int(named(setting)["seed"]) for setting in settings]
        order = program.rounds.order
        self.rounds = {
            seed: replace(program.rounds, order=order.with_seed(seed)) for seed in (() if program.share_batches else self.seeds)
        }
        stacked = jax.tree.map(lambda *x: np.asarray(x), *settings)
        random = jnp.stack([jax.random.key(seed) for seed in self.seeds])
        self.settings, self.keys = jax.device_put((stacked, random), program.each)

    def begin(self) -> Members:
        """The members before the first round."""
        return self.program.begin(self.settings, self.keys)

    def copies(self, state: TrainState) -> Members:
        """The members as copies of one state; raises `InputError` if it is not of their kind."""
        like = jax.eval_shape(self.program.begin, self.settings, self.keys).games
        games = jax.tree.map(lambda x: keys.on_data(lambda data: np.repeat(np.asarray(data)[None], self.size, 0), x), state)
        given, wanted = (jax.tree.map(lambda x: (x.shape, x.dtype), tree) for tree in (games, like))
        if given != wanted:
            raise InputError("the members' states are of another kind than the one that they are to begin with")
        return self.place(Members(jnp.asarray(int(state.step), jnp.int32), games, jnp.zeros(self.size, jnp.int32)))

    def place(self, members: Members) -> Members:
        """Members from a checkpoint, on the devices."""
        return jax.device_put(members, self.program.members)

    def advance(self, members: Members, first: int, n: int) -> tuple[Members, Metrics, Record]:
        """n rounds in one dispatch: the members, metrics averaged over those alive (n,), and the record."""
        play = self.program.compiled[self.size, n] if n == self.dispatch else self.program.play
        plan = jax.device_put(self.plan(first, n), self.program.plans)
        return play(members, self.settings, self.program.data[0], plan)

    def plan(self, first: int, n: int) -> Arrays:
        """What n rounds are played on: arrays (n, b, ...) where members share batches, otherwise (n, members, b, ...)."""
        return _stack([self._round(i) for i in range(first, first + n)])

    def _round(self, i: int) -> Arrays:
        if self.program.share_batches:
            return self.program.rounds.plan(i)
        plans = {seed: rounds.plan(i) for seed, rounds in self.rounds.items()}
        return _stack([plans[seed] for seed in self.seeds])

    def look(self, members: Members) -> Metrics:
        """What the program measures of each member, (members,)."""
        return self.program.look(members, self.settings, self.program.data[1]) if self.program.look else {}


def named(setting: Setting) -> dict[str, Any]:
    """The numbers of a setting by name."""
    return dict(setting._asdict() if hasattr(setting, "_asdict") else setting)


def _stack(plans: Sequence[Arrays]) -> Arrays:
    return {name: np.stack([plan[name] for plan in plans]) for name in plans[0]}


def _shapes(tree: PyTree) -> PyTree:
    def shape(x: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(x.shape, jax.dtypes.canonicalize_dtype(x.dtype, allow_extended_dtype=True))

    return jax.tree.map(shape, tree)


def _begin(build: Build, shapes: Shapes, settings: PyTree, random: Array) -> Members:
    def one(setting: Setting, key: Array) -> TrainState:
        return init_state(*build(setting), key, {name: jnp.zeros(x.shape, x.dtype) for name, x in shapes.items()})

    return Members(jnp.zeros((), jnp.int32), jax.vmap(one)(settings, random), jnp.zeros(len(random), jnp.int32))


def _play(
    build: Build,
    make: Make,
    finish: Callable[[Any], Any],
    share_batches: bool,
    members: Members,
    settings: PyTree,
    data: Batch,
    plans: dict[str, Array],
) -> tuple[Members, Metrics, Record]:
    """Rounds of all members; a member dies of what is not finite, and its state stays as it was before that round."""

    def batch_of(plan: dict[str, Array]) -> Batch:
        rest = {name: value for name, value in plan.items() if name != "index"}
        return finish({name: array[plan["index"]] for name, array in data.items()} | rest)

    def one(game: TrainState, alive: Array, setting: Setting, given: Any) -> tuple[TrainState, Array, Metrics]:
        new, metrics = make(*build(setting))(game, given if share_batches else batch_of(given))
        alive &= _finite((new, metrics))
        return jax.tree.map(lambda a, b: jnp.where(alive, a, b), new, game), alive, metrics

    def body(members: Members, plan: dict[str, Array]) -> tuple[Members, Record]:
        step, given = members.step + 1, batch_of(plan) if share_batches else plan
        play = jax.vmap(one, in_axes=(0, 0, 0, None if share_batches else 0))
        games, alive, metrics = play(members.games, members.died == 0, settings, given)
        died = jnp.where(alive | (members.died > 0), members.died, step)
        return Members(step, games, died), Record(metrics, alive)

    members, record = jax.lax.scan(body, members, plans)
    living = jnp.sum(record.alive, axis=1)

    def mean(x: Array) -> Array:
        return jnp.sum(jnp.where(record.alive, x, 0), axis=1) / jnp.maximum(living, 1)

    return members, {**jax.tree.map(mean, record.metrics), "members": living}, record


def _finite(tree: PyTree) -> Array:
    floats = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in floats]))


def _measured(build: Build, call: Callable[..., Metrics], members: Members, settings: PyTree, data: Any) -> Metrics:
    def one(game: TrainState, setting: Setting) -> Metrics:
        key = jax.random.fold_in(jax.random.fold_in(game.key, _MEASURED), game.step)
        return call(build(setting)[0], game, data, key)

    return jax.vmap(one)(members.games, settings)
