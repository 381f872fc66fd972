"""Equal shares of classes, or of the combinations of binary attributes, in every round."""

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np

from gan_jax.data.dataset import Dataset
from gan_jax.errors import InputError
from gan_jax.listing import listed

LABEL = "label"
_NAMED = 20  # strata, and attributes, in a message
MOST = 4096  # combinations, with and without examples


class Strata(NamedTuple):
    """Training examples by stratum: `of` (n,) int32 numbers that of each example, -1 where it is not known.

    Stratum i is called `names[i]`; each has an example or more. `notes` are lines about them to show to the user.
    """

    of: np.ndarray
    names: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class BalanceFlags:
    """The flag that gives parts of the data equal shares."""

    balance: str | None = None
    """Give equal shares in every round to the classes (label), or to each combination of the named attributes of 0 and 1,
    such as Eyeglasses,Male: rare pictures come more often. Scores still compare with the data as they are."""

    def strata(self, dataset: Dataset) -> Strata | None:
        """`strata_of` with this flag, and its errors; None without it."""
        return None if self.balance is None else strata_of(dataset, self.balance)


class _Part(NamedTuple):
    """One of the properties that are combined: its value (n,) by number, -1 where unknown, and the values' names."""

    values: np.ndarray
    names: tuple[str, ...]


def strata_of(dataset: Dataset, by: str) -> Strata:
    """The combinations of the properties named in `by`, separated by commas: `label`, or attributes of 0 and 1.

    Combinations without an example are left out, and examples whose combination is not known belong to none; the notes say
    so. Raises `InputError` for a property that the data lack, for an attribute with other values, for data whose examples are
    drawn anew in each round, for more than `MOST` combinations, and where the data have only one.
    """
    names = tuple(dict.fromkeys(name.strip() for name in by.split(",") if name.strip()))
    if not names:
        raise InputError(f"--balance {by!r} names nothing: give label, or names of attributes such as Eyeglasses,Male")
    if dataset.drawn is not None:
        raise InputError(f"--balance: the examples of {dataset.name} are drawn anew in each round: leave it out")
    parts = [_part(dataset, name) for name in names]
    if (possible := math.prod(len(part.names) for part in parts)) > MOST:
        raise InputError(f"--balance {by[:100]}: these have {possible:,} combinations: name fewer, of at most {MOST:,}")
    known = np.all([part.values >= 0 for part in parts], axis=0)
    shape = tuple(len(part.names) for part in parts)
    code = np.ravel_multi_index(tuple(np.where(known, part.values, 0) for part in parts), shape)
    counts = np.bincount(code[known], minlength=math.prod(shape))
    there = np.flatnonzero(counts)
    titles = [" ".join(combination) for combination in product(*(part.names for part in parts))]
    if len(there) < 2:
        found = f"all training pictures are {titles[there[0]]}" if len(there) else "it is known of no training picture"
        raise InputError(f"--balance {by}: {found}, so that there is nothing to balance")
    of = np.where(known, np.searchsorted(there, code), -1).astype(np.int32)
    present = tuple(titles[i] for i in there)
    notes = _notes(
        ", ".join(names), present, counts[there], [titles[i] for i in np.flatnonzero(counts == 0)], int(np.sum(~known))
    )
    return Strata(of, present, notes)


def _notes(by: str, names: Sequence[str], counts: np.ndarray, absent: list[str], unknown: int) -> tuple[str, ...]:
    shares = listed([f"{name} ({count:,} pictures)" for name, count in zip(names, counts, strict=True)], _NAMED)
    notes = [f"balanced by {by}, each 1/{len(names)} of a round: {shares}"]
    if absent:
        notes.append(f"no training picture is {listed(absent, _NAMED)}: left out of the balance")
    if unknown:
        notes.append(f"{unknown:,} pictures whose {by} is not known are not trained on")
    return tuple(notes)


def _part(dataset: Dataset, name: str) -> _Part:
    if name == LABEL:
        dataset.require(LABEL)
        return _Part(np.asarray(dataset.train[LABEL]), dataset.class_names)
    if name not in dataset.attribute_names:
        raise InputError(f"--balance {name[:100]}: {_lacks(dataset, name)}")
    column = np.asarray(dataset.train["attributes"])[:, dataset.attribute_names.index(name)]
    if others := sorted(set(column[~np.isnan(column)].tolist()) - {0.0, 1.0}):
        shown = listed([f"{value:g}" for value in others], 3)
        raise InputError(f"--balance {name}: only attributes of 0 and 1 can be balanced, and this one has the values {shown}")
    values = np.where(np.isnan(column), -1, column).astype(np.int32)
    return _Part(values, (f"{name}=0", f"{name}=1"))


def _lacks(dataset: Dataset, name: str) -> str:
    there = [*dataset.attribute_names, *([LABEL] if LABEL in dataset.train else [])]
    if not there:
        return dataset.with_left_out(f"{dataset.name} has no attributes and no labels")
    near = difflib.get_close_matches(name.lower(), [each.lower() for each in there], n=1)
    nearest = "".join(f"; the nearest is {each}" for each in there if each.lower() in near)
    return f"{dataset.name} has no such attribute. It has {listed(there, 2 * _NAMED)}{nearest}"
