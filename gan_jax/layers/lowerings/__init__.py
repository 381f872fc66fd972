"""Ways to compute a convolution and its two gradients; all are equal up to rounding."""

from gan_jax.layers.lowerings.form import Form, Side
from gan_jax.layers.lowerings.grouped import grouped, packing
from gan_jax.layers.lowerings.patches import patches
from gan_jax.layers.lowerings.per_image import per_image
from gan_jax.layers.lowerings.phases import phases
from gan_jax.layers.lowerings.plain import plain
from gan_jax.layers.lowerings.subpixel import subpixel
from gan_jax.layers.lowerings.winograd import tiling, winograd

__all__ = ["Form", "for_cpu", "grouped", "patches", "per_image", "phases", "plain", "subpixel", "tiling", "winograd"]


def for_cpu(shape: tuple[int, ...], stride: int, outputs: tuple[Side, ...], groups: int = 1) -> Form:
    """The fastest form on a CPU for kernels of `shape` (k, l, c, groups o) and images of `outputs` (height, width)."""
    if groups > 1:
        pack = packing(min(shape[2], shape[3] // groups), groups)
        together = (*shape[:2], pack * shape[2], shape[3] // groups * pack)
        return grouped(for_cpu(together, stride, outputs), groups, pack)
    ends_in_pixels, fans_out = shape[3] <= 4 and shape[2] >= 8, shape[2] >= 32 and shape[3] >= 4 * shape[2]
    if stride == 1 and (ends_in_pixels or fans_out):
        return per_image
    if tiling(shape, stride, outputs):
        return winograd
    if shape[2] <= 4 and shape[3] >= 8:
        return patches if stride == 1 else phases
    if stride > 1 and 4 < shape[2] < 32 <= shape[3]:
        return per_image
    return subpixel
