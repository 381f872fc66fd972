"""Pictures found by the names in tables, which often differ from those of the files."""

import posixpath
import unicodedata
from collections.abc import Callable, Sequence

from gan_jax.data.table_files import FILE_COLUMNS, Row
from gan_jax.errors import InputError
from gan_jax.listing import listed

NAMED = 3  # examples in a message
_SUFFIX = 5  # characters of the longest suffix of a picture, with its dot
_KEYS: tuple[Callable[[str], str], ...] = (  # of a name, from strict to loose; each finds only what is unique
    lambda name: name,
    lambda name: _stem(name),
    lambda name: name.casefold(),
    lambda name: _stem(name).casefold(),
    lambda name: posixpath.basename(name),
    lambda name: _stem(posixpath.basename(name)),
    lambda name: posixpath.basename(name).casefold(),
    lambda name: _stem(posixpath.basename(name)).casefold(),
)


class Finder:
    """Finds the numbers of pictures: by path, or else without suffix, in other case, or by the last part of the path.

    Accents may be characters of their own or not (NFC, NFD).
    """

    def __init__(self, pictures: Sequence[str]):
        self._names = [_composed(name) for name in pictures]
        self._tables: dict[int, dict[str, list[int]]] = {}
        self._folders = {posixpath.dirname(name) for name in self._names}

    def __call__(self, name: str, folder: str) -> tuple[int, list[int]]:
        """How loosely (0: not at all) and which pictures `name` may refer to: one unless it is missing or ambiguous."""
        name = _composed(name.strip().replace("\\", "/"))
        paths = dict.fromkeys(posixpath.normpath(path) for path in (posixpath.join(folder, name), name) if name)
        for loose in range(len(_KEYS)):
            for path in paths:
                if found := self._table(loose).get(_KEYS[loose](path)):
                    return loose, found
        return 0, []

    def beside(self, text: str) -> list[int]:
        """The pictures in the folder of a text whose names differ from its name in the suffix and perhaps in case.

        Of a text in a folder that holds no pictures, the one picture in other folders that has its name.
        """
        name = _composed(posixpath.splitext(text)[0])
        for loose, key in ((1, name), (3, name.casefold())):
            if found := self._table(loose).get(key):
                return found
        found = self._table(5).get(posixpath.basename(name), []) if self.is_apart(text) else []
        return found if len(found) == 1 else []

    def is_apart(self, text: str) -> bool:
        """Whether a text lies in a folder that holds no pictures, and not in the root."""
        return posixpath.dirname(_composed(text)) not in {"", *self._folders}

    def _table(self, loose: int) -> dict[str, list[int]]:
        if loose not in self._tables:  # most tables need the first one only
            table: dict[str, list[int]] = {}
            for i, name in enumerate(self._names):
                table.setdefault(_KEYS[loose](name), []).append(i)
            self._tables[loose] = table
        return self._tables[loose]


def file_column(
    table: str, columns: Sequence[str], rows: Sequence[Row], find: Finder
) -> tuple[str, list[int | None], list[str]]:
    """The column of a table that names the pictures, the picture of each row, and notes on rows that are left out.

    `rows` have these columns; of several of one name the last counts.
    Raises `InputError` if no column names pictures that are there.
    """
    lower = {column.strip().lower(): column for column in reversed(columns)}
    at = {column: i for i, column in enumerate(columns)}
    folder = posixpath.dirname(table)
    reasons = []
    for column in (lower[name] for name in FILE_COLUMNS if name in lower):
        indices, notes = _found([str(row.values[at[column]]) for row in rows], folder, find, table)
        if any(index is not None for index in indices):
            return column, indices, notes
        reasons += notes
    for column in at:
        indices, _ = _found([str(row.values[at[column]]) for row in rows], folder, find, table)
        if rows and None not in indices and len(set(indices)) == len(rows):
            return column, indices, []
    if reasons:
        raise InputError(reasons[0])
    shown = listed(columns, 20)
    raise InputError(
        f"{rows[0].place}: no column named {', '.join(FILE_COLUMNS[:-1])} or {FILE_COLUMNS[-1]} names the pictures, only "
        f"{shown[:500] or 'nothing'}: rename the column with the pictures' file names, or remove the table"
    )


def _found(names: Sequence[str], folder: str, find: Finder, table: str) -> tuple[list[int | None], list[str]]:
    """The picture of each name, and notes on names of none or of several; of two names for one picture the stricter holds."""
    answers = {name: find(name, folder) for name in dict.fromkeys(names)}
    claims: dict[int, list[tuple[int, str]]] = {}
    for name, (loose, found) in answers.items():
        if len(found) == 1:
            claims.setdefault(found[0], []).append((loose, name))
    taken: dict[str, int] = {}
    doubtful = {name for name, (_, found) in answers.items() if len(found) > 1}
    for index, claimed in claims.items():
        strictest = min(claimed)[0]
        best = [name for loose, name in claimed if loose == strictest]
        if len(best) == 1 or strictest == 0:
            taken |= dict.fromkeys(best, index)
        else:
            doubtful |= set(best)
    absent = [name for name in answers if name not in taken and name not in doubtful]
    notes = _note(table, absent, "not there: {}; correct the names, add the pictures or delete these lines")
    notes += _note(
        table, [name for name in answers if name in doubtful], "there several times: {}; write them with their folders"
    )
    return [taken.get(name) for name in names], notes


def _note(table: str, names: Sequence[str], message: str) -> list[str]:
    if not names:
        return []
    count = f"{len(names):,} picture{'s' * (len(names) > 1)}"
    return [f"{table} names {count} that are " + message.format(listed(names, NAMED))]


def _stem(name: str) -> str:
    stem, suffix = posixpath.splitext(name)
    return stem if len(suffix) <= _SUFFIX and not suffix[1:].isdecimal() else name


def _composed(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFC", name)  # macOS stores accents as separate characters
