"""Attributes of pictures by name, such as "glasses,!male": what can be read, by what, and which pictures have them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from gan_jax.errors import InputError
from gan_jax.evaluation.judge import Judge
from gan_jax.evaluation.readers import READERS, counts_right
from gan_jax.listing import listed

CLASS = "class"  # the attribute that a classifier of labels reads
SURE = 0.8  # a picture with an attribute below this confidence is not valid
_NAMED = 60  # attributes in a message


class Reading(NamedTuple):
    """Values (n,) and the probability of each (n,), as the reader sees it."""

    values: np.ndarray
    confidence: np.ndarray


Readings = Mapping[str, Reading]


class Wanted(NamedTuple):
    """One condition on a picture: the attribute is true, or has the `value`; or, `negated`, it is not so."""

    name: str
    value: str | None = None
    negated: bool = False

    def __str__(self) -> str:
        text = self.name if self.value is None else f"{self.name}={self.value}"
        return f"!{text}" if self.negated else text


@dataclass(frozen=True)
class AttributeReader:
    """`read(images)` gives the attributes `names` of images (n, h, w, c) uint8. `classes` are the values of `CLASS`, if any.

    `counts` are the numbers of parts that every picture should show, where they are known.
    """

    about: str
    names: tuple[str, ...]
    read: Callable[[np.ndarray], Readings]
    classes: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    def valid(self, readings: Readings) -> np.ndarray | None:
        """Which pictures show every part as often as they should, all attributes read with a confidence above `SURE`.

        bool (n,); None where it is not known how often parts should be shown.
        """
        if not self.counts:
            return None
        right = counts_right({name: reading.values for name, reading in readings.items()}, self.counts)
        return right & np.all([reading.confidence > SURE for reading in readings.values()], axis=0)

    def understood(self, wanted: Sequence[Wanted]) -> tuple[Wanted, ...]:
        """The conditions with names of classes told apart; raises `InputError` for what cannot be read, with what can."""
        return tuple(self._understood(each) for each in wanted)

    def _understood(self, wanted: Wanted) -> Wanted:
        if wanted.name in self.names:
            if wanted.name == CLASS and wanted.value not in self.classes:
                raise InputError(f"there is no class {wanted.value!r}: there are {listed(self.classes, _NAMED)}")
            return wanted
        if wanted.name in self.classes and wanted.value is None:
            return Wanted(CLASS, wanted.name, wanted.negated)
        known = [name for name in self.names if name != CLASS] + [f"{CLASS}={name}" for name in self.classes]
        raise InputError(
            f"nothing reads {wanted.name!r} in pictures of this run: {self.about} reads {listed(known, _NAMED)}. "
            "Files and folders are named with their suffix or a slash"
        )


def of_known_truth(data: str, size: tuple[int, int]) -> AttributeReader:
    """The reader of pictures like those of `data`, one of `READERS`, of this size; see there for errors and durations."""
    known = READERS[data]
    read = known.open(size)

    def readings(images: np.ndarray) -> Readings:
        found = read(images)
        sure = np.ones(len(images))
        return {name: Reading(found[name], found.get(f"{name}_confidence", sure)) for name in known.attributes}

    return AttributeReader(f"the reader of {data}", known.attributes, readings, counts=known.counts)


def of_judge(judge: Judge) -> AttributeReader:
    """What a classifier reads: the class, or its binary attributes."""
    about = f"the classifier of the data (right on {judge.accuracy:.1%} of held-out pictures)"
    if judge.exclusive:
        return AttributeReader(about, (CLASS,), lambda images: _class(judge, images), judge.names)
    return AttributeReader(about, judge.names, lambda images: _switches(judge, images))


def _class(judge: Judge, images: np.ndarray) -> Readings:
    logits = judge.see(images).known_logits().astype(np.float64)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    names = np.array(judge.names)[logits.argmax(axis=1)]
    return {CLASS: Reading(names, weights.max(axis=1) / weights.sum(axis=1))}


def _switches(judge: Judge, images: np.ndarray) -> Readings:
    logits = judge.see(images).known_logits().astype(np.float64)
    sure = 1 / (1 + np.exp(-np.abs(logits)))
    return {name: Reading(logits[:, i] > 0, sure[:, i]) for i, name in enumerate(judge.names)}


def parse_wanted(text: str) -> tuple[Wanted, ...]:
    """The conditions in "glasses,!male,hair=blond"; raises `InputError` where one has no name."""
    found = []
    for part in (part.strip() for part in text.split(",")):
        name, _, value = part.removeprefix("!").partition("=")
        if not name.strip():
            raise InputError(f"{text!r}: name attributes as in 'glasses,!male' or 'hair=blond'")
        found.append(Wanted(name.strip(), value.strip() or None, part.startswith("!")))
    return tuple(found)


def holds(wanted: Wanted, readings: Readings) -> np.ndarray:
    """Which pictures meet the condition, bool (n,).

    Raises `InputError` for a value that must be said, for another than true or false of a yes or no, and for an attribute that
    is measured.
    """
    values = readings[wanted.name].values
    if values.dtype.kind == "f":
        raise InputError(f"{wanted.name} is measured, {values.min():.3g} to {values.max():.3g}: no two pictures have it alike")
    if values.dtype == bool and wanted.value is not None and wanted.value.lower() not in ("true", "false"):
        raise InputError(f"{wanted.name} is a yes or no: ask for {wanted.name} or !{wanted.name}, not {wanted}")
    if values.dtype != bool and wanted.value is None:
        seen = [str(value) for value in np.unique(values)]
        raise InputError(f"{wanted.name} is no yes or no: say which value, as in {wanted.name}={listed(seen, 1)}")
    right = values
    if wanted.value is not None:
        right = np.array([str(value).lower() == wanted.value.lower() for value in values.tolist()], bool)
    return ~right if wanted.negated else right


def values_of(wanted: Sequence[Wanted], readings: Readings) -> list[str]:
    """The values that were read of the attributes whose value is asked for, as "hair=red"."""
    valued = dict.fromkeys(each.name for each in wanted if each.value is not None)
    return [f"{name}={value}" for name in valued for value in np.unique(readings[name].values)]


def all_hold(wanted: Sequence[Wanted], readings: Readings) -> np.ndarray:
    """Which pictures meet all conditions, bool (n,)."""
    return np.all([holds(each, readings) for each in wanted], axis=0)


def most_confident(wanted: Sequence[Wanted], readings: Readings, k: int) -> np.ndarray:
    """The numbers of at most k pictures that meet all conditions, those first whose readings are the most probable together."""
    right = np.flatnonzero(all_hold(wanted, readings))
    return right[np.argsort(-confidence_in(wanted, readings)[right], kind="stable")[:k]]


def confidence_in(wanted: Sequence[Wanted], readings: Readings) -> np.ndarray:
    """The probability that these attributes are read correctly together, (n,)."""
    return np.prod([readings[each.name].confidence for each in wanted], axis=0)


def transferred(a: Sequence[Wanted], b: Sequence[Wanted], c: Sequence[Wanted]) -> tuple[Wanted, ...]:
    """What a - b + c is to have: what c has, and instead what a has where b has it not."""
    gained = {each.name: each for each in a if each not in b}
    kept = {each.name: each for each in c}
    return tuple((kept | gained).values())
