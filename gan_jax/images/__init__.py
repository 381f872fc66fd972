"""Images as arrays: conversions, sheets, films, resizing."""

from gan_jax.images.convert import to_float, to_uint8
from gan_jax.images.film import film, read_frames
from gan_jax.images.sheets import SIGNATURE, cut, default_place, enlargement, grid, save

__all__ = ["SIGNATURE", "cut", "default_place", "enlargement", "film", "grid", "read_frames", "save", "to_float", "to_uint8"]
