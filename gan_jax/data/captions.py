"""Captions as arrays of UTF-8 bytes, padded with zeros, so that they can be batched like the pictures."""

from collections.abc import Sequence

import numpy as np


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


def decode(array: np.ndarray) -> str:
    """The text of one caption, uint8 (t,)."""
    return bytes(np.asarray(array, np.uint8)).rstrip(b"\0").decode()


def _cut(text: bytes, length: int | None) -> bytes:
    return text if length is None else text[:length].decode(errors="ignore").encode()
