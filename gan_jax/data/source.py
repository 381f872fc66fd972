"""The interface of all readers of pictures: examples by number, of any size and kind, with labels, attributes, captions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image


class Unreadable(Exception):
    """Raised for a picture that cannot be decoded; the message has its name and the reason."""


class Example(NamedTuple):
    """One picture, not yet decoded, with its label, attributes and captions."""

    image: bytes | np.ndarray | Image.Image  # a picture file, numbers (h, w) or (h, w, c), or a picture of PIL
    label: int | None = None
    attributes: tuple[float, ...] = ()  # in the order of the source's `attribute_names`; NaN where unknown
    captions: tuple[str, ...] = ()


class Split(NamedTuple):
    """`read(i)` gives example i of `size`; it must be safe to call from several threads, and raises `Unreadable`."""

    size: int
    read: Callable[[int], Example]


@dataclass(frozen=True)
class Source:
    """Pictures that can be read: `splits` has "train" and perhaps "held_out".

    `identity` changes when the files do (names, sizes, times of change; for doodles the seed); it names the cache of decoded
    pictures. Label i is called `class_names[i]`; either all examples have attributes, or captions, or none has.
    `border` pixels of zeros are added around every picture before it is fitted (MNIST's 28 to 32).
    """

    name: str
    identity: str
    splits: Mapping[str, Split]
    class_names: tuple[str, ...] = ()
    attribute_names: tuple[str, ...] = ()
    captioned: bool = False
    border: int = 0
    place: str = ""  # where the files are and how they were chosen; "" where they never change
    pages: Literal["first", "all"] = "first"  # of files with several pages or frames
    notes: tuple[str, ...] = field(default=())  # lines about the data to show to the user


def printable(text: str) -> str:
    """The text with escapes for what cannot be shown or encoded, such as the bytes of names that are not UTF-8."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def random_rows(n: int, k: int) -> list[int]:
    """The sorted indices of k of n rows, chosen at random but always the same."""
    generator = np.random.Generator(np.random.Philox(key=0))
    return sorted(generator.permutation(n)[:k].tolist())
