"""What each round is played on, a pure function of (seed, step): which examples, mirrored or not, cut where.

The host decides (`plan`) and the device carries it out (`finish`), so that data which lie on the device and data which are
sent there give the same pictures, and so do one process and several.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Int, UInt8

from gan_jax.data.dataset import Arrays, Order
from gan_jax.errors import InputError

_VARIATION = 2**63  # keys of the flips and crops begin here, those of the epochs' orders at 0


@dataclass(frozen=True)
class Rounds:
    """Rounds on `arrays` of `parts` minibatches each, drawn by `order`.

    `mirror` flips half of the pictures left to right; `crop` shifts each by up to so many pixels each way, its edge
    reflected. Process number `process` of `processes` has an equal, contiguous part of each round's examples; together they
    have those that one process has alone. Raises `InputError` if that cannot be.
    """

    arrays: Arrays
    order: Order
    parts: int = 1
    mirror: bool = False
    crop: int = 0
    process: int = 0
    processes: int = 1

    def __post_init__(self) -> None:
        if self.examples % self.processes:
            raise InputError(
                f"{self.examples} examples a round cannot be shared by {self.processes} processes: "
                "choose a multiple for --batch"
            )
        shape = self.arrays["image"].shape[1:3] if "image" in self.arrays else None
        if (self.mirror or self.crop) and shape is None:
            raise InputError("only pictures can be mirrored and cropped: leave --mirror and --crop out")
        if shape and not 0 <= self.crop < min(shape):
            raise InputError(f"--crop {self.crop}: choose 0 to {min(shape) - 1} for pictures of {shape[0]}x{shape[1]}")

    def __len__(self) -> int:
        return self.order.size

    @property
    def examples(self) -> int:
        """Of all processes, in one round."""
        return self.order.batch * self.parts

    def plan(self, step: int) -> Arrays:
        """This process's part of round `step`: `index` (b,), and `flip` bool (b,) and `shift` int (b, 2) where asked for."""
        pieces = [self._minibatch(i) for i in range(step * self.parts, (step + 1) * self.parts)]
        share = self.examples // self.processes
        mine = slice(self.process * share, (self.process + 1) * share)
        return {name: np.concatenate([piece[name] for piece in pieces])[mine] for name in pieces[0]}

    def _minibatch(self, number: int) -> Arrays:
        plan = {"index": self.order(number)}
        generator = np.random.Generator(np.random.Philox(key=np.array([self.order.seed, _VARIATION + number], np.uint64)))
        if self.mirror:
            plan["flip"] = generator.integers(2, size=self.order.batch).astype(bool)
        if self.crop:
            plan["shift"] = generator.integers(2 * self.crop + 1, size=(self.order.batch, 2)).astype(np.int32)
        return plan

    def load(self, step: int) -> Arrays:
        """The same with the examples in the place of their indices; only this process's part is read."""
        plan = self.plan(step)
        index = plan.pop("index")
        return {name: np.take(array, index, axis=0) for name, array in self.arrays.items()} | plan

    def finish(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """Carry out flips and shifts, on the device: the batch as the step takes it."""
        done = {name: value for name, value in batch.items() if name not in ("flip", "shift")}
        if "flip" in batch:
            done["image"] = flip(done["image"], batch["flip"])
        if "shift" in batch:
            done["image"] = shift(done["image"], batch["shift"], self.crop)
        return done


def flip(x: UInt8[Array, "b h w c"], chosen: Bool[Array, "b"]) -> UInt8[Array, "b h w c"]:
    """The chosen pictures mirrored left to right."""
    return jnp.where(chosen[:, None, None, None], x[:, :, ::-1], x)


def shift(x: UInt8[Array, "b h w c"], corner: Int[Array, "b 2"], pad: int) -> UInt8[Array, "b h w c"]:
    """Windows of x's size out of x with `pad` reflected pixels around, from `corner` (row, column)."""
    padded = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="reflect")
    return jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, (at[0], at[1], 0), x.shape[1:]))(padded, corner)
