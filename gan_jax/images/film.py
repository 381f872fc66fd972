"""Frames as a film."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from gan_jax.files import whole
from gan_jax.images.sheets import UNREADABLE, read


def read_frames(rows: Sequence[Sequence[Path]], tell: Callable[[str], object]) -> list[np.ndarray]:
    """The pictures in files, uint8 (h, w, 3), those of a row side by side.

    A row that cannot be read, or is of another size than the last, is left out and told.
    """
    return [frame for _, frame in numbered_frames(rows, tell)]


def numbered_frames(rows: Sequence[Sequence[Path]], tell: Callable[[str], object]) -> list[tuple[int, np.ndarray]]:
    """The same, each with the number of its row."""
    frames: list[tuple[int, np.ndarray]] = []
    for number, row in reversed(list(enumerate(rows))):
        try:
            frame = np.concatenate([read(path) for path in row], axis=1)
            if frames and frame.shape != frames[0][1].shape:
                raise ValueError("it has another size than the last sheet")
            frames.append((number, frame))
        except UNREADABLE as error:
            tell(f"{', '.join(map(str, row))} is left out of the film: {error}")
    return frames[::-1]


def film(frames: Sequence[np.ndarray], path: Path, seconds: float = 8.0, both: bool = True, rest: float = 1.0) -> list[Path]:
    """Write frames (h, w, 1|3|4), uint8, as an animated WebP, and as mp4 beside it where imageio-ffmpeg is installed.

    Unless `both`, there is no WebP where there is an mp4. The last frame stands for `rest` seconds, and for at least as long as
    the others: with 0 a walk that comes back to its first frame has no seam. Returns the files written.
    """
    pictures = [Image.fromarray(f[..., 0] if f.shape[-1] == 1 else f).convert("RGB") for f in frames]
    pause = max(round(1000 * seconds / len(pictures)), 20)
    durations = [pause] * (len(pictures) - 1) + [max(round(1000 * rest), pause)]
    mp4 = _mp4(pictures, path.with_suffix(".mp4"), fps=1000 / pause, rest=rest)
    if mp4 and not both:
        return mp4
    target = path.with_suffix(".webp")
    how = {"append_images": pictures[1:], "duration": durations, "loop": 0, "quality": 80, "method": 4}
    with whole(target) as unfinished:
        pictures[0].save(unfinished, format="WEBP", save_all=True, **how)
    return [target, *mp4]


def _mp4(pictures: Sequence[Image.Image], path: Path, fps: float, rest: float) -> list[Path]:
    try:
        import imageio_ffmpeg

        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):  # RuntimeError: the package has no program for this machine
        return []
    size = (pictures[0].width // 2 * 2, pictures[0].height // 2 * 2)  # what players want: an odd edge is cut off
    with whole(path) as unfinished:
        writer = imageio_ffmpeg.write_frames(str(unfinished), size, fps=fps, macro_block_size=1, ffmpeg_log_level="error")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # jax warns of every fork; the child only runs ffmpeg
            writer.send(None)
        for picture in [*pictures, *[pictures[-1]] * round(rest * fps)]:
            writer.send(np.ascontiguousarray(np.asarray(picture)[: size[1], : size[0]]))
        writer.close()
    return [path]
