"""Data by a PyTorch DataLoader, and a run of gan_jax made of it: checkpoints, sheets, `sample`, `export`.

python -m experiments.research.torch_data    # needs torch; tf.data and grain pipelines are given in the same way
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import optax
from torch.utils.data import DataLoader, Dataset

from gan_jax import Players, image_gan, image_sampler, init_state, latents, losses, make_step, penalties
from gan_jax.data import digits
from gan_jax.models.dcgan import Discriminator, Generator
from gan_jax.runs import Run
from gan_jax.training import train


class Pictures(Dataset):
    """Any data set of PyTorch: item i is a picture (h, w, c), uint8 or float in [-1, 1], or a dictionary of named arrays."""

    def __init__(self):
        self._pictures = digits().train["image"]

    def __len__(self):
        return len(self._pictures)

    def __getitem__(self, i):
        return {"image": self._pictures[i]}


@dataclass(frozen=True)
class Config:
    """What tells one run of this script from another."""

    steps: int = 500
    batch: int = 64
    width: int = 16


def main(config: Config = Config(), directory: Path = Path("runs/torch_data")) -> Path:
    """Train, or go on; returns the run's directory."""
    generator, latent = Generator(size=(32, 32), channels=1, width=config.width), latents.Normal(64)
    discriminator = Discriminator(width=config.width, norm="none")
    gan = image_gan(generator, discriminator, losses.non_saturating, latent, penalties=((1.0, penalties.r1),))
    tx = Players(gen=optax.adam(2e-3, b1=0.0), disc=optax.adam(2e-3, b1=0.0))
    loader = DataLoader(Pictures(), batch_size=config.batch, shuffle=True, drop_last=True)
    state = init_state(gan, tx, jax.random.key(0), {"image": Pictures()[0]["image"][None]})
    with Run(directory, config, fingerprint="scikit-learn's digits") as run:
        run.describe_model(partial(image_sampler, generator, latent), {})  # so that sample, export, ... open it
        train(run, make_step(gan, tx, ema=0.99), state, loader, steps=config.steps, log_every=50, save_every=250)
    return directory


if __name__ == "__main__":
    print(f"python -m gan_jax sample {main()}")
