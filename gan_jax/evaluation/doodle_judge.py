"""The judge of doodles: small networks that read every attribute, trained and tested on pictures of known truth."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float, PyTree

from gan_jax.data.doodles import KINDS
from gan_jax.data.doodles.drawn import generator_of
from gan_jax.errors import InputError
from gan_jax.evaluation.doodle_heads import HEADS, PARTS, Head, Part, Readings
from gan_jax.files import kept
from gan_jax.images.convert import to_float
from gan_jax.models.reader import CloseReader, NearReader, Reader, RoundReader
from gan_jax.rows import chunks
from gan_jax.supervised import fit

EXAMINED = 2000  # held-out pictures
STEPS = 3000
CHUNK = 250  # pictures read at a time
FACE = (0.38, 0.84, 0.2, 0.8)  # top, bottom, left, right, as shares of the sides: from brows to chin, from ear to ear
PLACED = ("round", "near")  # networks that read around a position found by an earlier stage


class Examples(NamedTuple):
    """Drawings and what they show."""

    images: np.ndarray  # (n, h, w, 3) uint8
    truths: list[Any]  # of each a Face, Bird or Flower


class _Stage(NamedTuple):
    """A network and what it reads; those in `PLACED` need positions that an earlier stage has read."""

    model: nn.Module
    part: Part


class _Trained(NamedTuple):
    params: list[PyTree]  # of each stage
    accuracy: dict[str, float]


@dataclass(frozen=True)
class DoodleJudge:
    """Reads attributes of pictures of one kind and size.

    `accuracy` has for every attribute the share of correct readings on held-out drawings, half of them with wrong counts; a
    number is correct within `tolerance[name]`, and `accuracy[f"{name}_error"]` is its mean absolute error, in its unit.
    """

    kind: str
    size: tuple[int, int]
    accuracy: dict[str, float]
    tolerance: dict[str, float]
    read: Callable[[np.ndarray], Readings]

    def judge(self, images: np.ndarray) -> Readings:
        """Attributes of images (n, h, w, 3), uint8 or floats in [-1, 1]: arrays (n,) by name, with `f"{name}_confidence"`.

        The confidence is the predicted probability that the value is correct; for an angle the length of the mean direction.
        Raises `InputError` for images of another size.
        """
        if images.ndim != 4 or images.shape[1:] != (*self.size, 3):
            raise InputError(
                f"this judge of {self.kind} reads images (n, {self.size[0]}, {self.size[1]}, 3), not {images.shape}"
            )
        return self.read(images)


def train_doodle_judge(
    kind: str,
    size: tuple[int, int] = (64, 64),
    seed: int = 0,
    cache: Path | None = None,
    steps: int | None = None,
    *,
    drawings: int = 10_000,
    batch: int = 32,
    width: int = 48,
) -> DoodleJudge:
    """A judge of "faces", "birds" or "flowers" of `size` (h, w), sides multiples of 16; a function of the arguments.

    Each network is trained for its share (`PARTS` of `doodle_heads`) of `steps` (default 3,000) on `drawings` pictures, half
    of them with wrong counts, with noise of standard deviation 0.05, and mirrored at random where `Part.mirror` says so. Adam's
    rate is 1e-3, or 2e-3 for networks in `PLACED`, with a warm-up and a decay to 0. The result is kept in the file `cache` and
    read from there the next time; a file of another kind, size, seed or recipe is replaced. Raises `InputError` for an unknown
    kind or an impossible size, `RunError` for a loss that is not finite.
    """
    if kind not in KINDS:
        raise InputError(f"there are no drawn {kind}: choose one of {', '.join(KINDS)}")
    if min(size) < 16 or size[0] % 16 or size[1] % 16:
        raise InputError(f"the judge reads images whose sides are multiples of 16, not {size[0]}x{size[1]}")
    total = steps or STEPS
    stages = _stages(kind, width)
    efforts = [part.effort for part in PARTS[kind]]
    identity = f"{KINDS[kind].name} {KINDS[kind].version} {size} {seed} {total} {efforts} {drawings} {batch} {width}"
    identity += " mirrored" * any(part.mirror for part in PARTS[kind])
    start = _start(stages, size, seed)

    def train() -> _Trained:
        params = _train(stages, start, drawn(kind, "train", drawings, size, seed), total, batch, seed)
        accuracy = examine(kind, _reader(stages, params), drawn(kind, "held_out", EXAMINED, size, seed))
        return _Trained(params, accuracy)

    params, accuracy = kept(cache, partial(_read, identity=identity, start=start), train, partial(_write, identity=identity))
    tolerance = {head.name: head.tolerance for stage in stages for head in stage.part.heads if head.tolerance}
    return DoodleJudge(kind, size, accuracy, tolerance, _reader(stages, params))


def _read(path: Path, identity: str, start: list[PyTree]) -> _Trained:
    """Raises `ValueError` for a file of another identity."""
    content = flax.serialization.msgpack_restore(path.read_bytes())
    if content["identity"] != identity:
        raise ValueError(f"{path} is of {content['identity']}, not of {identity}")
    return _Trained(flax.serialization.from_state_dict(start, content["params"]), content["accuracy"])


def _write(path: Path, trained: _Trained, identity: str) -> None:
    params = flax.serialization.to_state_dict(trained.params)
    content = {"identity": identity, "params": params, "accuracy": trained.accuracy}
    path.write_bytes(flax.serialization.msgpack_serialize(content))


def drawn(kind: str, split: str, n: int, size: tuple[int, int], seed: int = 0) -> Examples:
    """`n` pictures of a kind, every second one with wrong counts; a function of the arguments."""
    drawing, truths = KINDS[kind], []
    for i in range(n):
        generator = generator_of(seed, split, i)
        truth = drawing.sample(generator)
        truths.append(drawing.miscounted(truth, generator) if i % 2 else truth)
    return Examples(np.stack([drawing.draw(truth, size) for truth in truths]), truths)


def examine(kind: str, read: Callable[[np.ndarray], Readings], examples: Examples) -> dict[str, float]:
    """Shares of correct readings, and mean absolute errors of numbers, among the attributes that a picture shows."""
    readings = read(examples.images)
    scores: dict[str, float] = {}
    for head in HEADS[kind]:
        scores |= head.scores(readings[head.name], examples.truths)
    return scores


def _stages(kind: str, width: int) -> list[_Stage]:
    return [_Stage(_model(part.look, sum(head.outputs for head in part.heads), width), part) for part in PARTS[kind]]


def _model(look: str, outputs: int, width: int) -> nn.Module:
    if look == "face":
        return CloseReader(outputs, FACE, width)
    if look == "near":
        return NearReader(outputs, width)
    return RoundReader(outputs, width) if look == "round" else Reader(outputs, width)


def _start(stages: Sequence[_Stage], size: tuple[int, int], seed: int) -> list[PyTree]:
    x, key = jnp.zeros((1, *size, 3)), jax.random.key(seed)
    return [jax.jit(stage.model.init)(key, x, *[jnp.ones((1, 3))] * (stage.part.look in PLACED)) for stage in stages]


def _reader(stages: Sequence[_Stage], params: list[PyTree]) -> Callable[[np.ndarray], Readings]:
    applies = [jax.jit(lambda p, x, *places, m=stage.model: m.apply(p, to_float(x), *places)) for stage in stages]

    def read_chunk(images: np.ndarray) -> Readings:
        readings: Readings = {}
        for stage, apply, p in zip(stages, applies, params, strict=True):
            places = [_places(stage.part.look, readings)] if stage.part.look in PLACED else []
            readings |= _decode(stage.part.heads, np.asarray(apply(p, images, *places)), readings)
        return readings

    def read(images: np.ndarray) -> Readings:
        parts = [read_chunk(images[rows]) for rows in chunks(len(images), CHUNK)]
        return {name: np.concatenate([each[name] for each in parts]) for name in parts[0]}

    return read


def _places(look: str, values: Readings) -> np.ndarray:
    """x, y and extent (n, 3): the length of the petals, or half the width of a bird, negative if it faces left."""
    extent = values["petal_size"] if look == "round" else _width(values["large"]) * np.where(values["right"], 1, -1)
    return np.stack([values["x"], values["y"], extent], axis=1).astype(np.float32)


def _width(large: np.ndarray) -> np.ndarray:
    return np.where(large, 0.9, 0.64)


def _decode(heads: Sequence[Head], outputs: np.ndarray, readings: Readings) -> Readings:
    decoded, first = dict(readings), 0
    for head in heads:
        value, confidence = head.decode(outputs[:, first : first + head.outputs], decoded)
        decoded |= {head.name: value, f"{head.name}_confidence": confidence}
        first += head.outputs
    return decoded


def _train(
    stages: Sequence[_Stage], params: list[PyTree], examples: Examples, steps: int, batch: int, seed: int
) -> list[PyTree]:
    """Parameters of the stages, each trained separately, those in `PLACED` on true positions with noise like the error's."""
    trained = []
    for stage, start in zip(stages, params, strict=True):
        places = np.zeros((len(examples.truths), 0), np.float32)
        if stage.part.look in PLACED:
            names = ("x", "y", "petal_size") if stage.part.look == "round" else ("x", "y", "large", "right")
            truth = {name: np.array([getattr(each, name) for each in examples.truths]) for name in names}
            places = _places(stage.part.look, truth)
        trained.append(_train_stage(stage, start, examples, places, math.ceil(stage.part.effort * steps), batch, seed))
    return trained


