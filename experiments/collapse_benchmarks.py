"""What mode collapse is tried on: games from the papers whose modes are known, and how samples are counted in them.

ring, grid        8 and 25 Gaussians, networks and optimizer of PacGAN (Lin et al. 2018, arXiv:1712.04086, authors' code)
ring_mlp, grid_mlp    the same Gaussians, with deep MLPs, learning rates that fall to 0 and averaged weights
unrolled          a ring, of Unrolled GAN (Metz et al. 2016, arXiv:1611.02163, appendix A)
digits            scikit-learn's digits at 32x32, DCGAN of width 16 without batch norm, its cost and optimizer
flowers           drawn flowers at 32x32, whose kinds are colours of petals and of stamens, with the same players
stacked_veegan, stacked_unrolled_half, stacked_unrolled_quarter    1,000 modes (`gan_jax.models.stacked`)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax import core, losses
from gan_jax.core import Metrics, Objective, TrainState
from gan_jax.data import Order, Rounds, digits
from gan_jax.data.dataset import Arrays, Dataset
from gan_jax.data.load import load
from gan_jax.data.mixtures import Mixture, ring, square_grid
from gan_jax.data.stacked import COLOURS
from gan_jax.data.variation import Variation
from gan_jax.evaluation.digit_reader import DigitReader, train_digit_reader
from gan_jax.evaluation.judge import Network, train_judge
from gan_jax.images import grid as tiled
from gan_jax.images.convert import to_float
from gan_jax.latents import LATENTS, Latent, Normal, Uniform
from gan_jax.losses import Loss
from gan_jax.metrics.diversity import rms_within_classes
from gan_jax.metrics.modes import class_coverage, mode_coverage, stacked_floor
from gan_jax.metrics.recognised import CONFIDENCE
from gan_jax.models import dcgan, mlp
from gan_jax.models.stacked import PROTOCOLS, Protocol
from gan_jax.runs.conditions import count
from gan_jax.sampling import sampling_variables
from gan_jax.training.flags import DecayName

POINTS, PICTURES = 2500, 2000  # samples that are counted in the plane (as VEEGAN and PacGAN do), and of pictures
SHOWN_POINTS, SHOWN_PICTURES = 400, 36  # of these are kept to be shown
LEAST = 0.1  # a kind of picture is lost if it is recognised less than this many times as often as real ones
CHUNK = 200  # pictures drawn and classified at a time


class Benchmark(NamedTuple):
    """A game whose modes are known.

    `rates` are (generator, discriminator), `decays` Adam's. `score(objective, state, data, key)` counts the samples of a
    state, with `scored_with` as data: numbers, `modes` among them, and the arrays `covered` (which modes) and `samples`.
    `columns` are the numbers a table shows, with their formats and what real examples score. `show` draws samples.
    """

    generator: nn.Module
    discriminator: Any
    latent: Latent
    arrays: Arrays
    batch: int
    rates: tuple[float, float]
    decays: tuple[float, float]
    loss: Loss
    modes: int
    score: Callable[[Objective, TrainState, Any, Array], Metrics]
    scored_with: Any
    columns: Mapping[str, tuple[str, float]]
    show: Callable[[Any, np.ndarray], None]
    penalty: float = 0.1  # weight of the penalties that some cures have
    vary: Sequence[Variation] = ()
    gen_steps: int = 1
    schedule: core.Schedule = "disc_first"
    ema: float = 0.0  # of the generator's weights
    decay: DecayName = "constant"

    @property
    def real(self) -> str:
        """The name of the real examples."""
        return "point" if "point" in self.arrays else "image"

    def rounds(self, pack: int, parts: int) -> Rounds:
        """Rounds of `parts` minibatches, each a batch of packs (as in PacGAN)."""
        return Rounds(self.arrays, Order(0, len(self.arrays[self.real]), self.batch * pack), parts, self.vary)


def _plane(mixture: Mixture, **parts: Any) -> Benchmark:
    means = jnp.asarray(mixture.means, jnp.float32)
    return Benchmark(
        arrays={"point": mixture.dataset().train["point"]},
        modes=len(means),
        score=partial(_count_points, mixture.sigma),
        scored_with=means,
        columns={
            "high_quality": ("{:.3f}", 1 - np.exp(-4.5)),
            "reverse_kl": ("{:.4f}", (len(means) - 1) / (2 * POINTS)),
            "deviation": ("{:.2f}", float(np.std(mixture.means))),
        },
        show=partial(_show_points, mixture),
        **parts,
    )


def _pacgan(mixture: Mixture) -> Benchmark:
    return _plane(
        mixture,
        generator=mlp.Generator(width=400, depth=4, norm="batch", kernels="normal", gain=0.02),
        discriminator=mlp.Discriminator(width=200, depth=3, activation="maxout", kernels="normal", gain=0.02),
        latent=Normal(2),
        batch=100,
        rates=(1e-4, 1e-4),
        decays=(0.8, 0.999),
        loss=losses.non_saturating,
        schedule="simultaneous",
    )


def _mlp(mixture: Mixture) -> Benchmark:
    """Deep and narrow players: on a CPU 5 layers of 128 reach what 4 of 256 do in half the time, and 6 come nearer still."""
    scale = float(np.abs(mixture.means).max())
    return _plane(
        mixture,
        generator=mlp.Generator(width=128, depth=6, scale=scale),
        discriminator=mlp.Discriminator(width=128, depth=6, scale=scale),
        latent=Normal(2),
        batch=256,
        rates=(1e-3, 1e-3),
        decays=(0.0, 0.99),
        loss=losses.non_saturating,
        penalty=0.03,
        ema=0.999,
        decay="linear",
    )


def _unrolled() -> Benchmark:
    return _plane(
        ring(radius=2.0, sigma=0.02),
        generator=mlp.Generator(width=128, depth=2, kernels="orthogonal", gain=0.8),
        discriminator=mlp.Discriminator(width=128, depth=1, scale=4.0, activation="relu", kernels="orthogonal", gain=0.8),
        latent=Normal(256),
        batch=512,
        rates=(1e-4, 1e-4),
        decays=(0.5, 0.999),
        loss=losses.minimax,
    )


def _count_points(sigma: float, objective: Objective, state: TrainState, means: Array, key: Array) -> Metrics:
    points = _samples(objective, state, POINTS)
    deviation = jnp.sqrt(jnp.mean(jnp.var(points, axis=0)))  # about their own mean: 0 if all are one point
    return {**mode_coverage(points, means, sigma)._asdict(), "deviation": deviation, "samples": points[:SHOWN_POINTS]}


def _show_points(mixture: Mixture, axes: Any, points: np.ndarray) -> None:
    reach = 1.4 * float(np.abs(mixture.means).max())
    axes.scatter(*mixture.means.T, s=40, facecolors="none", edgecolors="tab:orange", linewidths=0.8)
    axes.scatter(*np.clip(points, -reach, reach).T, s=1.5, color="black", alpha=0.6)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")


def _pictures(dataset: Dataset) -> Benchmark:
    """DCGAN (Radford et al. 2015, arXiv:1511.06434) of width 16 with its cost and optimizer, without batch norm.

    Batch norm is itself a cure of collapse (section 3), and would hide what the others do.
    """
    judge = train_judge(dataset)
    frequencies = jnp.asarray(np.bincount(dataset.train["label"], minlength=len(judge.names)) / len(dataset))
    images = dataset.held_out["image"][:PICTURES]
    real = _kinds(judge.see(images).known_logits(), jnp.asarray(images), frequencies)
    return Benchmark(
        generator=dcgan.Generator(images.shape[1:3], images.shape[3], width=16, norm="none"),
        discriminator=dcgan.Discriminator(width=16, norm="none"),
        latent=Uniform(100),
        arrays={"image": dataset.train["image"]},
        batch=64,
        rates=(2e-4, 2e-4),
        decays=(0.5, 0.999),
        loss=losses.non_saturating,
        modes=int(jnp.sum(frequencies > 0)),
        penalty=1.0,
        score=partial(_count_pictures, judge.network),
        scored_with=(judge.params, frequencies),
        columns={name: ("{:.3f}", float(real[name])) for name in ("recognised", "reverse_kl", "deviation")},
        show=_show_pictures,
    )


def _count_pictures(network: Network, objective: Objective, state: TrainState, data: Any, key: Array) -> Metrics:
    params, frequencies = data
    images, logits = _samples(objective, state, PICTURES, lambda images: (images, network(params, images)[1]))
    return _kinds(logits, images, frequencies) | {"samples": images[:SHOWN_PICTURES]}


def _kinds(logits: Array | np.ndarray, images: Array, frequencies: Array) -> Metrics:
    """Kinds that images uint8 (n, h, w, c) cover, the share recognised, and the deviation of those of a kind, in [-1, 1]."""
    labels, sure = jnp.argmax(logits, axis=-1), jnp.max(jax.nn.softmax(logits), axis=-1) > CONFIDENCE
    found = class_coverage(labels, frequencies, sure, LEAST)
    pixels = to_float(images).reshape(len(images), -1)
    return {
        "modes": found.modes,
        "covered": found.covered,
        "reverse_kl": found.kl,
        "recognised": jnp.mean(sure),
        "deviation": rms_within_classes(pixels, labels, len(frequencies)) / pixels.shape[1] ** 0.5,
    }


def _show_pictures(axes: Any, images: np.ndarray) -> None:
    sheet = tiled(images)
    axes.imshow(sheet.squeeze(-1) if sheet.shape[-1] == 1 else sheet, cmap="gray", vmin=0, vmax=255)


def _flowers() -> Dataset:
    """Drawn flowers, labelled by the colours of petals and stamens; some pairs do not exist."""
    dataset = load("doodle_flowers", (32, 32))
    names = [name for name in dataset.attribute_names if name.startswith(("petals_", "stamens_"))]
    petals = sum(name.startswith("petals_") for name in names)

    def labelled(arrays: Arrays) -> Arrays:
        shown = np.asarray(arrays["attributes"])[:, : len(names)]
        pair = shown[:, :petals].argmax(axis=1) * (len(names) - petals) + shown[:, petals:].argmax(axis=1)
        return {"image": arrays["image"], "label": pair.astype(np.int32)}

    pairs = tuple(f"{petal}, {stamen}" for petal in names[:petals] for stamen in names[petals:])
    identity = f"{dataset.fingerprint}-kinds"
    train, held_out = labelled(dataset.train), labelled(dataset.held_out)
    return replace(dataset, train=train, held_out=held_out, class_names=pairs, stored_fingerprint=identity)


def _stacked(protocol: Protocol) -> Benchmark:
    dataset = load("stacked_mnist", protocol.generator.size)
    arrays, vary = dataset.drawn or (dataset.train, ())
    reader = train_digit_reader(protocol.generator.size)
    labels = np.asarray(dataset.train["digits"])
    frequencies = np.bincount(labels.ravel(), minlength=10) / labels.size
    return Benchmark(
        generator=protocol.generator,
        discriminator=protocol.discriminator,
        latent=LATENTS[protocol.latent](protocol.latent_dim),
        arrays=arrays,
        batch=protocol.batch,
        rates=(protocol.gen_lr, protocol.disc_lr),
        decays=(protocol.b1, protocol.b2),
        loss=losses.non_saturating,
        modes=10 ** len(COLOURS),
        penalty=1.0,
        score=partial(_count_stacked, reader, protocol.samples),
        scored_with=reader.judge.params,
        columns={"reverse_kl": ("{:.3f}", stacked_floor(protocol.samples, np.stack([frequencies] * len(COLOURS))).kl)},
        show=_show_pictures,
        vary=vary,
        gen_steps=protocol.gen_steps,
    )


def _count_stacked(reader: DigitReader, n: int, objective: Objective, state: TrainState, params: Any, key: Array) -> Metrics:
    """Differs from Unrolled GAN's protocol: batch norm by its running averages, as in the other two."""

    def read(images: Array) -> tuple[Array, Array]:
        return images, reader.read(params, images) @ jnp.array([100, 10, 1])

    images, modes = _samples(objective, state, n, read)
    found = class_coverage(modes, jnp.full(1000, 1e-3))
    return {"modes": found.modes, "covered": found.covered, "reverse_kl": found.kl, "samples": images[:SHOWN_PICTURES]}


