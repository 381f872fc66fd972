"""What `experiments.latent_arithmetic` found: tables, the curve over the number of exemplars, and strips of pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.tables import markdown
from gan_jax import images
from gan_jax.commands.codes import enlarged
from gan_jax.files import whole
from gan_jax.metrics.intervals import Proportion

COLOURS = ("tab:blue", "tab:gray", "tab:orange", "tab:green")


Rows = Sequence[Mapping[str, Any]]


def tables(transfers: Rows, means: Rows, walks: Rows, about: str) -> str:
    """The results of the three measurements in Markdown."""
    found = [markdown(rows) for rows in (_of_transfers(transfers), _of_means(means), _of_walks(walks))]
    return "\n\n".join([*found, f"Read by {about}.\n"])


def _of_transfers(rows: Rows) -> list[list[str]]:
    shares = ("gained", "kept", "right", "valid", "right and valid")
    found = [["exemplars", "result", *shares, "others as in c"]]
    for row in rows:
        others = "" if row["others"] is None else f"{row['others']:.2f}"
        found.append([str(row["exemplars"]), row["result"], *(str(row[name]) for name in shares), others])
    return found


def _of_means(rows: Rows) -> list[list[str]]:
    shares = ("shown", "valid", "shown and valid")
    found = [["exemplars of a", "mean of", *shares]]
    return found + [[str(row["exemplars"]), row["mean of"], *(str(row[name]) for name in shares)] for row in rows]


def _of_walks(rows: Rows) -> list[list[str]]:
    shares = ("jumps", "valid frames", "left the valid")
    found = [["walk", "largest step / median", "with a jump", *shares[1:]]]
    for row in rows:
        low, median, high = row["largest over median"]
        found.append([row["walk"], f"{median:.2f} ({low:.2f} to {high:.2f})", *(str(row[name]) for name in shares)])
    return found


def draw_curve(rows: Rows, path: Path) -> None:
    """How often results are right and valid, over the number of exemplars, with intervals."""
    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    axes = figure.subplots()
    for colour, name in zip(COLOURS, dict.fromkeys(row["result"] for row in rows), strict=True):
        of_kind = [row for row in rows if row["result"] == name]
        shares: list[Proportion] = [row["right and valid"] for row in of_kind]
        middle = np.array([each.share for each in shares])
        ends = np.abs(np.array([[each.low for each in shares], [each.high for each in shares]]) - middle[None])
        k = [row["exemplars"] for row in of_kind]
        axes.errorbar(k, middle, ends, color=colour, label=name, marker="o", markersize=3, capsize=3)
    axes.set(xscale="log", ylim=(-0.03, 1.03), xlabel="exemplars averaged", ylabel="share of results right and valid")
    axes.set_xticks(k, list(map(str, k)))
    axes.minorticks_off()
    axes.legend(fontsize=8)
    with whole(path) as unfinished:
        figure.savefig(unfinished, dpi=130)


def draw_strips(strips: Sequence[tuple[str, np.ndarray]], path: Path) -> None:
    """Named rows of pictures uint8 (n, h, w, c), one below the other."""
    sheets = [(name, images.grid(enlarged(pictures), len(pictures))) for name, pictures in strips]
    height, width = sheets[0][1].shape[:2]
    figure = Figure(figsize=(10, 10 * height / width * 1.04 * len(sheets)), layout="constrained")
    for axes, (name, sheet) in zip(np.atleast_1d(figure.subplots(len(sheets), 1)), sheets, strict=True):
        axes.imshow(sheet.squeeze(-1) if sheet.shape[-1] == 1 else sheet, cmap="gray", vmin=0, vmax=255)
        axes.set(xticks=[], yticks=[])
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    with whole(path) as unfinished:
        figure.savefig(unfinished, dpi=130, bbox_inches="tight")
