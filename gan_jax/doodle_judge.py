"""A judge of drawn pictures: a small network that reads every attribute, taught and examined on pictures of known truth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float, PyTree

from gan_jax.data.doodles import KINDS
from gan_jax.data.doodles.drawn import generator_of
from gan_jax.doodle_heads import HEADS, Head, Readings
from gan_jax.errors import InputError
from gan_jax.images import to_float
from gan_jax.models.reader import Reader

EXAMINED = 2000  # held-out pictures


class Examples(NamedTuple):
    images: np.ndarray  # (n, h, w, 3) uint8
    truths: list[Any]  # what each shows: Face, Bird or Flower


@dataclass(frozen=True)
class DoodleJudge:
    """Reads attributes of pictures of one kind and size.

    `accuracy` has, for every attribute, the share that it read rightly of held-out drawings, half of them with wrong counts;
    a number is right within `tolerance[name]`, and `accuracy[f"{name}_error"]` is its mean absolute error, in its unit.
    """

    kind: str
    size: tuple[int, int]
    accuracy: dict[str, float]
    tolerance: dict[str, float]
    outputs: Callable[[np.ndarray], np.ndarray]

    def judge(self, images: np.ndarray) -> Readings:
        """Attributes of images (n, h, w, 3), uint8 or floats in [-1, 1]: arrays (n,) by name, with `f"{name}_confidence"`.

        The confidence is the probability that the value is right; for an angle the length of the mean direction.
        Raises `InputError` for images of another size.
        """
        if images.ndim != 4 or images.shape[1:] != (*self.size, 3):
            raise InputError(
                f"this judge of {self.kind} reads images (n, {self.size[0]}, {self.size[1]}, 3), not {images.shape}"
            )
        return _decode(HEADS[self.kind], self.outputs(images))


def train_doodle_judge(
    kind: str,
    size: tuple[int, int] = (64, 64),
    seed: int = 0,
    cache: Path | None = None,
    steps: int | None = None,
    *,
    drawings: int = 16_000,
    batch: int = 64,
    width: int = 48,
) -> DoodleJudge:
    """A judge of "faces", "birds" or "flowers" of `size` (h, w), sides multiples of 16; a function of the arguments.

    Trained for `steps` (default 3,000) on `drawings`, half of them miscounted, with noise of standard deviation 0.05, Adam
    1e-3 decaying to 0. With `cache` the result is kept in that file, and read from there the next time; a file of another
    kind, size, seed or recipe is replaced. Raises `InputError` for an unknown kind or an impossible size.
    """
    if kind not in KINDS:
        raise InputError(f"there are no drawn {kind}: choose one of {', '.join(KINDS)}")
    if min(size) < 16 or size[0] % 16 or size[1] % 16:
        raise InputError(f"the judge reads images whose sides are multiples of 16, not {size[0]}x{size[1]}")
    steps = steps or 3000
    identity = f"{KINDS[kind].name} {KINDS[kind].version} {size[0]}x{size[1]} {seed} {steps} {drawings} {batch} {width}"
    heads = HEADS[kind]
    model = Reader(sum(head.outputs for head in heads), width)
    params = model.init(jax.random.key(seed), jnp.zeros((1, *size, 3)))
    kept = _kept(cache, identity)
    if kept:
        params = flax.serialization.from_state_dict(params, kept["params"])
    else:
        params = _train(model, params, heads, drawn(kind, "train", drawings, size, seed), steps, batch, seed)
    apply = jax.jit(lambda params, x: model.apply(params, to_float(x)))

    def outputs(images: np.ndarray) -> np.ndarray:
        return np.concatenate([np.asarray(apply(params, images[i : i + 250])) for i in range(0, len(images), 250)])

    accuracy = kept["accuracy"] if kept else examine(heads, outputs, drawn(kind, "held_out", EXAMINED, size, seed))
    if cache and not kept:
        _keep(cache, {"identity": identity, "params": flax.serialization.to_state_dict(params), "accuracy": accuracy})
    return DoodleJudge(kind, size, accuracy, {head.name: head.tolerance for head in heads if head.tolerance}, outputs)


def drawn(kind: str, split: str, n: int, size: tuple[int, int], seed: int = 0) -> Examples:
    """`n` pictures of a kind, every second one miscounted."""
    drawing, truths = KINDS[kind], []
    for i in range(n):
        generator = generator_of(seed, split, i)
        truth = drawing.sample(generator)
        truths.append(drawing.miscounted(truth, generator) if i % 2 else truth)
    return Examples(np.stack([drawing.draw(truth, size) for truth in truths]), truths)


def examine(heads: Sequence[Head], outputs: Callable[[np.ndarray], np.ndarray], examples: Examples) -> dict[str, float]:
    """Shares of attributes read rightly, and mean errors of numbers, among those that the picture shows."""
    readings = _decode(heads, outputs(examples.images))
    scores: dict[str, float] = {}
    for head in heads:
        scores |= head.scores(readings[head.name], examples.truths)
    return scores


def _decode(heads: Sequence[Head], outputs: np.ndarray) -> Readings:
    readings: Readings = {}
    first = 0
    for head in heads:
        value, confidence = head.decode(outputs[:, first : first + head.outputs], readings)
        readings |= {head.name: value, f"{head.name}_confidence": confidence}
        first += head.outputs
    return readings


def _train(
    model: Reader, params: PyTree, heads: Sequence[Head], examples: Examples, steps: int, batch: int, seed: int
) -> PyTree:
    tx = optax.adam(optax.warmup_cosine_decay_schedule(0.0, 1e-3, max(1, steps // 20), steps))
    targets = np.concatenate([head.encode(examples.truths) for head in heads], axis=1)

    @jax.jit
    def update(params: PyTree, opt_state: PyTree, images: Array, aims: Array, key: Array) -> tuple[PyTree, PyTree, Array]:
        def cost(params: PyTree) -> Array:
            noise = 0.05 * jax.random.normal(key, images.shape)
            return _loss(heads, model.apply(params, to_float(images) + noise), aims)

        loss, change = jax.value_and_grad(cost)(params)
        change, opt_state = tx.update(change, opt_state, params)
        return optax.apply_updates(params, change), opt_state, loss

    key, opt_state = jax.random.key(seed), tx.init(params)
    generator = np.random.Generator(np.random.Philox(key=seed))
    for step in range(steps):
        chosen = generator.integers(len(targets), size=batch)
        images = examples.images[chosen]
        params, opt_state, _ = update(params, opt_state, images, targets[chosen], jax.random.fold_in(key, step))
    return params


def _loss(heads: Sequence[Head], outputs: Float[Array, "b k"], targets: Float[Array, "b t"]) -> Float[Array, ""]:
    """The sum of the heads' mean losses over the examples that show the attribute (a target that is NaN is not shown)."""
    total, first, at = jnp.zeros(()), 0, 0
    for head in heads:
        aim = targets[:, at : at + head.targets]
        shown = jnp.isfinite(aim)
        losses = head.loss(outputs[:, first : first + head.outputs], jnp.where(shown, aim, 0.0))
        total += jnp.sum(jnp.where(shown, losses, 0.0)) / jnp.maximum(jnp.sum(shown), 1)
        first, at = first + head.outputs, at + head.targets
    return total


def _kept(cache: Path | None, identity: str) -> dict[str, Any] | None:
    if cache is None or not cache.exists():
        return None
    kept = flax.serialization.msgpack_restore(cache.read_bytes())
    return kept if kept["identity"] == identity else None


def _keep(cache: Path, result: dict[str, Any]) -> None:
    unfinished = cache.with_name(f".{cache.name}")
    unfinished.write_bytes(flax.serialization.msgpack_serialize(result))
    unfinished.replace(cache)
