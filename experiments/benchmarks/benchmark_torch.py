"""PyTorch's players and rounds for `benchmark`: the networks of `gan_jax.models`, as fast as PyTorch plays them.

Imported only where PyTorch is (`pip install torch`). Nothing here is kept from PyTorch that we allow ourselves: the generator's
forward pass serves both players, no gradient is computed that nobody uses, optimizers are fused, and SNGAN's resizing is
folded into its convolutions as in `gan_jax.models.resnet`. Where the discriminator has no batch norm, real and generated
examples pass it as one batch.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from gan_jax.errors import InputError
from gan_jax.models.dcgan import stages, widths

Mode = Literal["eager", "channels_last", "compile"]
Penalty = Literal["none", "r1", "r1r2", "wgan_gp"]
Step = Callable[[], None]


class Game(NamedTuple):
    """Two players, the length of the latent code, the shape of an example (images: c h w, uint8) and the costs."""

    generator: nn.Module
    discriminator: nn.Module
    latent: int
    shape: tuple[int, ...]
    loss: Literal["non_saturating", "hinge"] = "non_saturating"

    def counts(self) -> tuple[int, int]:
        """Numbers of parameters: (generator, discriminator)."""
        gen, disc = (sum(p.numel() for p in player.parameters()) for player in self[:2])
        return gen, disc


def dcgan(
    size: int = 64, width: int = 128, *, channels: int = 3, latent: int = 100, norm: Literal["batch", "none"] = "batch"
) -> Game:
    """`gan_jax.models.dcgan` with kernel_size=4; `norm` is the discriminator's."""
    n, (rows, cols) = stages(size, size)
    *hidden, coarsest = widths(width, n)
    dense = nn.Linear(latent, rows * cols * coarsest, bias=False)
    gen: list[nn.Module] = [dense, nn.Unflatten(1, (coarsest, rows, cols)), nn.BatchNorm2d(coarsest), nn.ReLU(inplace=True)]
    for before, after in zip([coarsest, *reversed(hidden)], reversed(hidden), strict=False):
        gen += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    gen += [nn.ConvTranspose2d(width, channels, 4, 2, 1), nn.Tanh()]
    disc: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
    for before, after in zip(hidden, [*hidden[1:], coarsest], strict=True):
        disc += [nn.Conv2d(before, after, 4, 2, 1, bias=norm == "none")]
        disc += [nn.BatchNorm2d(after)] * (norm == "batch") + [nn.LeakyReLU(0.2, inplace=True)]
    disc += [nn.Flatten(), nn.Linear(rows * cols * coarsest, 1)]
    for layer in [*gen, *disc]:
        if isinstance(layer, nn.BatchNorm2d | nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, float(isinstance(layer, nn.BatchNorm2d)), 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return Game(nn.Sequential(*gen), nn.Sequential(*disc), latent, (channels, size, size))


def mlp(width: int = 256, depth: int = 3, *, features: int = 2, latent: int = 2) -> Game:
    """`gan_jax.models.mlp` with its defaults."""
    gen: list[nn.Module] = []
    disc: list[nn.Module] = []
    for i in range(depth):
        gen += [nn.Linear(width if i else latent, width), nn.ReLU(inplace=True)]
        disc += [nn.Linear(width if i else features, width), nn.LeakyReLU(0.2, inplace=True)]
    gen, disc = [*gen, nn.Linear(width, features)], [*disc, nn.Linear(width, 1)]
    return Game(nn.Sequential(*gen), nn.Sequential(*disc), latent, (features,))


def sngan32(width: int = 128, *, latent: int = 128) -> Game:
    """`gan_jax.models.resnet` at 32x32, the generator twice as wide as the discriminator, as in the paper."""
    dense, last = nn.Linear(latent, 4 * 4 * 2 * width), nn.Conv2d(2 * width, 3, 3, padding=1)
    generator = nn.Sequential(
        _glorot(dense),
        nn.Unflatten(1, (2 * width, 4, 4)),
        *[UpBlock(2 * width, 2 * width) for _ in range(3)],
        nn.BatchNorm2d(2 * width),
        nn.ReLU(inplace=True),
        _glorot(last),
        nn.Tanh(),
    )
    blocks = [DownBlock(width, width, halve=i == 0) for i in range(3)]
    discriminator = nn.Sequential(
        DownBlock(3, width, first=True), *blocks, SumPool(), spectral_norm(_glorot(nn.Linear(width, 1)))
    )
    return Game(generator, discriminator, latent, (3, 32, 32), "hinge")


GAMES: dict[str, Callable[..., Game]] = {"dcgan": dcgan, "mlp": mlp, "sngan32": sngan32}


class UpBlock(nn.Module):
    def __init__(self, before: int, after: int):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(before)
        self.conv1 = _glorot(EnlargedConv(before, after, 3), 2**0.5)
        self.norm2 = nn.BatchNorm2d(after)
        self.conv2 = _glorot(nn.Conv2d(after, after, 3, padding=1), 2**0.5)
        self.shortcut = _glorot(nn.Conv2d(before, after, 1))

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.relu(self.norm1(x), inplace=True))
        h = self.conv2(F.relu(self.norm2(h), inplace=True))
        return h + F.interpolate(self.shortcut(x), scale_factor=2.0)


