"""Sizes of images that networks of fixed stages are made for."""

from collections.abc import Collection

from gan_jax.errors import InputError


def side_of(height: int, width: int, sides: Collection[int], whose: str) -> int:
    """The side of square images, one of `sides`; raises `InputError` for other sizes, with the nearest of them."""
    if height == width and height in sides:
        return height
    *others, last = [f"{side}x{side}" for side in sides]
    near = min(sides, key=lambda side: abs(side - min(height, width)))
    raise InputError(
        f"image size {height}x{width} is not one of {whose} networks, which are for {', '.join(others)} and {last}; "
        f"the nearest is {near}x{near}, and gan_jax.models.dcgan has more"
    )
