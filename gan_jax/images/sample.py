"""Windows of images, on the device."""

import jax
from jax import Array
from jaxtyping import Int, Num


def windows(x: Num[Array, "b h w c"], corner: Int[Array, "b 2"], size: tuple[int, int]) -> Num[Array, "b i j c"]:
    """The window of `size` (height, width) of each image whose first pixel is `corner` (row, column).

    A corner is moved inwards where its window would reach beyond the image, as `jax.lax.dynamic_slice` does.
    """

    def window(image: Array, corner: Array) -> Array:
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), (*size, image.shape[-1]))

    return jax.vmap(window)(x, corner)
