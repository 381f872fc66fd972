"""Images as arrays: conversions, sheets, films, resizing."""

from gan_jax.images.convert import to_float, to_uint8
from gan_jax.images.film import film
from gan_jax.images.sheets import enlargement, grid, save

__all__ = ["enlargement", "film", "grid", "save", "to_float", "to_uint8"]
