"""When a score has stopped improving: its trend over the last evaluations, with an interval."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtrit  # the quantile of Student's t; scipy.stats takes long to import

from gan_jax.evaluation.scores import BETTER
from gan_jax.runs.records import Row, is_number, read_rows
from gan_jax.runs.run import Run

LEAST = 5  # scores that a trend is taken of
SMALL = 0.1  # of the score: an improvement that is not waited for


class Trend(NamedTuple):
    """A straight line through scores: the change over as many rounds as they span, its interval, and the score at the end."""

    change: float
    low: float
    high: float
    end: float
    rounds: int


def trend(steps: Sequence[int], values: Sequence[float], confidence: float = 0.95) -> Trend:
    """Least squares; the interval is that of the slope by Student's t with n - 2 degrees of freedom, times the span.

    Raises `ValueError` for fewer than three scores, and where all are of one step.
    """
    x, y = np.asarray(steps, float), np.asarray(values, float)
    span = float(np.ptp(x)) if len(x) else 0.0
    if len(x) < 3 or not span:
        raise ValueError("a trend needs three scores or more, of different steps")
    centred = x - x.mean()
    squares = float(np.sum(centred**2))
    slope = float(np.sum(centred * y) / squares)
    residuals = y - y.mean() - slope * centred
    error = math.sqrt(float(np.sum(residuals**2)) / (len(x) - 2) / squares)
    reach = float(stdtrit(len(x) - 2, (1 + confidence) / 2)) * error
    change, low, high = (bound * span for bound in (slope, slope - reach, slope + reach))
    return Trend(change, low, high, float(y.mean() + slope * centred[-1]), int(span))


def plateau(rows: Sequence[Row], score: str) -> Trend | None:
    """The trend of a score in rows of evaluations, if it is on a plateau; else None.

    Looked at is the later half of the evaluations, `LEAST` of them or more, without the untrained generator. It is a plateau
    if even the end of the interval that is best allows, over as many rounds again, an improvement of less than `SMALL` of
    the score: noisy scores, of which nothing is known yet, are none.
    """
    known = [row for row in rows if row.get("source") == "training" and row["step"] > 0 and is_number(row.get(score))]
    last = known[-max(len(known) // 2, LEAST) :]
    if len(last) < LEAST or BETTER.get(score, "as real") == "as real":
        return None
    found = trend([row["step"] for row in last], [row[score] for row in last])
    hoped = -found.low if BETTER[score] == "lower" else found.high
    return found if hoped < SMALL * abs(found.end) else None


def stop_of(config: Any, run: Run, score: str | None) -> Callable[[], bool]:
    """What `gan_jax.training.train` asks whether to stop, by the flag `stop_when`: of new scores; the reason is told."""
    if config.stop_when == "never" or score is None:
        return lambda: False

    asked = 0

    def enough() -> bool:
        nonlocal asked
        rows = read_rows(run.directory / "eval.jsonl") if run.writes else []
        before, asked = asked, len(rows)
        found = plateau(rows, score) if asked != before else None
        if found is None:
            return False
        run.log(
            f"plateau     {score} {found.end:.4g} changes by {found.change:.2g} [{found.low:.2g}, {found.high:.2g}] in "
            f"{found.rounds:,} rounds: stopped"
        )
        return True

    return enough
