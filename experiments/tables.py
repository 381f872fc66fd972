"""Tables in Markdown that can be read as they are, and the means in them."""

from collections.abc import Sequence

import numpy as np


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """The rows, the first of which is the head, with columns of even width."""
    ruled = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    widths = [max(len(row[i]) for row in ruled) for i in range(len(rows[0]))]
    return "\n".join("| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in ruled)


def mean_and_error(values: np.ndarray) -> list[float]:
    """Mean and its standard error, 0 of a single value; NaN of none."""
    if not len(values):
        return [float("nan"), float("nan")]
    return [float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0]
