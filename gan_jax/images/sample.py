"""Windows, shifts and bilinear samples of images, on the device."""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, Num


def windows(x: Num[Array, "b h w c"], corner: Int[Array, "b 2"], size: tuple[int, int]) -> Num[Array, "b i j c"]:
    """The window of `size` (height, width) of each image whose first pixel is `corner` (row, column).

    A corner is moved inwards where its window would reach beyond the image, as `jax.lax.dynamic_slice` does.
    """

    def window(image: Array, corner: Array) -> Array:
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), (*size, image.shape[-1]))

    return jax.vmap(window)(x, corner)


def shifted(
    x: Num[Array, "b h w c"],
    corner: Int[Array, "b 2"],
    pad: tuple[int, int],
    mode: Literal["constant", "edge", "reflect"],
) -> Num[Array, "b h w c"]:
    """Each image shifted by whole pixels: the window of its size at `corner` (row, column) of the padded image.

    `pad` is the number of rows and of columns that `jnp.pad` adds on each side in this mode; "constant" adds zeros. The
    image is unchanged where the corner equals `pad`, and corners go from 0 to twice that.
    """
    _, h, w, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (pad[0], pad[0]), (pad[1], pad[1]), (0, 0)), mode=mode)
    return windows(padded, corner, (h, w))


def bilinear(image: Float[Array, "h w c"], row: Float[Array, "*n"], column: Float[Array, "*n"]) -> Float[Array, "*n c"]:
    """Samples at places in pixels from the centre of the first pixel; places outside are moved to the edge."""
    h, w, c = image.shape
    row, column = jnp.clip(row, 0, h - 1), jnp.clip(column, 0, w - 1)
    top, left = jnp.floor(row).astype(jnp.int32), jnp.floor(column).astype(jnp.int32)
    bottom, right = jnp.minimum(top + 1, h - 1), jnp.minimum(left + 1, w - 1)
    down, along = (row - top)[..., None], (column - left)[..., None]
    pixels = image.reshape(h * w, c)

    def at(row: Int[Array, "*n"], column: Int[Array, "*n"]) -> Float[Array, "*n c"]:
        return pixels.at[row * w + column].get(mode="promise_in_bounds")

    above = (1 - along) * at(top, left) + along * at(top, right)
    below = (1 - along) * at(bottom, left) + along * at(bottom, right)
    return (1 - down) * above + down * below
