"""The batch of each round as a pure function of (seed, step): which examples, and how each of them is varied.

The host decides (`plan`) and the device carries it out (`finish`), so that data on the device and data sent to it give the
same batches, and so do one process and several.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.arrays import check_arrays
from gan_jax.data.dataset import Arrays, Order, require
from gan_jax.data.variation import Batch, Planned, Shapes, Variation
from gan_jax.data.windows import Windows
from gan_jax.errors import InputError
from gan_jax.images.imresize import imresize
from gan_jax.images.sample import shifted, windows

_VARIATION = 2**63  # Philox keys [seed, _VARIATION + minibatch] for variations; orders use those below


class _Stage(NamedTuple):
    """A variation in its place: the shapes that it is given, and the names of the arrays that it plans."""

    variation: Variation
    shapes: Shapes
    names: tuple[str, ...]


@dataclass(frozen=True)
class Rounds:
    """Rounds on `arrays` of `parts` minibatches each, in the order `order`, varied by `vary` from first to last.

    Process number `process` of `processes` has an equal, contiguous part of each round's examples; together they have the
    examples that one process has alone. Raises `InputError` for arrays that cannot be played on (`gan_jax.arrays`) or are
    shorter than the order, if the processes cannot share a round, and for variations that the data or the variations before
    do not allow.
    """

    arrays: dict[str, Any]  # of NumPy or JAX, or `Windows`
    order: Order
    parts: int = 1
    vary: Sequence[Variation] = ()
    process: int = 0
    processes: int = 1

    def __post_init__(self) -> None:
        check_arrays(self.arrays, "the data")
        size, rows = self.order.size, len(next(iter(self.arrays.values())))
        if size > rows:
            raise InputError(f"the order is of {size:,} examples, and the data have {rows:,}: take Order(seed, {rows}, batch)")
        if self.examples % self.processes:
            raise InputError(
                f"{self.examples} examples a round cannot be shared by {self.processes} processes: "
                f"choose a batch that is a multiple of {self.processes}"
            )
        _ = self._stages  # checks the variations

    def __len__(self) -> int:
        return self.order.size

    @property
    def examples(self) -> int:
        """The number of examples of one round, over all processes."""
        return self.order.batch * self.parts

    @property
    def _rows(self) -> tuple[int, ...]:
        """The number of rows of the data that each example is made of, () where it is one."""
        return (self.vary[0].rows,) if self.vary and self.vary[0].rows > 1 else ()

    @cached_property
    def _stages(self) -> tuple[_Stage, ...]:
        if any(variation.rows > 1 for variation in self.vary[1:]):
            raise InputError("a variation that makes examples of several rows must be the first: put it before the others")
        stages: list[_Stage] = []
        shapes: Shapes = {name: _shape(array, (self.order.batch, *self._rows)) for name, array in self.arrays.items()}
        taken = {"index", *self.arrays}
        for variation in self.vary:
            variation.check(shapes)
            planned = variation.plan(self._generator(0), self.order.batch, shapes)
            if known := taken & planned.keys():
                raise InputError(
                    f"two variations, or a variation and the data, use the name {', '.join(sorted(known))}: "
                    "keep one variation of each kind, or rename the array"
                )
            stages.append(_Stage(variation, shapes, tuple(planned)))
            taken |= planned.keys()
            shapes = jax.eval_shape(variation.finish, shapes, planned)
        return tuple(stages)

    @cached_property
    def shapes(self) -> Shapes:
        """The shapes and types of a minibatch as the step takes it."""
        batch = {name: np.zeros((1, *self._rows, *array.shape[1:]), array.dtype) for name, array in self.arrays.items()}
        plan = {name: value[:1] for name, value in self._minibatch(0).items() if name != "index"}
        found = jax.eval_shape(self.finish, batch | plan)
        return {name: jax.ShapeDtypeStruct((self.order.batch, *x.shape[1:]), x.dtype) for name, x in found.items()}

    def like(self) -> Arrays:
        """Zeros of the shapes and types of a round's batch, which take no memory."""
        shapes = {name: (self.examples, *x.shape[1:]) for name, x in self.shapes.items()}
        return {name: np.broadcast_to(np.zeros((), self.shapes[name].dtype), shape) for name, shape in shapes.items()}

    def plan(self, step: int) -> Arrays:
        """This process's part of round `step`: `index` (b,), and what the variations plan, such as `flip` (b,).

        `index` is (b, rows) where the first variation makes examples of several rows.
        """
        minibatches = [self._minibatch(i) for i in range(step * self.parts, (step + 1) * self.parts)]
        share = self.examples // self.processes
        mine = slice(self.process * share, (self.process + 1) * share)
        return {name: np.concatenate([plan[name] for plan in minibatches])[mine] for name in minibatches[0]}

    def _minibatch(self, number: int) -> Arrays:
        index, generator = self.order(number), self._generator(number)
        for rows in self._rows:
            others = generator.integers(self.order.size, size=(len(index), rows - 1), dtype=np.int32)
            index = np.concatenate([index[:, None], others], axis=1)
        plan = {"index": index}
        for variation, shapes, _ in self._stages:
            plan |= variation.plan(generator, self.order.batch, shapes)
        return plan

    def _generator(self, number: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=np.array([self.order.seed, _VARIATION + number], np.uint64)))

    def load(self, step: int) -> Arrays:
        """The plan of round `step` with the examples in place of their indices; only this process's part is read."""
        plan = self.plan(step)
        index = plan.pop("index")
        return {name: _taken(array, index, plan) for name, array in self.arrays.items()} | plan

    def finish(self, batch: Mapping[str, Array]) -> Batch:
        """The batch as the step takes it: `batch` holds the examples and the rest of the plan, as `load` gives them."""
        planned = {name for stage in self._stages for name in stage.names}
        done = {name: value for name, value in batch.items() if name not in planned}
        for variation, _, names in self._stages:
            done = variation.finish(done, {name: batch[name] for name in names})
        return done


