"""Picture files of any kind as pixels of one size; the only place where pictures are decoded."""

import math
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from gan_jax.data import deep
from gan_jax.data.deep import Limits, RangeNeeded
from gan_jax.data.fitting import Fit, bordered, fitted
from gan_jax.data.opening import Picture, attempted, loaded, opened, orientation, upright
from gan_jax.data.source import Unreadable

KINDS = {"L": "grey", "1": "grey", "LA": "transparent", "RGBA": "transparent", "CMYK": "CMYK"}
PAGED = (b"GIF8", b"II*\0", b"MM\0*")  # how files begin that may have several pages or frames
ANIMATED = (b"acTL", b"ANIM")  # what is near the beginning of PNG and WebP that have several


class Facts(NamedTuple):
    """Size and kind of one picture in its file; `kind` is grey, colour, transparent, 16-bit or CMYK."""

    height: int
    width: int
    kind: str


def decode(
    image: Picture,
    size: tuple[int, int],
    fit: Fit = "crop",
    channels: Literal[3, 4] = 3,
    border: int = 0,
    limits: Limits | None = None,
) -> np.ndarray:
    """The picture as uint8 (height, width, channels) for `size` (height, width), upright, the first frame of several.

    `crop` covers the size and cuts out the centre, `pad` fits inside and fills with the median colour of the picture's edge,
    `stretch` changes the aspect ratio. Shrinking averages areas, enlarging is bicubic; a picture of this size is unchanged.
    With 3 channels, transparent pixels are composited on white. `border` opaque black pixels are added before fitting.

    Values of more than 8 bits, signed ones and floats are mapped so that `limits` become black and white. No file states
    them, and they belong to a set, not to a picture (`gan_jax.data.ranges`): raises `RangeNeeded` without them.
    Raises `Unreadable` for anything but a complete picture.
    """
    height, width = size

    def read(image: Picture) -> np.ndarray:
        picture = upright(_eight_bit(image, None if border else size, limits))
        if channels == 3 and picture.mode == "RGBA":
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        picture = picture.convert("RGB" if channels == 3 else "RGBA")
        if border:
            picture = bordered(picture, border)
        return np.array(fitted(picture, (width, height), fit))

    return attempted(image, read)


def facts(image: Picture) -> Facts:
    """Height and width in pixels (upright) and kind, of a file from its header; raises `Unreadable`."""

    def read(image: Picture) -> Facts:
        if isinstance(image, np.ndarray) and image.dtype not in (np.uint8, np.bool_):
            return Facts(image.shape[0], image.shape[1], str(image.dtype))
        picture, in_colour = opened(image)
        height, width = picture.size[::-1] if orientation(picture) not in (5, 6, 7, 8) else picture.size
        if in_colour or picture.mode.startswith("I;16"):
            return Facts(height, width, "16-bit")
        kind = "transparent" if picture.has_transparency_data else KINDS.get(picture.mode, "colour")
        return Facts(height, width, kind)

    return attempted(image, read)


def values(image: Picture) -> np.ndarray | None:
    """The numbers (h, w) or (h, w, c) of a picture of more than 8 bits; None for others, told from the header.

    Raises `Unreadable`.
    """

    def read(image: Picture) -> np.ndarray | None:
        if isinstance(image, np.ndarray):
            return _numbers(image) if image.dtype not in (np.uint8, np.bool_) else None
        picture, in_colour = opened(image)
        if in_colour:
            return _colour_values(image)
        return deep.values_of(loaded(picture)) if picture.mode in ("I", "F", "L") or picture.mode[:4] == "I;16" else None

    return attempted(image, read)


def pages(image: Picture) -> int:
    """How many pages or frames the file has; raises `Unreadable`."""
    if not isinstance(image, bytes) or not (image.startswith(PAGED) or any(mark in image[:4096] for mark in ANIMATED)):
        return 1
    return attempted(image, lambda image: int(getattr(opened(image, load=False)[0], "n_frames", 1)))


def is_grey(pixels: np.ndarray) -> bool:
    """Whether red, green and blue are equal everywhere in (..., h, w, c) with 1, 3 or 4 channels."""
    colour = pixels[..., :3]
    return bool((colour == colour[..., :1]).all())


def _eight_bit(image: Picture, size: tuple[int, int] | None, limits: Limits | None) -> Image.Image:
    """The picture in mode RGB, or RGBA where something may be transparent.

    A JPEG is decoded at 1/2, 1/4 or 1/8 where that is at least twice `size`.
    """
    if isinstance(image, np.ndarray) and image.dtype not in (np.uint8, np.bool_):
        return _in_range(_numbers(image), limits)
    picture, in_colour = opened(image)
    if size and isinstance(image, bytes) and 0 not in picture.size:
        scale = 2 * max(size) / min(picture.size)
        picture.draft("", (math.ceil(picture.width * scale), math.ceil(picture.height * scale)))
    if in_colour and limits is None:
        raise RangeNeeded
    found = _colour_values(image) if in_colour else deep.values_of(loaded(picture))
    if found is None:
        if picture.mode == "RGB" and not picture.has_transparency_data:
            return picture
        return _as(picture, "RGBA" if picture.has_transparency_data else "RGB")
    narrow = _in_range(found, limits)
    narrow.info = {name: value for name, value in picture.info.items() if name == "exif"}
    return narrow


def _as(picture: Image.Image, mode: str) -> Image.Image:
    return picture if picture.mode == mode else picture.convert(mode)


def _in_range(numbers: np.ndarray, limits: Limits | None) -> Image.Image:
    if limits is None:
        raise RangeNeeded
    narrow = Image.fromarray(deep.narrowed(numbers, limits))
    return _as(narrow, "RGBA" if narrow.mode == "RGBA" else "RGB")


def _numbers(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "iuf" or array.size == 0 or array.ndim not in (2, 3):
        raise Unreadable(f"pixels must be numbers (h, w) or (h, w, c), not {array.dtype} of shape {array.shape}")
    return array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array


def _colour_values(image: Picture) -> np.ndarray:
    """The numbers uint16 (h, w, 3 or 4) of a file of 16-bit colour, of which PIL reads the upper or the lower half."""
    upper, lower = (np.asarray(loaded(opened(image, lower=half)[0])).astype(np.uint16) for half in (False, True))
    return upper << 8 | lower
