"""A figure of pictures that were asked for by captions: a row a caption, a block of columns for each kind of pictures."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from gan_jax import images
from gan_jax.files import whole

LETTERS = 42  # in a line


def save_caption_sheet(texts: Sequence[str], blocks: Mapping[str, np.ndarray], path: Path) -> None:
    """Pictures (k, n, h, w, c) of k captions by the title of their block, beside what they were asked by."""
    widths = [block.shape[1] for block in blocks.values()]
    figure = Figure(figsize=(2.6 + 0.6 * sum(widths), 0.62 * len(texts) + 0.3))
    figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.01, wspace=0, hspace=0))
    cells = figure.subplots(len(texts), 1 + len(blocks), squeeze=False, width_ratios=[4.2, *widths])
    for axes in cells.flat:
        axes.axis("off")
    for i, text in enumerate(texts):
        words = textwrap.fill(text, LETTERS)
        cells[i, 0].text(1, 0.5, words, fontsize=6, ha="right", va="center", parse_math=False)
    for column, (title, pictures) in enumerate(blocks.items(), 1):
        cells[0, column].set_title(title, fontsize=7, loc="left")
        for i, row in enumerate(pictures):
            cells[i, column].imshow(images.grid(row, len(row)).squeeze(), cmap="gray", vmin=0, vmax=255)
    with whole(path) as unfinished:
        figure.savefig(unfinished, dpi=130)
