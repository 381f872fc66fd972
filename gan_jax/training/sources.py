"""What a run is played on: rounds on arrays, arrays, an iterable of batches, or a function of the step."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import Mesh

from gan_jax.arrays import check_arrays
from gan_jax.config import checked_seed
from gan_jax.core import Advance, Step
from gan_jax.data.dataset import Arrays, Order
from gan_jax.data.rounds import Rounds
from gan_jax.data.windows import Windows
from gan_jax.errors import InputError
from gan_jax.parallel import processes
from gan_jax.parallel.feeds import given, resident, streamed
from gan_jax.parallel.memory import room_on_device

Feed = Literal["auto", "device", "host"]
Data = Any  # Rounds, Mapping[str, array], Iterable[batch], or Callable[[int], batch]
BATCH = 64
NAMES = ("image", "label")  # of batches that are tuples


@dataclass(frozen=True)
class Batches:
    """Batches of this process that come from outside: `load(i)` gives that of round i, in `about` words."""

    load: Callable[[int], Arrays]
    size: int
    about: str


def source_of(data: Data, step: Step, batch: int | None = None, seed: int | None = None) -> Rounds | Batches:
    """The rounds, or the batches, that `train` plays on; the first batch is looked at here, the others as they come.

    Arrays become `Rounds` in minibatches of `batch` (64), in the order of `seed` (0). Raises `InputError` for what cannot be
    played on, and for a batch or seed that would be ignored.
    """
    classes = getattr(step, "classes", 0)
    if isinstance(data, Mapping):
        arrays = named(data)
        check_arrays(arrays, "the data", classes)
        size = len(next(iter(arrays.values())))
        return Rounds(arrays, Order(checked_seed(seed or 0), size, BATCH if batch is None else batch))
    if batch is not None or seed is not None:
        raise InputError("batch and seed are for arrays: rounds, iterables and functions of the step have their own")
    if isinstance(data, Rounds):
        if "label" in data.arrays:  # the rest is checked by the rounds themselves
            check_arrays({"label": data.arrays["label"]}, "the data", classes)
        return data
    if hasattr(data, "dtype"):  # its rows would pass for batches
        raise InputError("data is one array: name it, {'image': x} or {'image': x, 'label': y}")
    if callable(data):
        return _of_function(data, classes)
    if hasattr(data, "__iter__") or hasattr(data, "__getitem__"):
        return _of_iterable(data, classes)
    raise InputError(
        f"data is {type(data).__name__}: give Rounds, a dictionary of arrays, an iterable of batches such as a DataLoader, or "
        "a function of the step"
    )


def examples(source: Rounds | Batches) -> int:
    """The number of examples of a round, over all processes."""
    return source.examples if isinstance(source, Rounds) else source.size * jax.process_count()


def feeder(source: Rounds | Batches, step: Step, feed: Feed, mesh: Mesh | None, log: Callable[[str], None]) -> Advance:
    """The driver for these data, and a line that says which; raises `InputError` for a `feed` that the data cannot have."""
    own_load = isinstance(source, Batches) or loads_itself(source)
    if own_load and feed == "device":
        raise InputError("these data are made batch by batch and cannot lie on the device: leave feed at auto or host")
    if isinstance(source, Batches):
        log(f"data        {source.about}")
    else:
        nbytes = sum(array.nbytes for array in source.arrays.values())
        fits = feed == "device" or (feed == "auto" and not processes.any_says(not room_on_device(nbytes)))
        on_device = fits and not own_load
        where = "on the device" if on_device else "mapped from disk and sent ahead of the step"
        log(f"data        {len(source)} examples, {nbytes / 1e6:,.1f} MB, {where}")
    if mesh is not None:
        log(
            f"devices     {mesh.size} in {jax.process_count()} process{'es' * (jax.process_count() > 1)}, "
            f"{examples(source) // mesh.size} examples a round each"
        )
    if isinstance(source, Batches):
        return given(step, source.load, mesh=mesh)
    if on_device:
        return resident(step, source.arrays, source.plan, source.finish, mesh=mesh)
    part = source
    if jax.process_count() > 1:
        part = dataclasses.replace(source, process=jax.process_index(), processes=jax.process_count())
    return streamed(step, part.load, part.finish, mesh=mesh)


def loads_itself(rounds: Rounds) -> bool:
    """Whether `Rounds.load` is replaced, or cuts windows out of pictures, so that the arrays alone are not played on."""
    windowed = any(isinstance(array, Windows) for array in rounds.arrays.values())
    return windowed or type(rounds).load is not Rounds.load or "load" in vars(rounds)


def _of_function(load: Callable[[int], Any], classes: int) -> Batches:
    first = named(load(0))
    check_arrays(first, "the batch of round 0", classes)
    shapes = _shapes(first)

    def checked(step: int) -> Arrays:
        batch = named(load(step))
        if _shapes(batch) != shapes:
            raise InputError(f"the batch of round {step} has {_told(batch)}, and that of round 0 {_told(first)}")
        check_arrays(batch, f"the batch of round {step}", classes)
        return batch

    size = len(next(iter(first.values())))
    return Batches(checked, size, f"a function of the step, {size} examples a round")


def _of_iterable(batches: Iterable[Any], classes: int) -> Batches:
    source = _again(batches)
    first = next(source)
    check_arrays(first, "the first batch", classes)
    shapes, waiting = _shapes(first), [first]

    def following(step: int) -> Arrays:
        """The next batch, whatever the step; the smaller one at the end of an epoch is left out."""
        if waiting:
            return waiting.pop()
        for batch in source:
            if _shapes(batch) == shapes:
                check_arrays(batch, f"the batch of round {step}", classes)
                return batch
            if any(len(value) >= len(first[name]) for name, value in batch.items() if name in first):
                raise InputError(f"a batch has {_told(batch)}, and the first one {_told(first)}: batches must be alike")
        raise InputError("the data ended")  # `_again` never does

    size = len(next(iter(first.values())))
    return Batches(
        following,
        size,
        f"an iterable of batches of {size}; a run that is continued begins it anew and does not see the same batches as one "
        "that was not stopped, where arrays and functions of the step do. Smaller last batches are left out",
    )


def _again(batches: Iterable[Any]) -> Iterator[Arrays]:
    """The batches, from the beginning again where they end; raises `InputError` if they cannot begin again."""
    while True:
        found = False
        for batch in iter(batches):
            found = True
            yield named(batch)
        if not found or iter(batches) is batches:
            raise InputError(
                "the data gave no further batch: give what can be iterated again, such as a DataLoader or a list, and not an "
                "iterator, or a function of the step"
            )


def named(batch: Any) -> Arrays:
    """A batch as named arrays of NumPy: a dictionary, a tuple (image, label) or one array of images.

    Tensors of PyTorch and TensorFlow are taken too. Raises `InputError` for anything else.
    """
    if isinstance(batch, Mapping):
        items = dict(batch)
    elif isinstance(batch, tuple) and hasattr(batch, "_asdict"):
        items = batch._asdict()
    elif isinstance(batch, tuple | list):
        if len(batch) > len(NAMES):
            raise InputError(f"a batch is a tuple of {len(batch)}: give a dictionary, such as {{'image': x, 'label': y}}")
        items = dict(zip(NAMES, batch, strict=False))
    else:
        items = {NAMES[0]: batch}
    return {str(name): _host(name, value) for name, value in items.items()}


def _host(name: Any, value: Any) -> np.ndarray:
    if hasattr(value, "detach"):  # PyTorch
        value = value.detach().cpu()
    array = np.asarray(value)
    if array.dtype == object or array.ndim == 0:
        raise InputError(f"the batch's {name} is {type(value).__name__}, not an array with a row for each example")
    return array


def _shapes(batch: Arrays) -> dict[str, tuple]:
    return {name: (value.shape, str(value.dtype)) for name, value in batch.items()}


def _told(batch: Arrays) -> str:
    return ", ".join(f"{name} {value.dtype} {value.shape}" for name, value in batch.items())
