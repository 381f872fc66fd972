"""Pictures of more than 8 bits, signed pictures and floats: their values, and these values as 8 bits."""

import sys
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from gan_jax.data.source import Unreadable
from gan_jax.rows import chunks

Limits = tuple[int | float, int | float]  # the values that become black and white

SAMPLE_FORMAT, SIGNED = 339, 2  # TIFF's tag, and its value for integers with a sign
COLOUR = ("RGB;16", "RGBA;16")  # modes of files whose upper 8 bits are all that PIL keeps
_SAMPLED = 64  # values of each picture that stand for the others
_ROWS = 256  # rows of a picture at once: as float64 a whole one may exceed the memory


class RangeNeeded(Exception):
    """Raised for a picture of more than 8 bits where no range of values is known."""


class Values(NamedTuple):
    """The values of one picture in short: smallest, largest, whether all are whole numbers, and a sample of them."""

    low: float
    high: float
    whole: bool
    sample: np.ndarray


def is_colour(picture: Image.Image) -> bool:
    """Whether the file has 16 bits for each of red, green and blue."""
    return _raw_mode(picture).startswith(COLOUR)


def lower_half(picture: Image.Image) -> Image.Image:
    """A picture of 16-bit colour, not yet loaded, of whose numbers PIL will keep the lower 8 bits in place of the upper."""
    raw = _raw_mode(picture)
    order = {"little": "L", "big": "B"}[sys.byteorder] if raw.endswith("N") else raw[-1]
    return _read_as(picture, raw[:-1] + {"L": "B", "B": "L"}[order])


def native(picture: Image.Image) -> Image.Image:
    """The picture, not yet loaded; libtiff has put its bytes in this machine's order already, which PIL overlooks."""
    swapped = {"I;16BS": "I;16S", "I;32BS": "I;32S", "F;32BF": "F;32F"}.get(_raw_mode(picture))
    if swapped and sys.byteorder == "little" and _tiles(picture)[0].codec_name == "libtiff":
        return _read_as(picture, swapped)
    return picture


def values_of(picture: Image.Image) -> np.ndarray | None:
    """The numbers (h, w) of a loaded picture of one channel and more than 8 bits, or signed; None for any other."""
    if picture.mode.startswith("I;16"):
        return np.asarray(picture).astype(np.uint16)
    signed = picture.format == "TIFF" and SIGNED in _sample_format(picture)
    if picture.mode == "L" and signed:
        return np.asarray(picture).view(np.int8)
    if picture.mode == "I":
        numbers = np.asarray(picture)
        return numbers.view(np.uint32) if picture.format == "TIFF" and not signed else numbers
    return np.asarray(picture) if picture.mode == "F" else None


def narrowed(values: np.ndarray, limits: Limits) -> np.ndarray:
    """Numbers (h, w) or (h, w, c) as uint8: `limits` become 0 and 255, and what lies outside is cut.

    256 or more whole numbers are divided into 256 equal bins, so that a range of 2^k numbers keeps its upper 8 bits. A fourth
    channel of 16 bits is opacity, whose range is known. Raises `Unreadable` for values that are not finite.
    """
    if not np.isfinite(values).all():
        raise Unreadable("has values that are not finite")
    low, high = limits
    bins = values.dtype.kind in "iu" and high - low >= 255
    narrow = np.empty(values.shape, np.uint8)
    for rows in chunks(len(values), _ROWS):
        offset = values[rows].astype(np.float64) - low
        scaled = np.floor(offset * (256 / (high - low + 1))) if bins else np.rint(offset * (255 / (high - low)))
        narrow[rows] = scaled.clip(0, 255)
    if _has_opacity(values):
        narrow[..., 3] = values[..., 3] >> 8
    return narrow


def measured(values: np.ndarray) -> Values:
    """Range, kind and a sample of a picture's values; raises `Unreadable` for values that are not finite."""
    colour = values[..., :3] if _has_opacity(values) else values
    low, high = float(colour.min()), float(colour.max())
    if not np.isfinite(low + high):
        raise Unreadable("has values that are not finite")
    flat = colour.reshape(-1)
    count = min(_SAMPLED, flat.size)
    sample = flat[((np.arange(count) + 0.5) * (flat.size / count)).astype(np.int64)].astype(np.float32)
    whole = values.dtype.kind != "f" or all(bool((part == np.rint(part)).all()) for part in colour)
    return Values(low, high, whole, sample)


def _has_opacity(values: np.ndarray) -> bool:
    return values.ndim == 3 and values.shape[-1] == 4 and values.dtype == np.uint16


def _sample_format(picture: Image.Image) -> tuple[int, ...]:
    tags = getattr(picture, "tag_v2", {})
    found = tags.get(SAMPLE_FORMAT, ())
    return found if isinstance(found, tuple) else (found,)


def _tiles(picture: Image.Image) -> list[Any]:
    """PIL's directions how to read the file; none once it is loaded."""
    return list(getattr(picture, "tile", ()))


def _raw_mode(picture: Image.Image) -> str:
    """How the file's bytes are read: PIL's raw mode, "" where it names none."""
    args = next((tile.args for tile in _tiles(picture)), "")
    raw = args[0] if isinstance(args, tuple) and args else args
    return raw if isinstance(raw, str) else ""


def _read_as(picture: Image.Image, raw: str) -> Image.Image:
    def changed(args: str | tuple) -> str | tuple:
        return raw if isinstance(args, str) else (raw, *args[1:])

    vars(picture)["tile"] = [tile._replace(args=changed(tile.args)) for tile in _tiles(picture)]
    return picture
