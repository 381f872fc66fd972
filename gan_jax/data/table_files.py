"""Tables in text files of several formats, read as rows."""

import csv
import io
import json
import posixpath
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gan_jax.errors import InputError

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".txt")
FILE_COLUMNS = ("file", "file_name", "filename", "image", "image_id")  # the first of these that a table has

Row = dict[str, Any]  # by column; values are text in CSV and of any type in JSON
Rows = Iterator[tuple[str, Row]]  # each with its place for messages, such as "a.csv, line 3"


def text_of(file: str, read: Callable[[str], bytes]) -> str:
    """The text of a file, without a byte order mark; raises `InputError` if it is not UTF-8."""
    try:
        return read(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 (byte {error.start}): save it as UTF-8") from error


def rows_of(file: str, read: Callable[[str], bytes]) -> Rows | None:
    """The rows of CSV (with , ; or tabs), JSON Lines, a JSON list, StyleGAN's dataset.json or CelebA's .txt; else None.

    Raises `InputError` with the line for a table that cannot be parsed, also while the rows are iterated.
    """
    suffix = posixpath.splitext(file)[1].lower()
    if suffix == ".jsonl":
        return _json_lines(file, text_of(file, read))
    if suffix == ".json":
        return _json_list(file, text_of(file, read))
    if suffix == ".txt":
        text = read(file).decode("utf-8-sig", "replace")  # most text files are not about the pictures
        first = text.split("\n", 1)[0].lower().split(",")
        is_csv = len(first) > 1 and first[0].strip() in FILE_COLUMNS  # Flickr8k's captions.txt
        return _csv(file, text) if is_csv else _celeba(file, text)
    return _csv(file, text_of(file, read))


def _json_lines(file: str, text: str) -> Rows:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _object(_json(line, f"{file}, line {number}"), f"{file}, line {number}")


def _json_list(file: str, text: str) -> Rows | None:
    content = _json(text, file)
    if isinstance(content, dict) and isinstance(labels := content.get("labels"), list):
        content = [{"file": pair[0], "label": pair[1]} for pair in labels if isinstance(pair, list) and len(pair) == 2]
    if not isinstance(content, list):
        return None
    return (_object(item, f"{file}, entry {number}") for number, item in enumerate(content, 1))


def _json(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # also of whole numbers of thousands of digits
        where = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) and ", line " not in place else ""
        raise InputError(f"{place}{where} is not JSON ({str(error)[:200]}): correct it, or remove the file") from error


def _object(item: Any, place: str) -> tuple[str, Row]:
    if not isinstance(item, dict):
        raise InputError(f'{place} is not an object such as {{"file": "a.png", "caption": "..."}}: {str(item)[:50]}')
    return place, item


def _csv(file: str, text: str) -> Rows:
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)  # the first of equals
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            place = f"{file}, line {reader.line_num}"
            if header is None:
                header = [cell.strip() for cell in cells]
            elif len(cells) > 1 or (cells and cells[0].strip()):
                yield place, _zipped(header, cells, place)
    except csv.Error as error:
        raise InputError(f"{file}, line {reader.line_num} is not CSV ({error}): correct it") from error


def _zipped(header: Sequence[str], cells: Sequence[str], place: str) -> Row:
    if len(cells) != len(header):
        raise InputError(
            f"{place} has {len(cells)} fields where the table has {len(header)} columns: put text with commas in quotes"
        )
    return dict(zip(header, cells, strict=True))


def _celeba(file: str, text: str) -> Rows | None:
    """The rows of CelebA's own tables: first the number of rows, then the column names, then a file name and values a row."""
    lines = text.splitlines()
    if len(lines) < 3 or not lines[0].strip().isdecimal() or len(lines[2].split()) < 2:
        return None
    header = lines[1].split()
    if header and header[0].lower() not in FILE_COLUMNS:
        header = ["image_id", *header]
    rows = ((f"{file}, line {number}", line.split()) for number, line in enumerate(lines[2:], 3))
    return ((place, _zipped(header, cells, place)) for place, cells in rows if cells)
