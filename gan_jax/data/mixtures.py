"""Mixtures of Gaussians in the plane with known modes: the ring of 8 and the grid of 25."""

from typing import NamedTuple

import numpy as np

from gan_jax.data.dataset import Dataset


class Mixture(NamedTuple):
    """Gaussians of equal weight at `means` (k, 2) with standard deviation `sigma`."""

    name: str
    means: np.ndarray
    sigma: float

    def dataset(self, n: int = 100_000, seed: int = 0) -> Dataset:
        """n points, drawn once as in PacGAN's protocol: `point` float32 (n, 2), and the mode as `label` int32 (n,)."""
        generator = np.random.Generator(np.random.Philox(key=seed))
        labels = generator.integers(len(self.means), size=n)
        points = self.means[labels] + self.sigma * generator.standard_normal((n, 2))
        return Dataset(self.name, {"point": points.astype(np.float32), "label": labels.astype(np.int32)})


def ring(modes: int = 8, radius: float = 1.0, sigma: float = 0.01) -> Mixture:
    """Modes on a circle (Lin et al. 2018, arXiv:1712.04086: 8 modes, radius 1, sigma 0.01)."""
    angles = 2 * np.pi * np.arange(modes) / modes
    return Mixture("ring", radius * np.stack([np.cos(angles), np.sin(angles)], axis=-1), sigma)


def square_grid(side: int = 5, spacing: float = 2.0, sigma: float = 0.05) -> Mixture:
    """side x side modes around the origin (Lin et al. 2018: 5 x 5 at -4, -2, 0, 2, 4, sigma 0.05)."""
    axis = spacing * (np.arange(side) - (side - 1) / 2)
    return Mixture("grid", np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2), sigma)


MIXTURES = {"ring": ring, "grid": square_grid}
