"""Runs of super-resolution beside bicubic enlargement: a table beside the paper's, a figure with zooms, perception against
distortion."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from gan_jax.data.pairs import Pair, PairSet
from gan_jax.errors import InputError
from gan_jax.evaluation.restoration import Measures, Restore
from gan_jax.files import whole

ZOOM, SHOWN = 64, 3  # pixels a side of the enlarged part; pictures in the figure
PAPER = {  # PSNR in dB and SSIM on Y at x4: Ledig et al. 2016, table 2; SSIM by another program (daala) than ours
    "Set5": {"bicubic": (28.43, 0.8211), "SRResNet": (32.05, 0.9019), "SRGAN": (29.40, 0.8472)},
    "Set14": {"bicubic": (25.99, 0.7486), "SRResNet": (28.49, 0.8184), "SRGAN": (26.02, 0.7397)},
    "BSD100": {"bicubic": (25.94, 0.6935), "SRResNet": (27.58, 0.7620), "SRGAN": (25.16, 0.6688)},
}
WORDS = {"psnr_y": "PSNR (Y)", "ssim_y": "SSIM (Y)", "psnr_rgb": "PSNR (RGB)", "ssim_rgb": "SSIM (RGB)", "features": "features"}

Numbers = dict[str, float]


class Shown(NamedTuple):
    """A picture of a test set, what each method makes of it, and how near that is."""

    pair: Pair
    restored: dict[str, np.ndarray]
    numbers: dict[str, Numbers]


def compare(
    methods: Mapping[str, Restore], sets: Sequence[PairSet], measures: Measures, out: Path, factor: int
) -> dict[str, Any]:
    """Print the table, write table.json, figure.png and perception_distortion.png; returns the means by set and method.

    The first method is the plain one: the figure has the pictures that it restores worst. Raises `InputError` without sets,
    and if nothing can be written there.
    """
    if not sets:
        raise InputError("name the pictures to compare on: --test FOLDER")
    plain = next(iter(methods))
    means, shown = {}, []
    for one in sets:
        rows = [_shown(pair, methods, measures) for pair in one.pairs]
        means[one.name] = {
            name: {key: float(np.mean([row.numbers[name][key] for row in rows])) for key in rows[0].numbers[name]}
            for name in methods
        }
        shown += rows
    print(table(means, factor))
    hardest = sorted(shown, key=lambda row: row.numbers[plain]["psnr_y"])[:SHOWN]
    try:
        out.mkdir(parents=True, exist_ok=True)
        with whole(out / "table.json") as unfinished:
            unfinished.write_text(json.dumps(means, indent=1))
        _write(figure(hardest, plain), out / "figure.png")
        if "features" in next(iter(next(iter(means.values())).values())):
            _write(perception_distortion(means), out / "perception_distortion.png")
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror}; choose another --outdir") from error
    print(f"written: {', '.join(str(path) for path in sorted(out.iterdir()))}")
    return means


def _shown(pair: Pair, methods: Mapping[str, Restore], measures: Measures) -> Shown:
    restored = {name: restore(pair.low) for name, restore in methods.items()}
    return Shown(pair, restored, {name: measures.of(picture, pair.high) for name, picture in restored.items()})


def table(means: Mapping[str, Mapping[str, Numbers]], factor: int) -> str:
    """A line for each set and method, and the paper's under a set and factor that it has."""
    measured = next(iter(next(iter(means.values())).values()))
    keys = [key for key in WORDS if key in measured]
    lines = [f"{'':28}" + "".join(f"{WORDS[key]:>12}" for key in keys)]
    for name, methods in means.items():
        for method, numbers in methods.items():
            lines.append(f"{name + '  ' + method:28}" + "".join(f"{_told(key, numbers[key]):>12}" for key in keys))
        for method, (psnr, ssim) in PAPER.get(name, {}).items() if factor == 4 else ():
            lines.append(f"{name + '  paper: ' + method:28}{psnr:>12.2f}{ssim:>12.4f}")
    return "\n".join(lines)


def _told(key: str, value: float) -> str:
    return f"{value:.2f}" if key.startswith("psnr") else f"{value:.4f}"


def figure(rows: Sequence[Shown], plain: str) -> Figure:
    """A row of whole pictures and a row of zooms each: the original, then every method with its numbers."""
    names = list(rows[0].restored)
    height = sum(3.0 * row.pair.high.shape[0] / row.pair.high.shape[1] + 3.5 for row in rows)
    drawn = Figure(figsize=(3.0 * (len(names) + 1), height), layout="constrained")
    FigureCanvasAgg(drawn)
    ratios = [ratio for row in rows for ratio in (row.pair.high.shape[0] / row.pair.high.shape[1], 1.0)]
    panels = drawn.subplots(2 * len(rows), len(names) + 1, squeeze=False, height_ratios=ratios)
    for i, row in enumerate(rows):
        top, left = detail(row.pair.high, row.restored[plain])
        pictures = {"original": row.pair.high, **row.restored}
        for axes, below, (name, picture) in zip(panels[2 * i], panels[2 * i + 1], pictures.items(), strict=True):
            axes.imshow(_drawable(picture), cmap="gray", vmin=0, vmax=255)
            axes.add_patch(Rectangle((left, top), ZOOM, ZOOM, fill=False, edgecolor="red", linewidth=1.5))
            axes.set_title(name if name == "original" else f"{name}\n{_line(row.numbers[name])}", fontsize="small")
            part = picture[top : top + ZOOM, left : left + ZOOM]
            below.imshow(_drawable(part), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            for each in (axes, below):
                each.set_xticks([])
                each.set_yticks([])
    return drawn


def detail(high: np.ndarray, rough: np.ndarray) -> tuple[int, int]:
    """Row and column of the window of `ZOOM` pixels that differs most from the original."""
    error = ((high.astype(np.float64) - rough) ** 2).sum(axis=2)
    total = np.pad(error, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    side = min(ZOOM, *error.shape)
    windows = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    top, left = np.unravel_index(np.argmax(windows), windows.shape)
    return int(top), int(left)


def perception_distortion(means: Mapping[str, Mapping[str, Numbers]]) -> Figure:
    """A panel for each set: the distance in features against PSNR (Blau & Michaeli 2018, arXiv:1711.06077); better is below
    and to the right."""
    drawn = Figure(figsize=(4 * len(means), 3.5), layout="constrained")
    FigureCanvasAgg(drawn)
    for axes, (name, methods) in zip(np.ravel(drawn.subplots(1, len(means), squeeze=False)), means.items(), strict=True):
        for method, numbers in methods.items():
            axes.scatter(numbers["psnr_y"], numbers["features"])
            axes.annotate(method, (numbers["psnr_y"], numbers["features"]), textcoords="offset points", xytext=(4, 4))
        axes.set(title=name, xlabel="PSNR on Y in dB", ylabel="distance in SqueezeNet's features")
        axes.margins(0.2)
    return drawn


def _line(numbers: Numbers) -> str:
    told = [f"{numbers['psnr_y']:.2f} dB", f"{numbers['ssim_y']:.4f}"]
    return " / ".join([*told, *([f"{numbers['features']:.3f}"] if "features" in numbers else [])])


def _drawable(picture: np.ndarray) -> np.ndarray:
    return picture[..., 0] if picture.shape[-1] == 1 else picture


def _write(drawn: Figure, path: Path) -> None:
    with whole(path) as unfinished:
        drawn.savefig(unfinished, dpi=110)
