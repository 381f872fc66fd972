"""Data sets as arrays, read from pictures of any kind, and batches as a pure function of (seed, step)."""

from gan_jax.data.balance import BalanceFlags, Strata, strata_of
from gan_jax.data.dataset import BalancedOrder, Dataset, Drawn, Order
from gan_jax.data.digits import digits
from gan_jax.data.load import PictureFlags, VariationFlags, load, parse_size
from gan_jax.data.mixtures import MIXTURES, Mixture, ring, square_grid
from gan_jax.data.rounds import Rounds, mirror, one_caption, shift, shown_captions, shrunk, window
from gan_jax.data.source import Example, Source, Split
from gan_jax.data.stacked import stack, stacked
from gan_jax.data.variation import Variation

__all__ = [
    "MIXTURES",
    "BalanceFlags",
    "BalancedOrder",
    "Dataset",
    "Drawn",
    "Example",
    "Mixture",
    "Order",
    "PictureFlags",
    "Rounds",
    "Source",
    "Split",
    "Strata",
    "Variation",
    "VariationFlags",
    "digits",
    "load",
    "mirror",
    "one_caption",
    "parse_size",
    "ring",
    "shift",
    "shown_captions",
    "shrunk",
    "square_grid",
    "stack",
    "stacked",
    "strata_of",
    "window",
]
