"""A variation of batches from round to round: what is planned on the host, and what the device makes of it."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import numpy as np
from jax import Array

Batch = dict[str, Array]
Planned = dict[str, np.ndarray]
Shapes = Mapping[str, jax.ShapeDtypeStruct]


class Variation(NamedTuple):
    """A random or fixed change of every batch.

    plan:   (generator, n, shapes) -> {name: (n, ...)}, what is decided on the host for a minibatch of n examples
    finish: (batch, planned) -> batch, the change itself, on the device; shapes must not depend on values
    check:  (shapes) -> None, raises `InputError` with cause and cure for data that cannot be varied so
    uses:   names of the arrays that it changes or reads
    rows:   how many rows of the data each example is made of. With more than one, arrays are (n, rows, ...): the first row is
            the one whose turn it is, the others are drawn at random. Only the first variation may have them

    `shapes` are those of a minibatch as the variations before leave it.
    """

    plan: Callable[[np.random.Generator, int, Shapes], Planned]
    finish: Callable[[Batch, Batch], Batch]
    check: Callable[[Shapes], None]
    uses: tuple[str, ...] = ("image",)
    rows: int = 1
