"""Pictures of all sizes decoded once and kept whole in one mapped file, and training windows of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from gan_jax.config import Count, Share
from gan_jax.data.dataset import Arrays, Dataset, Drawn, fingerprint
from gan_jax.data.load import open_source
from gan_jax.data.pictures import decode, facts, pages
from gan_jax.data.ranges import Range, in_range
from gan_jax.data.rounds import shrunk, turned
from gan_jax.data.source import Source, Unreadable
from gan_jax.data.store import Store
from gan_jax.data.variation import Variation
from gan_jax.data.windows import Whole, Windows, placed
from gan_jax.data.writing import check_lost, in_threads, luma, mapped_array, notes_on_pages, reading
from gan_jax.errors import InputError
from gan_jax.files import identity
from gan_jax.listing import listed
from gan_jax.rows import chunks

_AT_ONCE = 32  # pictures decoded at once
FIXED, HELD_OUT = 256, 64  # windows to show and to compare with


@dataclass(frozen=True)
class WholePreparation:
    """Pictures decoded at their own sizes, upright, with 1 or 3 channels: see `gan_jax.data.pictures.decode`."""

    channels: Literal[1, 3] = 3

    def described(self) -> dict[str, Any]:
        """The fields for a name of the cache."""
        return {"whole": self.channels}

    def nbytes(self, source: Source) -> int:
        """Not known before they are read."""
        return 0

    def write(self, source: Source, folder: Path, identity: Mapping[str, Any]) -> None:
        """Write `image` (pixels, c) and `size` (n, 2) of each split, and meta.json with `identity` too.

        Raises `InputError` for too few readable pictures.
        """
        in_range(source, None, lambda found: _write(source, self.channels, folder, identity, found))


@dataclass(frozen=True)
class WindowFlags:
    """The flags that choose pictures of all sizes, and the windows of them that are trained on."""

    data: str = "div2k/bicubic_x4"
    """A folder or a zip of pictures of any sizes, or a data set of tensorflow-datasets, of DIV2K the high pictures."""
    low: str | None = None
    """A folder or a zip of the low pictures, in the order of the high ones in --data; default the pictures shrunk by MATLAB's
    bicubic `imresize`."""
    split: str | None = None
    """The part of a data set of tensorflow-datasets to train on, such as train[:20%]."""
    factor: Literal[2, 3, 4, 8] = 4
    """How many times a picture is enlarged."""
    window: Count = 96
    """Side of the high windows in pixels, a multiple of --factor."""
    colours: Literal[1, 3] = 3
    """Channels: 1 grey, 3 colours."""
    held_out: Share = 0.05
    """Share of the pictures that windows on the sheets of samples are of, and that are not trained on."""
    limit: Count | None = None
    """Number of pictures to use, at random but always the same."""
    turns: bool = True
    """Show windows turned and mirrored in all eight ways, at random."""

    def load(self) -> Dataset:
        """`windows_of`, or `pairs_of` with `low`, and their errors; raises `InputError` for a window of a wrong size."""
        if self.window % self.factor:
            near = max(self.window // self.factor, 1) * self.factor
            raise InputError(f"--window {self.window} is no multiple of --factor {self.factor}: choose {near}, say")
        how: dict[str, Any] = {"channels": self.colours, "held_out": self.held_out, "limit": self.limit}
        high = load_whole(self.data, split=self.split, **how)
        if self.low is None:
            return windows_of(high, self.window)
        return pairs_of(high, load_whole(self.low, **how), self.window, self.factor)

    def variations(self) -> tuple[Variation, ...]:
        """What `Rounds` takes: `low` and `high`."""
        if self.low is not None:
            return (turned(("high", "low")),) * self.turns
        return (*(turned(),) * self.turns, shrunk(self.factor))


def load_whole(
    data: str | Path,
    *,
    split: str | None = None,
    channels: Literal[1, 3] = 3,
    held_out: float = 0.05,
    limit: int | None = None,
    cache: Path | None = None,
) -> Dataset:
    """The pictures of a folder, a zip or a named data set at their own sizes: arrays `image` (pixels, c) and `size` (n, 2).

    They are kept in `cache` (default: `gan_jax.files.default_cache`) and mapped from there; `whole(arrays)` gives them back.
    Raises `InputError` as `gan_jax.data.load` does.
    """
    source = open_source(data, (32, 32), split=split, held_out=held_out, limit=limit)
    return Store(cache).prepared(source, WholePreparation(channels))


def whole(arrays: Arrays) -> Whole:
    """The pictures of one split of `load_whole`."""
    return Whole(arrays["image"], arrays["size"])


def windows_of(dataset: Dataset, side: int) -> Dataset:
    """Rounds of random windows of `side` pixels of the pictures of `load_whole`, under the name `image`.

    Raises `InputError` if no picture is large enough; pictures that are too small are left out, and told.
    """
    train = Windows(whole(dataset.train), side)
    return Dataset(
        dataset.name,
        {"image": train.fixed(FIXED)},
        _held_out({"image": (dataset.held_out, 1)}, side, 1),
        notes=(*dataset.notes, *_notes(train)),
        stored_fingerprint=identity([dataset.fingerprint, str(side)]),
        drawn=Drawn({"image": train}, (placed(),)),
    )


def pairs_of(high: Dataset, low: Dataset, side: int, factor: int) -> Dataset:
    """Rounds of random windows `high` of `side` pixels and `low` of side / factor pixels of the same places.

    Pictures correspond by their order; sides of the high ones that are no multiples of the factor are cut below and at the
    right. Raises `InputError` for pictures that do not correspond, naming the first.
    """
    splits = [(getattr(high, name), getattr(low, name)) for name in ("train", "held_out")]
    for one, other in splits:
        _require_alike(one, other, factor, (high.name, low.name))
    train = _pair(*splits[0], side, factor)
    held_out = {"high": (high.held_out, factor), "low": (low.held_out, 1)}
    return Dataset(
        high.name,
        {name: array.fixed(FIXED) for name, array in train.items()},
        _held_out(held_out, side, factor),
        notes=(*high.notes, *_notes(train["high"])),
        stored_fingerprint=identity([high.fingerprint, low.fingerprint, str((side, factor))]),
        drawn=Drawn(dict(train), (placed(),)),
    )


def _pair(high: Arrays, low: Arrays, side: int, factor: int) -> dict[str, Windows]:
    return {"high": Windows(whole(high), side, factor), "low": Windows(whole(low), side // factor)}


def _held_out(arrays: Mapping[str, tuple[Arrays, int]], side: int, factor: int) -> Arrays:
    """Fixed windows of held-out pictures; none where there are none, or all are too small."""
    found = {}
    for name, (split, grid) in arrays.items():
        own = side if name != "low" else side // factor
        if not split or not len(whole(split).at_least(own)):
            return {}
        found[name] = Windows(whole(split), own, grid).fixed(HELD_OUT)
    return found


def _notes(windows: Windows) -> list[str]:
    sizes = windows.pictures
    small = len(sizes) - len(sizes.at_least(windows.side))
    told = [f"{small:,} pictures have no window of {windows.side}x{windows.side} pixels and are left out"] if small else []
    return [f"{len(windows):,} places for windows of {windows.side}x{windows.side} pixels in {len(sizes):,} pictures", *told]


def _require_alike(high: Arrays, low: Arrays, factor: int, names: tuple[str, str]) -> None:
    """Raises `InputError` unless the low pictures are the high ones' sizes divided by the factor, rounded down."""
    if bool(high) != bool(low) or (high and len(high["size"]) != len(low["size"])):
        counts = [len(split["size"]) if split else 0 for split in (high, low)]
        raise InputError(f"{names[0]} has {counts[0]} pictures and {names[1]} {counts[1]}: give as many low ones as high ones")
    if high and (wrong := np.flatnonzero((high["size"] // factor != low["size"]).any(axis=1))).size:
        large, small = ("x".join(map(str, split["size"][wrong[0]])) for split in (high, low))
        raise InputError(
            f"picture {wrong[0] + 1} of {names[0]} is {large}, and that of {names[1]} {small}: the low one must be a "
            f"{factor}th of the high one, and both folders in one order"
        )


@dataclass
class _Written:
    sizes: list[tuple[int, ...]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    further: list[int] = field(default_factory=list)


def _write(source: Source, channels: int, folder: Path, identity: Mapping[str, Any], found: Range | None) -> None:
    with reading(source) as bar:
        written = {name: _write_split(source, name, channels, folder, found, bar) for name in source.splits}
    lost = [line for split in written.values() for line in split.lost]
    check_lost(source, lost, len(written["train"].sizes) if "train" in written else 0)
    specs: dict[str, dict[str, Any]] = {}
    for name, split in written.items():
        sizes = np.array(split.sizes, np.int32).reshape(-1, 2)
        (folder / f"{name}.size").write_bytes(sizes.tobytes())
        pixels = int(sizes.astype(np.int64).prod(axis=1).sum())
        image = {"shape": [pixels, channels], "dtype": "uint8"}
        specs[name] = {"image": image, "size": {"shape": list(sizes.shape), "dtype": "int32"}}
    mapped = {name: mapped_array(folder / f"train.{name}", **spec) for name, spec in specs["train"].items()}
    notes = [*source.notes, *(found.notes if found else ())]
    notes += notes_on_pages([count for split in written.values() for count in split.further])
    meta = {
        "name": source.name,
        "splits": {name: spec for name, spec in specs.items() if spec["size"]["shape"][0]},
        "class_names": (),
        "attribute_names": (),
        "notes": [*notes, *([f"skipped, not readable: {listed(lost, 10)}"] if lost else [])],
        "fingerprint": fingerprint({"image": mapped["image"].reshape(-1), "size": mapped["size"]}),
        **identity,
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=1))


def _write_split(source: Source, name: str, channels: int, folder: Path, found: Range | None, bar: tqdm) -> _Written:
    written, split = _Written(), source.splits[name]
    limits = found.limits if found else None

    def one(i: int) -> tuple[np.ndarray, int] | str:
        try:
            image = split.read(i).image
            about = facts(image)
            pixels = decode(image, (about.height, about.width), limits=limits)
            return luma(pixels[None])[0] if channels == 1 else pixels, pages(image)
        except Unreadable as error:
            return str(error)
        except OSError as error:
            return f"picture {i}: {error}"

    with (folder / f"{name}.image").open("wb") as file:
        for rows in chunks(split.size, _AT_ONCE):
            for result in in_threads(one, range(rows.start, rows.stop)):
                bar.update()
                if isinstance(result, str):
                    written.lost.append(result)
                    continue
                pixels, count = result
                file.write(pixels.tobytes())
                written.sizes.append(pixels.shape[:2])
                written.further += [count - 1] * (count > 1)
    return written
