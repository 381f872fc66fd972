"""States of a population, for `vmap_step`."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from gan_jax.core import Batch, Objective, Player, Players, TrainState, init_state
from gan_jax.errors import InputError


def init_population(
    objective: Objective,
    tx: Players,
    keys: Array,
    batch: Batch,
    hyper: Mapping[str, Array | np.ndarray] | None = None,
) -> TrainState:
    """The states of len(keys) runs before the first round, with a leading axis of runs; `batch` gives shapes and types only.

    `keys` are typed keys (runs,), such as `jax.random.split(jax.random.key(0), runs)`. `hyper` gives each run numbers of its
    own: {"gen.learning_rate": (runs,), "disc.b1": (runs,)}, for optimizers made by
    `optax.inject_hyperparams(optax.adam)(...)`.

    Raises `InputError` for what are no keys, and for numbers of another length or that the optimizers do not have.
    """
    if not jnp.issubdtype(jnp.asarray(keys).dtype, jax.dtypes.prng_key) or keys.ndim != 1:
        raise InputError("keys are typed keys (runs,), such as jax.random.split(jax.random.key(0), runs)")
    numbers = {name: jnp.asarray(value, jnp.float32) for name, value in (hyper or {}).items()}
    for name, value in numbers.items():
        if value.shape != keys.shape:
            raise InputError(f"hyper[{name!r}] has shape {value.shape}, and there are {len(keys)} keys: a number for each")

    def one(key: Array, numbers: dict[str, Array]) -> TrainState:
        state = init_state(objective, tx, key, batch)
        for name, value in numbers.items():
            player, _, field = name.partition(".")
            if player not in Players._fields or not field:
                raise InputError(f"hyper[{name!r}]: names are gen. or disc. and what the optimizer calls it, gen.learning_rate")
            if player == "gen":
                state = state._replace(gen=_with(state.gen, name, field, value))
            else:
                state = state._replace(disc=_with(state.disc, name, field, value))
        return state

    return jax.jit(jax.vmap(one))(keys, numbers)


def _with(player: Player, name: str, field: str, value: Array) -> Player:
    held = _injected(player.opt_state)
    if field not in held:
        have = f"it has {', '.join(sorted(held))}" if held else "make it by optax.inject_hyperparams(optax.adam)(...)"
        raise InputError(f"hyper[{name!r}]: the optimizer has no number {field!r} that can be set; {have}")
    return player._replace(opt_state=optax.tree.set(player.opt_state, **{field: value.astype(held[field].dtype)}))


def _injected(opt_state: Any) -> dict[str, Array]:
    """The numbers that `optax.inject_hyperparams` keeps in the state, wherever it stands in a chain."""
    found = optax.tree.get_all_with_path(opt_state, "hyperparams")
    return {name: value for _, numbers in found for name, value in numbers.items()}
