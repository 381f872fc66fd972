"""AlexNet in one column (Krizhevsky 2014, arXiv:1404.5997), torchvision's, without its classifier."""

from functools import partial

import flax.linen as nn
from jax import Array, lax
from jaxtyping import Float

from gan_jax.errors import InputError
from gan_jax.layers.frozen import convolve, max_pool

_LAYERS = ((64, 11), (192, 5), (384, 3), (256, 3), (256, 3))  # features, size of the kernel
_conv = partial(nn.Conv, conv_general_dilated=convolve, precision=lax.Precision.HIGHEST)  # alike on every device


class AlexNet(nn.Module):
    """Images (b, h, w, 3), by `gan_jax.models.imagenet.torchvision_input`, to activations relu1 to relu5 by name.

    Raises `InputError` for images under 31x31.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "b h w 3"]) -> dict[str, Float[Array, "b _ _ _"]]:
        if min(x.shape[1:3]) < 31:
            raise InputError(f"AlexNet needs images of 31x31 or more, not {x.shape[1]}x{x.shape[2]}: resize them")
        found: dict[str, Array] = {}
        for i, (features, size) in enumerate(_LAYERS, 1):
            if i in (2, 3):
                x = max_pool(x)
            stride, padding = (4, 2) if i == 1 else (1, "SAME")
            layer = _conv(features, (size, size), stride, padding=padding, name=f"conv{i}")
            x = found[f"relu{i}"] = nn.relu(layer(x))  # b h/4 w/4 c, then b h/8 w/8 c, then b h/16 w/16 c
        return found