def _taken(array: Any, index: np.ndarray, plan: Arrays) -> np.ndarray:
    return array.rows(index, plan) if isinstance(array, Windows) else np.take(np.asanyarray(array), index, axis=0)


def examples(arrays: Arrays, vary: Sequence[Variation], n: int, seed: int = 0) -> Arrays:
    """n examples as `vary` leaves them, in an order that the seed fixes; of fewer they come again."""
    size = len(next(iter(arrays.values())))
    rounds = Rounds(arrays, Order(seed, size, min(n, size)), vary=vary)
    found = rounds.finish({name: jnp.asarray(value) for name, value in rounds.load(0).items()})
    again = np.arange(n) % min(n, size)
    return {name: np.asarray(value)[again] for name, value in found.items()}


def mirror() -> Variation:
    """Half of the images, at random, are mirrored left to right."""

    def plan(generator: np.random.Generator, n: int, shapes: Shapes) -> Planned:
        return {"flip": generator.integers(2, size=n).astype(bool)}

    def finish(batch: Batch, planned: Batch) -> Batch:
        x = batch["image"]
        return batch | {"image": jnp.where(planned["flip"][:, None, None, None], x[:, :, ::-1], x)}

    def check(shapes: Shapes) -> None:
        _sides(shapes, "mirrored")

    return Variation(plan, finish, check)


def turned(names: tuple[str, ...] = ("image",)) -> Variation:
    """Every square image is turned and mirrored in one of the eight ways, at random; those of an example all alike.

    `Rounds` raises `InputError` for images that are not square, or where there are none.
    """

    def plan(generator: np.random.Generator, n: int, shapes: Shapes) -> Planned:
        return {"turn": generator.integers(8, size=n).astype(np.int32)}

    def finish(batch: Batch, planned: Batch) -> Batch:
        across, down, swapped = ((planned["turn"] >> i & 1).astype(bool)[:, None, None, None] for i in range(3))

        def turn(x: Array) -> Array:
            x = jnp.where(across, x[:, :, ::-1], x)
            x = jnp.where(down, x[:, ::-1], x)
            return jnp.where(swapped, x.swapaxes(1, 2), x)

        return batch | {name: turn(batch[name]) for name in names}

    def check(shapes: Shapes) -> None:
        for name in names:
            require(shapes, name)
            h, w = shapes[name].shape[1:3]
            if h != w:
                raise InputError(f"images of {h}x{w} cannot be turned: cut square windows out of them")

    return Variation(plan, finish, check, uses=names)


def shift(n: int) -> Variation:
    """Every image is shifted at random by up to `n` pixels each way; its edge is reflected.

    `Rounds` raises `InputError` for images that are too small, or where there are none.
    """

    def plan(generator: np.random.Generator, examples: int, shapes: Shapes) -> Planned:
        return {"shift": generator.integers(2 * n + 1, size=(examples, 2)).astype(np.int32)}

    def finish(batch: Batch, planned: Batch) -> Batch:
        return batch | {"image": shifted(batch["image"], planned["shift"], (n, n), "reflect")}

    def check(shapes: Shapes) -> None:
        h, w = _sides(shapes, "shifted")
        if not 1 <= n < min(h, w):
            raise InputError(f"images of {h}x{w} cannot be shifted by up to {n} pixels: choose 1 to {min(h, w) - 1}")

    return Variation(plan, finish, check)


