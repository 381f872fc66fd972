"""The parts common to all doodles: the truth of each picture by its number, and a `Source` that draws it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from gan_jax.data.source import Example, Source, Split
from gan_jax.errors import InputError

SPLITS = ("train", "held_out")
T = TypeVar("T")


class Kind(NamedTuple):
    """A kind of doodle: pure functions that sample a truth, draw it, and describe it by attributes and captions."""

    name: str
    version: str
    sample: Callable[[np.random.Generator], Any]
    draw: Callable[[Any, tuple[int, int]], np.ndarray]  # truth and (h, w) to (h, w, 3) uint8
    attributes: Callable[[Any], dict[str, float]]
    captions: Callable[[Any], tuple[str, ...]]
    miscounted: Callable[[Any, np.random.Generator], Any]  # a truth with counts that the data set does not have


def generator_of(seed: int, split: str, i: int) -> np.random.Generator:
    """The random generator of picture i, a function of the arguments alone."""
    counter = np.array([0, 0, SPLITS.index(split), i], np.uint64)
    return np.random.Generator(np.random.Philox(key=seed, counter=counter))


def truth_of(kind: Kind, seed: int, split: str, i: int) -> Any:
    """The truth of picture i of a split."""
    return kind.sample(generator_of(seed, split, i))


def drawn_source(kind: Kind, n: int, held_out: int, seed: int, size: tuple[int, int]) -> Source:
    """A `Source` of `n` training and `held_out` held-out pictures of `size` (h, w).

    Raises `InputError` for negative numbers, no training pictures, and sides below 16 pixels.
    """
    if n < 1 or held_out < 0 or seed < 0:
        raise InputError(f"{kind.name} needs n >= 1, held_out >= 0 and seed >= 0, not {n}, {held_out} and {seed}")
    if min(size) < 16:
        raise InputError(f"{kind.name} needs sides of at least 16 pixels, not {size[0]}x{size[1]}")

    def read(split: str, count: int, i: int) -> Example:
        if not 0 <= i < count:
            raise IndexError(f"{kind.name} has {count} pictures in {split}: there is no picture {i}")
        truth = truth_of(kind, seed, split, i)
        return Example(kind.draw(truth, size), None, tuple(kind.attributes(truth).values()), kind.captions(truth))

    first = truth_of(kind, seed, "train", 0)
    return Source(
        name=kind.name,
        identity=f"{kind.name} {kind.version} seed={seed} n={n}+{held_out} size={size[0]}x{size[1]}",
        splits={
            split: Split(count, partial(read, split, count))
            for split, count in zip(SPLITS, (n, held_out), strict=True)
            if count
        },
        attribute_names=tuple(kind.attributes(first)),
        captioned=bool(kind.captions(first)),
        notes=(f"drawn, not photographed: every attribute is the truth (version {kind.version})",),
    )


def one_hot(prefix: str, names: Sequence[str], chosen: str) -> dict[str, float]:
    """Attributes `prefix_name`, 1 for the chosen name and 0 for the others."""
    return {f"{prefix}_{name}": float(name == chosen) for name in names}


def pick(options: Sequence[T], where: float) -> T:
    """The option at `where` from -1 to 1."""
    return options[min(int((where + 1) / 2 * len(options)), len(options) - 1)]
