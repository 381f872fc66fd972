"""Captions, labels and attributes of pictures, from the text files and tables beside them."""

import math
import posixpath
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from gan_jax.data.table_files import Rows, require_file_column, rows_of, text_of
from gan_jax.errors import InputError

LABEL_COLUMNS = ("label", "class")
CAPTION = re.compile(r"captions?|text|caption_?[0-9]+")
EMPTY = ("", "nan", "null", "none", "na", "n/a")
NAMED = 3  # examples in an error message


class Beside(NamedTuple):
    """Of n pictures: captions, class numbers, attributes float32 (n, k) with NaN where unknown."""

    captions: list[tuple[str, ...]]
    labels: list[int] | None
    class_names: tuple[str, ...]
    attributes: np.ndarray
    attribute_names: tuple[str, ...]
    used: frozenset[str]  # the files with information on pictures
    notes: tuple[str, ...]


def read_beside(pictures: Sequence[str], files: Sequence[str], read: Callable[[str], bytes]) -> Beside:
    """The content of `files` (with `table_files.SUFFIXES`) about `pictures`; both are paths relative to a root, with "/".

    Each line of NAME.txt beside NAME.png is a caption. A table is CSV (with , ; or tabs), JSON Lines, a JSON list of objects,
    CelebA's .txt or StyleGAN's dataset.json. Its column file (file_name, filename, image, image_id) has paths of pictures
    relative to the table's folder or the root, or names that are unique. The columns caption, captions, text and caption_1
    ... are captions, label or class are classes; other columns of numbers, true/false or -1/1 (as 0/1) are attributes. Columns
    of words are left out, with a note. Raises `InputError` for a table that cannot be parsed or names missing pictures.
    """
    gathered = _Gathered(len(pictures))
    find = _Finder(pictures)
    used = set()
    for file in files:
        stem = posixpath.splitext(file)[0]
        if file.lower().endswith(".txt") and stem in find.by_stem:
            lines = [line.strip() for line in text_of(file, read).split("\n")]
            for index in find.by_stem[stem]:
                gathered.add_captions(index, lines)
            used.add(file)
        elif (rows := rows_of(file, read)) is not None:
            _gather(file, rows, find, gathered)
            used.add(file)
    return gathered.arranged(frozenset(used))


@dataclass
class _Gathered:
    """The content of all files together; pictures by number."""

    size: int
    captions: dict[int, list[str]] = field(default_factory=dict)
    labels: dict[int, str] = field(default_factory=dict)
    columns: dict[str, np.ndarray | None] = field(default_factory=dict)  # None for a column of words

    def add_captions(self, index: int, texts: Sequence[Any]) -> None:
        own = self.captions.setdefault(index, [])
        for text in texts:
            if text is not None and (stripped := str(text).strip()) and stripped not in own:
                own.append(stripped)

    def add_label(self, index: int, value: Any, place: str) -> None:
        if isinstance(value, list | dict):
            raise InputError(f"{place}: a label must be a number or a name, not {value}")
        label = re.sub(r"^(-?[0-9]+)\.0+$", r"\1", str(value).strip())  # tables with gaps write 3 as 3.0
        if value is None or label.lower() in EMPTY[:3]:
            return
        if self.labels.setdefault(index, label) != label:
            raise InputError(f"{place}: a second label {label} for a picture of label {self.labels[index]}: keep one of them")

    def add_value(self, index: int, column: str, value: Any) -> None:
        if column not in self.columns:
            self.columns[column] = np.full(self.size, np.nan, np.float32)
        values, number = self.columns[column], None if isinstance(value, list | dict) else _number(value)
        if number is None:
            self.columns[column] = None
        elif values is not None and not math.isnan(number):
            values[index] = number

    def arranged(self, used: frozenset[str]) -> Beside:
        captioned = any(self.captions.values())
        nothing: tuple[str, ...] = ("",) if captioned else ()
        captions = [tuple(self.captions.get(i, ())) or nothing for i in range(self.size)]
        attributes = {name: _zero_to_one(v) for name, v in self.columns.items() if v is not None and not np.isnan(v).all()}
        ignored = [name for name in self.columns if name not in attributes]
        notes = [f"columns that are not numbers are left out: {', '.join(ignored)}"] if ignored else []
        without = self.size - len(self.labels)
        labels, class_names = None, sort_classes(self.labels.values())
        if without and self.labels:
            notes.append(f"the tables' labels are left out, because {without:,} of {self.size:,} pictures have none")
        elif len(class_names) == 1:
            notes.append(f"the tables' labels are left out, because all are {class_names[0]}")
        elif self.labels:
            numbers = {name: number for number, name in enumerate(class_names)}
            labels = [numbers[self.labels[i]] for i in range(self.size)]
        table = np.stack(list(attributes.values()), 1) if attributes else np.empty((self.size, 0), np.float32)
        return Beside(captions, labels, class_names if labels else (), table, tuple(attributes), used, tuple(notes))


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


