"""Looking at every picture of a set before training; what is found is a `gan_jax.data.report.Report`."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from gan_jax.data.deep import Limits
from gan_jax.data.fitting import Fit
from gan_jax.data.opening import File
from gan_jax.data.pictures import Facts, decode, facts, is_grey, pages
from gan_jax.data.ranges import Range, in_range, levels_used
from gan_jax.data.report import Attribute, Report
from gan_jax.data.source import Example, Source, Unreadable
from gan_jax.data.writing import notes_on_classes, notes_on_pages
from gan_jax.errors import InputError
from gan_jax.rows import chunks, evenly

SHOWN = 64  # pictures in a report
_SHEET = 1 << 28  # bytes of the pictures in a report
_CHUNK = 1024  # pictures decoded at once


class _Seen(NamedTuple):
    """One readable picture."""

    name: str
    split: str
    number: int
    facts: Facts
    digest: bytes
    grey: bool
    histogram: np.ndarray  # pixels of each level (256,)
    further: int  # pages or frames after the first
    example: Example  # without its image


def check(source: Source, size: tuple[int, int], fit: Fit = "crop", value_range: Limits | None = None) -> Report:
    """Read and decode every picture at `size` (height, width), with a progress bar on a terminal.

    `value_range` is that of pictures of more than 8 bits, see `gan_jax.data.ranges`.
    Raises `InputError` if no picture is readable, or if the range cannot be decided.
    """
    return in_range(source, value_range, lambda found: _check(source, size, fit, found))


def _check(source: Source, size: tuple[int, int], fit: Fit, found: Range | None) -> Report:
    seen: list[_Seen] = []
    corrupt: list[str] = []
    histogram = np.zeros(256, np.int64)
    limits = found.limits if found else None
    total = sum(split.size for split in source.splits.values())
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 16)) as pool, tqdm(total=total, unit=" pictures", disable=None) as bar:
        for split, (count, _) in source.splits.items():
            for rows in chunks(count, _CHUNK):
                indices = range(rows.start, rows.stop)
                for result in pool.map(partial(_look, source, split, size, fit, limits), indices):
                    if isinstance(result, str):
                        corrupt.append(result)
                    else:
                        histogram += result.histogram
                        seen.append(result._replace(histogram=_NOTHING))
                bar.update(len(indices))
    if not seen:
        first = ", ".join(corrupt[:3])[:1000]
        raise InputError(f"none of the {total:,} pictures of {source.name} is readable; the first: {first}")
    shown = _shown(source, size, fit, limits, seen)
    return _report(source, size, seen, corrupt, shown, found, levels_used(histogram))


_NOTHING = np.zeros(0, np.int64)


def _look(source: Source, split: str, size: tuple[int, int], fit: Fit, limits: Limits | None, index: int) -> _Seen | str:
    name = f"{split} {index}"
    try:
        example = source.splits[split].read(index)
        if isinstance(example.image, File):
            name = example.image.name
        pixels = decode(example.image, size, fit, border=source.border, limits=limits)
        digest = hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()
        histogram = np.bincount(pixels.reshape(-1), minlength=256)
        further = pages(example.image) - 1 if source.pages == "first" else 0
        about = facts(example.image)
    except Unreadable as error:
        return str(error) if name in str(error) else f"{name}: {error}"
    return _Seen(name, split, index, about, digest, is_grey(pixels), histogram, further, example._replace(image=b""))


def _shown(source: Source, size: tuple[int, int], fit: Fit, limits: Limits | None, seen: Sequence[_Seen]) -> np.ndarray:
    """Evenly spaced readable training pictures, uint8 (n, h, w, 3), as many as a sheet takes."""
    train = [one.number for one in seen if one.split == "train"] or [one.number for one in seen]
    split = source.splits["train" if any(one.split == "train" for one in seen) else seen[0].split]
    most = max(1, min(SHOWN, _SHEET // (3 * size[0] * size[1])))
    chosen = [train[i] for i in evenly(len(train), most)]
    return np.stack([decode(split.read(i).image, size, fit, border=source.border, limits=limits) for i in chosen])


def _report(
    source: Source,
    size: tuple[int, int],
    seen: Sequence[_Seen],
    corrupt: list[str],
    shown: np.ndarray,
    found: Range | None,
    used: tuple[int, int],
) -> Report:
    groups: dict[bytes, list[_Seen]] = {}
    for one in seen:
        groups.setdefault(one.digest, []).append(one)
    equal = [group for group in groups.values() if len(group) > 1]
    captions = [[text for text in one.example.captions if text] for one in seen]
    return Report(
        name=source.name,
        size=size,
        splits=dict(Counter(one.split for one in seen)),
        classes=_classes(source, seen),
        captions=sum(map(bool, captions)),
        caption_length=max((len(text) for texts in captions for text in texts), default=0),
        caption_total=sum(map(len, captions)),
        attributes=tuple(_attributes(source.attribute_names, seen)),
        heights=np.array([one.facts.height for one in seen]),
        widths=np.array([one.facts.width for one in seen]),
        kinds=dict(Counter(one.facts.kind for one in seen).most_common()),
        grey=sum(one.grey for one in seen),
        duplicates=tuple(tuple(one.name for one in group) for group in equal),
        leaked=sum(one.split != "train" for group in equal if any(o.split == "train" for o in group) for one in group),
        corrupt=tuple(corrupt),
        notes=(*source.notes, *_notes(source, seen, found)),
        pictures=shown,
        limits=found.limits if found else None,
        used=used,
    )


def _notes(source: Source, seen: Sequence[_Seen], found: Range | None) -> Iterator[str]:
    yield from found.notes if found else ()
    yield from notes_on_pages([one.further for one in seen if one.further])
    if source.class_names:
        labels = np.array([one.example.label for one in seen if one.split == "train"], int)
        yield from notes_on_classes(source.class_names, labels)


def _classes(source: Source, seen: Sequence[_Seen]) -> dict[str, dict[str, int]]:
    if not source.class_names:
        return {}
    counts = Counter((one.split, one.example.label) for one in seen)
    return {split: {name: counts[split, i] for i, name in enumerate(source.class_names)} for split in source.splits}


def _attributes(names: Sequence[str], seen: Sequence[_Seen]) -> Iterator[Attribute]:
    if names:
        table = np.array([one.example.attributes for one in seen], np.float64)
        for name, values in zip(names, table.T, strict=True):
            known = values[~np.isnan(values)]
            if len(known):
                yield Attribute(name, float(known.mean()), float(known.min()), float(known.max()), len(values) - len(known))
            else:
                yield Attribute(name, np.nan, np.nan, np.nan, len(values))
