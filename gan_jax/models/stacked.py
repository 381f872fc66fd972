"""Networks and settings of the published experiments on stacked MNIST at 28x28.

    VEEGAN             Srivastava et al. 2017 (arXiv:1705.07761), as PacGAN (Lin et al. 2017, arXiv:1712.04086) implements it
    UNROLLED_HALF      Metz et al. 2016 (arXiv:1611.02163), discriminator of half the generator's channels
    UNROLLED_QUARTER   the same with a quarter

Differs, in all three: pictures are in [-1, 1] (VEEGAN's real ones were in [0, 1] although its generator ends in tanh), and
gains of batch norm begin at N(1, 0.02). PacGAN's two generator updates of a round in VEEGAN's setting have the same latents.
"""

from typing import Literal, NamedTuple

from gan_jax.models.dcgan import Discriminator, Generator

SIZE = (28, 28)


class Protocol(NamedTuple):
    """Networks with the latents, the Adam rates and decays, the updates of a round, and how many samples are scored."""

    generator: Generator
    discriminator: Discriminator
    latent: Literal["uniform", "normal"]
    latent_dim: int
    gen_lr: float
    disc_lr: float
    b1: float
    b2: float
    batch: int
    gen_steps: int
    rounds: int
    samples: int


def _unrolled(width: int) -> Protocol:
    """Generator 4x4x64, 7x7x32, 14x14x16, 28x28x8, then a 3x3 convolution; discriminator of `width`, 2 and 4 times as many."""
    return Protocol(
        Generator(SIZE, 3, width=8, kernel_size=3, halvings=3, end="same"),
        Discriminator(width=width, kernel_size=3, halvings=3, norm="all", slope=0.3),
        latent="normal",
        latent_dim=256,
        gen_lr=1e-4,
        disc_lr=2e-4,
        b1=0.5,
        b2=0.99,
        batch=128,
        gen_steps=1,
        rounds=500_000,
        samples=25_600,
    )


VEEGAN = Protocol(
    Generator(SIZE, 3, width=64, halvings=4),
    Discriminator(width=64, halvings=4),
    latent="uniform",
    latent_dim=100,
    gen_lr=2e-4,
    disc_lr=2e-4,
    b1=0.5,
    b2=0.999,
    batch=64,
    gen_steps=2,
    rounds=100_000,
    samples=26_000,
)
UNROLLED_HALF, UNROLLED_QUARTER = _unrolled(4), _unrolled(2)
PROTOCOLS: dict[str, Protocol] = {
    "veegan": VEEGAN,
    "unrolled_half": UNROLLED_HALF,
    "unrolled_quarter": UNROLLED_QUARTER,
}
