"""Attributes of doodles as outputs of networks: choices, numbers and angles, each with its loss, decoding and score.

Every head has `outputs` and `targets`, its numbers of columns k and t, and the functions

    encode(truths) -> targets (n, t), NaN for an attribute that the picture does not show
    loss(outputs (b, k), targets (b, t)) -> losses (b, t)
    decode(outputs (n, k), readings) -> values (n,), confidences (n,) in [0, 1]; `readings` are those of earlier heads
    scores(values (n,), truths) -> share of correct values, and mean absolute error of numbers and angles, by name
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float

from gan_jax.data.doodles.truths import BIRD_COLOURS, COUNTS, HAIRS, PETAL_COLOURS, SKINS, STAMEN_COLOURS

Readings = dict[str, np.ndarray]


def shows(name: str, truth: Any) -> bool:
    """Whether a picture of this truth shows the attribute: a smile needs a mouth, the direction of a tilt a tilt."""
    if name == "smile":
        return truth.mouths > 0
    return name != "tilt_direction" or truth.tilt >= 15


@dataclass(frozen=True)
class Choice:
    """One of several values, by cross-entropy."""

    name: str
    options: tuple[Any, ...] = (False, True)
    tolerance: float = 0.0
    targets: ClassVar[int] = 1
    odd: ClassVar[bool] = False

    @property
    def outputs(self) -> int:
        """How many numbers of the network it takes."""
        return len(self.options)

    def encode(self, truths: Sequence[Any]) -> np.ndarray:
        """Truths as targets (n, targets), NaN where the attribute is not shown."""
        values = [self.options.index(getattr(t, self.name)) if shows(self.name, t) else math.nan for t in truths]
        return np.array(values, np.float32)[:, None]

    def loss(self, outputs: Float[Array, "b k"], targets: Float[Array, "b t"]) -> Float[Array, "b t"]:
        """The loss of each target, (b, targets)."""
        return optax.softmax_cross_entropy_with_integer_labels(outputs, targets[:, 0].astype(jnp.int32))[:, None]

    def decode(self, outputs: np.ndarray, readings: Readings) -> tuple[np.ndarray, np.ndarray]:
        """Outputs (n, k) as values (n,) and the confidence in each."""
        weights = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return np.array(self.options)[outputs.argmax(axis=1)], weights.max(axis=1) / weights.sum(axis=1)

    def scores(self, values: np.ndarray, truths: Sequence[Any]) -> dict[str, float]:
        """The share that was read correctly of those that show the attribute, and mean errors."""
        right = [value == getattr(t, self.name) for value, t in zip(values, truths, strict=True) if shows(self.name, t)]
        return {self.name: float(np.mean(right))}


@dataclass(frozen=True)
class Number:
    """A number, by the likelihood of a normal distribution whose width is learned too; (value - middle) / scale is near 1.

    One that is `odd`, whose middle is 0, changes its sign in the mirrored picture.
    """

    name: str
    middle: float
    scale: float
    tolerance: float
    odd: bool = False
    outputs: ClassVar[int] = 2
    targets: ClassVar[int] = 1

    def encode(self, truths: Sequence[Any]) -> np.ndarray:
        """Truths as targets (n, targets), NaN where the attribute is not shown."""
        values = np.array([getattr(t, self.name) for t in truths], np.float32)
        return (values[:, None] - self.middle) / self.scale

    def loss(self, outputs: Float[Array, "b k"], targets: Float[Array, "b t"]) -> Float[Array, "b t"]:
        """The loss of each target, (b, targets)."""
        log_width = jnp.clip(outputs[:, 1:], -4.0, 2.0)
        return 0.5 * ((targets - outputs[:, :1]) * jnp.exp(-log_width)) ** 2 + log_width

    def decode(self, outputs: np.ndarray, readings: Readings) -> tuple[np.ndarray, np.ndarray]:
        """Outputs (n, k) as values (n,) and the confidence in each."""
        width = np.exp(np.clip(outputs[:, 1], -4.0, 2.0)) * self.scale
        inside = [math.erf(self.tolerance / (math.sqrt(2) * w)) for w in width.tolist()]
        return outputs[:, 0] * self.scale + self.middle, np.array(inside)

    def scores(self, values: np.ndarray, truths: Sequence[Any]) -> dict[str, float]:
        """The share that was read correctly of those that show the attribute, and mean errors."""
        errors = np.abs(values - [getattr(t, self.name) for t in truths])
        return {self.name: float(np.mean(errors <= self.tolerance)), f"{self.name}_error": float(np.mean(errors))}


@dataclass(frozen=True)
class Turn:
    """An angle in degrees, by its cosine and sine; of `times` periods in a circle, chosen by the attribute `by` if given."""

    name: str
    tolerance: float
    times: tuple[int, ...] = (1,)
    by: str = ""
    odd: ClassVar[bool] = False

    @property
    def outputs(self) -> int:
        """How many numbers of the network it takes."""
        return 2 * len(self.times)

    @property
    def targets(self) -> int:
        """How many numbers a truth becomes."""
        return self.outputs

    def encode(self, truths: Sequence[Any]) -> np.ndarray:
        """Truths as targets (n, targets), NaN where the attribute is not shown."""
        aims = np.full((len(truths), len(self.times), 2), np.nan, np.float32)
        for i, truth in enumerate(truths):
            if shows(self.name, truth):
                times = getattr(truth, self.by) if self.by else self.times[0]
                angle = math.radians(getattr(truth, self.name)) * times
                aims[i, self.times.index(times)] = math.cos(angle), math.sin(angle)
        return aims.reshape(len(truths), -1)

    def loss(self, outputs: Float[Array, "b k"], targets: Float[Array, "b t"]) -> Float[Array, "b t"]:
        """The loss of each target, (b, targets)."""
        return 2 * (outputs - targets) ** 2

    def decode(self, outputs: np.ndarray, readings: Readings) -> tuple[np.ndarray, np.ndarray]:
        """Outputs (n, k) as values (n,) and the confidence in each."""
        rows = np.arange(len(outputs))
        times = readings[self.by] if self.by else np.full(len(rows), self.times[0])
        cos, sin = outputs.reshape(len(rows), -1, 2)[rows, np.searchsorted(self.times, times)].T
        return np.degrees(np.arctan2(sin, cos)) % 360 / times, np.minimum(np.hypot(cos, sin), 1)

    def scores(self, values: np.ndarray, truths: Sequence[Any]) -> dict[str, float]:
        """The share that was read correctly of those that show the attribute, and mean errors."""
        errors = []
        for value, truth in zip(values.tolist(), truths, strict=True):
            if shows(self.name, truth):
                period = 360 / (getattr(truth, self.by) if self.by else self.times[0])
                errors.append(abs((value - getattr(truth, self.name) + period / 2) % period - period / 2))
        right = np.mean(np.array(errors) <= self.tolerance)
        return {self.name: float(right), f"{self.name}_error": float(np.mean(errors))}


Head = Choice | Number | Turn


class Part(NamedTuple):
    """Heads of one network, which sees the "whole" picture, its "face", or what is "round" or "near" a position read before.

    It is trained on mirrored pictures too if `mirror`: targets of heads that are `odd` change their sign then, others stay.
    """

    look: Literal["whole", "face", "round", "near"]
    effort: float  # its number of steps, as a multiple of the recipe's
    heads: tuple[Head, ...]
    mirror: bool = False


PARTS: dict[str, tuple[Part, ...]] = {
    "faces": (
        Part(
            "whole",
            0.4,
            (*(Choice(name) for name in ("male", "hat", "beard", "long_hair")), Choice("hair", HAIRS), Choice("skin", SKINS)),
        ),
        Part(
            "face",
            2.2,
            (
                *(Choice(name) for name in ("glasses", "smile")),
                Choice("eyes", (0, 1, 2, 3, 4, 5)),
                Choice("mouths", (0, 1, 2, 3)),
                Choice("noses", (0, 1, 2)),
                Number("yaw", 0.0, 20.0, tolerance=5.0, odd=True),
            ),
            mirror=True,
        ),
    ),
    "birds": (
        Part(
            "whole",
            0.6,
            (
                *(Choice(name) for name in ("large", "right", "flying")),
                Number("x", 0.0, 0.15, tolerance=0.08),
                Number("y", 0.0, 0.15, tolerance=0.08),
            ),
        ),
        Part("near", 1.0, tuple(Choice(name, BIRD_COLOURS) for name in ("breast", "crown", "wings"))),
    ),
    "flowers": (
        Part(
            "whole",
            1.0,
            (
                Choice("petals", PETAL_COLOURS),
                Choice("stamens", STAMEN_COLOURS),
                Number("petal_size", 0.66, 0.12, tolerance=0.05),
                Number("x", 0.0, 0.25, tolerance=0.06),
                Number("y", 0.0, 0.25, tolerance=0.06),
            ),
        ),
        Part(
            "round",
            0.75,
            (
                Choice("petal_count", COUNTS),
                Number("tilt", 20.0, 12.0, tolerance=5.0),
                Turn("tilt_direction", tolerance=30.0),
                Turn("rotation", tolerance=3.0, times=COUNTS, by="petal_count"),
            ),
        ),
    ),
}
HEADS: dict[str, tuple[Head, ...]] = {
    kind: tuple(head for part in parts for head in part.heads) for kind, parts in PARTS.items()
}


def sureness(kind: str, readings: Mapping[str, np.ndarray]) -> np.ndarray:
    """The confidence in the least certain choice of each picture, (n,), by what was read in doodles of this kind."""
    choices = [head.name for head in HEADS[kind] if isinstance(head, Choice)]
    return np.min([readings[f"{choice}_confidence"] for choice in choices], axis=0)
