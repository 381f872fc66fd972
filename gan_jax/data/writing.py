"""Decoding all pictures of a source into files of bytes, one for each array."""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from tqdm import tqdm

from gan_jax import files
from gan_jax.data import captions
from gan_jax.data.dataset import Arrays, fingerprint, untrained
from gan_jax.data.deep import Limits
from gan_jax.data.fitting import Fit
from gan_jax.data.pictures import decode, is_grey, pages
from gan_jax.data.ranges import Range, in_range
from gan_jax.data.source import Source, Split, Unreadable
from gan_jax.errors import InputError
from gan_jax.listing import in_lines, listed
from gan_jax.rows import chunks

MOST_CAPTIONS, LONGEST_CAPTION = 16, 1000  # of one picture; in bytes; anything beyond is dropped
TOLERATED = 0.01  # share of the pictures that may be unreadable
_MOST, _BYTES = 512, 1 << 28  # pictures decoded at once: so many, or of so many bytes
_NAMED = 10  # items in a message

T = TypeVar("T")


@dataclass(frozen=True)
class Preparation:
    """How pictures are decoded: `size` (height, width), see `gan_jax.data.pictures.decode`; "auto" channels are 1 or 3.

    `range` is (low, high) of values of more than 8 bits, see `gan_jax.data.ranges`.
    """

    size: tuple[int, int]
    fit: Fit = "crop"
    channels: Literal["auto", 1, 3, 4] = "auto"
    range: Limits | None = None

    def described(self) -> dict[str, Any]:
        """The fields for a name of the cache, without a range that is not given."""
        return {name: value for name, value in asdict(self).items() if name != "range" or value is not None}

    def nbytes(self, source: Source) -> int:
        """The bytes that the pictures of a source take at most, before they are read."""
        total = sum(split.size for split in source.splits.values())
        return total * self.size[0] * self.size[1] * (self.channels if self.channels in (1, 4) else 3)

    def write(self, source: Source, folder: Path, identity: Mapping[str, Any]) -> None:
        """`write` in this preparation."""
        write(source, self, folder, identity)


@dataclass
class _Written:
    """What was met while a split was written."""

    known: list[tuple[Any, ...]] = field(default_factory=list)  # label, attributes and captions of each readable picture
    grey: bool = True
    lost: list[str] = field(default_factory=list)  # the unreadable pictures
    further: list[int] = field(default_factory=list)  # pages or frames after the first, of each picture that has some


def write(source: Source, how: Preparation, folder: Path, identity: Mapping[str, Any]) -> None:
    """Write all splits and meta.json, which holds `identity` too; raises `InputError` for too few readable pictures."""
    in_range(source, how.range, lambda found: _write(source, how, folder, identity, found))


def _write(source: Source, how: Preparation, folder: Path, identity: Mapping[str, Any], found: Range | None) -> None:
    with reading(source) as bar:
        written = {name: _write_split(source, name, how, folder, found, bar) for name in source.splits}
    lost = [line for split in written.values() for line in split.lost]
    check_lost(source, lost, len(written["train"].known) if "train" in written else 0)
    if how.channels == "auto" and all(split.grey for split in written.values()):
        for name in written:
            _keep_one_channel(folder / f"{name}.image")
    specs = {name: _write_sides(source, name, split.known, how, folder) for name, split in written.items() if split.known}
    mapped = {name: mapped_array(folder / f"train.{name}", **spec) for name, spec in specs["train"].items()}
    notes = [
        *source.notes,
        *(found.notes if found else ()),
    ]
    notes += notes_on_pages([count for split in written.values() for count in split.further])
    notes += notes_on_classes(source.class_names, mapped.get("label"))
    notes += notes_on_captions([texts for split in written.values() for *_, texts in split.known])
    meta = {
        "name": source.name,
        "splits": specs,
        "class_names": source.class_names,
        "attribute_names": source.attribute_names,
        "notes": [*notes, *(f"skipped, not readable: {line}" for line in lost)],
        "fingerprint": fingerprint(mapped),
        **identity,
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=1))


def reading(source: Source) -> tqdm:
    """The progress bar of a source's pictures."""
    total = sum(split.size for split in source.splits.values())
    return tqdm(total=total, desc=f"reading {source.name}", unit=" pictures", disable=None)


def mapped_array(path: Path, shape: list[int], dtype: str) -> np.ndarray:
    """The array in a file of bytes, mapped into memory; raises `ValueError` unless the file is complete."""
    if path.stat().st_size != np.dtype(dtype).itemsize * np.prod(shape, dtype=np.int64):
        raise ValueError(f"{path} is not complete")
    return np.memmap(path, dtype, mode="r", shape=tuple(shape))


