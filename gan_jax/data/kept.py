"""Pictures as they are in their files, and written again of the same kind: grey, opacity, palette, 16 bits, EXIF."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gan_jax.data import pictures
from gan_jax.data.bounds import read_regular
from gan_jax.data.opening import File, attempted, loaded, opened
from gan_jax.data.png import deep_png
from gan_jax.data.source import Unreadable
from gan_jax.files import whole

_PLAIN = ("L", "LA", "RGB", "RGBA")
_ABOUT = ("exif", "icc_profile", "dpi")  # of a file's information, what is kept


@dataclass(frozen=True)
class Kept:
    """A picture and its kind.

    pixels:  uint8 or uint16 (h, w, c), c of 1 (grey), 2 (and opacity), 3 (colours), 4 (and opacity), as they lie in the file:
             its EXIF, which is kept, says how they are to be turned
    palette: whether the file has one
    about:   EXIF, colour profile and resolution, as PIL names them
    """

    pixels: np.ndarray
    palette: bool
    about: dict[str, Any]

    def of(self, pixels: np.ndarray) -> "Kept":
        """Other pixels of the same kind."""
        return replace(self, pixels=pixels)

    def save(self, path: Path) -> None:
        """Write a PNG, which appears whole or not at all; raises `OSError`.

        A palette is made anew, of at most 256 colours of the new pixels.
        """
        with whole(path) as unfinished:
            if self.pixels.dtype == np.uint16:
                unfinished.write_bytes(deep_png(self.pixels, self.about.get("exif", b"")))
                return
            picture = Image.fromarray(self.pixels[..., 0] if self.pixels.shape[-1] == 1 else self.pixels)
            if self.palette:
                picture = picture.quantize(256, method=Image.Quantize.FASTOCTREE)
            picture.save(unfinished, format="PNG", **self.about)


def read_kept(path: Path) -> Kept:
    """The picture in a file, the first frame of several.

    Black and white becomes grey, other colour spaces RGB. Raises `Unreadable` for what is no picture, or too large, or has
    signed numbers, floats or more than 16 bits a channel.
    """
    file = File(read_regular(path, str(path)), str(path))
    numbers = pictures.values(file)

    def read(image: Any) -> Kept:
        picture, _ = opened(image)
        about = {name: picture.info[name] for name in _ABOUT if picture.info.get(name)}
        if numbers is not None:
            if numbers.dtype != np.uint16:
                raise Unreadable(f"its values are {numbers.dtype}: save it with 8 or 16 bits")
            return Kept(numbers.reshape(*numbers.shape[:2], -1), False, about)
        shown = _plain(loaded(picture))
        pixels = np.asarray(shown)
        return Kept(pixels.reshape(*pixels.shape[:2], -1), picture.mode == "P", about)

    return attempted(file, read)


def _plain(picture: Image.Image) -> Image.Image:
    """In one of the modes of pictures with 8 bits a channel; opacity is kept in whatever form it comes."""
    if picture.mode in _PLAIN and not (picture.has_transparency_data and picture.mode in ("L", "RGB")):
        return picture
    if picture.mode in ("L", "1", "I"):
        return picture.convert("LA" if picture.has_transparency_data else "L")
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
