"""What `experiments.benchmarks.benchmark` found, as lines of text and as plots."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure


def report_games(games: dict[str, Any]) -> list[str]:
    lines = []
    for name, game in games.items():
        lines.append(
            f"\n{name}: {game['gflop_a_round']:.1f} GFLOP a round; "
            f"matrix product {game['matrix_gflops']:,.0f} GFLOP/s, "
            f"copy {game['copy_gbytes']:,.1f} GB/s\n"
            f"{'':24} examples/s    GFLOP/s  of matrix rate  peak MiB  times flax  times PyTorch"
        )
        for label, row in game["rows"].items():
            peak = f"{row['peak_bytes'] / 2**20:8.0f}" if "peak_bytes" in row else f"{'':8}"
            flax = f"{row['times_flax']:10.2f}" if "times_flax" in row else f"{'':10}"
            torch = f"{row['times_torch']:10.2f} ({game['best_torch'].split(', ')[1]})" if "times_torch" in row else ""
            share = f"{row['gflops']:11,.0f} {row['share_of_matrix_rate']:12.0%}"
            lines.append(f"  {label:22}{row['examples_per_second']:11,.0f}{share}   {peak}  {flax} {torch}")
    return lines


def report_cures(found: dict[str, Any]) -> list[str]:
    rows = [f"  {name:24}{row['rounds_per_second']:8.2f} {row['times_plain']:8.2f} times plain" for name, row in found.items()]
    return ["\ncures of mode collapse in DCGAN-32: rounds a second, cost of a round", *rows]


def report_populations(found: dict[str, Any]) -> list[str]:
    rows = [f"  {n:>4} runs {v['runs_times_rounds']:12,.0f} {v['times_one']:8.1f} times one" for n, v in found.items()]
    return ["\npopulations in the plane: runs x rounds a second", *rows]


def report_growth(found: dict[str, Any]) -> list[str]:
    rows = [
        f"  {name:6} slope {part['slope']:.2f}   " + "  ".join(f"{v}: {1000 * s:.0f} ms" for v, s in part["seconds"].items())
        for name, part in found.items()
    ]
    return ["\ncost of a DCGAN-32 round as work grows", *rows]


def report_compile(found: dict[str, Any]) -> list[str]:
    rows = [f"  {name:10} {row['cold']:6.1f} s anew {row['warm']:6.1f} s from the cache" for name, row in found.items()]
    return ["\ntracing and compiling a step", *rows]


REPORTS: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "games": report_games,
    "penalties": report_games,
    "cures": report_cures,
    "populations": report_populations,
    "growth": report_growth,
    "compile": report_compile,
}


def plot(result: dict[str, Any], out: Path) -> list[Path]:
    """Bars of examples/s, one panel a game; populations and growth as lines."""
    written = []
    games = result.get("games", {}) | result.get("penalties", {})
    if games:
        figure = Figure(figsize=(4 * len(games), 3.2), layout="constrained")
        for axes, (name, game) in zip(np.atleast_1d(figure.subplots(1, len(games))), games.items(), strict=True):
            labels = list(game["rows"])
            colours = ["tab:blue" if "ours" in x else "tab:orange" if "PyTorch" in x else "tab:grey" for x in labels]
            axes.barh(labels, [row["examples_per_second"] for row in game["rows"].values()], color=colours)
            axes.invert_yaxis()
            axes.set(title=name, xlabel="examples/s")
        written.append(_save(figure, out / "games.png"))
    if "populations" in result:
        found = result["populations"]
        written.append(
            _lines({"runs x rounds/s": {n: v["runs_times_rounds"] for n, v in found.items()}}, out / "populations.png")
        )
    if "growth" in result:
        series = {f"{k}, slope {v['slope']:.2f}": v["seconds"] for k, v in result["growth"].items()}
        written.append(_lines(series, out / "growth.png", "seconds a round"))
    return written


def _lines(series: dict[str, dict[str, float]], path: Path, label: str = "") -> Path:
    figure = Figure(figsize=(4.5, 3.2), layout="constrained")
    axes = figure.subplots()
    for name, points in series.items():
        axes.loglog([float(x) for x in points], list(points.values()), marker="o", label=name)
    axes.minorticks_off()
    ticks = sorted({float(x) for points in series.values() for x in points})
    axes.set_xticks(ticks, [f"{x:.0f}" for x in ticks], rotation=60)
    axes.set(ylabel=label)
    axes.legend()
    return _save(figure, path)


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=110)
    return path