def _write_split(source: Source, name: str, how: Preparation, folder: Path, found: Range | None, bar: tqdm) -> _Written:
    written, split = _Written(), source.splits[name]
    at_once = max(1, min(_MOST, _BYTES // (how.size[0] * how.size[1] * 4)))
    with (folder / f"{name}.image").open("wb") as file:
        for rows in chunks(split.size, at_once):
            indices = range(rows.start, rows.stop)
            decoded = _decode_chunk(source, split, indices, how, found, written)
            bar.update(len(indices))
            if decoded:
                pictures = np.stack([picture for picture, _ in decoded])
                written.grey = written.grey and is_grey(pictures)
                file.write((luma(pictures) if how.channels == 1 else pictures).tobytes())
                written.known += [sides for _, sides in decoded]
    return written


class _Decoded(NamedTuple):
    pixels: np.ndarray
    sides: tuple[Any, ...]  # label, attributes and captions
    pages: int = 1


def _decode_chunk(
    source: Source, split: Split, indices: range, how: Preparation, found: Range | None, written: _Written
) -> list[tuple[np.ndarray, tuple[Any, ...]]]:
    """The readable pictures in order, each with label, attributes and captions; `written` is told of the others."""

    def one(i: int) -> _Decoded | str:
        try:
            image, *sides = split.read(i)
            pixels = decode(
                image,
                how.size,
                how.fit,
                channels=4 if how.channels == 4 else 3,
                border=source.border,
                limits=found.limits if found else None,
            )
            return _Decoded(pixels, tuple(sides), pages(image) if source.pages == "first" else 1)
        except Unreadable as error:
            return str(error)
        except OSError as error:
            return f"picture {i}: {error}"

    results = in_threads(one, indices)
    written.lost += [result for result in results if isinstance(result, str)]
    decoded = [result for result in results if isinstance(result, _Decoded)]
    written.further += [one.pages - 1 for one in decoded if one.pages > 1]
    return [(one.pixels, one.sides) for one in decoded]


def in_threads(work: Callable[[int], T], indices: Iterable[int]) -> list[T]:
    """`work(i)` for each of the indices, in order, on all cores: decoding a picture does not hold Python's lock."""
    with ThreadPoolExecutor(max(os.cpu_count() or 1, 2)) as pool:
        return list(pool.map(work, indices))


def check_lost(source: Source, lost: Sequence[str], found: int) -> None:
    """Raises `InputError` if more than `TOLERATED` of a source's pictures are unreadable, or none was `found` to train on."""
    total = sum(split.size for split in source.splits.values())
    if len(lost) > TOLERATED * total or not found:
        raise InputError(_refusal(source, lost, total))


def notes_on_pages(further: Sequence[int]) -> list[str]:
    """A line about pages or frames after the first, of the pictures that have some."""
    if not further:
        return []
    return [f"{sum(further):,} further pages or frames of {len(further):,} pictures are left out; --pages all takes them"]


def notes_on_classes(class_names: Sequence[str], labels: np.ndarray | None) -> list[str]:
    """A line about classes without training pictures."""
    if labels is None or not (without := untrained(len(class_names), labels)):
        return []
    named = listed([class_names[i] for i in without], _NAMED)
    return [f"{len(without):,} of {len(class_names):,} classes have no training pictures and cannot be drawn: {named}"]


def notes_on_captions(captions: Sequence[Sequence[str]]) -> list[str]:
    """Lines about captions, of each picture, that are not kept whole."""
    more = sum(len(texts) > MOST_CAPTIONS for texts in captions)
    longer = sum(len(text.encode(errors="replace")) > LONGEST_CAPTION for texts in captions for text in texts[:MOST_CAPTIONS])
    notes = [f"{more:,} pictures have more than {MOST_CAPTIONS} captions: the first are kept"] if more else []
    return notes + ([f"{longer:,} captions are longer than {LONGEST_CAPTION:,} bytes and are cut"] if longer else [])


def _write_sides(source: Source, name: str, known: list[tuple[Any, ...]], how: Preparation, folder: Path) -> dict[str, Any]:
    """Write labels, attributes and captions; returns shapes and types of these and of the pictures."""
    labels, attributes, texts = zip(*known, strict=True)
    arrays: Arrays = {}
    if source.class_names:
        arrays["label"] = np.asarray(labels, np.int32)
    if source.attribute_names:
        arrays["attributes"] = np.asarray(attributes, np.float32)
    if source.captioned:
        arrays["caption"] = captions.encode(texts, most=MOST_CAPTIONS, length=LONGEST_CAPTION)
    for side, array in arrays.items():
        (folder / f"{name}.{side}").write_bytes(array.tobytes())
    size = (folder / f"{name}.image").stat().st_size
    channels = size // (len(known) * how.size[0] * how.size[1])
    return {
        "image": {"shape": [len(known), *how.size, channels], "dtype": "uint8"},
        **{side: {"shape": list(array.shape), "dtype": str(array.dtype)} for side, array in arrays.items()},
    }


def luma(pictures: np.ndarray) -> np.ndarray:
    """Brightness (ITU-R BT.601) of pictures (n, h, w, 3), as (n, h, w, 1)."""
    return np.rint(pictures @ np.array([0.299, 0.587, 0.114]))[..., None].astype(np.uint8)


def _keep_one_channel(path: Path) -> None:
    """Keep the first of three equal channels."""
    with files.whole(path) as unfinished, path.open("rb") as coloured, unfinished.open("wb") as grey:
        while chunk := coloured.read(3 << 20):
            grey.write(chunk[::3])


def _refusal(source: Source, lost: Sequence[str], total: int) -> str:
    if not lost:
        return f"{source.name} has no pictures to train on"
    named = "\n".join(in_lines(list(lost), _NAMED))
    return (
        f"{len(lost)} of the {total} pictures of {source.name} cannot be read, more than {TOLERATED:.0%}:\n{named}\n"
        "replace or remove them; `python -m gan_jax data check` lists them all"
    )
