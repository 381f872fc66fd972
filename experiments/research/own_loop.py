"""A step of gan_jax in a training loop of one's own: own data, own log, rates by an optax schedule.

python -m experiments.research.own_loop    # two moons in the plane; writes own_loop.csv
"""

import csv
from pathlib import Path

import jax
import numpy as np
import optax

from gan_jax import Players, draw, image_gan, init_state, jit_step, latents, losses, make_step, penalties, sampling_variables
from gan_jax.models.mlp import Discriminator, Generator


def moons(n: int, random: np.random.Generator) -> np.ndarray:
    """n points of two half circles (n, 2), float32."""
    angle, second = np.pi * random.random(n), random.random(n) < 0.5
    x = np.where(second, 1 - np.cos(angle), np.cos(angle))
    y = np.where(second, 0.5 - np.sin(angle), np.sin(angle))
    return (np.stack([x - 0.5, y - 0.25], axis=1) + random.normal(0, 0.05, (n, 2))).astype(np.float32)


def main(steps: int = 3000, batch: int = 256, width: int = 64, log: Path = Path("own_loop.csv")) -> np.ndarray:
    """Train, write a row of metrics a tenth of the way, and return 1,000 samples (1000, 2)."""
    gan = image_gan(
        Generator(width=width),
        Discriminator(width=width),
        losses.relativistic_paired,
        latents.Normal(2),
        penalties=((0.1, penalties.r1), (0.1, penalties.r2)),
        real="point",  # the name of the examples in a batch
    )
    rate = optax.cosine_decay_schedule(2e-3, steps)
    tx = Players(gen=optax.adam(rate, b1=0.0), disc=optax.adam(rate, b1=0.0))
    random = np.random.default_rng(0)
    state = init_state(gan, tx, jax.random.key(0), {"point": moons(batch, random)})
    step = jit_step(make_step(gan, tx, ema=0.995))
    with log.open("w", newline="") as file:
        rows = csv.writer(file)
        for i in range(steps):
            state, metrics = step(state, {"point": moons(batch, random)})
            if i % max(steps // 10, 1) == 0:
                rows.writerow([i, float(rate(i)), *(float(metrics[name]) for name in ("disc/loss", "gen/loss"))])
    samples, _ = draw(gan.sampler, sampling_variables(state), {"row": np.zeros(1000)}, jax.random.key(1))
    return samples


if __name__ == "__main__":
    print(f"mean {main().mean(axis=0)}, of the data {moons(1000, np.random.default_rng(1)).mean(axis=0)}")
