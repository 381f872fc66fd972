"""A figure of pictures that were asked for by captions: a row a caption, a block of columns for each kind of pictures."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from gan_jax.files import whole

LETTERS = 42  # in a line


def draw_caption_sheet(texts: Sequence[str], blocks: Mapping[str, np.ndarray], path: Path) -> None:
    """Pictures (k, n, h, w, c) of k captions by the title of their block, beside what they were asked by."""
    widths = [block.shape[1] for block in blocks.values()]
    figure = Figure(figsize=(2.6 + 0.6 * (sum(widths) + 0.25 * len(widths)), 0.62 * len(texts) + 0.3))
    figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0))
    gaps = [share for width in widths for share in (0.25, *[1.0] * width)]
    cells = figure.subplots(len(texts), 1 + len(gaps), squeeze=False, width_ratios=[4.2, *gaps])
    for axes in cells.flat:
        axes.axis("off")
    for i, text in enumerate(texts):
        cells[i, 0].text(1, 0.5, textwrap.fill(text, LETTERS), fontsize=6, ha="right", va="center")
    at = 1
    for (title, pictures), width in zip(blocks.items(), widths, strict=True):
        for i, j in np.ndindex(len(texts), width):
            cells[i, at + 1 + j].imshow(pictures[i, j].squeeze(), cmap="gray")
        cells[0, at + 1].set_title(title, fontsize=7, loc="left")
        at += 1 + width
    with whole(path) as unfinished:
        figure.savefig(unfinished, dpi=130)
