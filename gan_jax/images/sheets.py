"""Images side by side on one sheet, and in files."""

import math
from pathlib import Path

import numpy as np
from PIL import Image

from gan_jax.files import whole


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


def save(image: np.ndarray, path: Path, scale: int = 1) -> None:
    """Write a uint8 image (h, w, 1|3|4); `scale` repeats pixels. The file appears whole or not at all."""
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    if scale > 1:
        picture = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
    with whole(path) as unfinished:
        picture.save(unfinished, format=path.suffix[1:].upper().replace("JPG", "JPEG"))


def enlargement(height: int) -> int:
    """How often the pixels of small images are repeated on a sheet, so that they can be seen."""
    return max(1, 64 // height)
