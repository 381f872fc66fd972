"""The film of a run: the samples of the same noise over the rounds, with the curves of the run below them."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gan_jax.errors import InputError
from gan_jax.files import check_apart
from gan_jax.images.film import film, numbered_frames
from gan_jax.images.sheets import save
from gan_jax.rows import geometrically
from gan_jax.runs.records import read_json, read_rows
from gan_jax.runs.run import Run
from gan_jax.training.curves import Panel, Plot, metric_panels, plot, score_panels

FEWEST, FRAMES = 60, 120  # sheets in a film: half of them, between these
SECONDS = 12.0
STILLS = 6  # sheets on the strip
_NARROWEST, _LARGEST = 480, 1080  # pixels of a sheet in the film: small ones are enlarged, large ones made smaller
_STILL = 320  # pixels of the width of a sheet on the strip
_CAPTION, _CURVES = 30, 200  # pixels of the height of the line above, and of the curves below


class Frame(NamedTuple):
    """A sheet of samples, uint8 (h, w, 3), and the round that it is of."""

    step: int
    sheet: np.ndarray


def progress_film(
    directory: Path,
    tell: Callable[[str], object],
    *,
    out: Path | None = None,
    most: int | None = None,
    seconds: float = SECONDS,
) -> list[Path]:
    """Write the film of a run's sheets, progress.mp4 or, without imageio-ffmpeg, progress.webp, and the strip progress.png.

    They go to `out`, by default the run's video/. Of more than `most` sheets (default: half, but 60 to 120) all early ones are
    shown, and later ones at geometrically growing distances. A sheet that cannot be read, or is of another size than the last,
    is left out and told. Returns the files written. Raises `InputError` where there are fewer than two sheets, or `out` lies
    among them.
    """
    folder = out or directory / "video"
    for name in ("progress.mp4", "progress.webp", "progress.png"):
        check_apart(folder / name, [directory / "samples", directory / "checkpoints"])
    frames = frames_of(directory, tell, most)
    if len(frames) < 2:
        raise InputError(
            f"{directory} has {len(frames) or 'no'} sheet{'s' * (len(frames) != 1)} of samples, and a film needs two or more: "
            "train on, or choose a smaller interval between sheets"
        )
    curves = _curves(directory)
    width, last = _sheet_size(frames[-1].sheet)[0], frames[-1].step
    below = plot(curves, width, _CURVES, last) if curves else None
    files = film([_composed(frame, below) for frame in frames], folder / "progress", seconds, both=False)
    save(_strip(frames), folder / "progress.png")
    return [*files, folder / "progress.png"]


def make_film(run: Run) -> list[Path]:
    """The film of a run that is being trained; where there can be none, the reason is told, or nothing before two sheets."""
    try:
        return progress_film(run.directory, lambda told: run.log(f"note        {told}"), out=run.path("video"))
    except InputError:
        return []
    except OSError as error:
        run.log(f"note        no film: {error}")
        return []


def newest(directory: Path) -> np.ndarray | None:
    """The newest sheet of a run as the film shows it, with the curves so far, uint8 (h, w, 3); None before the first."""
    frames = _read(sheets_of(directory)[-1:], lambda told: None)
    if not frames:
        return None
    (frame,) = frames
    curves = _curves(directory)
    below = plot(curves, _sheet_size(frame.sheet)[0], _CURVES, frame.step) if curves else None
    return _composed(frame, below)


def sheets_of(directory: Path) -> list[tuple[int, Path]]:
    """The sheets of samples of a run with their rounds, oldest first."""
    named = ((re.fullmatch("[0-9]+", path.stem), path) for path in directory.glob("samples/*.png"))
    return sorted((int(path.stem), path) for number, path in named if number)


def frames_of(directory: Path, tell: Callable[[str], object], most: int | None = None) -> list[Frame]:
    """At most `most` sheets of a run (default: half, but 60 to 120), early ones more densely; what cannot be read is told."""
    sheets = sheets_of(directory)
    return _read([sheets[i] for i in geometrically(len(sheets), most or min(max(len(sheets) // 2, FEWEST), FRAMES))], tell)


def _read(sheets: Sequence[tuple[int, Path]], tell: Callable[[str], object]) -> list[Frame]:
    found = numbered_frames([[path] for _, path in sheets], tell)
    return [Frame(sheets[number][0], sheet) for number, sheet in found]


def _curves(directory: Path) -> list[Panel]:
    """D(x) and D(G(z)), or the losses where there are no such, and the score that ranks checkpoints."""
    metrics = metric_panels(read_rows(directory / "metrics.jsonl"))
    chosen = [panel for panel in metrics if "D(x)" in panel.lines] or metrics
    first = (read_json(directory / "model.json") or {}).get("metric")
    scores = score_panels(read_rows(directory / "eval.jsonl"), first)
    return [*chosen[:1], *scores[:1]]


def _sheet_size(sheet: np.ndarray) -> tuple[int, int]:
    """Width and height of a sheet in the film."""
    height, width = sheet.shape[:2]
    factor = min(-(-_NARROWEST // width), _LARGEST / max(width, height))  # a whole number where pixels are repeated
    return max(round(width * factor), 2), max(round(height * factor), 2)


def _composed(frame: Frame, below: Plot | None) -> np.ndarray:
    """A caption, the sheet, the curves up to its round."""
    width, height = _sheet_size(frame.sheet)
    kind = Image.Resampling.NEAREST if width > frame.sheet.shape[1] else Image.Resampling.BOX
    sheet = np.asarray(Image.fromarray(frame.sheet).resize((width, height), kind))
    parts = [_caption(frame.step, width), sheet]
    return np.concatenate([*parts, *([below.until(frame.step)] if below else [])])


def _caption(step: int, width: int) -> np.ndarray:
    line = Image.new("RGB", (width, _CAPTION), "white")
    ImageDraw.Draw(line).text((6, 4), f"step {step:,}", "black", ImageFont.load_default(18))
    return np.asarray(line)


def _strip(frames: list[Frame]) -> np.ndarray:
    """A few sheets side by side, each below the number of its round."""
    chosen = [frames[i] for i in geometrically(len(frames), STILLS)]
    columns = []
    for frame in chosen:
        sheet = Image.fromarray(frame.sheet)
        sheet = sheet.resize((_STILL, max(round(_STILL * sheet.height / sheet.width), 1)), Image.Resampling.BOX)
        columns.append(np.concatenate([_caption(frame.step, _STILL), np.asarray(sheet)]))
    gap = np.full((len(columns[0]), 6, 3), 255, np.uint8)
    return np.concatenate([part for column in columns for part in (column, gap)][:-1], axis=1)
