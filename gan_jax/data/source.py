"""What a reader of pictures offers: examples by number, of whatever size and kind, with what is known of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from PIL import Image


class Unreadable(Exception):
    """One picture that cannot be decoded; the message names it and says why."""


class Example(NamedTuple):
    """One picture as it lies in its file, and what is known of it."""

    image: bytes | np.ndarray | Image.Image  # a whole picture file, pixels (h, w) or (h, w, c) uint8, or a picture
    label: int | None = None
    attributes: tuple[float, ...] = ()  # in the order of the source's `attribute_names`; NaN where unknown
    captions: tuple[str, ...] = ()


class Split(NamedTuple):
    """`read(i)` gives example i of `size`; it is called from several threads, and raises `Unreadable`."""

    size: int
    read: Callable[[int], Example]


@dataclass(frozen=True)
class Source:
    """Pictures that can be read: `splits` has "train" and perhaps "held_out".

    `identity` changes when the files behind it do (names, sizes, times of change; the seed of drawn ones); it names the
    cache of decoded pictures. Label i is called `class_names[i]`; attributes and captions are there in all examples or none.
    `border` pixels of zeros are put around every picture before it is fitted (MNIST's 28 to 32).
    """

    name: str
    identity: str
    splits: Mapping[str, Split]
    class_names: tuple[str, ...] = ()
    attribute_names: tuple[str, ...] = ()
    captioned: bool = False
    border: int = 0
    notes: tuple[str, ...] = field(default=())  # what a user should know of the reading, a line each


def random_rows(n: int, k: int) -> list[int]:
    """The sorted indices of k of n rows, chosen at random but always the same."""
    generator = np.random.Generator(np.random.Philox(key=0))
    return sorted(generator.permutation(n)[:k].tolist())
