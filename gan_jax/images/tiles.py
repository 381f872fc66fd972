"""Functions of pictures in bounded memory: on overlapping tiles, of which the inner parts are put together."""

import math
from collections.abc import Callable
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from gan_jax.errors import InputError


class Span(NamedTuple):
    """A tile along one axis: it begins at `start` and has `size` pixels, and the pixels from `first` to `end` are kept."""

    start: int
    size: int
    first: int
    end: int


def spans(n: int, tile: int, margin: int) -> list[Span]:
    """Tiles that cover n pixels; those kept lie at least `margin` away from a tile's ends, where these are not the picture's.

    All tiles have `tile` pixels, or n where that is less. Raises `InputError` for tiles that keep nothing.
    """
    step = tile - 2 * margin
    if step < 1:
        raise InputError(f"tiles of {tile} pixels keep nothing without {margin} at each side: choose tiles above {2 * margin}")
    if n <= tile:
        return [Span(0, n, 0, n)]
    count = 1 + math.ceil((n - tile) / step)
    starts = [round(i * (n - tile) / (count - 1)) for i in range(count)]
    cuts = [0, *((before + tile + after) // 2 for before, after in pairwise(starts)), n]
    return [Span(start, tile, first, end) for start, (first, end) in zip(starts, pairwise(cuts), strict=True)]


def in_tiles(
    function: Callable[[np.ndarray], np.ndarray], picture: np.ndarray, factor: int, tile: int, margin: int
) -> np.ndarray:
    """`function(picture)`, (h, w, c) to (factor h, factor w, d), by tiles of at most `tile` x `tile` pixels.

    Equal to the whole where a pixel depends on what lies at most `margin` pixels of the picture around it. Tiles have one
    shape, or that of the picture where it is smaller. Raises `InputError` for tiles that keep nothing.
    """
    h, w = picture.shape[:2]
    out: np.ndarray | None = None
    places = list(product(spans(h, tile, margin), spans(w, tile, margin)))
    for rows, columns in tqdm(places, desc="tiles", leave=False, disable=None if len(places) > 1 else True):
        part = picture[rows.start : rows.start + rows.size, columns.start : columns.start + columns.size]
        made = function(part)
        if out is None:
            out = np.empty((factor * h, factor * w, made.shape[-1]), made.dtype)
        kept = made[_scaled(rows, factor, rows.start), _scaled(columns, factor, columns.start)]
        out[_scaled(rows, factor), _scaled(columns, factor)] = kept
    if out is None:
        raise InputError(f"a picture of {h}x{w} has no pixels")
    return out


def _scaled(span: Span, factor: int, origin: int = 0) -> slice:
    return slice(factor * (span.first - origin), factor * (span.end - origin))
