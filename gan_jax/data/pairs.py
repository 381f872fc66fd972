"""Test sets of super-resolution: folders of high pictures, each with its low one, given or made."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_jax.data import trees
from gan_jax.data.bounds import LARGEST_FILE
from gan_jax.data.deep import RangeNeeded
from gan_jax.data.opening import SUFFIXES, File
from gan_jax.data.pictures import decode, facts
from gan_jax.data.source import Unreadable
from gan_jax.data.writing import luma
from gan_jax.errors import InputError
from gan_jax.files import place
from gan_jax.images.imresize import imresize

_LOW, _HIGH = re.compile(r"(lr|low)", re.I), re.compile(r"(hr|high|gt)", re.I)  # how the names of such folders begin
_END = re.compile(r"_(lr|hr)$", re.I)  # how names of files may end that lie side by side


class Pair(NamedTuple):
    """A high picture uint8 (h, w, c), sides multiples of the factor, and the low one (h / factor, w / factor, c)."""

    name: str
    low: np.ndarray
    high: np.ndarray


class PairSet(NamedTuple):
    """A named test set, and lines about it for the user."""

    name: str
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...] = ()


def read_pairs(path: str | Path, factor: int, channels: int = 3) -> list[PairSet]:
    """The test sets in a folder or a zip, pictures in natural order of their names.

    High pictures in folders whose names begin with HR, high or GT have low ones beside, in folders whose names begin with LR or
    low, as files of the names NAME_HR and NAME_LR do; all other pictures are high, and low ones are made of them by
    `gan_jax.images.imresize`. A set is named after its folder. High pictures are cut below and at the right to multiples of
    the factor. Raises `InputError` where there are no pictures, and for low ones that do not match.
    """
    root = place(path)
    tree = trees.opened(root)
    names = sorted((name for name in tree.stamps if Path(name).suffix.lower() in SUFFIXES), key=_natural)
    groups: dict[str, tuple[list[str], list[str]]] = {}
    for name in names:
        group, is_low = _group(name)
        groups.setdefault(group or root.stem, ([], []))[is_low].append(name)
    if not names:
        raise InputError(f"{root} holds no pictures: they end in {', '.join(SUFFIXES)}")

    def read(name: str) -> np.ndarray:
        return _decoded(File(tree.read(name, LARGEST_FILE), name), channels)

    sets = []
    for group, (high, low) in groups.items():
        if low and len(low) != len(high):
            raise InputError(f"{group} in {root} has {len(high)} high pictures and {len(low)} low ones: each needs its own")
        pairs = [_pair(name, read(name), read(low[i]) if low else None, factor) for i, name in enumerate(high)]
        cut = sum(made.high.shape != whole for made, whole in pairs)
        notes = [f"{group}: {cut} pictures are cut below or at the right to multiples of {factor}"] * bool(cut)
        sets.append(PairSet(group, tuple(made for made, _ in pairs), tuple(notes)))
    return sets


def _pair(name: str, high: np.ndarray, low: np.ndarray | None, factor: int) -> tuple[Pair, tuple[int, ...]]:
    """The pair, and the shape of the high picture before it was cut."""
    h, w = (side // factor for side in high.shape[:2])
    cut = high[: h * factor, : w * factor]
    if low is None:
        low = np.asarray(imresize(cut[None], 1 / factor))[0]
    if low.shape[:2] != (h, w):
        found = "x".join(map(str, low.shape[:2]))
        raise InputError(
            f"{name} is {high.shape[0]}x{high.shape[1]}, and its low picture {found}, not {h}x{w}: low pictures must be "
            f"{factor} times smaller, and in the order of the high ones"
        )
    return Pair(Path(name).stem, low, cut), high.shape


def _decoded(file: File, channels: int) -> np.ndarray:
    try:
        about = facts(file)
        pixels = decode(file, (about.height, about.width))
    except (Unreadable, RangeNeeded) as error:
        reason = str(error) or f"{file.name}: has more than 8 bits a channel: save it with 8"
        raise InputError(f"a picture to compare with cannot be read: {reason}") from error
    return luma(pixels[None])[0] if channels == 1 else pixels


def _group(name: str) -> tuple[str, bool]:
    """The set that a file belongs to, and whether it is a low picture."""
    *folders, file = name.split("/")
    end = _END.search(Path(file).stem)
    is_low = any(map(_LOW.match, folders)) or bool(end and end[1].lower() == "lr")
    named = [folder for folder in folders if not (_LOW.match(folder) or _HIGH.match(folder) or re.fullmatch(r"x\d", folder))]
    return "/".join(named), is_low


def _natural(name: str) -> list[tuple[int, int | str]]:
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", name)]
