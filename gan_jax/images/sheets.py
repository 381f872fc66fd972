"""Images side by side on one sheet, and in files."""

import math
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gan_jax.files import exists, whole

SIGNATURE = "Software", "gan_jax"  # a text in every PNG of ours
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)  # what Pillow raises for what is no picture


def grid(images: np.ndarray, columns: int | None = None, gap: int = 2) -> np.ndarray:
    """uint8 images (n, h, w, c) as one sheet (rows * (h + gap) + gap, ..., c), white between them; square if possible."""
    n, h, w, c = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    sheet = np.full((rows * (h + gap) + gap, columns * (w + gap) + gap, c), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = gap + (i // columns) * (h + gap), gap + (i % columns) * (w + gap)
        sheet[top : top + h, left : left + w] = image
    return sheet


def cut(sheet: np.ndarray, size: tuple[int, int], gap: int = 2) -> np.ndarray:
    """The images of `size` (h, w) on a sheet of `grid`, with its empty places; raises `ValueError` for other sheets."""
    (h, w), (height, width, c) = size, sheet.shape
    rows, columns = (height - gap) // (h + gap), (width - gap) // (w + gap)
    if not rows * columns or (rows * (h + gap) + gap, columns * (w + gap) + gap) != (height, width):
        raise ValueError(f"a sheet of {height}x{width} pixels is none of images of {h}x{w}")
    cells = sheet[gap:, gap:].reshape(rows, h + gap, columns, w + gap, c)[:, :h, :, :w]
    return cells.swapaxes(1, 2).reshape(rows * columns, h, w, c)


def save(image: np.ndarray, path: Path, scale: int = 1) -> None:
    """Write a uint8 image (h, w, 1|3|4); `scale` repeats pixels. The file appears whole or not at all."""
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    if scale > 1:
        picture = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
    signature = PngInfo()
    signature.add_text(*SIGNATURE)
    with whole(path) as unfinished:  # other formats pass over pnginfo
        picture.save(unfinished, format=path.suffix[1:].upper().replace("JPG", "JPEG"), pnginfo=signature)


def read(path: Path, channels: int = 3) -> np.ndarray:
    """The picture in a file as uint8 (h, w, channels), 1, 3 or 4 of them; raises one of `UNREADABLE` where there is none."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels]))
    return pixels[..., None] if channels == 1 else pixels


def default_place(path: Path) -> Path:
    """Where a picture goes that the user gave no place: `path`, unless a picture of somebody else's has that name.

    Ours, which are signed, are replaced; beside others it gets a number: real-2.png.
    """
    number = 1
    found = path
    while exists(found) and not _is_ours(found):
        number += 1
        found = path.with_stem(f"{path.stem}-{number}")
    return found


def _is_ours(path: Path) -> bool:
    if not path.is_file():  # a pipe would be waited for
        return False
    try:
        with Image.open(path) as picture:
            return picture.info.get(SIGNATURE[0]) == SIGNATURE[1]
    except UNREADABLE:
        return False


def enlargement(height: int) -> int:
    """How often the pixels of small images are repeated on a sheet, so that they can be seen."""
    return max(1, 64 // height)
