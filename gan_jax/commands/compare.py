"""Compare runs: `compare RUN RUN ...` ranks scores of one protocol, and plots the curves."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from matplotlib.figure import Figure

from gan_jax.config import command
from gan_jax.errors import InputError
from gan_jax.evaluation.evaluator import COMPARABLE
from gan_jax.evaluation.scores import BETTER, wish
from gan_jax.files import whole
from gan_jax.images import SIGNATURE, default_place
from gan_jax.runs.records import is_number, read_rows

Row = dict[str, Any]
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Config:
    """The flags of `compare`."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """The runs' directories, or folders with an eval.jsonl."""
    out: Path | None = None
    """The plot of the scores over training; default compare.png, or compare-2.png where that is not ours."""


@command
def main(config: Config) -> dict[str, Row]:
    """Print the table and write the plot; returns each run's newest row of the protocol they are compared by.

    Raises `InputError` if no protocol was used for all of them.
    """
    if len(config.runs) < 2:
        raise InputError("name two runs or more to compare")
    if len({run.resolve() for run in config.runs}) < len(config.runs):
        raise InputError("one run is named twice: compare different ones")
    rows = {str(run): _scored(run) for run in config.runs}
    names = _names(rows)
    groups = {run: _by_protocol(scored, names) for run, scored in rows.items()}
    common = [key for key in next(iter(groups.values())) if all(key in group for group in groups.values())]
    if not common:
        raise InputError(_differences(groups, names))
    chosen = max(common, key=lambda key: len(_common_scores([_newest(group[key]) for group in groups.values()])))
    last = {run: _newest(group[chosen]) for run, group in groups.items()}
    shared = _common_scores(list(last.values()))
    if not shared:
        raise InputError("these runs have no score in common: evaluate them with the same --metrics")
    print(table(last))
    for run, row in last.items():
        trained = max((read["step"] for read in read_rows(Path(run) / "metrics.jsonl")), default=row["step"])
        if trained > row["step"]:
            print(f"{run} was trained up to step {trained} since: evaluate it again")
    missing = [name for name in BETTER if name not in shared and any(name in row for row in last.values())]
    if missing:
        print(f"not of all of them: {', '.join(missing)}")
    print("protocol: " + ", ".join(f"{name} {value}" for name, value in zip(names, chosen, strict=True) if value))
    _show_curves(common, groups, config.out or default_place(Path("compare.png")))
    return last


def _show_curves(common: list[Key], groups: dict[str, dict[Key, dict[int, Row]]], out: Path) -> None:
    """The plot by the protocol that was used at most steps; says whose curve is missing."""
    longest = max(common, key=lambda key: sum(len(group[key]) for group in groups.values()))
    curves = {run: [group[longest][step] for step in sorted(group[longest])] for run, group in groups.items()}
    curves = {run: rows for run, rows in curves.items() if len(rows) > 1}
    without = ", ".join(run for run in groups if run not in curves)
    if without:
        print(f"no curve of {without}: not scored alike at several steps while training (--eval-every, --eval-metrics)")
    if curves and _common_scores([row for rows in curves.values() for row in rows]):
        try:
            with whole(out) as unfinished:
                draw(curves, unfinished)
        except (OSError, ValueError) as error:
            raise InputError(f"cannot write {out}: {error}; choose another --out, ending in .png") from error
        print(f"written: {out}")


def _scored(run: Path) -> list[Row]:
    rows = [_numbers(row) for row in read_rows(run / "eval.jsonl") if "protocol" in row]
    if not rows:
        raise InputError(f"{run} has no scores with a protocol: run `python -m gan_jax evaluate {run}` first")
    return rows


def _numbers(row: Row) -> Row:
    """The row without what is no number: a script may keep anything beside its scores."""
    return {name: value for name, value in row.items() if name == "protocol" or is_number(value)}


def _names(rows: dict[str, list[Row]]) -> tuple[str, ...]:
    """The parts of the protocol that must be equal, without those that are unknown for samples given as pictures."""
    foreign = any(all("samples" in row["protocol"] for row in scored) for scored in rows.values())
    return tuple(name for name in COMPARABLE if not (foreign and name in ("generator_weights", "statistics")))


def _by_protocol(rows: list[Row], names: tuple[str, ...]) -> dict[Key, dict[int, Row]]:
    """The scores of a run by protocol, the one used last first, and by step; the newest value of each score."""
    groups: dict[Key, dict[int, Row]] = {}
    for row in rows:
        key = tuple(row["protocol"].get(name) for name in names)
        group = groups[key] = groups.pop(key, {})
        group[row["step"]] = {**group.get(row["step"], {}), **row}
    return dict(reversed(groups.items()))


def _newest(group: dict[int, Row]) -> Row:
    return group[max(group)]


def _common_scores(rows: list[Row]) -> list[str]:
    return [name for name in BETTER if all(name in row for row in rows)]


def _differences(groups: dict[str, dict[Key, dict[int, Row]]], names: tuple[str, ...]) -> str:
    lines = ["these scores were measured in different ways and cannot be ranked:"]
    newest = {run: next(iter(group)) for run, group in groups.items()}
    for i, name in enumerate(names):
        if len({key[i] for key in newest.values()}) > 1:
            lines.append(f"  {name}: " + "; ".join(f"{key[i]} in {run}" for run, key in newest.items()))
    other = "fingerprint" in names and len({key[names.index("fingerprint")] for key in newest.values()}) > 1
    cure = "they are of other data: name one reference for all by `evaluate --ref`" if other else "evaluate with the same flags"
    return "\n".join([*lines, cure])


def table(rows: dict[str, Row]) -> str:
    """A row per score, a column per run and one for real pictures; * marks the best, and what does not differ from it."""
    columns = {run: max(24, len(run) + 2) for run in rows}
    first = next(iter(rows.values()))
    lines = [f"{'':16}" + "".join(f"{run + ' ':>{width}}" for run, width in columns.items()) + f"{'real':>12}"]
    lines.append(f"{'step':16}" + "".join(f"{rows[run]['step']:{width - 1}} " for run, width in columns.items()))
    for name in _common_scores(list(rows.values())):
        best = _best(name, rows)
        cells = [f"{_cell(rows[run], name)}{'*' if run in best else ' '}".rjust(width) for run, width in columns.items()]
        real = f"{first[f'{name}_floor']:.4g}" if f"{name}_floor" in first else "-"
        lines.append(f"{name:16}{''.join(cells)}{real:>12}  {wish(name)}")
    return "\n".join([*lines, "* the best, and what two standard errors over the repeats do not tell from it"])


def _cell(row: Row, name: str) -> str:
    deviation = f" ± {row[f'{name}_std']:.2g}" if f"{name}_std" in row else ""
    return f"{row[name]:.4g}{deviation}"


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
    """A panel per score, a line per run, the floor dotted; without the untrained generators, which would set the scale."""
    first = next(iter(curves.values()))[0]
    if all(len(rows) > 2 for rows in curves.values()):
        curves = {run: [row for row in rows if row["step"] > 0] for run, rows in curves.items()}
    names = _common_scores([row for rows in curves.values() for row in rows])
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
    figure.savefig(out, dpi=110, metadata=dict([SIGNATURE]) if out.suffix == ".png" else None)
