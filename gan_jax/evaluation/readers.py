"""Readers of known truth: for which data sets the attributes of any picture can be read, and by what."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from gan_jax.data.stacked import COLOURS
from gan_jax.evaluation.digit_reader import DigitReader, train_digit_reader
from gan_jax.evaluation.doodle_heads import HEADS
from gan_jax.evaluation.doodle_judge import train_doodle_judge
from gan_jax.files import default_cache

COUNTS: dict[str, Mapping[str, int]] = {"faces": {"eyes": 2, "mouths": 1, "noses": 1}}
Read = Callable[[np.ndarray], Mapping[str, np.ndarray]]  # pictures (n, h, w, c) uint8 to values (n,) by attribute


class Reader(NamedTuple):
    """What can be read in pictures like those of a data set.

    `open((height, width))` gives the function that reads pictures of that size; it may train networks for minutes, once, and
    raises `InputError` for a size that cannot be read. `counts` are the numbers of parts that every picture should show.
    """

    attributes: tuple[str, ...]
    open: Callable[[tuple[int, int]], Read]
    counts: Mapping[str, int] = {}


def _doodles(kind: str) -> Reader:
    return Reader(tuple(head.name for head in HEADS[kind]), partial(_open_doodle_judge, kind), COUNTS.get(kind, {}))


def _open_doodle_judge(kind: str, size: tuple[int, int]) -> Read:
    height, width = size
    cache = default_cache() / "judges" / f"{kind}-{height}x{width}.msgpack"
    return train_doodle_judge(kind, size, cache=cache).judge


READERS: dict[str, Reader] = {  # by `Dataset.name`
    "stacked_mnist": Reader(COLOURS, train_digit_reader),
    "doodle_faces": _doodles("faces"),
    "doodle_birds": _doodles("birds"),
    "doodle_flowers": _doodles("flowers"),
}


def can_read(dataset: str, attributes: tuple[str, ...]) -> bool:
    """Whether all these attributes can be read in pictures like those of the data set of this name."""
    return dataset in READERS and set(attributes) <= set(READERS[dataset].attributes)


def readable_in(attributes: tuple[str, ...]) -> list[str]:
    """The names of the data sets in whose pictures all these attributes can be read."""
    return [name for name in READERS if can_read(name, attributes)]


def about_reader(read: Read) -> str:
    """What a score's protocol says of the reader: the digest of its weights and its accuracy; "" for others."""
    return read.about if isinstance(read, DigitReader) else ""


def counts_right(readings: Mapping[str, np.ndarray], counts: Mapping[str, int]) -> np.ndarray:
    """Which pictures show each part as often as they should, bool (n,)."""
    return np.all([np.asarray(readings[name]) == number for name, number in counts.items()], axis=0)


def nothing_read(images: np.ndarray) -> Mapping[str, np.ndarray]:
    """The reading of pictures whose attributes nothing can read."""
    return {}
