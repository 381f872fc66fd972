"""Runs beside each other: `compare RUN RUN ...` ranks what was measured alike, and draws the curves."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from matplotlib.figure import Figure

from gan_jax.errors import InputError
from gan_jax.evaluation import COMPARABLE
from gan_jax.run import read_rows
from gan_jax.scores import BETTER, wish

Row = dict[str, Any]
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Config:
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """The runs' directories, or folders with an eval.jsonl."""
    out: Path = Path("compare.png")
    """The plot of the scores over training."""


def main(config: Config) -> None:
    """Print the table and write the plot; raises `InputError` if no protocol was used for all of them."""
    if len(config.runs) < 2:
        raise InputError("name two runs or more to compare")
    groups = {str(run): _by_protocol(run) for run in config.runs}
    common = [key for key in next(iter(groups.values())) if all(key in group for group in groups.values())]
    if not common:
        raise InputError(_differences(groups))
    newest = common[-1]
    last = {run: group[newest][max(group[newest])] for run, group in groups.items()}
    if not _common_names(list(last.values())):
        raise InputError("these runs have no score in common: evaluate them with the same --metrics")
    print(table(last))
    print("protocol: " + ", ".join(f"{name} {value}" for name, value in zip(COMPARABLE, newest, strict=True) if value))
    longest = max(common, key=lambda key: sum(len(group[key]) for group in groups.values()))
    curves = {run: [group[longest][step] for step in sorted(group[longest])] for run, group in groups.items()}
    if all(len(rows) > 1 for rows in curves.values()) and _common_names([row for rows in curves.values() for row in rows]):
        try:
            draw(curves, config.out)
        except (OSError, ValueError) as error:
            raise InputError(f"cannot write {config.out}: {error}; choose another --out, ending in .png") from error
        print(f"written: {config.out}")


def _by_protocol(run: Path) -> dict[Key, dict[int, Row]]:
    """The scores of a run by protocol, the one used last at the end, and by step; the newest value of each score."""
    rows = [row for row in read_rows(run / "eval.jsonl") if "protocol" in row]
    if not rows:
        raise InputError(f"{run} has no scores with a protocol: run `python -m gan_jax evaluate {run}` first")
    groups: dict[Key, dict[int, Row]] = {}
    for row in rows:
        key = tuple(row["protocol"].get(name) for name in COMPARABLE)
        group = groups[key] = groups.pop(key, {})
        group[row["step"]] = {**group.get(row["step"], {}), **row}
    return groups


def _common_names(rows: list[Row]) -> list[str]:
    return [name for name in BETTER if all(name in row for row in rows)]


def _differences(groups: dict[str, dict[Key, dict[int, Row]]]) -> str:
    lines = ["these scores were measured in different ways and cannot be ranked:"]
    newest = {run: list(group)[-1] for run, group in groups.items()}
    for i, name in enumerate(COMPARABLE):
        if len({key[i] for key in newest.values()}) > 1:
            lines.append(f"  {name}: " + "; ".join(f"{key[i]} in {run}" for run, key in newest.items()))
    return "\n".join([*lines, "evaluate them with the same flags"])


def table(rows: dict[str, Row]) -> str:
    """A line a score, a column a run; * marks the best, and those that its spread does not tell from it."""
    columns = {run: max(24, len(run) + 2) for run in rows}
    lines = [f"{'':16}" + "".join(f"{run:>{width}}" for run, width in columns.items())]
    lines.append(f"{'step':16}" + "".join(f"{rows[run]['step']:{width - 1}} " for run, width in columns.items()))
    for name in _common_names(list(rows.values())):
        best = _best(name, rows)
        cells = [f"{_cell(rows[run], name)}{'*' if run in best else ' '}".rjust(width) for run, width in columns.items()]
        lines.append(f"{name:16}{''.join(cells)}  {wish(name)}")
    return "\n".join(lines)


def _cell(row: Row, name: str) -> str:
    spread = f" ± {row[f'{name}_std']:.2g}" if f"{name}_std" in row else ""
    return f"{row[name]:.4g}{spread}"


def _best(name: str, rows: dict[str, Row]) -> set[str]:
    """The best run, and those within two standard errors of the difference."""

    def badness(run: str) -> float:
        value = float(rows[run][name])
        if BETTER[name] == "as real":
            return abs(value - rows[run].get(f"{name}_floor", value))
        return -value if BETTER[name] == "higher" else value

    def error(run: str) -> float:
        return float(rows[run].get(f"{name}_std", 0.0) / math.sqrt(rows[run]["protocol"].get("repeats", 1)))

    best = min(rows, key=badness)
    return {run for run in rows if badness(run) - badness(best) <= 2 * math.hypot(error(run), error(best))}


def draw(curves: dict[str, list[Row]], out: Path) -> None:
    """A panel a score, a line a run, the floor dotted; without the untrained generators, beside which all others look alike."""
    first = next(iter(curves.values()))[0]
    if all(len(rows) > 2 for rows in curves.values()):
        curves = {run: [row for row in rows if row["step"] > 0] for run, rows in curves.items()}
    names = _common_names([row for rows in curves.values() for row in rows])
    columns = min(4, len(names))
    figure = Figure(figsize=(3.4 * columns, 2.8 * math.ceil(len(names) / columns)), layout="constrained")
    panels = np.atleast_1d(figure.subplots(math.ceil(len(names) / columns), columns)).ravel()
    for axes, name in zip(panels, names, strict=False):
        for run, rows in curves.items():
            axes.plot([row["step"] for row in rows], [row[name] for row in rows], marker=".", label=Path(run).name)
        if f"{name}_floor" in first:
            axes.axhline(first[f"{name}_floor"], color="black", linestyle=":", label="real pictures")
        axes.set(title=f"{name}: {wish(name)}", xlabel="step")
    for axes in panels[len(names) :]:
        axes.remove()
    panels[0].legend(fontsize="small")
    figure.savefig(out, dpi=110)
