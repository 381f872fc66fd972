"""A folder or a zip of pictures, with the captions and tables beside them, as a `Source`."""

import os
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_jax.data import table_files as rows
from gan_jax.data import tables
from gan_jax.data.bounds import LARGEST_FILE
from gan_jax.data.opening import SUFFIXES, File
from gan_jax.data.source import Example, Source, Split, printable, random_rows
from gan_jax.data.splitting import SPLITS, attribute_strata, held_out_rows, note_on_held_out
from gan_jax.data.trees import ARCHIVES, SENSIBLE, Tree, opened
from gan_jax.errors import InputError
from gan_jax.files import identity, place
from gan_jax.listing import listed

PHONES = (".heic", ".heif", ".avif")
CONVERT = "of .heic, .heif and .avif make JPEG first, as the phone itself or `magick mogrify -format jpg *.heic` does"
NAMED = 3  # pictures in a note
BY_CLASS = "by class"  # what was held out, in a source's identity


class _Layout(NamedTuple):
    """The split and the class of each picture according to the sub-folders; None where they do not say."""

    splits: list[str] | None
    classes: list[str] | None
    notes: list[str]


@dataclass(frozen=True)
class _Pictures:
    """The pictures in order, with their labels, captions and attributes."""

    tree: Tree
    names: list[str]
    labels: list[int] | None
    beside: tables.Beside

    def read(self, i: int) -> Example:
        return Example(
            File(self.tree.read(self.names[i], LARGEST_FILE), printable(self.names[i])),
            None if self.labels is None else self.labels[i],
            tuple(self.beside.attributes[i].tolist()),
            self.beside.captions[i],
        )


def folder_source(
    path: str | os.PathLike[str],
    held_out: float = 0.05,
    limit: int | None = None,
    label_column: str | None = None,
    caption_column: str | None = None,
) -> Source:
    """The pictures in a folder or a .zip and all its sub-folders, in natural order of their paths (2.png before 10.png).

    Sub-folders train and test (val, valid, validation, held_out) are the splits. Otherwise a random share `held_out` of the
    pictures is held out, always the same, by class or else by binary attributes (`gan_jax.data.splitting`), and at least one
    of 20 or more. Two or more sub-folders that hold all pictures are classes, unless `gan_jax.data.tables.read_beside` finds
    others, in `label_column` if that is given; `caption_column` is another column for captions. With a `limit`, that many
    random pictures are used, always the same. Examples have a `File`; reading one raises `Unreadable` for a missing file or a
    damaged member.
    Raises `InputError` for anything but such a folder, with what was found instead and the cure.
    """
    path = place(path)
    _check_numbers(held_out, limit)
    tree = opened(path)
    names = sorted((name for name in tree.stamps if _suffix(name) in SUFFIXES), key=_natural)
    sides = sorted(name for name in tree.stamps if _suffix(name) in rows.SUFFIXES)
    others = tree.stamps.keys() - set(names) - set(sides)
    if len(names) < 2:
        raise InputError(_too_few(path, names, [*others, *sides]))
    beside = tables.read_beside(names, sides, tree.read, label_column, caption_column)
    layout = _layout(names)
    class_names, labels, notes = _labels(layout, beside)
    chosen = list(range(len(names))) if limit is None else random_rows(len(names), limit)
    groups, by = _groups(layout, labels, beside, chosen, held_out)
    splits = _splits(layout.splits, len(names), chosen, held_out, groups)
    pictures = _Pictures(tree, names, labels, beside)
    if by == BY_CLASS:
        notes += note_on_held_out(held_out, groups, len(chosen))
    stamps = {name: tree.stamps[name] for name in [*names, *sides]}
    more = [by] * bool(by) + ([label_column] if label_column is not None else [])
    more += [f"captions {caption_column}"] if caption_column is not None else []
    more += ["texts apart"] if beside.apart else []
    uncaptioned = _note_on_captions([names[i] for i in chosen], [beside.captions[i] for i in chosen])
    notes = [*layout.notes, *notes, *beside.notes, *uncaptioned, *_note_on_others([*others, *(set(sides) - beside.used)])]
    return Source(
        name=printable(path.resolve().stem if path.suffix.lower() == ".zip" else path.resolve().name),
        identity=_identity(stamps, held_out, limit, _path_of(path), *more),
        splits={name: Split(len(indices), _reader(pictures, indices)) for name, indices in splits.items()},
        class_names=tuple(map(printable, class_names)),
        attribute_names=tuple(map(printable, beside.attribute_names)),
        captioned=any(map(any, beside.captions)),
        place=f"{path.resolve()} {float(held_out)} {limit} {' '.join(more)}".rstrip(),
        notes=tuple(map(printable, notes)),
    )


def _note_on_captions(names: Sequence[str], captions: Sequence[tuple[str, ...]]) -> list[str]:
    """A line that names pictures without captions, where others have some."""
    without = [name for name, texts in zip(names, captions, strict=True) if not any(texts)]
    if not 0 < len(without) < len(names):
        return []
    return [f"{len(without):,} of {len(names):,} pictures have no caption: {listed(without, NAMED)}"]


