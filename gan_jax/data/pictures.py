"""Picture files of any kind as pixels of one size; the only place where pictures are decoded."""

import contextlib
import io
import math
import threading
import warnings
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from gan_jax.data.source import Unreadable

Fit = Literal["crop", "pad", "stretch"]
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
KINDS = {"L": "grey", "1": "grey", "LA": "transparent", "RGBA": "transparent", "CMYK": "CMYK"}
UPRIGHT = {  # EXIF orientation: the transposition that makes the stored pixels upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FILTERS = threading.Lock()


class File(bytes):
    """The content of a file with its name, which the errors of `decode` begin with."""

    name: str

    def __new__(cls, content: bytes, name: str) -> "File":
        file = super().__new__(cls, content)
        file.name = name
        return file


class Facts(NamedTuple):
    """Size and kind of one picture in its file; `kind` is grey, colour, transparent, 16-bit or CMYK."""

    height: int
    width: int
    kind: str


def decode(
    image: Picture, size: tuple[int, int], fit: Fit = "crop", channels: Literal[3, 4] = 3, border: int = 0
) -> np.ndarray:
    """The picture as uint8 (height, width, channels) for `size` (height, width), upright, the first frame of several.

    `crop` covers the size and cuts out the centre, `pad` fits inside and fills with the median colour of the picture's edge,
    `stretch` changes the aspect ratio. Shrinking averages areas, enlarging is bicubic; a picture of this size is unchanged.
    With 3 channels, transparent pixels are composited on white. Of 16 bits the upper 8 are kept; 32-bit grey with values
    above 255 counts as 16-bit, and floats up to 1 as [0, 1]. `border` opaque black pixels are added before fitting.
    Raises `Unreadable` for anything but a complete picture.
    """
    height, width = size
    try:
        picture = _eight_bit(_upright(_loaded(image, None if border else size)))
        if channels == 3 and picture.mode == "RGBA":
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        picture = picture.convert("RGB" if channels == 3 else "RGBA")
        if border:
            picture = _bordered(picture, border)
        return np.array(_fitted(picture, (width, height), fit))
    except Exception as error:  # PIL raises more than ten types for damaged files
        raise Unreadable(_reason(image, error)) from error


def facts(image: Picture) -> Facts:
    """Height and width in pixels (upright) and kind, of a file from its header; raises `Unreadable`."""
    try:
        picture = _opened(image)
        turned = _orientation(picture) in (5, 6, 7, 8)
    except Exception as error:
        raise Unreadable(_reason(image, error)) from error
    if ";16" in picture.mode + str(getattr(picture, "tile", "")):  # PIL reports 16-bit colour as RGB
        kind = "16-bit"
    else:
        kind = "transparent" if picture.has_transparency_data else KINDS.get(picture.mode, "colour")
    height, width = picture.size if turned else picture.size[::-1]
    return Facts(height, width, kind)


def is_grey(pixels: np.ndarray) -> bool:
    """Whether red, green and blue are equal everywhere in (..., h, w, c) with 1, 3 or 4 channels."""
    colour = pixels[..., :3]
    return bool((colour == colour[..., :1]).all())


def _reason(image: Picture, error: Exception) -> str:
    before = f"{image.name}: " if isinstance(image, File) else ""
    if isinstance(error, Unreadable):
        return f"{before}{error}"
    if isinstance(error, Image.UnidentifiedImageError):
        return f"{before}not a picture of a known kind ({', '.join(FORMATS)})"
    if isinstance(error, Image.DecompressionBombError):
        return f"{before}{TOO_LARGE}"
    return f"{before}damaged or cut off ({error or type(error).__name__})"


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Ignore PIL's warnings of damaged EXIF and the like; locked, since warning filters are shared by all threads."""
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _opened(image: Picture) -> Image.Image:
    """The picture; of a file, only the header is read."""
    if isinstance(image, np.ndarray):
        if image.dtype not in (np.uint8, np.bool_) or image.size == 0:
            raise Unreadable(f"pixels must be a uint8 array that is not empty, not {image.dtype} of shape {image.shape}")
        pixels = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
        return Image.fromarray(np.ascontiguousarray(pixels))
    if isinstance(image, Image.Image):
        return image
    if not image:
        raise Unreadable("the file is empty")
    with _silence():
        picture = Image.open(io.BytesIO(image), formats=FORMATS)
        if picture.format == "TIFF" and math.prod(picture.size) <= LARGEST:
            picture.load()  # here, since loading it warns too
    return picture


def _loaded(image: Picture, size: tuple[int, int] | None) -> Image.Image:
    """The picture with its pixels; a JPEG is decoded at 1/2, 1/4 or 1/8 where that is at least twice `size`."""
    picture = _opened(image)
    if size and isinstance(image, bytes) and 0 not in picture.size:
        scale = 2 * max(size) / min(picture.size)
        picture.draft("", (math.ceil(picture.width * scale), math.ceil(picture.height * scale)))
    if math.prod(picture.size) > LARGEST:
        raise Unreadable(TOO_LARGE)
    picture.load()
    if 0 in picture.size:
        raise Unreadable("the picture has no pixels")
    return picture


def _orientation(picture: Image.Image) -> int:
    if "exif" not in picture.info:  # otherwise PIL would load all of a PNG to search for it
        return 1
    with _silence():
        return picture.getexif().get(0x0112, 1)


def _upright(picture: Image.Image) -> Image.Image:
    turn = UPRIGHT.get(_orientation(picture))
    return picture if turn is None else picture.transpose(turn)


def _eight_bit(picture: Image.Image) -> Image.Image:
    """The picture in mode RGB, or RGBA where something may be transparent."""
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode in ("I", "F"):
        return Image.fromarray(_narrowed(np.asarray(picture))).convert("RGB")
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def _narrowed(values: np.ndarray) -> np.ndarray:
    """32-bit grey as uint8; no file states the range, so it is inferred from the largest value."""
    largest = values.max()
    if not np.isfinite(values).all() or largest > 65535:
        raise Unreadable(f"grey values up to {largest} in {values.dtype}: save it with 8 or 16 bits")
    if values.dtype.kind == "f" and largest <= 1:
        values = np.rint(values * 255)
    elif largest > 255:
        values = values // 256
    return values.clip(0, 255).astype(np.uint8)


def _bordered(picture: Image.Image, border: int) -> Image.Image:
    larger = Image.new(picture.mode, (picture.width + 2 * border, picture.height + 2 * border), "black")
    larger.paste(picture, (border, border))
    return larger


def _fitted(picture: Image.Image, size: tuple[int, int], fit: Fit) -> Image.Image:
    """The picture fitted to `size`, which is (width, height) as in PIL, here and in the functions below."""
    if fit == "pad":
        return _padded(picture, size)
    width, height = float(picture.width), float(picture.height)
    if fit == "crop":
        width, height = min(width, height * size[0] / size[1]), min(height, width * size[1] / size[0])
    left, top = (picture.width - width) / 2, (picture.height - height) / 2
    return _resized(picture, size, (left, top, left + width, top + height))


def _padded(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    scale = min(size[0] / picture.width, size[1] / picture.height)
    inner = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    picture = _resized(picture, inner, (0.0, 0.0, float(picture.width), float(picture.height)))
    if inner == size:
        return picture
    pixels = np.asarray(picture)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])
    colour = np.median(edge, axis=0).astype(np.uint8)
    canvas = np.full((size[1], size[0], len(colour)), colour)
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas[top : top + inner[1], left : left + inner[0]] = pixels
    return Image.fromarray(canvas)


def _resized(picture: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float]) -> Image.Image:
    """The box of the picture at `size`; PIL weights colours by alpha, so that those of transparent pixels do not bleed."""
    if (box[2] - box[0], box[3] - box[1]) == size:
        return picture.crop((int(box[0]), int(box[1]), int(box[2]), int(box[3])))
    shrinks = box[2] - box[0] >= size[0] and box[3] - box[1] >= size[1]
    return picture.resize(size, Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC, box)