class DownBlock(nn.Module):
    def __init__(self, before: int, after: int, *, first: bool = False, halve: bool = True):
        super().__init__()
        hidden = after if first else before
        last = AveragedConv(hidden, after, 3) if halve else nn.Conv2d(hidden, after, 3, padding=1)
        self.first, self.halve = first, halve
        self.conv1 = spectral_norm(_glorot(nn.Conv2d(before, hidden, 3, padding=1), 2**0.5))
        self.conv2 = spectral_norm(_glorot(last, 2**0.5))
        self.shortcut = spectral_norm(_glorot(nn.Conv2d(before, after, 1))) if halve or before != after else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(x if self.first else F.relu(x))
        h = self.conv2(F.relu(h, inplace=True))
        return h + self.shortcut(F.avg_pool2d(x, 2) if self.halve else x)


class EnlargedConv(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, _spread(self.weight).flip(2, 3).transpose(0, 1), self.bias, stride=2, padding=1)


class AveragedConv(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, _spread(self.weight) / 4, self.bias, stride=2, padding=1)


class SumPool(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x).sum((2, 3))


def _spread(kernel: Tensor) -> Tensor:
    """The sum of the kernel at its four shifts by one pixel."""
    tall = F.pad(kernel, (0, 0, 0, 1)) + F.pad(kernel, (0, 0, 1, 0))
    return F.pad(tall, (0, 1)) + F.pad(tall, (1, 0))


def _glorot(layer: Any, gain: float = 1.0) -> Any:
    nn.init.xavier_uniform_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