def _reader(pictures: _Pictures, indices: Sequence[int]) -> Callable[[int], Example]:
    return lambda i: pictures.read(indices[i])


def _check_numbers(held_out: float, limit: int | None) -> None:
    if not 0 <= held_out < 1:
        raise InputError(f"the share of pictures held out must be at least 0 and less than 1, not {held_out}")
    if limit is not None and limit < 2:
        raise InputError(f"a limit of {limit} leaves too few pictures: {SENSIBLE}")


def _suffix(name: str) -> str:
    return posixpath.splitext(name)[1].lower()


def _natural(name: str) -> tuple[tuple[tuple[str | int, ...], ...], str]:
    parts = name.split("/")
    return tuple(tuple(int(t) if i % 2 else t for i, t in enumerate(re.split("([0-9]+)", part))) for part in parts), name


def _too_few(path: Path, names: Sequence[str], others: Sequence[str]) -> str:
    if names:
        return f"{path} holds one picture only, {names[0]}: a GAN needs at least 2 ({SENSIBLE})"
    if not others:
        return f"{path} is empty: put pictures there ({', '.join(SUFFIXES)})"
    if any(_suffix(name) in PHONES for name in others):
        return f"{path} holds no pictures, but {_counted(others)}: {CONVERT}"
    archives = [name for name in others if _suffix(name) in (".zip", *ARCHIVES)]
    what = f"unpack {archives[0]}, or give it itself if it is a .zip" if archives else f"pictures end in {', '.join(SUFFIXES)}"
    return f"{path} holds no pictures, but {_counted(others)}: {what}"


def _counted(names: Sequence[str]) -> str:
    kinds = Counter(_suffix(name) or "without suffix" for name in names).most_common(5)
    return ", ".join(f"{count:,} {kind}" for kind, count in kinds)


def _note_on_others(names: Sequence[str]) -> list[str]:
    cure = f": {CONVERT}" if any(_suffix(name) in PHONES for name in names) else ""
    return [f"{len(names):,} other files are left out ({_counted(names)}){cure}"] if names else []


def _layout(names: Sequence[str]) -> _Layout:
    folders = _without_common([name.split("/")[:-1] for name in names])
    tops = {folder[0].lower() if folder else "" for folder in folders}
    splits = None
    if tops <= SPLITS.keys() and {SPLITS[top] for top in tops} == {"train", "held_out"}:
        splits = [SPLITS[folder[0].lower()] for folder in folders]
        folders = _without_common([folder[1:] for folder in folders])
    classes = {folder[0] if folder else "" for folder in folders}
    if "" in classes and len(classes) > 2:
        stray = sum(not folder for folder in folders)
        return _Layout(splits, None, [f"the sub-folders are not classes, because {stray:,} pictures lie outside of them"])
    return _Layout(splits, None if "" in classes else [folder[0] for folder in folders], [])


def _without_common(folders: list[list[str]]) -> list[list[str]]:
    first, last = min(folders), max(folders)  # what these two share, all in between share
    same = [a == b for a, b in zip(first, last, strict=False)]
    common = next((depth for depth, equal in enumerate(same) if not equal), len(same))
    return [folder[common:] for folder in folders]


def _labels(layout: _Layout, beside: tables.Beside) -> tuple[tuple[str, ...], list[int] | None, list[str]]:
    if layout.classes is None or beside.labels is not None:
        notes = ["the classes are those of a table, not the sub-folders"] if layout.classes else []
        return beside.class_names, beside.labels, notes
    class_names = tables.sort_classes(layout.classes)
    numbers = {name: number for number, name in enumerate(class_names)}
    return class_names, [numbers[name] for name in layout.classes], [f"{len(class_names):,} sub-folders are taken as classes"]


def _groups(
    layout: _Layout, labels: list[int] | None, beside: tables.Beside, chosen: Sequence[int], held_out: float
) -> tuple[np.ndarray | None, str]:
    """The group of each chosen picture, of which the held-out part has its share, and what groups are by, in words."""
    if layout.splits is not None:
        return None, ""
    if labels is not None:
        return np.array([labels[i] for i in chosen]), BY_CLASS
    strata = attribute_strata(beside.attributes[chosen], held_out)
    return strata, "" if strata is None else "by attributes"


def _splits(
    given: list[str] | None, size: int, chosen: Sequence[int], held_out: float, groups: np.ndarray | None
) -> dict[str, list[int]]:
    if given is None:
        given = ["train"] * size
        for place in held_out_rows(len(chosen), held_out, groups):
            given[chosen[place]] = "held_out"
    splits = {name: [i for i in chosen if given[i] == name] for name in ("train", "held_out")}
    if len(splits["train"]) < 2:
        raise InputError(f"only {len(splits['train'])} of the pictures are for training: {SENSIBLE}")
    return {name: indices for name, indices in splits.items() if indices}


def _path_of(path: Path) -> str:
    """The path of a folder, whose times and sizes may equal those of another; "" for a zip, whose checksums identify it."""
    return str(path.resolve()) if path.is_dir() else ""


def _identity(stamps: dict[str, tuple[int, int]], held_out: float, limit: int | None, place: str, *more: str) -> str:
    return identity([repr((sorted(stamps.items()), float(held_out), limit, place, *more))])