class _Finder:
    """Finds the numbers of pictures by the names in tables."""

    def __init__(self, pictures: Sequence[str]):
        self.pictures = pictures
        self.by_path = {_composed(name): i for i, name in enumerate(pictures)}
        self.by_stem: dict[str, list[int]] = {}
        self.by_name: dict[str, list[int]] = {}  # also without suffix
        for i, name in enumerate(pictures):
            self.by_stem.setdefault(posixpath.splitext(name)[0], []).append(i)
            bare = _composed(posixpath.basename(name))
            for key in (bare, posixpath.splitext(bare)[0]):
                self.by_name.setdefault(key, []).append(i)

    def __call__(self, name: str, folder: str) -> list[int]:
        """The pictures that `name` may refer to: one unless it is missing or ambiguous."""
        name = _composed(name.strip().replace("\\", "/"))
        for path in (posixpath.join(folder, name), name):
            for candidate in (path, posixpath.normpath(path)):
                if candidate in self.by_path:
                    return [self.by_path[candidate]]
        return self.by_name.get(name.removeprefix("./"), [])


def _composed(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFC", name)  # macOS stores accents as separate characters


class _Layout(NamedTuple):
    """The role of each column."""

    file: str
    captions: list[str]
    label: str | None
    others: list[str]


def _layout(columns: tuple[str, ...], place: str) -> _Layout:
    file = require_file_column(columns, place)
    lower = {column.strip().lower(): column for column in reversed(columns)}
    captions = [column for column in columns if CAPTION.fullmatch(column.strip().lower())]
    label = next((lower[name] for name in LABEL_COLUMNS if name in lower), None)
    rest = [column for column in columns if column not in (file, label, *captions)]
    return _Layout(file, captions, label, [column for column in rest if column and not column.startswith("Unnamed: ")])


def _gather(table: str, rows: Rows, find: _Finder, gathered: _Gathered) -> None:
    layouts: dict[tuple[str, ...], _Layout] = {}
    folder = posixpath.dirname(table)
    absent: list[str] = []
    ambiguous: list[str] = []
    for place, row in rows:
        columns = tuple(row)
        layout = layouts.get(columns) or layouts.setdefault(columns, _layout(columns, place))
        name = str(row[layout.file])
        found = find(name, folder)
        if len(found) != 1:
            (ambiguous if found else absent).append(name)
            continue
        for column in layout.captions:
            gathered.add_captions(found[0], row[column] if isinstance(row[column], list) else [row[column]])
        if layout.label is not None:
            gathered.add_label(found[0], row[layout.label], place)
        for column in layout.others:
            gathered.add_value(found[0], column, row[column])
    _refuse(table, absent, "names {} that are not there: {}; correct the names, add the pictures or delete these lines")
    _refuse(table, ambiguous, "names {} that are there several times: {}; write them with their folders")


def _refuse(table: str, names: list[str], message: str) -> None:
    if names:
        count = f"{len(names):,} picture{'s' * (len(names) > 1)}"
        raise InputError(f"{table} " + message.format(count, ", ".join(names[:NAMED]) + ", ..." * (len(names) > NAMED)))
