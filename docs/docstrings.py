"""Docstrings as the site shows them: lines `name:  what it is` side by side become a list."""

import re
from typing import Any

from griffe import Extension, Object

_ENTRY = re.compile(r"^(\S+(?:, \S+)*):\s+(?=\S)")


def listed(text: str) -> str:
    """The text with each run of two or more lines `name: what it is`, and the lines that go on further in, as a list."""
    paragraphs = []
    for paragraph in text.split("\n\n"):
        lines = paragraph.split("\n")
        entries = sum(1 for line in lines if _ENTRY.match(line))
        tabular = entries > 1 and all(_ENTRY.match(line) or line.startswith("  ") for line in lines)
        paragraphs.append("\n".join(map(_item, lines)) if tabular else paragraph)
    return "\n\n".join(paragraphs)


def _item(line: str) -> str:
    return _ENTRY.sub(r"- `\1`: ", line) if _ENTRY.match(line) else f"    {line.strip()}"


class Lists(Extension):
    """`listed` for the docstring of every object."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Change the docstring of an object that was read."""
        if obj.docstring:
            obj.docstring.value = listed(obj.docstring.value)
