"""Images as arrays: conversions, sheets, films, resizing."""

from gan_jax.images.convert import film, grid, save, to_float, to_uint8

__all__ = ["film", "grid", "save", "to_float", "to_uint8"]
