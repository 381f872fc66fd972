"""Captions, labels and attributes of pictures, from the text files and tables beside them."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from gan_jax.data.bounds import LARGEST_CAPTION, LARGEST_TABLE
from gan_jax.data.names import Finder, file_column
from gan_jax.data.source import Unreadable
from gan_jax.data.table_files import Rows, rows_of, text_of
from gan_jax.errors import InputError
from gan_jax.listing import listed

LABEL_COLUMNS = ("label", "class")
CAPTION = re.compile(r"captions?|text|caption_?[0-9]+")
EMPTY = ("", "nan", "null", "none", "na", "n/a")
ROWS, LEAST_ROWS = 20, 250_000  # that a table may have: for each picture; and if there are few, as many as CelebA's has
MOST_COLUMNS = 1_000
NAMED, LISTED = 3, 20  # examples, and names, in a message


class Beside(NamedTuple):
    """Of n pictures: captions, class numbers, attributes float32 (n, k) with NaN where unknown."""

    captions: list[tuple[str, ...]]
    labels: list[int] | None
    class_names: tuple[str, ...]
    attributes: np.ndarray
    attribute_names: tuple[str, ...]
    used: frozenset[str]  # the files with information on pictures
    notes: tuple[str, ...]
    apart: bool  # whether captions are from texts in folders of their own


def read_beside(
    pictures: Sequence[str],
    files: Sequence[str],
    read: Callable[[str, int], bytes],
    label_column: str | None = None,
    caption_column: str | None = None,
) -> Beside:
    """The content of `files` (with `table_files.SUFFIXES`) about `pictures`; both are paths relative to a root, with "/".

    `read(file, most)` gives the bytes of a file of at most so many. Each line of NAME.txt beside NAME.png is a caption, and
    so is each of a NAME.txt in a folder of texts, such as text_c10/CLASS/NAME.txt, if one picture alone has this name. A
    table is CSV (with , ; or tabs), JSON Lines, a JSON list of objects, CelebA's .txt or StyleGAN's dataset.json. Its column
    file (file_name, filename, image, image_id), or else the first whose cells all name different pictures, names them as
    `gan_jax.data.names.Finder` says. The columns caption, captions, text and caption_1 ..., or `caption_column` alone, are
    captions, label or class, or `label_column`, are classes; other columns of numbers, true/false or -1/1 (as 0/1) are
    attributes. Columns of words are left out, and so are files that cannot be used and rows about other pictures; the notes
    say so.
    Raises `InputError` only where `label_column` is asked for and does not label every picture, and where `caption_column` is
    and has no text of any.
    """
    gathered = _Gathered(len(pictures), label_column, caption_column)
    find, most = Finder(pictures), max(LEAST_ROWS, ROWS * len(pictures))
    for file in files:
        try:
            if caption_column is None and file.lower().endswith(".txt") and (beside := find.beside(file)):
                gathered.apart |= find.is_apart(file)
                lines = [line.strip() for line in text_of(file, lambda name: read(name, LARGEST_CAPTION)).split("\n")]
                for index in beside:
                    gathered.add_captions(index, lines)
                gathered.used.add(file)
            elif (rows := rows_of(file, lambda name: read(name, LARGEST_TABLE), most)) is not None:
                _gather(file, rows, find, gathered)
                gathered.used.add(file)
        except (InputError, Unreadable) as error:
            gathered.unusable[file] = str(error)
    return gathered.arranged()


@dataclass
class _Gathered:
    """The content of all files together; pictures by number."""

    size: int
    label_column: str | None
    caption_column: str | None
    captions: dict[int, list[str]] = field(default_factory=dict)
    labels: dict[int, str] = field(default_factory=dict)
    columns: dict[str, np.ndarray | None] = field(default_factory=dict)  # None for a column of words
    used: set[str] = field(default_factory=set)  # the files with information on pictures
    unusable: dict[str, str] = field(default_factory=dict)  # files and why they are left out
    notes: list[str] = field(default_factory=list)
    apart: bool = False

    def add_captions(self, index: int, texts: Sequence[Any]) -> None:
        own = self.captions.setdefault(index, [])
        for text in texts:
            if text is not None and (stripped := str(text).strip()) and stripped not in own:
                own.append(stripped)

    def add_labels(self, labels: dict[int, tuple[str, str]]) -> None:
        """Labels with their places; raises `InputError`, and takes none, if a picture has another one already."""
        for index, (label, place) in labels.items():
            if self.labels.get(index, label) != label:
                had = self.labels[index]
                raise InputError(f"{place}: a second label {label[:100]} for a picture of label {had[:100]}: keep one of them")
        self.labels |= {index: label for index, (label, _) in labels.items()}

    def add_value(self, index: int, column: str, value: Any) -> None:
        if column not in self.columns:
            self.columns[column] = np.full(self.size, np.nan, np.float32)
        values, number = self.columns[column], None if isinstance(value, list | dict) else _number(value)
        if number is None:
            self.columns[column] = None
        elif values is not None and not math.isnan(number):
            values[index] = number

    def arranged(self) -> Beside:
        captioned = any(self.captions.values())
        if self.caption_column is not None and not captioned:
            there = listed(list(self.columns), LISTED) or "no others"
            raise InputError(
                f"--caption-column {self.caption_column[:100]}: no table has texts in this column; there are {there}"
            )
        nothing: tuple[str, ...] = ("",) if captioned else ()
        captions = [tuple(self.captions.get(i, ())) or nothing for i in range(self.size)]
        attributes = {name: _zero_to_one(v) for name, v in self.columns.items() if v is not None and not np.isnan(v).all()}
        notes = [*self._notes_on_files(), *self.notes]
        if ignored := [name for name in self.columns if name not in attributes]:
            how = "--label-column takes one as classes, --caption-column as captions"
            notes.append(f"columns that are not numbers are left out: {listed(ignored, LISTED)} ({how})")
        class_names = sort_classes(self.labels.values())
        labels = None
        if reason := self._no_labels(class_names):
            if self.label_column is not None:
                raise InputError(f"--label-column {self.label_column[:100]}: {'; '.join([reason, *notes])}")
            notes += [f"the tables' labels are left out, because {reason}"] if self.labels else []
        else:
            numbers = {name: number for number, name in enumerate(class_names)}
            labels = [numbers[self.labels[i]] for i in range(self.size)]
        table = np.stack(list(attributes.values()), 1) if attributes else np.empty((self.size, 0), np.float32)
        used = frozenset(self.used | self.unusable.keys())
        return Beside(captions, labels, class_names if labels else (), table, tuple(attributes), used, tuple(notes), self.apart)

    def _no_labels(self, class_names: Sequence[str]) -> str:
        """Why the labels cannot be used, or nothing."""
        if not self.labels:
            return f"no table has this column; there are {listed(list(self.columns), LISTED) or 'no others'}"
        if without := self.size - len(self.labels):
            return f"{without:,} of {self.size:,} pictures have none"
        return f"all are {class_names[0][:100]}" if len(class_names) == 1 else ""

    def _notes_on_files(self) -> list[str]:
        reasons = [f"left out: {reason}" for reason in self.unusable.values()]
        more = len(reasons) - NAMED
        return [*reasons[:NAMED], *([f"left out for reasons like these: {more:,} more files"] if more > 0 else [])]


def sort_classes(labels: Any) -> tuple[str, ...]:
    """The distinct labels, sorted as numbers if all are whole numbers, or else by name."""
    different = set(labels)
    whole = all(re.fullmatch(r"-?[0-9]+", label) for label in different)
    return tuple(sorted(different, key=lambda label: (int(label), label) if whole else (0, label)))


def _zero_to_one(values: np.ndarray) -> np.ndarray:
    known = values[~np.isnan(values)]
    return (values + 1) / 2 if (np.abs(known) == 1).all() and (known < 0).any() else values


@lru_cache(1 << 16)
def _number(value: Any) -> float | None:
    """NaN for empty values, None for values that are not numbers."""
    if value is None:
        return math.nan
    if isinstance(value, str):
        text = value.strip().lower()
        if text in EMPTY:
            return math.nan
        value = {"true": 1, "false": 0}.get(text, text)
    try:
        number = float(value) if "_" not in str(value) else None  # Python accepts 1_000
    except (TypeError, ValueError, OverflowError):
        return None
    return None if number is not None and math.isinf(number) else number


class _Layout(NamedTuple):
    """The positions of the columns that are used."""

    captions: list[int]
    label: int | None
    others: dict[str, int]


def _layout(columns: tuple[str, ...], file: str, label_column: str | None, caption_column: str | None) -> _Layout:
    """The role of each column beside `file`; of several of one name the last counts."""
    at = {column: i for i, column in enumerate(columns)}
    lower = {column.strip().lower(): column for column in reversed(columns)}
    pattern = CAPTION if caption_column is None else re.compile(re.escape(caption_column.strip().lower()))
    captions = [column for column in at if pattern.fullmatch(column.strip().lower())]
    names = LABEL_COLUMNS if label_column is None else (label_column.strip().lower(),)
    label = next((lower[name] for name in names if name in lower), None)
    rest = [column for column in at if column and column not in (file, label, *captions)]
    others = {column: at[column] for column in rest if not column.startswith("Unnamed: ")}
    return _Layout([at[column] for column in captions], None if label is None else at[label], others)


def _gather(table: str, rows: Rows, find: Finder, gathered: _Gathered) -> None:
    """Take all of a table; raises `InputError`, and takes nothing, if it cannot be used."""
    if not (read := list(rows)):
        raise InputError(f"{table} has no rows")
    groups: dict[tuple[str, ...], list[int]] = {}
    for i, row in enumerate(read):
        groups.setdefault(row.columns, []).append(i)
    if len(names := {column for columns in groups for column in columns}) > MOST_COLUMNS:
        raise InputError(f"{table} has {len(names):,} columns, and {MOST_COLUMNS:,} are the most: keep those that are needed")
    found: list[int | None] = [None] * len(read)
    known: dict[tuple[str, ...], _Layout] = {}
    notes: list[str] = []
    for columns, own in groups.items():
        file, indices, told = file_column(table, columns, [read[i] for i in own], find)
        known[columns] = _layout(columns, file, gathered.label_column, gathered.caption_column)
        notes += told
        for i, index in zip(own, indices, strict=True):
            found[i] = index
    labels: dict[int, tuple[str, str]] = {}
    placed = [(index, row, known[row.columns]) for index, row in zip(found, read, strict=True) if index is not None]
    for index, row, layout in placed:
        label = None if layout.label is None else _label(row.values[layout.label], row.place)
        if label is not None and (had := labels.setdefault(index, (label, row.place))[0]) != label:
            raise InputError(f"{row.place}: a second label {label[:100]} for a picture of label {had[:100]}: keep one")
    gathered.add_labels(labels)
    gathered.notes += notes
    for index, row, layout in placed:
        for i in layout.captions:
            gathered.add_captions(index, value if isinstance(value := row.values[i], list) else [value])
        for column, i in layout.others.items():
            gathered.add_value(index, column, row.values[i])


def _label(value: Any, place: str) -> str | None:
    if isinstance(value, list | dict):
        raise InputError(f"{place}: a label must be a number or a name, not {str(value)[:100]}")
    label = re.sub(r"^(-?[0-9]+)\.0+$", r"\1", str(value).strip())  # tables with gaps write 3 as 3.0
    return None if value is None or label.lower() in EMPTY[:3] else label
