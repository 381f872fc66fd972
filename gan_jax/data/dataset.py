"""A data set as arrays, and its batches as a pure function of (seed, step)."""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from gan_jax.errors import InputError

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Dataset:
    """Named arrays of equal length, `image` uint8 (n, h, w, c) and `label` int32 (n,), or `point` float32 (n, 2).

    `held_out` has the same names; nothing is trained on it. `class_names` are the names of the labels, if there are any.
    """

    name: str
    train: Arrays
    held_out: Arrays = field(default_factory=dict)
    class_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.train.values())))

    @property
    def fingerprint(self) -> str:
        """sha256 over names, shapes, types and bytes of the training arrays, 16 hex digits."""
        digest = hashlib.sha256()
        for name in sorted(self.train):
            array = self.train[name]
            digest.update(f"{name} {array.shape} {array.dtype}".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()[:16]

    def first(self, n: int) -> Arrays:
        return {name: array[:n] for name, array in self.train.items()}


class Order:
    """The order of examples: `Order(seed, size, batch)(step)` gives the indices (batch,) of batch number `step`.

    Permutations of 0..size-1, one an epoch, stand in a row and are cut into batches, so that every epoch shows every example
    once, also where `batch` does not divide `size`. Nothing is remembered but the permutation last used.
    Raises `InputError` if the batch is larger than the data, or for a negative seed.
    """

    def __init__(self, seed: int, size: int, batch: int):
        if seed < 0:
            raise InputError(f"the seed of the order must be 0 or more, not {seed}")
        if not 1 <= batch <= size:
            raise InputError(
                f"a batch of {batch} cannot be drawn from {size} examples: choose a batch from 1 to {size}, or more data"
            )
        self.seed, self.size, self.batch = seed, size, batch
        self._epoch, self._permutation = -1, np.empty(0, np.int32)

    def __call__(self, step: int) -> np.ndarray:
        start, stop = step * self.batch, (step + 1) * self.batch
        parts, position = [], start
        while position < stop:
            epoch, offset = divmod(position, self.size)
            taken = min(stop - position, self.size - offset)
            parts.append(self._epoch_order(epoch)[offset : offset + taken])
            position += taken
        return np.concatenate(parts)

    def _epoch_order(self, epoch: int) -> np.ndarray:
        if epoch != self._epoch:
            generator = np.random.Generator(np.random.Philox(key=[self.seed, epoch]))
            self._epoch, self._permutation = epoch, generator.permutation(self.size).astype(np.int32)
        return self._permutation
