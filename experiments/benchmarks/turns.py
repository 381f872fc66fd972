"""Measurements that alternate: all contenders within one run, medians over the turns, ratios within a turn.

The speed of a machine drifts (clock rates, other processes). Contenders that alternate meet the same drift, and a ratio of two
measurements of the same turn cancels it; a ratio of different runs does not.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

from tqdm import tqdm

Turn = Callable[[], float]  # one measurement of one contender: a rate or a duration


def alternate(turns: Mapping[str, Turn], times: int, what: str = "", *, warm_up: int = 0) -> dict[str, list[float]]:
    """`times` measurements of each contender: every contender has its first turn before any has its second.

    The first `warm_up` turns of each come on top of `times` and do not count. `what` labels the progress bar; without it
    there is none.
    """
    found: dict[str, list[float]] = {name: [] for name in turns}
    for _ in tqdm(range(warm_up + times), desc=what, leave=False, disable=not what):
        for name, turn in turns.items():
            found[name].append(turn())
    return {name: values[warm_up:] for name, values in found.items()}


def medians(measurements: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The median over the turns of each contender."""
    return {name: statistics.median(values) for name, values in measurements.items()}


def median_ratio(values: Sequence[float], others: Sequence[float]) -> float:
    """The median over the turns of value / other, both of the same turn; raises `ValueError` if their numbers differ."""
    return statistics.median(a / b for a, b in zip(values, others, strict=True))


def seconds_of(play: Callable[[], Any]) -> float:
    """Duration of one call in seconds. `play` must wait for its result: JAX and CUDA return before the work is done."""
    start = perf_counter()
    play()
    return perf_counter() - start


def rate(play: Callable[[], Any], seconds: float, work: float = 1, *, warm_up: int = 0) -> float:
    """Units of work a second of calls repeated for at least `seconds`, each of which does `work` units and waits for them.

    The first `warm_up` calls are not timed.
    """
    for _ in range(warm_up):
        play()
    start, count = perf_counter(), 0
    while perf_counter() - start < seconds:
        play()
        count += 1
    return count * work / (perf_counter() - start)
