"""Data sets as arrays on the host, in batches that are a pure function of (seed, step)."""

from gan_jax.data.dataset import Dataset, Order
from gan_jax.data.digits import digits
from gan_jax.data.mixtures import MIXTURES, Mixture, ring, square_grid
from gan_jax.data.mnist import fashion_mnist, mnist

IMAGES = {"digits": digits, "mnist": mnist, "fashion_mnist": fashion_mnist}

__all__ = [
    "IMAGES",
    "MIXTURES",
    "Dataset",
    "Mixture",
    "Order",
    "digits",
    "fashion_mnist",
    "mnist",
    "ring",
    "square_grid",
]
