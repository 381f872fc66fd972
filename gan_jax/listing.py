"""Some of many items in a message, and how many more there are."""

from collections.abc import Sequence

_WIDEST = 100  # characters of an item


def listed(items: Sequence[str], most: int) -> str:
    """The first items, separated by commas."""
    shown = ", ".join(item[:_WIDEST] for item in items[:most])
    return shown + f" and {len(items) - most:,} more" * (len(items) > most)


def in_lines(items: Sequence[str], most: int) -> list[str]:
    """The first items, each on a line of its own that is not shortened."""
    more = [f"  ... and {len(items) - most:,} more"] if len(items) > most else []
    return [*(f"  {item}" for item in items[:most]), *more]
