"""What became of the populations of `experiments.mode_collapse`: tables, curves, samples and films."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from experiments.collapse_benchmarks import Benchmark
from experiments.tables import markdown, mean_and_error
from gan_jax.files import whole
from gan_jax.images import film
from gan_jax.metrics.intervals import Proportion
from gan_jax.rows import evenly
from gan_jax.runs.records import read_json
from gan_jax.training.live import in_one_place

FRAMES = 120
SHOWN = 10  # seeds
PANEL = {"point": 1.5, "image": 2.4}  # the side of one seed's samples, in inches

Look = tuple[int, dict[str, np.ndarray]]  # a round, and arrays of all members


def earlier(outdir: Path, facts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What earlier commands found for cures, by name, if their populations have the same `facts`: of the same game."""
    rows = read_json(outdir / "results.json") or {}
    return {name: row for name, row in rows.items() if "rounds" in row and _same_game(outdir / name, facts)}


def _same_game(population: Path, facts: Mapping[str, Any]) -> bool:
    known = (read_json(population / "config.json") or {}).get("facts", {})
    return all(name in known and known[name] == value for name, value in facts.items())


def report(found: dict[str, dict[str, Any]], benchmark: Benchmark, outdir: Path) -> None:
    """Table, numbers, curves, last samples and film of the cures."""
    tabulate(found, benchmark, outdir)
    draw_curves(found, benchmark.modes, outdir / "modes.png")
    looks = {name: looks_of(outdir / name) for name in found}
    draw_samples(looks, benchmark, outdir / "samples.png")
    make_film(looks, benchmark, outdir / "film")


def tabulate(found: dict[str, dict[str, Any]], benchmark: Benchmark, outdir: Path) -> None:
    """The table in Markdown, printed and written, and the numbers as JSON; the last line is what real examples score."""
    rows = [["", "seeds", "rounds", "lost a mode", "modes", "visited", *benchmark.columns, "s a seed"]]
    for name, row in found.items():
        finite = row.get("finite", {})  # not in the rows of earlier versions
        scores = [
            _told(form, row[key], finite.get(key, row["seeds"]), row["seeds"]) for key, (form, _) in benchmark.columns.items()
        ]
        modes = ["{:.1f} ± {:.1f}".format(*row[key]) for key in ("modes", "visited")]
        size = [str(row["seeds"]), f"{row['rounds']:,}"]
        rows.append([name, *size, str(Proportion(*row["lost_share"])), *modes, *scores, f"{row['seconds_a_seed']:.1f}"])
    rows.append(
        ["real", "", "", "", str(benchmark.modes), "", *(form.format(real) for form, real in benchmark.columns.values()), ""]
    )
    table = markdown(rows)
    print(f"\n{table}")
    with whole(outdir / "table.md") as unfinished:
        unfinished.write_text(table + "\n")
    with whole(outdir / "results.json") as unfinished:
        unfinished.write_text(json.dumps(found) + "\n")


def _told(form: str, score: list[float | None], finite: int, seeds: int) -> str:
    """A mean and its error, and of how many seeds where others have no such number; a line where none has."""
    if None in score:
        return "-"
    of = "" if finite == seeds else f" ({finite} of {seeds} seeds)"
    return " ± ".join(form.format(x) for x in score) + of


def visited(looks: list[Look]) -> list[float]:
    """The number of modes that a seed covered at one time or another, its mean and standard error."""
    return mean_and_error(np.any([arrays["covered"] for _, arrays in looks], axis=0).sum(axis=1))


def looks_of(directory: Path) -> list[Look]:
    """What was seen, in the order of the rounds."""
    parts: dict[int, dict[int, dict[str, np.ndarray]]] = {}
    for path in sorted((directory / "looks").glob("*.npz")):
        first, step = map(int, path.stem.split("-"))
        with np.load(path) as file:
            parts.setdefault(step, {})[first] = dict(file)
    return [
        (step, {name: np.concatenate([chunks[first][name] for first in sorted(chunks)]) for name in ("covered", "samples")})
        for step, chunks in sorted(parts.items())
    ]


def draw_curves(found: dict[str, dict[str, Any]], modes: int, path: Path) -> None:
    """Modes over the rounds: a panel a cure, a line a seed."""
    figure = Figure(figsize=(2.6 * len(found), 2.4), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(found), sharex=True, sharey=True))
    for axes, (name, row) in zip(panels, found.items(), strict=True):
        for curve in row["curves"]:
            axes.plot(*zip(*curve, strict=True), color="tab:blue", alpha=0.5, linewidth=1.0)
        axes.set(title=name, xlabel="rounds", ylim=(-0.3, modes + 0.5))
    panels[0].set_ylabel("modes")
    with whole(path) as unfinished:
        figure.savefig(unfinished, dpi=110)


def draw_samples(looks: dict[str, list[Look]], benchmark: Benchmark, path: Path) -> None:
    """The last samples: a row a cure, a column a seed."""
    figure = samples_figure({name: seen[-1][1]["samples"] for name, seen in looks.items()}, benchmark)
    with whole(path) as unfinished:
        figure.savefig(unfinished, dpi=110)


def live_samples(name: str, benchmark: Benchmark) -> Callable[[int, int, Mapping[str, np.ndarray]], None]:
    """What shows the newest samples of the last ten seeds in a notebook, in one place."""
    show, latest = in_one_place(), {}

    def watch(step: int, first: int, measured: Mapping[str, np.ndarray]) -> None:
        latest[first] = measured["samples"]
        seeds = np.concatenate([latest[begin] for begin in sorted(latest)])[-SHOWN:]
        show(drawn(samples_figure({f"{name}, {step}": seeds}, benchmark)))

    return watch


def samples_figure(samples: Mapping[str, np.ndarray], benchmark: Benchmark) -> Figure:
    """A row for each name, a column for each of the first ten seeds."""
    columns = min(SHOWN, max(map(len, samples.values())))
    side = PANEL[benchmark.real]
    figure = Figure(figsize=(side * columns, 1.05 * side * len(samples)), layout="constrained")
    panels = figure.subplots(len(samples), columns, squeeze=False)
    for row, (name, seeds) in zip(panels, samples.items(), strict=True):
        for axes, points in zip(row, seeds, strict=False):  # another command may have played fewer seeds
            benchmark.show(axes, points)
        for axes in row:
            axes.set(xticks=[], yticks=[])
        row[0].set_ylabel(name)
    return figure


def drawn(figure: Figure) -> np.ndarray:
    """The pixels of a figure, uint8 (h, w, 3)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def make_film(looks: dict[str, list[Look]], benchmark: Benchmark, path: Path) -> None:
    """The first seed of each cure, side by side."""
    shortest, side = min(len(seen) for seen in looks.values()), PANEL[benchmark.real]
    frames = []
    for i in evenly(shortest, min(FRAMES, shortest)):
        figure = Figure(figsize=(1.4 * side * len(looks), 1.6 * side), dpi=90, layout="constrained")
        for axes, (name, seen) in zip(np.atleast_1d(figure.subplots(1, len(looks))), looks.items(), strict=True):
            benchmark.show(axes, seen[i][1]["samples"][0])
            axes.set(xticks=[], yticks=[])
            axes.set_title(f"{name}, {seen[i][0]}", fontsize=8)
        frames.append(drawn(figure))
    print(f"film        {', '.join(map(str, film(frames, path)))}")
