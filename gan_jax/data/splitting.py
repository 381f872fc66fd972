"""Held-out examples: a random share that is always the same, of every class or combination of attributes its part."""

import math
from collections.abc import Sequence

import numpy as np

from gan_jax.data.source import random_rows

FEWEST_TO_SHARE = 20  # with fewer pictures none is held out
FEWEST_OF_CLASS, LEFT_OF_CLASS = 4, 2  # a class with fewer pictures stays in training whole; so many of others stay at least
HELD_OF_STRATUM = 2  # pictures to hold out of the smallest combination of attributes that gives a part of its own
SPLITS = {"train": "train", "training": "train"} | dict.fromkeys(
    ("test", "testing", "val", "valid", "validation", "held_out", "heldout"), "held_out"
)


def held_out_rows(n: int, share: float, labels: Sequence[int] | np.ndarray | None = None) -> list[int]:
    """The sorted rows of n to hold out: about the `share` of them, at least one of 20 or more, none of fewer.

    With `labels` (n,), every class gives its part; classes of fewer than 4 pictures give none.
    """
    if not share or n < FEWEST_TO_SHARE:
        return []
    count = min(max(round(n * share), 1), n - 2)
    if labels is None:
        return random_rows(n, count)
    classes, numbers, sizes = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    room = np.where(sizes >= FEWEST_OF_CLASS, sizes - LEFT_OF_CLASS, 0)
    generator = np.random.Generator(np.random.Philox(key=0))
    order, ties = generator.permutation(n), generator.permutation(len(classes))
    quota = count * sizes / n
    given = np.minimum(np.floor(quota).astype(int), room)
    by_remainder = np.lexsort((ties, given - quota))
    while (missing := count - given.sum()) > 0 and (given < room).any():
        open_ones = [c for c in by_remainder if given[c] < room[c]]
        given[open_ones[:missing]] += 1
    by_class = order[np.argsort(numbers[order], kind="stable")]
    rank = np.empty(n, int)  # of each row among those of its class, in the random order
    rank[by_class] = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.flatnonzero(rank < given[numbers]).tolist()


def attribute_strata(attributes: np.ndarray, share: float) -> np.ndarray | None:
    """The strata (n,) of which a held-out `share` takes its part, by the binary ones of the attributes (n, k).

    They are combinations of attributes, told apart as long as each can give two pictures to the held-out part, by the rarest
    attribute first: many attributes have nearly as many combinations as there are pictures. A value that is not known counts
    as 0. None where nothing can be told apart, and nothing is held out.
    """
    if not share or len(attributes) < FEWEST_TO_SHARE:
        return None
    known = [set(np.unique(column[~np.isnan(column)]).tolist()) for column in attributes.T]
    there = attributes.T[[values == {0.0, 1.0} for values in known]] == 1  # k n
    rarity = np.minimum(there.sum(axis=1), (~there).sum(axis=1))
    strata, least = np.zeros(len(attributes), int), max(math.ceil(HELD_OF_STRATUM / share), FEWEST_OF_CLASS)
    for column in there[np.argsort(rarity, kind="stable")]:
        halves = np.bincount(2 * strata + column, minlength=2 * (strata.max() + 1)).reshape(-1, 2)
        parted = halves.min(axis=1) >= least
        strata = np.unique(2 * strata + column * parted[strata], return_inverse=True)[1]
    return strata if strata.any() else None


def note_on_held_out(share: float, labels: Sequence[int] | np.ndarray | None, n: int) -> list[str]:
    """A line where classes are too small to give held-out pictures."""
    if labels is None or not share or n < FEWEST_TO_SHARE:
        return []
    small = int((np.unique(np.asarray(labels), return_counts=True)[1] < FEWEST_OF_CLASS).sum())
    what = "classes have" if small > 1 else "class has"
    return [f"{small:,} {what} fewer than {FEWEST_OF_CLASS} pictures, which are all trained on"] if small else []
