"""Held-out examples: a random share that is always the same, of every class its part."""

from collections.abc import Sequence

import numpy as np

from gan_jax.data.source import random_rows

FEWEST_TO_SHARE = 20  # with fewer pictures none is held out
FEWEST_OF_CLASS, LEFT_OF_CLASS = 4, 2  # a class with fewer pictures stays in training whole; so many of others stay at least
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


def note_on_held_out(share: float, labels: Sequence[int] | np.ndarray | None, n: int) -> list[str]:
    """A line where classes are too small to give held-out pictures."""
    if labels is None or not share or n < FEWEST_TO_SHARE:
        return []
    small = int((np.unique(np.asarray(labels), return_counts=True)[1] < FEWEST_OF_CLASS).sum())
    what = "classes have" if small > 1 else "class has"
    return [f"{small:,} {what} fewer than {FEWEST_OF_CLASS} pictures, which are all trained on"] if small else []
