"""Picture files as PIL opens them: its limits, its warnings, and its errors in the words of this library."""

import contextlib
import io
import math
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from PIL import Image

from gan_jax.data import deep
from gan_jax.data.deep import RangeNeeded
from gan_jax.data.png import without_texts
from gan_jax.data.source import Unreadable

Picture = bytes | np.ndarray | Image.Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff")
FORMATS = (
    "PNG",
    "JPEG",
    "WEBP",
    "GIF",
    "BMP",
    "TIFF",
)  # accepted contents, whatever the name; some other formats of PIL run programs
LARGEST = 89_478_485  # pixels, above which PIL warns: 256 MiB of RGB
TOO_LARGE = f"has more than {LARGEST:,} pixels: shrink it first"
UPRIGHT = {  # EXIF orientation: the transposition that makes the stored pixels upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
LIMITS = ("too large", "too much memory", "not supported", "unsupported", "not available", "unknown", "cannot handle")
_FILTERS = threading.Lock()

T = TypeVar("T")


class File(bytes):
    """The content of a file with its name, which the errors of `decode` begin with, and the page or frame that is meant."""

    name: str
    page: int

    def __new__(cls, content: bytes, name: str, page: int = 0) -> "File":
        file = super().__new__(cls, content)
        file.name, file.page = name, page
        return file


def attempted(image: Picture, read: Callable[[Picture], T]) -> T:
    """`read(image)`, without the texts in a PNG if they exceed PIL's limit; raises `Unreadable` for what cannot be read."""
    try:
        try:
            return read(image)
        except ValueError as error:  # of PngImagePlugin.MAX_TEXT_CHUNK or MAX_TEXT_MEMORY
            if not isinstance(image, bytes) or "MAX_TEXT" not in str(error):
                raise
            return read(without_texts(image))
    except RangeNeeded:
        raise
    except Exception as error:  # PIL raises more than ten types for damaged files
        raise Unreadable(_reason(image, error)) from error


def _reason(image: Picture, error: Exception) -> str:
    before = f"{image.name}: " if isinstance(image, File) else ""
    if isinstance(error, Unreadable):
        return f"{before}{error}"
    if isinstance(error, Image.UnidentifiedImageError):
        if isinstance(image, bytes) and image[:4] in (b"II*\0", b"MM\0*"):
            return f"{before}a kind of TIFF that Pillow does not read, or a damaged one: save it as PNG, or all as .npz"
        return f"{before}not a picture of a known kind ({', '.join(FORMATS)})"
    if isinstance(error, Image.DecompressionBombError):
        return f"{before}{TOO_LARGE}"
    if any(limit in str(error).lower() for limit in LIMITS):
        return f"{before}a kind that Pillow does not read ({str(error)[:200]}): save it as PNG"
    return f"{before}damaged or cut off ({str(error)[:200] or type(error).__name__})"


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Ignore PIL's warnings of damaged EXIF and the like; locked, since warning filters are shared by all threads."""
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def opened(image: Picture, load: bool = True, lower: bool = False) -> tuple[Image.Image, bool]:
    """The picture, and whether it has 16 bits for each colour; of a file, only the header is read.

    `lower` takes the lower 8 of these 16 bits.
    """
    if isinstance(image, np.ndarray):
        if image.dtype not in (np.uint8, np.bool_) or image.size == 0:
            raise Unreadable(f"pixels must be an array that is not empty, not {image.dtype} of shape {image.shape}")
        pixels = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
        return Image.fromarray(np.ascontiguousarray(pixels)), False
    if isinstance(image, Image.Image):
        return image, False
    if not image:
        raise Unreadable("the file is empty")
    with _silence():
        picture: Image.Image = Image.open(io.BytesIO(image), formats=FORMATS)
        if page := getattr(image, "page", 0):
            picture.seek(page)
        in_colour = deep.is_colour(picture)
        picture = deep.lower_half(picture) if lower and in_colour else deep.native(picture)
        if load and picture.format == "TIFF" and math.prod(picture.size) <= LARGEST:
            picture.load()  # here, since loading it warns too
    return picture, in_colour


def loaded(picture: Image.Image) -> Image.Image:
    """The picture with its pixels."""
    if math.prod(picture.size) > LARGEST:
        raise Unreadable(TOO_LARGE)
    picture.load()
    if 0 in picture.size:
        raise Unreadable("the picture has no pixels")
    return picture


def orientation(picture: Image.Image) -> int:
    """The number of EXIF that says how the stored pixels are turned; 1 if they are upright."""
    if "exif" not in picture.info:  # otherwise PIL would load all of a PNG to search for it
        return 1
    with _silence():
        return picture.getexif().get(0x0112, 1)


def upright(picture: Image.Image) -> Image.Image:
    """The picture turned as its EXIF says."""
    turn = UPRIGHT.get(orientation(picture))
    return picture if turn is None else picture.transpose(turn)
