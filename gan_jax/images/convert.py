"""Images between the wire (uint8) and the networks (float in [-1, 1]), grids, files and films."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float
from PIL import Image


def to_float(x: Array | np.ndarray) -> Float[Array, "..."]:
    """uint8 to [-1, 1]; floats pass unchanged."""
    return jnp.asarray(x, jnp.float32) / 127.5 - 1 if x.dtype == jnp.uint8 else jnp.asarray(x)


def to_uint8(x: np.ndarray | Array) -> np.ndarray:
    """[-1, 1] to uint8, rounded and clipped."""
    return np.clip(np.rint((np.asarray(x, np.float32) + 1) * 127.5), 0, 255).astype(np.uint8)


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
    unfinished = path.with_name(f".{path.name}")
    picture.save(unfinished, format=path.suffix[1:].upper().replace("JPG", "JPEG"))
    unfinished.replace(path)


def film(frames: Sequence[np.ndarray], path: Path, seconds: float = 8.0) -> list[Path]:
    """Write frames (h, w, 1|3|4), uint8, as an animated WebP, and as mp4 beside it where imageio-ffmpeg is installed.

    The last frame stands for a second. Returns the files written.
    """
    pictures = [Image.fromarray(f[..., 0] if f.shape[-1] == 1 else f).convert("RGB") for f in frames]
    pause = max(round(1000 * seconds / len(pictures)), 20)
    durations = [pause] * (len(pictures) - 1) + [1000]
    target = path.with_suffix(".webp")
    pictures[0].save(target, save_all=True, append_images=pictures[1:], duration=durations, loop=0, quality=80, method=4)
    return [target, *_mp4(pictures, path.with_suffix(".mp4"), fps=1000 / pause)]


def _mp4(pictures: Sequence[Image.Image], path: Path, fps: float) -> list[Path]:
    try:
        import imageio_ffmpeg
    except ImportError:
        return []
    size = (pictures[0].width, pictures[0].height)
    writer = imageio_ffmpeg.write_frames(str(path), size, fps=fps, macro_block_size=2, ffmpeg_log_level="error")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # jax warns of every fork; the child only runs ffmpeg
        writer.send(None)
    for picture in [*pictures, *[pictures[-1]] * round(fps)]:
        writer.send(np.ascontiguousarray(np.asarray(picture)))
    writer.close()
    return [path]
