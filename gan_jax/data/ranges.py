"""One range of values for a whole set: which of them become black and white in pictures of more than 8 bits."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np

from gan_jax.data import deep, pictures
from gan_jax.data.deep import Limits, RangeNeeded, Values
from gan_jax.data.opening import File
from gan_jax.data.source import Source, Unreadable
from gan_jax.errors import InputError
from gan_jax.rows import chunks

WHOLE = (1, 255, 1023, 4095, 16383, 65535)  # the largest whole numbers of 1, 8, 10, 12, 14 and 16 bits
LEAST_USED = 0.1  # share of a range, below which nearly all values look the same
BULK = (0.005, 0.995)  # the quantiles between which nearly all values lie
_CHUNK = 512  # pictures read at once

T = TypeVar("T")


class Range(NamedTuple):
    """The values that become black and white, and lines about them for the user."""

    limits: Limits
    notes: tuple[str, ...]


def in_range(source: Source, given: Limits | None, attempt: Callable[[Range | None], T]) -> T:
    """`attempt(None)`, or `attempt(range)` with the range of the set where pictures of more than 8 bits need one.

    Raises `InputError` where the range cannot be decided, and for a given one that no picture needs.
    """
    if given is None:
        try:
            return attempt(None)
        except RangeNeeded:
            pass
    return attempt(range_of(source, given))


def range_of(source: Source, given: Limits | None = None) -> Range:
    """The range of a source's pictures of more than 8 bits: the given one, or else that of all of them together.

    Raises `InputError` with the question if it cannot be decided.
    """
    everything = list(_measured(source))
    seen = [one for one in everything if isinstance(one, Values)]
    if not seen and given:
        raise InputError(f"--range {shown(given)} is for more than 8 bits, which no picture of {source.name} has: leave it out")
    if not seen:
        lost = [one for one in everything if isinstance(one, str)]
        raise InputError(f"no picture of {source.name} that needs a range of values is readable: {', '.join(lost[:3])}")
    low, high = min(one.low for one in seen), max(one.high for one in seen)
    limits = given or found(seen, source.name)
    how = "given" if given else "found in all of them; --range LOW,HIGH sets another"
    lines = [f"{len(seen):,} pictures have more than 8 bits: {shown(limits)} become black and white ({how})"]
    if low < limits[0] or high > limits[1]:
        sample = np.concatenate([one.sample for one in seen])
        share = np.mean((sample < limits[0]) | (sample > limits[1]))
        lines.append(f"values from {low:g} to {high:g} are cut to the range {shown(limits)}, {share:.2%} of them")
    return Range(limits, tuple(lines))


def found(seen: Sequence[Values], name: str) -> Limits:
    """The range of the pictures of a set together; raises `InputError` with the question if it cannot be decided.

    Whole numbers from 0 on have the range of their bits: 1, 8, 10, 12, 14 or 16. Floats have [0, 1], [-1, 1], or [0, 255] and
    [0, 65535] where they use more than half of it. All others have their smallest and largest value, unless nearly all of
    them lie in less than a tenth of that.
    """
    low, high = min(one.low for one in seen), max(one.high for one in seen)
    whole = all(one.whole for one in seen)
    sample = np.concatenate([one.sample for one in seen])
    bulk = float(np.quantile(sample, BULK[0])), float(np.quantile(sample, BULK[1]))
    if low == high:
        raise _question(name, f"all values are {low:g}", (0.0, 1.0 if high <= 1 else high))
    if reason := _mixed(seen, high, whole):
        raise _question(name, reason, (0.0, high))
    if whole and low >= 0 and (bits := next((top for top in WHOLE if high <= top), 0)):
        if bits > 1 and high < LEAST_USED * bits:
            raise _question(name, f"the largest value is {high:g}", (0.0, high))
        return 0.0, float(bits)
    if not whole and low >= -1 and high <= 1 and (low >= 0 or -low > high / 4):  # less is overshoot of [0, 1]
        return (0.0 if low >= 0 else -1.0), 1.0
    if not whole and low >= 0 and (top := next((top for top in (255, 65535) if top / 2 < high <= top), 0)):
        return 0.0, float(top)
    if bulk[1] - bulk[0] < LEAST_USED * (high - low):
        raise _question(name, f"values are {low:g} to {high:g}, but 99 % of them {bulk[0]:g} to {bulk[1]:g}", bulk)
    return low, high


def _mixed(seen: Sequence[Values], high: float, whole: bool) -> str:
    """Why the pictures do not seem to have one scale, or nothing."""
    small = 255 if whole else 1
    few = [one for one in seen if one.low >= 0 and 0 < one.high <= small]
    if high <= 16 * small or (len(few) < len(seen) / 5 if whole else not any(not one.whole for one in few)):
        return ""
    return f"{len(few):,} of {len(seen):,} pictures have values up to {small} only, others up to {high:g}"


def _question(name: str, why: str, example: tuple[float, float]) -> InputError:
    return InputError(
        f"which values of {name} are black and white? {why[:1].upper()}{why[1:]}, so that the range cannot be decided: say "
        f"it with --range LOW,HIGH, such as --range={shown(example)}, or save the pictures with 8 bits on one scale"
    )


def shown(limits: Limits) -> str:
    """The range as in --range."""
    return f"{limits[0]:g},{limits[1]:g}"


def parse_range(text: str | None) -> Limits | None:
    """(low, high) of "0,4095"; raises `InputError` for anything else."""
    if text is None:
        return None
    try:
        low, high = map(float, text.split(","))
    except ValueError as error:
        raise _no_range(text) from error
    return check_range((low, high))


def check_range(limits: Limits) -> Limits:
    """The range as floats; raises `InputError` unless both are finite and the second is larger."""
    low, high = map(float, limits)
    if not (np.isfinite([low, high]).all() and low < high):
        raise _no_range(shown(limits))
    return low, high


def _no_range(text: str) -> InputError:
    return InputError(f"--range {text[:100]!r}: give the values that become black and white, such as --range=0,4095 or =-1,1")


def levels_used(histogram: np.ndarray) -> tuple[int, int]:
    """The levels of 0 to 255 between which nearly all pixels lie, from their counts (256,)."""
    cumulated = np.cumsum(histogram) / max(histogram.sum(), 1)
    low, high = (int(np.searchsorted(cumulated, share)) for share in BULK)
    return low, min(high, 255)


def _measured(source: Source) -> Iterator[Values | str | None]:
    """Of each picture its values, None if it has 8 bits, or why it cannot be read."""

    def one(place: tuple[str, int]) -> Values | str | None:
        split, i = place
        name = f"picture {i}"
        try:
            image = source.splits[split].read(i).image
            name = image.name if isinstance(image, File) else name
            numbers = pictures.values(image)
            return None if numbers is None else deep.measured(numbers)
        except (Unreadable, OSError) as error:
            return str(error) if str(error).startswith(name) else f"{name}: {error}"

    places = [(name, i) for name, split in source.splits.items() for i in range(split.size)]
    with ThreadPoolExecutor(max(os.cpu_count() or 1, 2)) as pool:
        for rows in chunks(len(places), _CHUNK):
            yield from pool.map(one, places[rows])
