"""Pictures of all sizes in one flat array, and random windows of them as rows of a batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gan_jax.data.variation import Batch, Planned, Shapes, Variation
from gan_jax.errors import InputError


@dataclass(frozen=True)
class Whole:
    """Pictures one after the other: `pixels` uint8 (all pixels, c), which may be mapped, and `sizes` (n, 2), height, width."""

    pixels: np.ndarray
    sizes: np.ndarray

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, i: int) -> np.ndarray:
        """Picture i, (h, w, c); nothing is read before it is looked at."""
        h, w = (int(side) for side in self.sizes[i])
        first = int(self._first[i])
        return self.pixels[first : first + h * w].reshape(h, w, -1)

    @cached_property
    def _first(self) -> np.ndarray:
        areas = self.sizes.astype(np.int64).prod(axis=1)
        return np.cumsum(areas) - areas

    def at_least(self, side: int) -> np.ndarray:
        """The numbers of the pictures that have a window of `side` pixels."""
        return np.flatnonzero(self.sizes.min(axis=1) >= side)


@dataclass(frozen=True)
class Windows:
    """Windows of `side` x `side` pixels of `pictures` as an array (places, side, side, c) that `Rounds` reads.

    A picture has as many places as windows fit into its area, so that each round draws from all of it alike; where the window
    lies in the picture is planned by `placed`. Corners are multiples of `grid`, so that windows of pairs of pictures that
    differ in size by a factor show the same: sides and grids have that factor too. Pictures without a window are left out.
    Raises `InputError` where all are.
    """

    pictures: Whole
    side: int
    grid: int = 1

    def __post_init__(self) -> None:
        if not len(self._ends) or self._ends[-1] == 0:
            h, w = self.pictures.sizes.max(axis=0) if len(self.pictures) else (0, 0)
            raise InputError(f"no picture has a window of {self.side}x{self.side} pixels, the largest is {h}x{w}: choose less")

    @cached_property
    def _ends(self) -> np.ndarray:
        """The number of places up to and with each picture."""
        there = self.pictures.sizes.min(axis=1) >= self.side
        areas = self.pictures.sizes.astype(np.int64).prod(axis=1)
        return np.cumsum(areas // self.side**2 * there)

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        """(places, side, side, c)."""
        return (len(self), self.side, self.side, self.pictures.pixels.shape[-1])

    @property
    def ndim(self) -> int:
        """4."""
        return 4

    @property
    def dtype(self) -> np.dtype:
        """uint8."""
        return self.pictures.pixels.dtype

    @property
    def nbytes(self) -> int:
        """Of the whole pictures."""
        return self.pictures.pixels.nbytes

    def rows(self, index: np.ndarray, plan: Mapping[str, np.ndarray]) -> np.ndarray:
        """The windows (b, side, side, c) of these places, at the shares `plan["place"]` (b, 2) of the way down and across."""
        found = np.empty((len(index), *self.shape[1:]), self.dtype)
        for i, (picture, share) in enumerate(zip(np.searchsorted(self._ends, index, side="right"), plan["place"], strict=True)):
            corners = (self.pictures.sizes[picture] - self.side) // self.grid + 1
            top, left = np.minimum(share * corners, corners - 1).astype(int) * self.grid
            found[i] = self.pictures[int(picture)][top : top + self.side, left : left + self.side]
        return found

    def fixed(self, n: int, seed: int = 0) -> np.ndarray:
        """n of the windows in memory, always the same, from all pictures."""
        generator = np.random.Generator(np.random.Philox(key=seed))
        index = np.resize(generator.permutation(len(self)), n)
        return self.rows(index, {"place": generator.random((n, 2))})


def placed() -> Variation:
    """Where in its picture each of the `Windows` lies: before all other variations. `place` (b, 2) in [0, 1) is planned."""

    def plan(generator: np.random.Generator, n: int, shapes: Shapes) -> Planned:
        return {"place": generator.random((n, 2), np.float32)}

    def finish(batch: Batch, planned: Batch) -> Batch:
        return batch  # the host has cut them out

    return Variation(plan, finish, lambda shapes: None, uses=())
