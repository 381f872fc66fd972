"""Small games with every kind of state and coupling that there is, for comparing ways to run them.

Their networks are a few dense layers, since compiling convolutions takes most of a test's time; "DCGAN" has these.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import DTypeLike

from gan_jax import core, latents, losses, penalties
from gan_jax.augment import Augment, ada, diffaugment
from gan_jax.core import Objective, Players, Sampler
from gan_jax.layers.minibatch import MinibatchDiscrimination, append_stddev
from gan_jax.layers.norm import ConditionalBatchNorm, batch_norm, maybe_spectral
from gan_jax.models import dcgan
from gan_jax.objectives import image_gan

SIZE, CLASSES = (16, 16, 1), 3
SGD = Players(gen=optax.sgd(0.02), disc=optax.sgd(0.02))  # Adam would make rounding errors of small gradients large


class Generator(nn.Module):
    """Latents (b, z), and labels if there are `num_classes`, to images (b, 16, 16, 1)."""

    norm: Literal["batch", "none"] = "batch"
    num_classes: int = 0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, z, y=None, *, train):
        x = nn.Dense(8, use_bias=self.norm == "none", dtype=self.dtype)(z)[:, None, None]
        if self.num_classes:
            x = ConditionalBatchNorm(self.num_classes, dtype=self.dtype)(x, y, train=train)
        elif self.norm == "batch":
            x = batch_norm(use_running_average=not train, dtype=self.dtype)(x)
        x = nn.Dense(256, dtype=self.dtype)(nn.relu(x))
        return jnp.tanh(x.astype(jnp.float32)).reshape(-1, *SIZE)


class Discriminator(nn.Module):
    """Images (b, 16, 16, 1), and labels if there are `num_classes`, to logits (b,)."""

    norm: Literal["batch", "none"] = "none"
    spectral: bool = False
    minibatch: Literal["none", "stddev", "discrimination"] = "none"
    num_classes: int = 0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x, y=None, *, train):
        def dense(features, **options):
            return maybe_spectral(nn.Dense(features, dtype=self.dtype, **options), spectral=self.spectral, train=train)

        x = dense(8, use_bias=self.norm == "none")(x.reshape(len(x), -1))
        if self.norm == "batch":
            x = batch_norm(use_running_average=not train, dtype=self.dtype)(x)
        x = nn.leaky_relu(x, 0.2)
        self.sow("intermediates", "features", x)
        if self.minibatch == "stddev":
            x = append_stddev(x[:, None, None])[:, 0, 0]
        elif self.minibatch == "discrimination":
            x = MinibatchDiscrimination(kernels=4, dims=3)(x)
        logits = dense(1)(x)[:, 0]
        if self.num_classes:
            logits += jnp.sum(nn.Embed(self.num_classes, x.shape[-1], dtype=self.dtype)(y) * x, axis=-1)
        return logits.astype(jnp.float32)


class _Game(NamedTuple):
    generator: nn.Module
    discriminator: nn.Module
    terms: Sequence[tuple] = ()
    augment: Augment | None = None
    options: Mapping[str, int] | None = None


GAMES = {
    "labels, spectral norm, R1, standard deviation": _Game(
        Generator(num_classes=CLASSES),
        Discriminator(num_classes=CLASSES, spectral=True, minibatch="stddev"),
        ((0.5, penalties.r1),),
    ),
    "batch norm in D, discrimination, DiffAugment": _Game(
        Generator(),
        Discriminator(norm="batch", minibatch="discrimination"),
        augment=diffaugment(),
        options={"disc_steps": 2},
    ),
    "WGAN-GP, DRAGAN, ADA": _Game(
        Generator(),
        Discriminator(),
        ((0.5, penalties.wgan_gp), (0.5, penalties.dragan)),
        augment=ada(target=-0.2, images=400, every=2),  # so near to its signal that parts of a batch would disagree
        options={"accumulate": 2},
    ),
    "DCGAN, R1": _Game(
        dcgan.Generator(size=SIZE[:2], channels=1, width=4),
        dcgan.Discriminator(width=4, norm="none"),
        ((0.5, penalties.r1),),
    ),
}


def game(name: str) -> tuple[Objective, core.Step]:
    generator, discriminator, terms, augment, options = GAMES[name]
    objective = image_gan(generator, discriminator, losses.non_saturating, latents.Normal(5), terms, augment=augment)
    if isinstance(generator, dcgan.Generator):
        objective = enlarged(objective)
    return objective, core.make_step(objective, SGD, **(options or {}))


def enlarged(objective: Objective) -> Objective:
    """With first kernels 5 times as large, so that pictures vary and the players react to each other."""

    def init(key, batch):
        players = objective.init(key, batch)
        grown = [jax.tree.map(lambda x: 5 * x if x.ndim > 1 else x, variables["params"]) for variables in players]
        return Players(*({**variables, "params": params} for variables, params in zip(players, grown, strict=True)))

    return objective._replace(init=init)


begin = jax.jit(core.init_state, static_argnums=(0, 1))  # one program in place of a hundred small ones


def start(objective: Objective) -> core.TrainState:
    """A new state."""
    return begin(objective, SGD, jax.random.key(0), batches(1, size=8)[0])


def batches(n: int = 5, size: int = 32) -> list[dict[str, np.ndarray]]:
    """Pictures of noise, and labels that only some games look at."""
    generator = np.random.default_rng(0)
    return [
        {
            "image": generator.integers(0, 256, (size, *SIZE)).astype(np.uint8),
            "label": generator.integers(0, CLASSES, size).astype(np.int32),
        }
        for _ in range(n)
    ]


def numbers(tree: object) -> list[np.ndarray]:
    """All leaves but keys, as NumPy arrays."""
    return [np.asarray(x) for x in jax.tree.leaves(tree) if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key)]


PLAY = """
from functools import partial
from experiments import toy_2d
from gan_jax import cli
from gan_jax.training import run_experiment
cli.run_command(partial(run_experiment, toy_2d.build, "ring"), toy_2d.Config, "Points on a ring.")
"""


def ring(outdir: Path, **flags: object) -> list[str]:
    """The command of a run of small MLPs on a ring, a process of its own: all flags of runs and devices, quick to compile."""
    small = {"data": "ring", "width": 8, "depth": 1, "batch": 16, "outdir": outdir}
    asked = {**small, **flags}
    return [sys.executable, "-c", PLAY, *(f"--{name.replace('_', '-')}={value}" for name, value in asked.items())]


def flags_of(devices: int) -> str:
    """XLA_FLAGS of a process of its own, with so many devices."""
    others = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if "device_count" not in flag]
    return " ".join([*others, f"--xla_force_host_platform_device_count={devices}"])


def images(n=8, seed=0):
    """A batch of `batches` on the device."""
    return jax.tree.map(jnp.asarray, batches(seed + 1, size=n)[seed])


def linear_gan() -> Objective:
    """G has one parameter g and makes the fake g; D has one parameter d: V = d (x - g) - d^2 / 2, which D maximises."""

    def init(key, batch):
        return Players(gen={"params": {"w": jnp.full((), 0.5)}}, disc={"params": {"w": jnp.full((), 0.25)}})

    def disc_loss(disc_vars, fake, turn):
        d = disc_vars["params"]["w"]
        return d**2 / 2 - d * (jnp.mean(turn.batch["x"]) - fake), ({}, {})

    def gen_loss(disc_vars, fake, turn):
        return disc_vars["params"]["w"] * (jnp.mean(turn.batch["x"]) - fake), {}

    sampler = Sampler(lambda key, batch: {}, lambda gen_vars, inputs, key, train: (gen_vars["params"]["w"], {}))
    return Objective(init, sampler, disc_loss, gen_loss)
