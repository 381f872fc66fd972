"""What `experiments.benchmarks.benchmark` compares: games, the ways to play them, and how much arithmetic a round is."""

import importlib.util
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from unittest import mock

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax import core, latents, losses, penalties
from gan_jax.core import Players
from gan_jax.layers import lowerings
from gan_jax.models import dcgan, mlp, resnet
from gan_jax.objectives import image_gan
from gan_jax.parallel.arithmetic import arithmetic
from gan_jax.parallel.drivers import jit_step
from gan_jax.parallel.feeds import resident
from gan_jax.parallel.memory import Analysis, analyse
from gan_jax.training.convolutions import measured_step

TORCH = importlib.util.find_spec("torch") is not None
PENALTIES = {
    "none": (),
    "r1": ((1.0, penalties.r1),),
    "r1r2": ((1.0, penalties.r1), (1.0, penalties.r2)),
    "wgan_gp": ((1.0, penalties.wgan_gp),),
}


@dataclass(frozen=True)
class Game:
    """Players of one size in JAX, and what `experiments.benchmarks.benchmark_torch` builds of the same."""

    generator: nn.Module
    discriminator: nn.Module
    latent: int
    batch: int
    shape: tuple[int, ...]
    torch_game: str
    torch_fields: dict[str, Any] = field(default_factory=dict)
    disc_steps: int = 1
    penalty: str = "none"
    hinge: bool = False
    pack: int = 1
    unroll: int = 0

    def build(self) -> tuple[core.Objective, core.Step, Players]:
        loss = losses.hinge if self.hinge else losses.non_saturating
        real = "image" if len(self.shape) == 3 else "point"
        latent = latents.Normal(self.latent)
        terms = PENALTIES[self.penalty]
        objective = image_gan(self.generator, self.discriminator, loss, latent, terms, real, pack=self.pack)
        tx = Players(gen=optax.adam(2e-4, b1=0.5), disc=optax.adam(2e-4, b1=0.5, eps_root=1e-16 if self.unroll else 0.0))
        step = core.make_step(objective, tx, disc_steps=self.disc_steps, ema=0.0, unroll=self.unroll)
        return objective, step, tx

    def data(self) -> dict[str, np.ndarray]:
        """One round's examples."""
        generator, n = np.random.default_rng(0), self.batch * self.disc_steps
        if len(self.shape) == 1:
            return {"point": generator.normal(size=(n, *self.shape)).astype(np.float32)}
        return {"image": generator.integers(0, 256, (n, *self.shape)).astype(np.uint8)}

    def state(self) -> core.TrainState:
        objective, _, tx = self.build()
        return jax.jit(core.init_state, static_argnums=(0, 1))(objective, tx, jax.random.key(0), self.data())

    def operations(self) -> int:
        """Floating-point operations of a round's products and convolutions as plain sums: the same for all contenders."""
        return arithmetic(self.build()[1], jax.eval_shape(self.state), self.data())


def dcgan_game(size: int, width: int = 64, batch: int = 64, dtype: Any = jnp.float32, penalty: str = "none") -> Game:
    norm: Any = "batch" if penalty == "none" else "none"
    generator = dcgan.Generator(size=(size, size), width=width, kernel_size=4, dtype=dtype)
    discriminator = dcgan.Discriminator(width=width, kernel_size=4, norm=norm, dtype=dtype)
    fields = {"size": size, "width": width, "norm": norm}
    return Game(generator, discriminator, 100, batch, (size, size, 3), "dcgan", fields, penalty=penalty)


def sngan_game(batch: int = 64, dtype: Any = jnp.float32) -> Game:
    players = resnet.Generator(size=(32, 32), dtype=dtype), resnet.Discriminator(dtype=dtype)
    return Game(*players, 128, batch, (32, 32, 3), "sngan32", disc_steps=5, hinge=True)


def plane_game(width: int = 256, batch: int = 256) -> Game:
    return Game(mlp.Generator(width=width), mlp.Discriminator(width=width), 2, batch, (2,), "mlp", {"width": width})


class Contender(NamedTuple):
    """`play(n)` plays n rounds and waits for them; how long the first took, and the compiler's account where there is one."""

    play: Callable[[int], None]
    first: float
    analysis: Analysis | None = None


def ours(game: Game, scanned: bool = False) -> Contender:
    """Our step, one round a dispatch with convolutions by rule, or as training plays it: scanned, with their measured forms."""
    _, step, _ = game.build()
    step = measured_step(step) if scanned else step
    state, batch = game.state(), jax.device_put(game.data())
    analysis = analyse(step, state, batch)
    start = time.perf_counter()
    if scanned:
        index = np.arange(len(next(iter(batch.values()))), dtype=np.int32)
        advance = resident(step, game.data(), lambda i: {"index": index})
    else:
        run = jit_step(step)

    def play(n: int) -> None:
        nonlocal state
        if scanned:
            state, metrics = advance(state, 0, n)
        else:
            for _ in range(n):
                state, metrics = run(state, batch)
        jax.block_until_ready(metrics)

    play(1)
    return Contender(play, time.perf_counter() - start, analysis)


def stock(game: Game) -> Contender:
    """The same step with flax's own layers in the place of ours (in residual networks XLA's own convolutions)."""
    with _stock_layers():
        return ours(game)


@contextmanager
def _stock_layers() -> Iterator[None]:
    def conv(features: int, kernel_size: int = 5, stride: int = 2, **fields: Any) -> nn.Module:
        return nn.Conv(features, (kernel_size, kernel_size), (stride, stride), **fields)

    def transpose(features: int, kernel_size: int = 5, stride: int = 2, **fields: Any) -> nn.Module:
        return nn.ConvTranspose(features, (kernel_size, kernel_size), (stride, stride), **fields)

    with (
        mock.patch.multiple(dcgan, Conv=conv, ConvTranspose=transpose),
        mock.patch.object(lowerings, "choice", return_value=lowerings.Choice("plain")),
    ):
        yield


def torch_contender(game: Game, mode: Any, device: str, amp: bool) -> Contender:
    """PyTorch's twin of the game; raises if its numbers of parameters are not ours."""
    from experiments.benchmarks import benchmark_torch

    found, wanted = benchmark_torch.GAMES[game.torch_game](**game.torch_fields).counts(), counts(game)
    if tuple(found) != wanted:
        raise AssertionError(f"{game.torch_game}: PyTorch's players have {found} parameters, ours {wanted}")
    options = {"disc_steps": game.disc_steps, "penalty": game.penalty, **game.torch_fields}
    start = time.perf_counter()
    step = benchmark_torch.make_step(game.torch_game, mode, game.batch, device, amp, **options)

    def play(n: int) -> None:
        for _ in range(n):
            step()
        benchmark_torch.synchronise(device)

    play(1)
    return Contender(play, time.perf_counter() - start)


def counts(game: Game) -> tuple[int, int]:
    """Numbers of parameters: (generator, discriminator)."""
    state = jax.eval_shape(game.state)
    gen, disc = (sum(math.prod(x.shape) for x in jax.tree.leaves(player.params)) for player in (state.gen, state.disc))
    return gen, disc