def _samples(objective: Objective, state: TrainState, n: int, look: Callable[[Array], Any] | None = None) -> Any:
    """n samples of fixed latents; of pictures what `look` makes of `CHUNK` of them, uint8, joined."""
    sampler = objective.sampler
    inputs = sampler.inputs(jax.random.key(1), count(n))
    key, variables = jax.random.key(2), sampling_variables(state)
    if look is None:
        return sampler.sample(variables, inputs, key, False)[0]

    def some(inputs: Any) -> Any:
        images, _ = sampler.sample(variables, inputs, key, False)
        return look(jnp.round(jnp.clip(images, -1, 1) * 127.5 + 127.5).astype(jnp.uint8))

    parts = jax.tree.map(lambda x: x.reshape(n // CHUNK, CHUNK, *x.shape[1:]), inputs)
    return jax.tree.map(lambda x: x.reshape(n, *x.shape[2:]), jax.lax.map(some, parts))


BENCHMARKS: dict[str, Callable[[], Benchmark]] = {
    "ring": lambda: _pacgan(ring()),
    "grid": lambda: _pacgan(square_grid()),
    "ring_mlp": lambda: _mlp(ring()),
    "grid_mlp": lambda: _mlp(square_grid()),
    "unrolled": _unrolled,
    "digits": lambda: _pictures(digits(32)),
    "flowers": lambda: _pictures(_flowers()),
    **{f"stacked_{name}": partial(_stacked, protocol) for name, protocol in PROTOCOLS.items()},
}