def make_step(
    name: str,
    mode: Mode,
    batch: int,
    device: torch.device | str,
    amp: bool = False,
    *,
    disc_steps: int = 1,
    penalty: Penalty = "none",
    weight: float = 1.0,
    **fields: Any,
) -> Step:
    """One round of a game of `GAMES`: `disc_steps` updates of D, each on `batch` other examples and new noise, and one of G.

    The examples are random and lie on the device. G's update takes the last minibatch of noise, as in
    `gan_jax.core.make_step`, so that its forward pass is D's too. D's cost has `weight` times `penalty`. Both modes but
    "eager" lay images out as NHWC; "compile" compiles the generator and the two costs whole. `amp` is bfloat16, on CUDA only,
    where float32 becomes TF32, XLA's default, for the whole process. The step returns before its work is done: `synchronise`.
    """
    device = torch.device(device)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    game = GAMES[name](**fields)
    layout = torch.contiguous_format if mode == "eager" or len(game.shape) == 1 else torch.channels_last
    there: dict[str, Any] = {"device": device, "memory_format": layout}
    generator, discriminator = game.generator.to(**there), game.discriminator.to(**there)
    generate: Callable[[Tensor], Tensor] = generator
    disc_cost, gen_cost = make_disc_cost(game, penalty, weight, mode == "compile"), make_gen_cost(game)
    if mode == "compile":
        compiled = partial(torch.compile, fullgraph=True, dynamic=False, isolate_recompiles=True)
        generate, disc_cost, gen_cost = compiled(generate), compiled(disc_cost), compiled(gen_cost)
    adam = partial(torch.optim.Adam, lr=2e-4, betas=(0.5, 0.999), fused=True)
    gen_tx, disc_tx = adam(generator.parameters()), adam(discriminator.parameters())
    examples = [_examples(batch, game.shape).to(**there) for _ in range(disc_steps)]
    autocast = partial(torch.autocast, device.type, torch.bfloat16, enabled=amp)

    def step() -> None:
        for i, real in enumerate(examples, 1):
            with torch.set_grad_enabled(i == disc_steps), autocast():
                fake = generate(torch.randn(batch, game.latent, device=device))
            with autocast():
                cost = disc_cost(real, fake.detach())
            _update(disc_tx, cost)
        discriminator.requires_grad_(False)
        with autocast():
            cost = gen_cost(fake)
        _update(gen_tx, cost)
        discriminator.requires_grad_(True)

    return step


def synchronise(device: torch.device | str) -> None:
    """Wait until the device has done what it was given."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def _update(tx: torch.optim.Optimizer, cost: Tensor) -> None:
    tx.zero_grad(set_to_none=True)
    cost.backward()
    tx.step()


def _examples(batch: int, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(batch, *shape) if len(shape) == 1 else torch.randint(256, (batch, *shape), dtype=torch.uint8)


def make_gen_cost(game: Game) -> Callable[[Tensor], Tensor]:
    def cost(fake: Tensor) -> Tensor:
        logits = _judge(game, fake)
        return F.softplus(-logits).mean() if game.loss == "non_saturating" else -logits.mean()

    return cost


def make_disc_cost(game: Game, penalty: Penalty, weight: float, functional: bool) -> Callable[[Tensor, Tensor], Tensor]:
    """D's cost of (real, fake), with a penalty of `gan_jax.penalties`; `functional` as in `_slopes`."""
    normalised = any(isinstance(layer, nn.BatchNorm2d) for layer in game.discriminator.modules())
    if normalised and penalty != "none":
        raise InputError('gradient penalties need a discriminator without batch norm: norm="none"')
    judge = partial(_judge, game)
    slopes = partial(_slopes, judge, functional)

    def cost(real: Tensor, fake: Tensor) -> Tensor:
        real, value = real.float() / 127.5 - 1 if real.dtype == torch.uint8 else real, torch.zeros((), device=real.device)
        if penalty == "r1":
            (real_logits, squares), fake_logits = slopes(real), judge(fake)
            value = weight * squares.mean() / 2
        elif penalty == "r1r2":
            logits, squares = slopes(torch.cat([real, fake]))
            (real_logits, fake_logits), value = logits.chunk(2), weight * squares.mean()
        else:
            real_logits, fake_logits = (judge(real), judge(fake)) if normalised else judge(torch.cat([real, fake])).chunk(2)
        if penalty == "wgan_gp":
            e = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device)
            _, squares = slopes(e * real + (1 - e) * fake)
            value = weight * ((squares + 1e-12).sqrt() - 1).square().mean()
        if game.loss == "non_saturating":
            return value + F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
        return value + F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()

    return cost


def _judge(game: Game, x: Tensor) -> Tensor:
    return game.discriminator(x)[:, 0].float()


def _slopes(critic: Callable[[Tensor], Tensor], functional: bool, x: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the squared norms of their gradients in x, by `torch.func` where `torch.compile` needs it."""
    if functional:
        gradients, logits = torch.func.grad(lambda x: (lambda y: (y.sum(), y))(critic(x)), has_aux=True)(x)
    else:
        x = x.detach().requires_grad_()
        logits = critic(x)
        (gradients,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return logits, gradients.flatten(1).square().sum(1)
