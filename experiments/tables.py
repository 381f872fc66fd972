"""Tables in Markdown that can be read as they are."""

from collections.abc import Sequence


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """The rows, the first of which is the head, with columns of even width."""
    ruled = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    widths = [max(len(row[i]) for row in ruled) for i in range(len(rows[0]))]
    return "\n".join("| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in ruled)
