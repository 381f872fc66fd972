"""Confidence intervals of shares."""

from typing import NamedTuple

from scipy.stats import binomtest


class Proportion(NamedTuple):
    """The share of trials that succeeded, and the ends of its interval."""

    share: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.share:.2f} [{self.low:.2f}, {self.high:.2f}]"


def proportion(successes: int, trials: int, confidence: float = 0.95) -> Proportion:
    """successes / trials with the interval of Wilson 1927 (doi:10.1080/01621459.1927.10502953), which keeps within [0, 1].

    Raises `ValueError` unless 0 <= successes <= trials and trials > 0.
    """
    interval = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return Proportion(successes / trials, float(interval.low), float(interval.high))
