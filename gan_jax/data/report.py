"""What is told of a set of pictures: the counts, the faults, and the settings that follow from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from gan_jax.data.deep import Limits
from gan_jax.data.ranges import LEAST_USED
from gan_jax.listing import in_lines, listed

MOST_LOST = 0.35  # of the pixels, on average, by cutting a square out
LISTED = 20  # lines of each kind in the text of a report


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
    limits: Limits | None = None  # the values that become black and white, of more than 8 bits
    used: tuple[int, int] = (0, 255)  # the levels of 0 to 255 between which nearly all pixels lie

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
            yield f"classes, {split.replace('_', ' ')}: {listed(named, LISTED)}"
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

        low, high = self.limits or (0, 255)
        step = (high - low) / 255
        bits = "of 8 bits" if self.limits is None else "of more than 8 bits"
        mostly = f"99 % of the values lie in {low + step * self.used[0]:.4g} to {low + step * self.used[1]:.4g}"
        yield f"range ({bits}): {low:g} becomes black, {high:g} white; {mostly}"

    def _faults(self) -> Iterator[str]:
        if (share := (self.used[1] - self.used[0]) / 255) <= LEAST_USED:
            cure = "save them on the full scale" if self.limits is None else "set --range"
            yield f"warning: nearly all values use {share:.0%} of the range, so that the pictures are of one shade: {cure}"
        extra = sum(len(group) - 1 for group in self.duplicates)
        yield f"exact duplicates at {_by(self.size)}: {extra:,} pictures too many in {len(self.duplicates):,} groups"
        yield from in_lines([" = ".join(group) for group in self.duplicates], LISTED)
        if self.leaked:
            yield f"  {self.leaked:,} held-out pictures are among those trained on: remove one of each, or scores are too good"
        yield f"unreadable: {len(self.corrupt):,}"
        yield from in_lines(self.corrupt, LISTED)
        yield from (f"note: {note}" for note in self.notes)


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
    batch = best_batch(train)
    lines.append(
        f"batch {batch}: "
        + ("the usual size" if batch == 64 else f"a larger one would exceed a tenth of the {train:,} pictures")
    )
    if report.splits.get("held_out", 0) == 0:
        lines.append("no pictures are held out, so that memorising cannot be detected: hold some out if there are enough")
    return lines


def best_batch(train: int) -> int:
    """The size of a minibatch of so many training pictures: 64, or less where it would exceed a tenth of them."""
    return next((batch for batch in (64, 32, 16, 8, 4) if batch * 10 <= train), 2)


def best_fit(report: Report) -> Literal["crop", "pad"]:
    """How pictures that are not square are fitted: a square from the centre, unless that would lose much."""
    return "crop" if _lost(report) < MOST_LOST else "pad"


def _lost(report: Report) -> float:
    """The mean share of the pixels that are outside of a square from the centre."""
    longer = np.maximum(report.heights, report.widths) / np.minimum(report.heights, report.widths)
    return float(np.mean(1 - 1 / longer))


def _fit_advice(report: Report) -> str:
    loss = _lost(report)
    if loss < 0.01:
        return "fit crop: the pictures are square, all fits give the same"
    if loss < MOST_LOST:
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
