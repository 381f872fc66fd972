"""Pictures fitted to a size. Sizes are (width, height) here, as in PIL."""

from typing import Literal

import numpy as np
from PIL import Image

Fit = Literal["crop", "pad", "stretch"]


def bordered(picture: Image.Image, border: int) -> Image.Image:
    """The picture with `border` black pixels around it."""
    larger = Image.new(picture.mode, (picture.width + 2 * border, picture.height + 2 * border), "black")
    larger.paste(picture, (border, border))
    return larger


def fitted(picture: Image.Image, size: tuple[int, int], fit: Fit) -> Image.Image:
    """The picture fitted to `size`; see `gan_jax.data.pictures.decode`."""
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
