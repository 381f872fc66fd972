"""Rows of arrays: in chunks, or some of them, evenly spaced or at growing distances."""

from itertools import pairwise

import numpy as np
from jaxtyping import Int


def chunks(n: int, size: int) -> list[slice]:
    """Consecutive slices of `size` rows that cover n; the last one may be shorter."""
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def equal_chunks(n: int, size: int) -> list[slice]:
    """As few consecutive slices of at most `size` rows as cover n, their lengths equal to within one."""
    count = -(-n // size)
    bounds = [i * n // count for i in range(count + 1)] if count else [0]
    return [slice(start, stop) for start, stop in pairwise(bounds)]


def evenly(n: int, k: int) -> Int[np.ndarray, " m"]:
    """The indices of min(n, k) of n rows, evenly spaced from the first to the last."""
    return np.linspace(0, n - 1, min(n, k)).round().astype(int)


def geometrically(n: int, k: int) -> Int[np.ndarray, " m"]:
    """The indices of at most k of n rows: every one at first, then at geometrically growing distances up to the last.

    All of them where n <= k; k is at least 2.
    """
    if n <= k:
        return np.arange(n)
    found = np.array([0, n - 1])
    for points in range(k, 2 * n):
        indices = np.unique(np.geomspace(1, n, points).round().astype(int)) - 1
        if len(indices) > k:
            break
        found = indices
    return found
