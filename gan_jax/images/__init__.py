"""Images as arrays: conversions, sheets, films, resizing."""

from gan_jax.images.convert import to_float, to_rgb, to_uint8
from gan_jax.images.film import film, read_frames
from gan_jax.images.sheets import SIGNATURE, UNREADABLE, cut, default_place, enlargement, grid, read, save

__all__ = [
    "SIGNATURE",
    "UNREADABLE",
    "cut",
    "default_place",
    "enlargement",
    "film",
    "grid",
    "read",
    "read_frames",
    "save",
    "to_float",
    "to_rgb",
    "to_uint8",
]
