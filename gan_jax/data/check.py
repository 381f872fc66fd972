"""A report on a set of pictures before training: counts, kinds, faults, and the settings that follow from them."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from gan_jax.data.pictures import Facts, File, Fit, decode, facts, is_grey
from gan_jax.data.source import Example, Source, Unreadable
from gan_jax.errors import InputError
from gan_jax.rows import chunks, evenly

SHOWN = 64  # pictures in a report
LISTED = 20  # lines of each kind in the text of a report
_CHUNK = 1024  # pictures decoded at once


class Attribute(NamedTuple):
    """Mean and range of one attribute over the pictures where it is known, and the number of the others."""

    name: str
    mean: float
    smallest: float
    largest: float
    unknown: int


@dataclass(frozen=True)
class Report:
    """What `check` finds; counts are of readable pictures.

    `heights` and `widths` (n,) are those of the files, upright; `pictures` uint8 (up to 64, h, w, 3) are evenly spaced
    training pictures. `duplicates` are groups of names with equal pixels at `size`; `corrupt` are the names of unreadable
    pictures with the reasons.
    """

    name: str
    size: tuple[int, int]
    splits: dict[str, int]
    classes: dict[str, dict[str, int]]  # split -> class -> pictures
    captions: int  # pictures with at least one
    caption_length: int  # in characters, of the longest
    caption_total: int
    attributes: tuple[Attribute, ...]
    heights: np.ndarray
    widths: np.ndarray
    kinds: dict[str, int]  # of the files: grey, colour, transparent, 16-bit, CMYK
    grey: int  # pictures without colour, however they are stored
    duplicates: tuple[tuple[str, ...], ...]
    leaked: int  # held-out pictures that are also trained on
    corrupt: tuple[str, ...]
    notes: tuple[str, ...]
    pictures: np.ndarray

    def lines(self) -> list[str]:
        """The report as lines of text, the recommended settings last."""
        return [*self._content(), *self._faults(), "recommended:", *(f"  {line}" for line in advice(self))]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _content(self) -> Iterator[str]:
        counts = ", ".join(f"{count:,} {split.replace('_', ' ')}" for split, count in self.splits.items())
        yield f"{self.name}: {sum(self.splits.values()):,} pictures ({counts})"
        for split, classes in self.classes.items():
            named = [f"{name} {count:,}" for name, count in classes.items()]
            yield f"classes, {split.replace('_', ' ')}: {_shortened(named)}"
        if self.caption_total:
            longest = f"the longest of {self.caption_length} characters"
            yield f"captions: {self.caption_total:,} for {self.captions:,} pictures, {longest}"
        for name, mean, smallest, largest, unknown in self.attributes:
            yield f"attribute {name}: mean {mean:.3g}, from {smallest:g} to {largest:g}" + f", unknown in {unknown:,}" * (
                unknown > 0
            )
        by_area = np.argsort(self.heights * self.widths, kind="stable")
        small, median, large = (f"{self.heights[i]}x{self.widths[i]}" for i in by_area[[0, len(by_area) // 2, -1]])
        yield f"sizes (height x width): smallest {small}, median {median}, largest {large}"
        smaller = f"smaller than {_by(self.size)}: {1 - reach(self, self.size):.0%}"
        yield f"  not square: {np.mean(self.heights != self.widths):.0%}; {smaller}"
        yield f"kinds: {', '.join(f'{count:,} {kind}' for kind, count in self.kinds.items())}; without colour: {self.grey:,}"

    def _faults(self) -> Iterator[str]:
        extra = sum(len(group) - 1 for group in self.duplicates)
        yield f"exact duplicates at {_by(self.size)}: {extra:,} pictures too many in {len(self.duplicates):,} groups"
        yield from _listed([" = ".join(group) for group in self.duplicates])
        if self.leaked:
            yield f"  {self.leaked:,} held-out pictures are among those trained on: remove one of each, or scores are too good"
        yield f"unreadable: {len(self.corrupt):,}"
        yield from _listed(self.corrupt)
        yield from (f"note: {note}" for note in self.notes)


class _Seen(NamedTuple):
    """One readable picture."""

    name: str
    split: str
    number: int
    facts: Facts
    digest: bytes
    grey: bool
    example: Example  # without its image


def check(source: Source, size: tuple[int, int], fit: Fit = "crop") -> Report:
    """Read and decode every picture at `size` (height, width), with a progress bar on a terminal.

    Raises `InputError` if no picture is readable.
    """
    seen: list[_Seen] = []
    corrupt: list[str] = []
    total = sum(split.size for split in source.splits.values())
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 16)) as pool, tqdm(total=total, unit=" pictures", disable=None) as bar:
        for split, (count, _) in source.splits.items():
            for rows in chunks(count, _CHUNK):
                indices = range(rows.start, rows.stop)
                results = list(pool.map(partial(_look, source, split, size, fit), indices))
                seen += [result for result in results if isinstance(result, _Seen)]
                corrupt += [result for result in results if isinstance(result, str)]
                bar.update(len(indices))
    if not seen:
        raise InputError(f"none of the {total:,} pictures of {source.name} is readable; the first: {', '.join(corrupt[:3])}")
    return _report(source, size, seen, corrupt, _shown(source, size, fit, seen))


def _look(source: Source, split: str, size: tuple[int, int], fit: Fit, index: int) -> _Seen | str:
    name = f"{split} {index}"
    try:
        example = source.splits[split].read(index)
        if isinstance(example.image, File):
            name = example.image.name
        pixels = decode(example.image, size, fit, border=source.border)
        digest = hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()
        found = facts(example.image)
    except Unreadable as error:
        return str(error) if name in str(error) else f"{name}: {error}"
    return _Seen(name, split, index, found, digest, is_grey(pixels), example._replace(image=b""))


def _shown(source: Source, size: tuple[int, int], fit: Fit, seen: Sequence[_Seen]) -> np.ndarray:
    """Evenly spaced readable training pictures, uint8 (n, h, w, 3)."""
    train = [one.number for one in seen if one.split == "train"] or [one.number for one in seen]
    split = source.splits["train" if any(one.split == "train" for one in seen) else seen[0].split]
    chosen = [train[i] for i in evenly(len(train), SHOWN)]
    return np.stack([decode(split.read(i).image, size, fit, border=source.border) for i in chosen])


def _report(source: Source, size: tuple[int, int], seen: Sequence[_Seen], corrupt: list[str], shown: np.ndarray) -> Report:
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
        notes=source.notes,
        pictures=shown,
    )


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


def reach(report: Report, size: tuple[int, int]) -> float:
    """The share of the pictures that cover `size` (height, width) without being enlarged."""
    return float(np.mean((report.heights >= size[0]) & (report.widths >= size[1])))


def advice(report: Report) -> list[str]:
    """Recommended settings with their reasons, one line each."""
    train = report.splits.get("train", 0)
    side = max((side for side in (16, 32, 64, 128, 256) if reach(report, (side, side)) > 0.5), default=16)
    lines = [
        f"image size {side}: the largest power of two up to 256 that {reach(report, (side, side)):.0%} of the pictures reach"
    ]
    lines += [_fit_advice(report), _channel_advice(report), _mirror_advice(train), _augmentation_advice(train)]
    batch = next((batch for batch in (64, 32, 16, 8, 4) if batch * 10 <= train), 2)
    lines.append(
        f"batch {batch}: "
        + ("the usual size" if batch == 64 else f"a larger one would exceed a tenth of the {train:,} pictures")
    )
    if report.splits.get("held_out", 0) == 0:
        lines.append("no pictures are held out, so that memorising cannot be detected: hold some out if there are enough")
    return lines


def _fit_advice(report: Report) -> str:
    longer = np.maximum(report.heights, report.widths) / np.minimum(report.heights, report.widths)
    loss = float(np.mean(1 - 1 / longer))
    if loss < 0.01:
        return "fit crop: the pictures are square, all fits give the same"
    if loss < 0.35:
        return f"fit crop: a square from the centre loses {loss:.0%} of the pixels on average; pad keeps what is at the edges"
    return f"fit pad: a square from the centre would lose {loss:.0%} of the pixels on average"


def _channel_advice(report: Report) -> str:
    total = len(report.heights)
    if report.grey == total:
        return "channels 1: no picture has colour"
    clear = report.kinds.get("transparent", 0)
    if clear > total / 2:
        return f"channels 3 lays them on white; 4 keeps the transparency that {clear:,} of {total:,} pictures may have"
    return f"channels 3: {total - report.grey:,} of {total:,} pictures have colour"


def _mirror_advice(train: int) -> str:
    unless = "but not for pictures with text, or whose left and right differ otherwise, which is not checked"
    if train < 10_000:
        return f"mirror: it doubles {train:,} pictures; {unless}"
    return f"no mirror: {train:,} pictures are enough without it"


def _augmentation_advice(train: int) -> str:
    ada, diffaugment = "Karras et al. 2020, arXiv:2006.06676", "Zhao et al. 2020, arXiv:2006.10738"
    if train < 100:
        fewest = f"the smallest set in the paper had 100 pictures of one class ({diffaugment})"
        return f"augmentation diffaugment: but expect the generator to memorise; {fewest}"
    if train < 1000:
        return (
            f"augmentation diffaugment: hundreds can suffice for one class, as 100 to 400 did ({diffaugment}); "
            "check for memorised pictures"
        )
    if train < 5000:
        return f"augmentation ada or diffaugment: with a few thousand the discriminator overfits without it ({ada})"
    if train < 50_000:
        return f"augmentation ada if the discriminator overfits: it still may at {train:,}, and ada adapts its strength ({ada})"
    return f"no augmentation: it gains little with tens of thousands of pictures ({ada})"


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _shortened(items: Sequence[str]) -> str:
    return ", ".join(items[:LISTED]) + (f" and {len(items) - LISTED:,} more" if len(items) > LISTED else "")


def _listed(items: Sequence[str]) -> list[str]:
    more = [f"  ... and {len(items) - LISTED:,} more"] if len(items) > LISTED else []
    return [*(f"  {item}" for item in items[:LISTED]), *more]
