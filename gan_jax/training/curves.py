"""Curves of a run: metrics of its rounds and scores of its samples, over the rounds."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gan_jax.evaluation.scores import BETTER, wish
from gan_jax.runs.records import Row, is_number
from gan_jax.training.report import COLUMNS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
else:  # matplotlib takes half a second to import, which the start of a run need not wait for
    Axes = Figure = Any

DPI = 100


class Panel(NamedTuple):
    """One diagram: lines by name, each (steps, values), and what real pictures score, if that is known."""

    title: str
    lines: dict[str, tuple[list[int], list[float]]]
    floor: float | None = None


def metric_panels(rows: Sequence[Row]) -> list[Panel]:
    """A panel for each group of `COLUMNS` that the rows of metrics have."""
    found = []
    for names, _ in COLUMNS:
        lines = {short: _line(rows, name) for name, short in names.items()}
        lines = {short: line for short, line in lines.items() if line[0]}
        if lines:
            found.append(Panel(", ".join(lines), lines))
    return found


def score_panels(scores: Sequence[Row], first: str | None = None) -> list[Panel]:
    """A panel for each score that was measured while training, that of the name `first` before the others.

    Without the untrained generator, which would set the scale, where there are more rows.
    """
    rows = [row for row in scores if row.get("source") == "training"]
    if len(rows) > 2:
        rows = [row for row in rows if row["step"] > 0]
    names = sorted((name for name in BETTER if any(name in row for row in rows)), key=lambda name: name != first)
    panels = []
    for name in names:
        line = _line(rows, name)
        floors = _line(rows, f"{name}_floor")[1]
        if line[0]:
            panels.append(Panel(f"{name}: {wish(name)}", {name: line}, floors[-1] if floors else None))
    return panels


def _line(rows: Sequence[Row], name: str) -> tuple[list[int], list[float]]:
    known = [row for row in rows if is_number(row.get(name)) and math.isfinite(row[name])]
    return [row["step"] for row in known], [row[name] for row in known]


class Plot(NamedTuple):
    """Panels beside each other as pixels, uint8 (h, w, 3), with the box and the position of rounds of each of them."""

    pixels: np.ndarray
    boxes: list[tuple[int, int, int, int]]  # top, bottom, left, right
    position: list[Callable[[int], int]]  # round -> column of pixels

    def until(self, step: int) -> np.ndarray:
        """The plot with what comes after `step` faded."""
        shown = self.pixels.copy()
        for (top, bottom, left, right), position in zip(self.boxes, self.position, strict=True):
            x = min(max(position(step), left), right - 1)
            later = shown[top:bottom, x:right]
            later[:] = 255 - (255 - later) // 5
            shown[top:bottom, x : x + 1] = 90
        return shown


def plot(panels: Sequence[Panel], width: int, height: int, last: int) -> Plot:
    """The panels in `width` x `height` pixels over rounds 0 to `last`, on a scale of square roots, which widens the first."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = draw(panels, width, height, columns=len(panels))
    for axes in figure.axes:
        axes.set_xscale("function", functions=(_root, np.square))
        axes.set_xlim(0, max(last, 1))
        axes.set_xticks([float(f"{last * share**2:.1g}") for share in (0, 0.3, 0.55, 0.75)] + [last])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    return Plot(pixels, [_box(axes, len(pixels)) for axes in figure.axes], [_column(axes) for axes in figure.axes])


def _root(x: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(x, 0))


def _box(axes: Axes, height: int) -> tuple[int, int, int, int]:
    box = axes.bbox
    return height - round(box.y1), height - round(box.y0), round(box.x0), round(box.x1)


def _column(axes: Axes) -> Callable[[int], int]:
    return lambda step: round(float(axes.transData.transform((step, axes.get_ylim()[0]))[0]))


def draw(panels: Sequence[Panel], width: int, height: int, columns: int) -> Figure:
    """A figure of so many pixels: a panel's lines, dotted what real pictures score."""
    from matplotlib.figure import Figure

    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, layout="constrained")
    places = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axes, panel in zip(places, panels, strict=False):
        for name, (steps, values) in panel.lines.items():
            axes.plot(steps, values, marker="." if len(steps) < 30 else "", label=name)
        if panel.floor is not None:
            axes.axhline(panel.floor, color="black", linestyle=":", label="real pictures")
        axes.set_title(panel.title, fontsize=9)
        axes.tick_params(labelsize=7)
        if len(panel.lines) > 1 or panel.floor is not None:
            axes.legend(fontsize=7)
    for axes in places[len(panels) :]:
        axes.remove()
    return figure
