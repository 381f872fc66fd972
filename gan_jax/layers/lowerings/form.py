"""The interface of an implementation of convolutions."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jax import Array

Side = Any  # of an image: an int, or what `jax.export` has for any number


class Form(NamedTuple):
    """The three gradients of <conv(x, kernel), y>, x (b, h, w, c), kernel (k, l, c, o), y (b, h / stride, w / stride, o).

    conv:      (x, kernel, stride) -> like y
    adjoint:   (y, kernel, stride) -> like x
    correlate: (x, y, stride, (k, l)) -> like the kernel
    """

    conv: Callable[[Array, Array, int], Array]
    adjoint: Callable[[Array, Array, int], Array]
    correlate: Callable[[Array, Array, int, tuple[int, int]], Array]


def padding(size: int, stride: int) -> tuple[int, int]:
    """Zeros before and after the image for `SAME` padding, where the image is a multiple of the stride."""
    low = max(size - stride, 0) // 2
    return low, max(size - stride, 0) - low
