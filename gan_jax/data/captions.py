"""Captions as arrays of UTF-8 bytes, padded with zeros, so that they can be batched like the pictures."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gan_jax.errors import InputError

UNKNOWN = "\x1a"  # the control character "substitute": stands for what is in no alphabet
_SHOWN = 10  # characters in a note


class Read(NamedTuple):
    """A text as bytes uint8 (t,), and notes on what of it could not be read."""

    row: np.ndarray
    notes: tuple[str, ...]


def encode(captions: Sequence[Sequence[str]], length: int | None = None, most: int | None = None) -> np.ndarray:
    """The captions of n pictures as uint8 (n, k, t): k captions each, of t bytes.

    k is the largest number of captions of a picture, but at most `most`; further ones are dropped. A picture with fewer
    repeats them in turn, one without captions has empty ones. t is the length of the longest caption, but at most `length`;
    longer captions are cut, never within a character.
    """
    rows = [list(row[:most]) or [""] for row in captions]
    k = max(map(len, rows), default=1)
    cut = [[_cut(row[i % len(row)].strip().encode(), length) for i in range(k)] for row in rows]
    longest = max((len(text) for row in cut for text in row), default=0)
    array = np.zeros((len(rows), k, max(longest, 1)), np.uint8)
    for i, row in enumerate(cut):
        for j, text in enumerate(row):
            array[i, j, : len(text)] = np.frombuffer(text, np.uint8)
    return array


def padded(array: np.ndarray, length: int) -> np.ndarray:
    """Captions (..., t) as captions (..., length): zeros are added, or the ends cut off, never within a character.

    `length` is at least 1.
    """
    t = array.shape[-1]
    if t <= length:
        return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, length - t)])
    rows = array.reshape(-1, t)
    cut = encode([(decode(row),) for row in rows], length)[:, 0]
    return padded(cut, length).reshape(*array.shape[:-1], length)


def alphabet(array: np.ndarray) -> str:
    """All characters of captions (..., t), once each, sorted, capital letters as small ones."""
    rows = np.unique(array.reshape(-1, array.shape[-1]), axis=0)
    return "".join(sorted({character for row in rows for character in decode(row).lower()}))


def parse(text: str, length: int, known: str = "") -> Read:
    """A text that a user typed as a caption of at most `length` bytes, of the characters `known` ("" for any).

    What is not known becomes `UNKNOWN`; what is too long is cut at the end; notes say so. Raises `InputError` for a text
    without a character.
    """
    stripped = text.strip()
    if not stripped:
        raise InputError("the caption is empty: write what is to be drawn")
    notes = []
    mapped = "".join(_known(character, known) for character in stripped)
    unread = dict.fromkeys(old for old, new in zip(stripped, mapped, strict=True) if new == UNKNOWN)
    if unread:
        shown = " ".join(_printable(character) for character in list(unread)[:_SHOWN])
        more = f" and {len(unread) - _SHOWN} more" * (len(unread) > _SHOWN)
        all_unknown = set(mapped) <= {UNKNOWN, " "}
        says = ": nothing of the caption is known" if all_unknown else ""
        notes.append(f"characters that the captions of the training data do not have are read as unknown{says}: {shown}{more}")
    content = mapped.encode()
    cut = _cut(content, length)
    if len(cut) < len(content):
        kept, lost = cut.decode(), content[len(cut) :].decode()
        notes.append(
            f"the caption has {len(content)} bytes and {length} are read: {kept[-20:]!r} is its end, {lost[:20]!r} is cut"
        )
    return Read(np.frombuffer(cut.ljust(length, b"\0"), np.uint8), tuple(notes))


def _known(character: str, known: str) -> str:
    """The character, or `UNKNOWN` for one that is not known or that UTF-8 does not have; any space is a space."""
    if character.isspace():
        return " "
    legal = character != "\0" and not "\ud800" <= character <= "\udfff"
    return character if legal and (not known or character.lower() in known or character in known) else UNKNOWN


def _printable(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]


def decode(array: np.ndarray) -> str:
    """The text of one caption, uint8 (t,)."""
    return bytes(np.asarray(array, np.uint8)).rstrip(b"\0").decode()


def _cut(text: bytes, length: int | None) -> bytes:
    return text if length is None else text[:length].decode(errors="ignore").encode()
