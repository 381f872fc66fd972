"""Supervised training: one loop for classifiers, attribute readers and text encoders."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from jax import Array
from jaxtyping import Float, PyTree

from gan_jax import progress
from gan_jax.errors import RunError
from gan_jax.rows import chunks

CHECK_EVERY = 100  # steps: reading a loss waits for the device, so losses are read in groups

Loss = Callable[[PyTree, Any, Array], Float[Array, ""]]


def fit(
    loss: Loss,
    params: PyTree,
    tx: optax.GradientTransformation,
    load: Callable[[int], Any],
    steps: int,
    key: Array,
    *,
    what: str = "",
) -> PyTree:
    """`params` after `steps` updates by `tx` with the gradient of `loss(params, batch, key)`, a scalar.

    `load(step)` gives the batch, any pytree of arrays of the same shapes in each step; it is called once for each step, in
    order. Step number i gets the key `fold_in(key, i)`. The given `params` stay valid. `what` names the training: with it
    progress is shown (`gan_jax.progress.Count`), and errors begin with it. Raises `RunError` for a loss that is not
    finite, within `CHECK_EVERY` steps of it, naming the step.
    """

    @jax.jit
    def update(params: PyTree, opt_state: PyTree, batch: Any, key: Array) -> tuple[PyTree, PyTree, Array]:
        value, gradient = jax.value_and_grad(loss)(params, batch, key)
        change, opt_state = tx.update(gradient, opt_state, params)
        return optax.apply_updates(params, change), opt_state, value

    opt_state = tx.init(params)
    with progress.Count(what, steps) as count:
        for stretch in chunks(steps, CHECK_EVERY):
            losses = []
            for step in range(stretch.start, stretch.stop):
                params, opt_state, value = update(params, opt_state, load(step), jax.random.fold_in(key, step))
                losses.append(value)
            _require_finite(np.array(jax.device_get(losses)), stretch.start, what or "training")
            count.add(len(losses))
    return params


def _require_finite(losses: np.ndarray, first: int, what: str) -> None:
    bad = np.flatnonzero(~np.isfinite(losses))
    if len(bad):
        raise RunError(
            f"{what}: the loss is {losses[bad[0]]} at step {first + bad[0]} (counted from 0). "
            "Lower the learning rate, or look for values in the data that are not finite"
        )
