"""Tables in text files of several formats, read as rows."""

import csv
import io
import json
import posixpath
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from gan_jax.errors import InputError

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".txt")
FILE_COLUMNS = ("file", "file_name", "filename", "image", "image_id")  # the first of these that a table has
MOST_CELLS = 64  # a row, on average over the rows that a table may have


class Row(NamedTuple):
    """Values in the order of `columns`, text in CSV and of any type in JSON; a table's rows share what they can."""

    where: str  # such as "a.csv, line"
    number: int
    columns: tuple[str, ...]
    values: tuple[Any, ...]

    @property
    def place(self) -> str:
        """For messages, such as "a.csv, line 3"."""
        return f"{self.where} {self.number}"


Rows = Iterator[Row]


def text_of(file: str, read: Callable[[str], bytes]) -> str:
    """The text of a file, without a byte order mark; raises `InputError` if it is not UTF-8."""
    try:
        return read(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 (byte {error.start}): save it as UTF-8") from error


def rows_of(file: str, read: Callable[[str], bytes], most: int) -> Rows | None:
    """The rows of CSV (with , ; or tabs), JSON Lines, a JSON list, StyleGAN's dataset.json or CelebA's .txt; else None.

    Raises `InputError` with the line for a table that cannot be parsed or has more than `most` rows, also while the rows are
    iterated: a few bytes of text can become a hundred times as many in memory.
    """
    rows = _rows_of(file, read, most)
    return None if rows is None else _bounded(file, rows, most)


def _rows_of(file: str, read: Callable[[str], bytes], most: int) -> Rows | None:
    suffix = posixpath.splitext(file)[1].lower()
    if suffix in (".jsonl", ".json"):
        text = text_of(file, read)
        if text.count("{") + text.count("[") > 4 * most or text.count(",") > MOST_CELLS * most:
            raise _too_long(file, most)
        return _json_lines(file, text) if suffix == ".jsonl" else _json_list(file, text)
    if suffix == ".txt":
        text = read(file).decode("utf-8-sig", "replace")  # most text files are not about the pictures
        first = text.split("\n", 1)[0].lower().split(",", 1)
        is_csv = len(first) > 1 and first[0].strip() in FILE_COLUMNS  # Flickr8k's captions.txt
        return _csv(file, text) if is_csv else _celeba(file, text)
    return _csv(file, text_of(file, read))


def _bounded(file: str, rows: Rows, most: int) -> Rows:
    cells = 0
    for n, row in enumerate(rows, 1):
        cells += len(row.values)
        if n > most or cells > MOST_CELLS * most:
            raise _too_long(file, most)
        yield row


def _too_long(file: str, most: int) -> InputError:
    return InputError(f"{file} has more than {most:,} rows, or very many columns: keep those of the pictures here")


def _json_lines(file: str, text: str) -> Rows:
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}
    for number, line in enumerate(io.StringIO(text, newline="\n"), 1):
        if line.strip():
            yield _object(_json(line, f"{file}, line {number}"), f"{file}, line", number, shared)


def _json_list(file: str, text: str) -> Rows | None:
    content = _json(text, file)
    if isinstance(content, dict) and isinstance(labels := content.get("labels"), list):
        pairs = [pair for pair in labels if isinstance(pair, list) and len(pair) == 2]
        return (Row(f"{file}, entry", number, ("file", "label"), tuple(pair)) for number, pair in enumerate(pairs, 1))
    if not isinstance(content, list):
        return None
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}
    return (_object(item, f"{file}, entry", number, shared) for number, item in enumerate(content, 1))


def _json(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # also of whole numbers of thousands of digits
        where = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) and ", line " not in place else ""
        raise InputError(f"{place}{where} is not JSON ({str(error)[:200]}): correct it, or remove the file") from error


def _object(item: Any, where: str, number: int, shared: dict[tuple[str, ...], tuple[str, ...]]) -> Row:
    if not isinstance(item, dict):
        raise InputError(f'{where} {number} is not an object such as {{"file": "a.png", "caption": "..."}}: {str(item)[:50]}')
    columns = tuple(item)
    return Row(where, number, shared.setdefault(columns, columns), tuple(item.values()))


def _csv(file: str, text: str) -> Rows:
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)  # the first of equals
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: tuple[str, ...] | None = None
    try:
        for cells in reader:
            if header is None:
                header = tuple(cell.strip() for cell in cells)
            elif len(cells) > 1 or (cells and cells[0].strip()):
                yield _row(f"{file}, line", reader.line_num, header, cells)
    except csv.Error as error:
        raise InputError(f"{file}, line {reader.line_num} is not CSV ({error}): correct it") from error


def _row(where: str, number: int, header: tuple[str, ...], cells: Sequence[str]) -> Row:
    if len(cells) != len(header):
        raise InputError(
            f"{where} {number} has {len(cells)} fields where the table has {len(header)} columns: "
            "put text with commas in quotes"
        )
    return Row(where, number, header, tuple(cells))


def _celeba(file: str, text: str) -> Rows | None:
    """The rows of CelebA's own tables: first the number of rows, then the column names, then a file name and values a row."""
    first = [line for line, _ in zip(io.StringIO(text, newline=None), range(3), strict=False)]
    if len(first) < 3 or not first[0].strip().isdecimal() or len(first[2].split()) < 2:
        return None
    header = tuple(first[1].split())
    if header and header[0].lower() not in FILE_COLUMNS:
        header = ("image_id", *header)
    lines = ((number, line.split()) for number, line in enumerate(io.StringIO(text, newline=None), 1) if number > 2)
    return (_row(f"{file}, line", number, header, cells) for number, cells in lines if cells)
