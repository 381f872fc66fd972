"""Initial weights taken from another run."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from gan_jax.core import GUESTS, TrainState
from gan_jax.errors import InputError
from gan_jax.files import place
from gan_jax.runs.checkpoint import Checkpoints


def load_weights(directory: Path | str) -> dict[str, Any]:
    """A run's saved state as nested dictionaries, from its newest checkpoint.

    Raises `InputError` for a directory without a checkpoint.
    """
    directory = place(directory)
    if not (directory / "checkpoints").is_dir():
        raise InputError(f"{directory} is no run with checkpoints")
    with Checkpoints(directory / "checkpoints", read_only=True) as checkpoints:
        if not checkpoints.steps:
            raise InputError(f"{directory} has no complete checkpoint yet")
        return checkpoints.read(checkpoints.steps[-1])


def with_weights(state: TrainState, saved: dict[str, Any]) -> TrainState:
    """`state` with the parameters, statistics and averages of a saved one; raises `InputError` if that has not these shapes.

    A discriminator keeps its own where the saved game had none (an SRResNet that becomes an SRGAN).
    """
    try:
        return _with_weights(state, saved)
    except (AttributeError, LookupError, TypeError) as error:
        raise InputError(f"the saved state is not of a game: it lacks {error}") from error


def _with_weights(state: TrainState, saved: dict[str, Any]) -> TrainState:
    gen = state.gen._replace(
        params=_fitted(saved["gen"]["params"], state.gen.params),
        stats=_collections(saved["gen"].get("stats") or {}, state.gen.stats),
    )
    disc = state.disc
    if saved["disc"]["params"] or not disc.params:
        disc = disc._replace(
            params=_fitted(saved["disc"]["params"] or {}, disc.params),
            stats=_collections(saved["disc"].get("stats") or {}, disc.stats),
        )
    return state._replace(gen=gen, disc=disc, ema_params=_fitted(saved["ema_params"], state.ema_params))


def _collections(saved: PyTree, like: PyTree) -> PyTree:
    """The saved collections, but the initial state of an augmentation, or its encoder, if only one of the runs has one."""
    rest = {name: value for name, value in saved.items() if name not in GUESTS or name in like}
    return {name: like[name] for name in like if name in GUESTS and name not in saved} | _fitted(
        rest, {name: value for name, value in like.items() if name not in GUESTS or name in saved}
    )


def _fitted(saved: PyTree, like: PyTree) -> PyTree:
    try:
        same = jax.tree.map(lambda s, x: np.shape(s) == np.shape(x), saved, like)
    except ValueError as error:
        raise InputError(f"the weights are of another network: {str(error).splitlines()[0][:200]}") from error
    if not all(jax.tree.leaves(same)):
        raise InputError("the weights are of a network of another size: give the flags that it was trained with")
    return jax.tree.map(jax.numpy.asarray, saved)
