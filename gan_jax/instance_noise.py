"""Noise on all that a discriminator sees, which fades while it learns, and augmentations one after the other."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from gan_jax import batch_axis
from gan_jax.augment import Augment, State
from gan_jax.errors import InputError


def instance_noise(stddev: Any = 0.1, updates: int = 10_000) -> Augment:
    """x + s e with e ~ N(0, I), for real and generated examples of any shape: both distributions have common support.

    s = stddev max(0, 1 - t / updates) at the discriminator's update t, so that the two players first agree on a blurred
    picture of the data (Sonderby et al. 2016, arXiv:1610.04490, section 3.1; Arjovsky & Bottou 2017, arXiv:1701.04862,
    section 3.1). The papers leave the schedule open. State: `noise_updates`, the number t; minibatches whose gradients are
    accumulated count each.

    Raises `InputError` for a negative stddev and for `updates` below 1.
    """
    if isinstance(stddev, int | float) and not 0 <= stddev < math.inf:
        raise InputError(f"instance noise has a standard deviation of at least 0, not {stddev}")
    if updates < 1:
        raise InputError(f"instance noise fades within a number of updates, at least 1, not {updates}")

    def apply(x: Float[Array, "b ..."], key: Array, state: State) -> Float[Array, "b ..."]:
        strength = stddev * jnp.maximum(0.0, 1 - state["noise_updates"] / updates)
        noise = batch_axis.draw(lambda n: jax.random.normal(key, (n, *x.shape[1:])), len(x))
        return (x + strength * noise).astype(x.dtype)

    def update(state: State, real_logits: Array) -> State:
        return {"noise_updates": state["noise_updates"] + 1}

    return Augment(lambda: {"noise_updates": jnp.zeros(())}, apply, update)


def chained(*parts: Augment) -> Augment:
    """Augmentations one after the other, each with its own noise and state.

    Raises `InputError` where two of them keep a state of one name.
    """
    states = [part.init() for part in parts]
    names = [name for state in states for name in state]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(f"two of these augmentations keep {', '.join(sorted(twice))}: use each once")

    def own(state: State, i: int) -> State:
        return {name: state[name] for name in states[i]}

    def apply(x: Array, key: Array, state: State) -> Array:
        for i, part in enumerate(parts):
            x = part.apply(x, jax.random.fold_in(key, i), own(state, i))
        return x

    def update(state: State, real_logits: Array) -> State:
        return {name: value for i, part in enumerate(parts) for name, value in part.update(own(state, i), real_logits).items()}

    def init() -> State:
        return {name: value for part in parts for name, value in part.init().items()}

    return Augment(init, apply, update)
