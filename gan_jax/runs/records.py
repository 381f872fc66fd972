"""The JSON and JSON Lines of runs: their only reader and their only writer.

A run may have been killed while it wrote, edited by hand, or come from anywhere: what is read has the types that it should.
"""

import json
import logging
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax.errors import InputError
from gan_jax.files import whole

Row = dict[str, Any]
ROWS = ("metrics.jsonl", "eval.jsonl", "diagnosis.jsonl")
_LONGEST = 2**20  # bytes of a line
_LARGEST = 2**26  # bytes of a JSON file
_told: set[tuple[str, int]] = set()


def read_json(path: Path) -> Row | None:
    """The object in a JSON file, None if there is no file; raises `InputError` if it is damaged or holds something else."""
    try:
        if not is_file(path):
            return None
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path} is damaged: it has {path.stat().st_size / 1e6:,.0f} MB")
        content = json.loads(path.read_bytes().decode())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged: {_short(error)}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is damaged: it holds {_kind(content)}, not an object")
    return content


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file; it appears whole or not at all."""
    with whole(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2, default=json_default) + "\n")


def read_rows(path: Path) -> list[Row]:
    """The rows of a .jsonl file, [] if there is none, each with a whole `step` of 0 or more.

    Damaged lines are skipped with a warning, and without one the last line if it is cut short. Raises `InputError` for what is
    no file that can be read.
    """
    lines = _lines(path)
    damaged = [(i, line) for i, line in enumerate(lines, 1) if line.row is None]
    if damaged and damaged[-1][0] == len(lines) and not damaged[-1][1].content.endswith(b"\n"):
        damaged.pop()  # a kill cut it short, or it is being written
    if damaged and (str(path), len(damaged)) not in _told:
        _told.add((str(path), len(damaged)))
        number, first = damaged[0]
        logging.getLogger(__name__).warning(
            "skipped %d damaged lines of %s, the first is line %d: %s", len(damaged), path, number, first.reason
        )
    return [line.row for line in lines if line.row is not None]


def append_row(path: Path, row: Row) -> None:
    """Add a line to a .jsonl file; a last line that a kill cut short is closed first."""
    line = json.dumps(row, default=json_default).encode() + b"\n"
    with path.open("ab+") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                line = b"\n" + line
        file.write(line)


def rewind(directory: Path, step: int) -> None:
    """Drop the rows after `step` from the files of rows in `directory`; damaged lines are moved to NAME.damaged."""
    for name in ROWS:
        path, lines = directory / name, _lines(directory / name)
        damaged = [line.content for line in lines if line.row is None]
        if damaged:
            with path.with_name(f"{name}.damaged").open("ab") as file:
                file.writelines(line.rstrip(b"\n") + b"\n" for line in damaged)
        with whole(path) as unfinished:
            kept = (line.content for line in lines if line.row is not None and line.row["step"] <= step)
            unfinished.write_bytes(b"".join(kept))


def is_number(value: Any) -> bool:
    """Whether it is an int or a float that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or abs(value) < 2**1000


def json_default(value: Any) -> Any:
    """For `json.dumps(default=)`: paths and NumPy numbers."""
    return value.item() if isinstance(value, np.generic) else str(value)


class _Line(NamedTuple):
    """A line as it was read; its row, or why it is none."""

    content: bytes
    row: Row | None
    reason: str = ""


def _lines(path: Path) -> list[_Line]:
    try:
        return [_parsed(content, path.name) for content in _raw(path)] if is_file(path) else []
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def _raw(path: Path) -> Iterator[bytes]:
    """The lines; of one that is too long its parts."""
    with path.open("rb") as file:
        while line := file.readline(_LONGEST):
            if line.strip():
                yield line


def _parsed(content: bytes, name: str) -> _Line:
    try:
        row = json.loads(content.decode())
        if not isinstance(row, dict):
            raise ValueError(f"it holds {_kind(row)}, not an object")
        _RULES.get(name, _step)(row)
    except (ValueError, RecursionError) as error:
        return _Line(content, None, _short(error))
    return _Line(content if content.endswith(b"\n") else content + b"\n", row)


def _step(row: Row) -> None:
    step = row.get("step")
    _require(isinstance(step, int) and not isinstance(step, bool) and 0 <= step < 2**63, "step", step)


def _metrics(row: Row) -> None:
    _step(row)
    for name, value in row.items():
        _require(is_number(value), name, value)


def _scores(row: Row) -> None:
    _step(row)
    for name, value in row.items():
        _require(not isinstance(value, int) or isinstance(value, bool) or is_number(value), name, value)
    for name in ["overfit", *_with_floors(row)]:
        _require(name not in row or is_number(row[name]), name, row.get(name))
    protocol = row.get("protocol", {})
    _require(isinstance(protocol, dict), "protocol", protocol)
    for name, value in protocol.items():
        short = isinstance(value, str) and len(value) < 1000
        _require(value is None or isinstance(value, bool) or short or is_number(value), name, value)
    repeats = protocol.get("repeats", 1)
    _require(is_number(repeats) and repeats >= 1, "repeats", repeats)


def _with_floors(row: Row) -> Iterator[str]:
    """The names of floors and deviations, and of the scores that they are of."""
    for name in row:
        score = name.removesuffix("_floor").removesuffix("_std")
        if score != name:
            yield from (name, score)


def _states(row: Row) -> None:
    _step(row)
    for name in ("state", "advice"):
        _require(isinstance(row.get(name), str), name, row.get(name))
    _require(isinstance(row.get("evidence"), str | dict), "evidence", row.get("evidence"))
    metrics = row.get("metrics", [])
    _require(isinstance(metrics, list) and all(isinstance(name, str) for name in metrics), "metrics", metrics)


_RULES: dict[str, Callable[[Row], None]] = dict(zip(ROWS, (_metrics, _scores, _states), strict=True))


def _require(right: bool, name: str, value: Any) -> None:
    if not right:
        raise ValueError(f"its {name[:100]} is {_kind(value) if value is not None else 'missing'}")


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number that it cannot be")


def _short(error: BaseException) -> str:
    text = str(error).splitlines()
    return text[0][:200] if text else type(error).__name__


def is_file(path: Path) -> bool:
    """Whether there is a regular file; raises `InputError` for anything else in its place."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not stat.S_ISREG(mode):
        raise InputError(f"{path} is {'a folder' if stat.S_ISDIR(mode) else 'no regular file'}: a file is expected there")
    return True
