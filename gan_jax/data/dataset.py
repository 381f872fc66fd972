"""A data set as arrays, and the order of its examples as a pure function of (seed, step)."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from gan_jax.data.variation import Variation
from gan_jax.errors import InputError
from gan_jax.files import identity
from gan_jax.rows import chunks

Arrays = dict[str, np.ndarray]


class Drawn(NamedTuple):
    """What a round's examples are drawn from: `arrays`, varied by `vary` before an experiment's own variations."""

    arrays: dict[str, Any]  # as `Rounds` takes them
    vary: tuple[Variation, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """Named arrays of equal length, in memory or mapped from disk.

    `image` uint8 (n, h, w, c); `label` int32 (n,), named by `class_names`; `attributes` float32 (n, k), named by
    `attribute_names`, NaN where unknown; `caption` uint8 (n, k, t), see `gan_jax.data.captions`; `point` float32 (n, 2).
    `held_out` has arrays of the same names, which are not trained on. `notes` are lines about the data to show to the user.
    `stored_fingerprint` is the fingerprint where it is known already. With `drawn`, rounds are drawn from that, and `train` is
    a fixed set of such examples, to show and to compare with.
    """

    name: str
    train: Arrays
    held_out: Arrays = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    attribute_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    stored_fingerprint: str = ""
    drawn: Drawn | None = None

    def __len__(self) -> int:
        return len(next(iter(self.train.values())))

    @property
    def fingerprint(self) -> str:
        """`fingerprint` of the training arrays."""
        return self.stored_fingerprint or fingerprint(self.train)

    @property
    def untrained(self) -> tuple[int, ...]:
        """The classes without a training picture, by number."""
        return untrained(len(self.class_names), self.train["label"]) if "label" in self.train else ()

    def first(self, n: int) -> Arrays:
        """The first n training examples, in memory."""
        return {name: np.asarray(array[:n]) for name, array in self.train.items()}

    def require(self, name: str) -> None:
        """Raises `InputError` if the training data have no array `name`, such as label, attributes or caption.

        The message has the notes on files beside the pictures that could not be used.
        """
        try:
            require(self.train, name, self.name)
        except InputError as error:
            raise InputError(self.with_left_out(str(error))) from None

    def with_left_out(self, message: str) -> str:
        """A message about what the data lack, with the notes on files beside the pictures that could not be used."""
        return "; ".join([message, *[note for note in self.notes if "left out" in note][:3]])


_CURES = {
    "label": "Put the pictures of each class into a folder of its own, or train without labels",
    "attributes": "Put a table attributes.csv with a column `file` and a column of numbers for each attribute beside them",
    "caption": "Put a NAME.txt beside each NAME.png, or a table with the columns `file` and `caption`",
}


def require(arrays: Collection[str], name: str, owner: str = "the data set") -> None:
    """Raises `InputError` with the names that there are and the cure if `name` is not one of `arrays`."""
    if name not in arrays:
        raise InputError(f"{owner} has no {name}: it has {', '.join(arrays)}. {_CURES.get(name, '')}".strip())


def untrained(classes: int, labels: np.ndarray) -> tuple[int, ...]:
    """The numbers below `classes` that are not among the labels."""
    return tuple(np.flatnonzero(np.bincount(labels, minlength=classes) == 0).tolist())


def fingerprint(arrays: Arrays) -> str:
    """sha256 over names, shapes, types and bytes, 16 hexadecimal digits."""

    def parts() -> Iterator[bytes | str]:
        for name in sorted(arrays):
            array = arrays[name]
            yield f"{name} {array.shape} {array.dtype}"
            yield from (array[rows].tobytes() for rows in chunks(len(array), 4096))  # mapped arrays may exceed the memory

    return identity(parts())


class _Epochs:
    """The numbers 0..size-1 again and again, shuffled anew each time by the Philox keys [seed, first + epoch]."""

    def __init__(self, seed: int, size: int, first: int = 0):
        self._seed, self._size, self._first = seed, size, first
        self._last = (-1, np.empty(0, np.int32))

    def between(self, start: int, stop: int) -> np.ndarray:
        """The numbers at the positions from start to stop."""
        parts, position = [np.empty(0, np.int32)], start
        while position < stop:
            epoch, offset = divmod(position, self._size)
            taken = min(stop - position, self._size - offset)
            parts.append(self._permutation(epoch)[offset : offset + taken])
            position += taken
        return np.concatenate(parts)

    def _permutation(self, epoch: int) -> np.ndarray:
        known, permutation = self._last  # one tuple, read and replaced at once: several threads may call
        if epoch != known:
            permutation = _generator(self._seed, self._first + epoch).permutation(self._size).astype(np.int32)
            self._last = (epoch, permutation)
        return permutation


def _generator(seed: int, number: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([seed, number], np.uint64)))


class Order:
    """The order of examples: `Order(seed, size, batch)(step)` gives the indices (batch,) of batch number `step`.

    One permutation of 0..size-1 an epoch, concatenated and cut into batches: every epoch has every example once, also where
    `batch` does not divide `size`. Only the permutation used last is cached.
    Raises `InputError` for a batch larger than the data or below 1, and for a negative seed.
    """

    def __init__(self, seed: int, size: int, batch: int):
        if seed < 0:
            raise InputError(f"the seed of the data order must be 0 or more, not {seed}")
        if not 1 <= batch <= size:
            raise InputError(
                f"a batch of {batch} cannot be drawn from {size} examples: choose a batch from 1 to {size}, or more data"
            )
        self.seed, self.size, self.batch = seed, size, batch
        self._epochs = _Epochs(seed, size)

    def __call__(self, step: int) -> np.ndarray:
        return self._epochs.between(step * self.batch, (step + 1) * self.batch)

    def with_seed(self, seed: int) -> "Order":
        """The order of another seed."""
        return Order(seed, self.size, self.batch)


class BalancedOrder(Order):
    """The order of examples of several strata that have equal shares, however many examples they have.

    `strata` (n,) numbers the stratum of each example; examples of a negative number are left out. Every stratum is run
    through in shuffled epochs of its own, so that a small one has more of them. Draw number p is of stratum p mod k: a batch
    has floor(batch / k) or ceil(batch / k) examples of each of the k strata, and any k consecutive batches have the same
    number of each. Within a batch the examples are shuffled.
    Raises `InputError` as `Order` does, and where no example is left.
    """

    def __init__(self, seed: int, strata: np.ndarray, batch: int):
        super().__init__(seed, len(strata), batch)
        self.strata = np.asarray(strata)
        numbers = np.unique(self.strata[self.strata >= 0])
        if not len(numbers):
            raise InputError("no example belongs to a stratum: there is nothing to draw")
        self._rows = [np.flatnonzero(self.strata == number).astype(np.int32) for number in numbers]
        self._own = [_Epochs(seed, len(rows), _BALANCED + (i << 40)) for i, rows in enumerate(self._rows)]

    def __call__(self, step: int) -> np.ndarray:
        k, start, stop = len(self._rows), step * self.batch, (step + 1) * self.batch
        parts = []
        for i, (rows, epochs) in enumerate(zip(self._rows, self._own, strict=True)):
            first, last = (-(-(position - i) // k) for position in (start, stop))  # of the draws i, i + k, i + 2k, ...
            parts.append(rows[epochs.between(first, last)])
        return _generator(self.seed, _SHUFFLES + step).permutation(np.concatenate(parts))

    def with_seed(self, seed: int) -> "BalancedOrder":
        """The order of another seed."""
        return BalancedOrder(seed, self.strata, self.batch)


_BALANCED, _SHUFFLES = 2**61, 2**62  # Philox keys beside those of `Order` [seed, epoch] and of variations [seed, 2**63 + ...]
