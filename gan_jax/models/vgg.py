"""VGG with 16 and 19 layers (Simonyan & Zisserman 2014, arXiv:1409.1556) up to the last convolution: what losses look at."""

from functools import partial
from typing import Literal

import flax.linen as nn
from jax import Array, lax
from jaxtyping import Float

from gan_jax.errors import InputError
from gan_jax.layers.frozen import convolve, max_pool

STAGES = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}  # convolutions before each pool
_WIDTHS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """Images (b, h, w, 3) to the activations `names`; what comes after the last of them is not computed.

    "conv3_1" is the first convolution of the third stage, "relu3_1" the same after its ReLU. SRGAN's VGG22 and VGG54 are
    relu2_2 and relu5_4 of 19 layers (Ledig et al. 2016, arXiv:1609.04802, eq. 5: after activation); many later works take
    conv5_4. Images come by `gan_jax.models.imagenet.torchvision_input`.

    With `normalised` it is the network of style transfer whose activations have means near 1 (Gatys et al. 2015,
    arXiv:1505.07376, section 2.1), as AdaIN has it (Huang & Belongie 2017, arXiv:1703.06868): images are RGB in [0, 1], a
    first 1x1 convolution prepares them, edges are reflected, and pools keep an odd last row.

    `precision` is that of sums on accelerators: losses can do with `DEFAULT`, which is faster. Raises `InputError` for a
    name that is not there, and for images that are too small.
    """

    depth: Literal[16, 19]
    names: tuple[str, ...]
    normalised: bool = False
    precision: lax.Precision = lax.Precision.HIGHEST

    @nn.compact
    def __call__(self, x: Float[Array, "b h w 3"]) -> dict[str, Float[Array, "b _ _ _"]]:
        size = x.shape[1:3]
        layer = partial(nn.Conv, conv_general_dilated=convolve, precision=self.precision)
        conv = partial(layer, padding="REFLECT" if self.normalised else "SAME")
        if self.normalised:
            x = conv(3, (1, 1), name="pre1x1")(x)
        found: dict[str, Array] = {}
        for stage, layers in enumerate(STAGES[self.depth], 1):
            if stage > 1:
                if min(x.shape[1:3]) < (3 if self.normalised else 2):
                    raise InputError(f"images of {size[0]}x{size[1]} are too small for stage {stage} of VGG: enlarge them")
                x = max_pool(x, 2, ceil=self.normalised)  # b h/2 w/2 c
            for i in range(1, layers + 1):
                x = found[f"conv{stage}_{i}"] = conv(_WIDTHS[stage - 1], (3, 3), name=f"conv{stage}_{i}")(x)
                x = found[f"relu{stage}_{i}"] = nn.relu(x)
                if found.keys() >= set(self.names):
                    return {name: found[name] for name in self.names}
        missing = ", ".join(sorted(set(self.names) - found.keys()))
        raise InputError(f"VGG-{self.depth} has no {missing}: it has {', '.join(found)}")
