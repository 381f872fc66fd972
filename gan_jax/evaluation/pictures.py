"""Sets of pictures, each with its features and with what it was asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from gan_jax.errors import InputError
from gan_jax.evaluation.seen import Seen

Asked = Mapping[str, np.ndarray]  # rows (n, ...) by name, such as "label", "caption", "low"
NOTHING_ASKED: Asked = MappingProxyType({})


class Rows:
    """Some rows of an array that may be mapped from disk: indexing reads the indexed rows only."""

    def __init__(self, array: np.ndarray, index: np.ndarray):
        self.array, self.index = array, index

    @property
    def shape(self) -> tuple[int, ...]:
        """As of the array of these rows."""
        return (len(self.index), *self.array.shape[1:])

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, chosen: slice | np.ndarray) -> np.ndarray:
        return np.asarray(self.array[self.index[chosen]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def rows(self, chosen: slice | np.ndarray) -> "Rows":
        """Some of these rows, not read yet."""
        return Rows(self.array, self.index[chosen])


@dataclass(frozen=True)
class Pictures:
    """Pictures (n, h, w, c) uint8, what a feature network gives for them, and what each was asked for.

    `asked` is empty for pictures of an unconditional generator. Raises `InputError` if it has another number of rows.
    """

    images: np.ndarray | Rows
    seen: Seen
    asked: Asked = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, rows in self.asked.items():
            if len(rows) != len(self.images):
                raise InputError(f"{len(self.images)} pictures have {len(rows)} rows of {name} that they were asked for")

    @property
    def features(self) -> np.ndarray:
        """(n, d)."""
        return self.seen.features

    def scaled(self, factor: float) -> "Pictures":
        """With features times `factor`."""
        return Pictures(self.images, self.seen.scaled(factor), self.asked)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, chosen: slice | np.ndarray) -> "Pictures":
        """Some of them; images are read only when they are indexed."""
        all_rows = self.images if isinstance(self.images, Rows) else Rows(self.images, np.arange(len(self.images)))
        asked = {name: rows[chosen] for name, rows in self.asked.items()}
        return Pictures(all_rows.rows(chosen), self.seen.rows(chosen), asked)