def _train_stage(
    stage: _Stage, params: PyTree, examples: Examples, places: np.ndarray, steps: int, batch: int, seed: int
) -> PyTree:
    rate = 2e-3 if stage.part.look in PLACED else 1e-3
    tx = optax.adam(optax.warmup_cosine_decay_schedule(0.0, rate, max(1, steps // 20), steps + 1))
    targets = np.concatenate([head.encode(examples.truths) for head in stage.part.heads], axis=1)

    generator = np.random.Generator(np.random.Philox(key=seed))
    odd = np.repeat([head.odd for head in stage.part.heads], [head.targets for head in stage.part.heads])

    def load(step: int) -> tuple[np.ndarray, ...]:
        chosen = generator.integers(len(targets), size=batch)
        images, aims = examples.images[chosen], targets[chosen]
        if stage.part.mirror:
            turned = generator.random(batch) < 0.5
            images = np.where(turned[:, None, None, None], images[:, :, ::-1], images)
            aims = np.where(turned[:, None] & odd[None], -aims, aims)
        return images, places[chosen], aims

    def loss(params: PyTree, batch: tuple[Array, ...], key: Array) -> Array:
        images, places, targets = batch
        key_noise, key_place = jax.random.split(key)
        x = to_float(images) + 0.05 * jax.random.normal(key_noise, images.shape)
        moved = [places + 0.02 * jax.random.normal(key_place, places.shape)] if stage.part.look in PLACED else []
        outputs: Any = stage.model.apply(params, x, *moved)
        return _loss(stage.part.heads, outputs, targets)

    what = f"reader of {', '.join(head.name for head in stage.part.heads[:3])}, ..."
    return fit(loss, params, tx, load, steps, jax.random.key(seed), what=what)


def _loss(heads: Sequence[Head], outputs: Float[Array, "b k"], targets: Float[Array, "b t"]) -> Float[Array, ""]:
    """The sum of the heads' mean losses over the examples that show the attribute; targets of the others are NaN."""
    total, first, at = jnp.zeros(()), 0, 0
    for head in heads:
        aim = targets[:, at : at + head.targets]
        shown = jnp.isfinite(aim)
        losses = head.loss(outputs[:, first : first + head.outputs], jnp.where(shown, aim, 0.0))
        total += jnp.sum(jnp.where(shown, losses, 0.0)) / jnp.maximum(jnp.sum(shown), 1)
        first, at = first + head.outputs, at + head.targets
    return total
