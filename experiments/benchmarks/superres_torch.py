"""SRResNet in PyTorch: the same layers and numbers of parameters as `gan_jax.models.srgan`."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

Mode = Literal["eager", "channels_last"]


class SRResNet(nn.Module):
    """Pictures (b, 3, h, w) in [-1, 1] to (b, 3, factor h, factor w), factor a power of 2."""

    def __init__(self, factor: int = 4, width: int = 64, blocks: int = 16):
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(3, width, 9, padding=4), nn.PReLU(width))
        body: list[nn.Module] = [Block(width) for _ in range(blocks)]
        self.body = nn.Sequential(*body, nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        tail: list[nn.Module] = []
        for _ in range(factor.bit_length() - 1):
            tail += [nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.PReLU(width)]
        self.tail = nn.Sequential(*tail, nn.Conv2d(width, 3, 9, padding=4))

    def forward(self, x: Tensor) -> Tensor:
        first = self.head((x + 1) / 2)
        enlarged: Tensor = self.tail(self.body(first) + first)
        return enlarged


class Block(nn.Module):
    """Convolution, batch norm, PReLU, convolution, batch norm, and the skip."""

    def __init__(self, width: int):
        super().__init__()
        conv = [nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2)]
        self.layers = nn.Sequential(conv[0], nn.BatchNorm2d(width), nn.PReLU(width), conv[1], nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def make_step(network: nn.Module, low: Tensor, high: Tensor) -> Callable[[], None]:
    """A training step on the mean squared error by Adam."""
    tx = torch.optim.Adam(network.parameters(), 1e-4, fused=True)

    def step() -> None:
        network.train()
        tx.zero_grad(set_to_none=True)
        (network(low) - high).square().mean().backward()
        tx.step()

    return step


def make_enlarge(network: nn.Module, low: Tensor) -> Callable[[], None]:
    """Enlarging a batch."""

    def enlarge() -> None:
        network.eval()
        with torch.inference_mode():
            network(low)

    return enlarge