def window(side: int) -> Variation:
    """Every image becomes a random window of `side` x `side` pixels of it.

    `Rounds` raises `InputError` for images that are too small, or where there are none.
    """

    def plan(generator: np.random.Generator, n: int, shapes: Shapes) -> Planned:
        h, w = shapes["image"].shape[1:3]
        return {"window": generator.integers([h - side + 1, w - side + 1], size=(n, 2)).astype(np.int32)}

    def finish(batch: Batch, planned: Batch) -> Batch:
        return batch | {"image": windows(batch["image"], planned["window"], (side, side))}

    def check(shapes: Shapes) -> None:
        h, w = _sides(shapes, "cut into windows")
        if not 1 <= side <= min(h, w):
            raise InputError(f"images of {h}x{w} have no windows of {side}x{side}: choose a side from 1 to {min(h, w)}")

    return Variation(plan, finish, check)


def shrunk(factor: int) -> Variation:
    """`image` becomes the pair `high`, the image, and `low` uint8 (b, h / factor, w / factor, c), the image shrunk.

    Shrinking is MATLAB's (`gan_jax.images.imresize`), as in the test sets of super-resolution. `Rounds` raises `InputError`
    unless the factor divides both sides.
    """

    def finish(batch: Batch, planned: Batch) -> Batch:
        image = batch["image"]
        others = {name: value for name, value in batch.items() if name != "image"}
        return others | {"high": image, "low": imresize(image, 1 / factor)}

    def check(shapes: Shapes) -> None:
        h, w = _sides(shapes, "shrunk")
        if factor < 1 or h % factor or w % factor:
            common = [str(f) for f in range(2, min(h, w) + 1) if h % f == 0 and w % f == 0]
            raise InputError(
                f"images of {h}x{w} cannot be shrunk by a factor of {factor}: "
                f"choose one that divides both sides ({', '.join(common) or 'there is only 1'}), or another image size"
            )

    return Variation(lambda generator, n, shapes: {}, finish, check)


def one_caption() -> Variation:
    """`caption`, uint8 (b, k, t), becomes one of the k captions of each example, at random: (b, t).

    `Rounds` raises `InputError` for data without captions.
    """

    def plan(generator: np.random.Generator, n: int, shapes: Shapes) -> Planned:
        return {"which_caption": generator.integers(shapes["caption"].shape[1], size=n).astype(np.int32)}

    def finish(batch: Batch, planned: Batch) -> Batch:
        chosen = jnp.take_along_axis(batch["caption"], planned["which_caption"][:, None, None], axis=1)  # b 1 t
        return batch | {"caption": chosen[:, 0]}

    def check(shapes: Shapes) -> None:
        require(shapes, "caption")
        if len(shape := shapes["caption"].shape) != 3:
            raise InputError(f"captions must have the shape (n, k, t), not {('n', *shape[1:])}: see gan_jax.data.captions")

    return Variation(plan, finish, check, uses=("caption",))


def shown_captions(most: int, embedded: bool = False) -> Variation:
    """`most` of the k captions of each example, different ones at random, or all k, stand for it.

    `caption` uint8 (b, k, t) becomes the first of them, (b, t), `shown` has these (b, m, t) and `captions` all, (b, k, t);
    if they are `embedded`, `text` (b, k, d) becomes the mean over those shown, (b, d). `Rounds` raises `InputError` for data
    without captions.
    """

    def plan(generator: np.random.Generator, n: int, shapes: Shapes) -> Planned:
        k = shapes["caption"].shape[1]
        order = np.argsort(generator.random((n, k)), axis=1)
        return {"which_caption": order[:, : min(most, k)].astype(np.int32)}

    def finish(batch: Batch, planned: Batch) -> Batch:
        which = planned["which_caption"][:, :, None]
        shown = jnp.take_along_axis(batch["caption"], which, axis=1)  # b m t
        found = batch | {"caption": shown[:, 0], "shown": shown, "captions": batch["caption"]}
        if not embedded:
            return found
        return found | {"text": jnp.mean(jnp.take_along_axis(batch["text"], which, axis=1), axis=1)}

    return Variation(plan, finish, one_caption().check, uses=("caption", "text") if embedded else ("caption",))


def _shape(array: np.ndarray | Array | Windows, lead: tuple[int, ...]) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((*lead, *array.shape[1:]), jax.dtypes.canonicalize_dtype(array.dtype))


def _sides(shapes: Shapes, done: str) -> tuple[int, int]:
    """Height and width of the images; raises `InputError` if there are none to be `done` so."""
    if "image" not in shapes:
        raise InputError(
            f"only images can be {done}, and here are only {', '.join(shapes)}: leave this variation out, "
            "or put it before the one that replaces `image`"
        )
    h, w = shapes["image"].shape[1:3]
    return h, w
