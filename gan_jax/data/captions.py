"""Captions as arrays of UTF-8 bytes, padded with zeros, so that they can be batched like the pictures."""

import string
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gan_jax.errors import InputError

UNKNOWN = "\x1a"  # the control character "substitute": stands for what is in no alphabet
_SHOWN = 10  # characters in a note
_SMALL = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)  # as encoders read: other capitals are as they are


class Read(NamedTuple):
    """A text as bytes uint8 (t,), and notes on what of it could not be read."""

    row: np.ndarray
    notes: tuple[str, ...]


def encode(captions: Sequence[Sequence[str]], length: int | None = None, most: int | None = None) -> np.ndarray:
    """The captions of n pictures as uint8 (n, k, t): k captions each, of t bytes.

    k is the largest number of captions of a picture, but at most `most`; further ones are dropped. A picture with fewer
    repeats them in turn, one without captions has empty ones. t is the length of the longest caption, but at most `length`;
    longer captions are cut, never within a character. Characters are composed (NFC); what UTF-8 does not have is `UNKNOWN`.
    """
    rows = [list(row[:most]) or [""] for row in captions]
    k = max(map(len, rows), default=1)
    cut = [[_cut(_legal(row[i % len(row)].strip()).encode(), length) for i in range(k)] for row in rows]
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
    """All characters of captions (..., t), once each, sorted, capital letters of ASCII as small ones."""
    rows = np.unique(array.reshape(-1, array.shape[-1]), axis=0)
    return "".join(sorted({character for row in rows for character in decode(row).translate(_SMALL)}))


def parse(text: str, length: int, known: str = "") -> Read:
    """A text that a user typed as a caption of at most `length` bytes, of the characters `known` ("" for any).

    What is not known becomes `UNKNOWN`; what is too long is cut at the end; notes say so. A capital letter is known if it or
    its small one is, and is read as that one. Raises `InputError` for a text without a character, or of which nothing is left.
    """
    stripped = unicodedata.normalize("NFC", text.strip())
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
    if not cut:
        raise InputError(f"the caption's first character has more than the {length} bytes that are read: {stripped[:20]!r}")
    if len(cut) < len(content):
        kept, lost = cut.decode(), content[len(cut) :].decode()
        notes.append(
            f"the caption has {len(content)} bytes and {length} are read: {kept[-20:]!r} is its end, {lost[:20]!r} is cut"
        )
    return Read(np.frombuffer(cut.ljust(length, b"\0"), np.uint8), tuple(notes))


def _known(character: str, known: str) -> str:
    """The character as it is known, or `UNKNOWN` for one that is not or that UTF-8 does not have; any space is a space."""
    if character.isspace():
        return " "
    if character == "\0" or _is_lone(character):
        return UNKNOWN
    if not known or character.translate(_SMALL) in known:
        return character
    return next((form for form in (character, character.lower(), character.upper()) if form in known), UNKNOWN)


def _legal(text: str) -> str:
    """The text with each letter and its accents as one character, and `UNKNOWN` in place of what UTF-8 does not have."""
    return "".join(UNKNOWN if _is_lone(character) else character for character in unicodedata.normalize("NFC", text))


def _is_lone(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"


def _printable(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]


def decode(array: np.ndarray) -> str:
    """The text of one caption, uint8 (t,)."""
    return bytes(np.asarray(array, np.uint8)).rstrip(b"\0").decode()


def _cut(text: bytes, length: int | None) -> bytes:
    return text if length is None else text[:length].decode(errors="ignore").encode()
