"""Content losses: how far restored pictures are from the originals, in pixels or in features of a frozen network.

Functions of (fakes, originals) (b, h, w, c) in [-1, 1], means over the batch, that can be differentiated.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, PyTree

from gan_jax.errors import InputError
from gan_jax.models.imagenet import caffe_input, torchvision_input
from gan_jax.models.lpips import LPIPS, directions
from gan_jax.models.pretrained import how_to_get, read_weights
from gan_jax.models.squeezenet import SqueezeNet
from gan_jax.models.vgg import VGG

Images = Float[Array, "b h w c"]
Content = Callable[[Images, Images], Float[Array, ""]]
VGG_SCALE = 1 / 12.75  # of activations: Ledig et al. 2016, section 3.2
_LAYERS = {"vgg22": "relu2_2", "vgg54": "relu5_4"}
_DISTANCES = ("fire2", "fire3", "fire5", "fire7", "fire9")


def mse(x: Images, y: Images) -> Float[Array, ""]:
    """The mean of (x - y)^2."""
    return jnp.mean((x - y) ** 2)


def l1(x: Images, y: Images) -> Float[Array, ""]:
    """The mean of |x - y|."""
    return jnp.mean(jnp.abs(x - y))


def vgg(variables: PyTree, layer: str, normalised: bool, x: Images, y: Images) -> Float[Array, ""]:
    """The mean of (s phi(x) - s phi(y))^2 over a layer's activations phi of VGG-19, after the ReLU (Ledig et al. 2016, eq. 5).

    s = 1 / 12.75, which brings it to the scale of the MSE, also for the normalised network: 0.017 where the MSE is 0.012, on
    windows that an SRResNet restored. Differs: also a mean over channels, of which the paper's formula says nothing.
    """
    network = VGG(19, (layer,), normalised, precision=lax.Precision.DEFAULT)
    both = jnp.concatenate([x, y])
    shown = (both + 1) / 2 if normalised else torchvision_input(both)
    maps: Any = network.apply(variables, shown)
    of_x, of_y = jnp.split(maps[layer] * VGG_SCALE, 2)
    return mse(of_x, of_y)


def lpips(variables: PyTree, x: Images, y: Images) -> Float[Array, ""]:
    """The mean LPIPS by VGG-16, the one to minimise."""
    distances: Any = LPIPS("vgg").apply(variables, x, y)
    return jnp.mean(distances)


def squeezenet_distance(variables: PyTree, x: Images, y: Images) -> Float[Array, " b"]:
    """How different pairs look to SqueezeNet 1.1, (b,): LPIPS' formula with all weights 1, in the authors' layout.

    The mean over the layers fire2, 3, 5, 7, 9 and over pixels of |f(x) - f(y)|^2, f of length 1 at every pixel. Not LPIPS,
    whose weights were learnt on other activations: for comparisons with itself.
    """
    shown = caffe_input((jnp.clip(jnp.concatenate([x, y]), -1, 1) + 1) * 127.5)
    maps: Any = SqueezeNet("caffe").apply(variables, shown)
    distance = jnp.zeros(len(x))
    for name in _DISTANCES:
        of_x, of_y = jnp.split(directions(maps[name]), 2)
        distance += jnp.mean(jnp.sum((of_x - of_y) ** 2, axis=-1), axis=(1, 2)) / len(_DISTANCES)
    return distance


def _from_vgg(layer: str, weights: Path) -> Content:
    """A VGG loss of weights of VGG-19, plain or normalised, whichever the file holds."""
    normalised = _is_normalised(weights)
    if normalised and layer != "relu2_2":
        raise InputError(
            f"{weights} is the normalised VGG-19 up to conv3_1, which has no {layer}: --content vgg22 works with it. "
            + how_to_get("vgg19", Path("vgg19.npz"))
        )
    variables, _ = read_weights(weights, "vgg19_normalised" if normalised else "vgg19")
    return partial(vgg, variables, layer, normalised)


def _is_normalised(weights: Path) -> bool:
    try:
        with np.load(weights, allow_pickle=False) as file:
            return any(name.startswith("pre1x1") for name in file.files)
    except Exception:  # told by `read_weights`
        return False


_OF_WEIGHTS: dict[str, tuple[str, Callable[[Path], Content]]] = {  # the network to get, and the loss
    "vgg22": ("vgg19", partial(_from_vgg, "relu2_2")),
    "vgg54": ("vgg19", partial(_from_vgg, "relu5_4")),
    "lpips": ("lpips_vgg", lambda weights: partial(lpips, read_weights(weights, "lpips_vgg")[0])),
}
_OF_PIXELS: dict[str, Content] = {"mse": mse, "l1": l1}
NAMES = (*_OF_PIXELS, *_OF_WEIGHTS)

if TYPE_CHECKING:
    ContentName = str
else:  # a command line offers what the tables have
    ContentName = Literal[NAMES]


def content_loss(name: ContentName, weights: Path | None = None, pixel: float = 0.0) -> Content:
    """The loss of this name: mse, l1, vgg22 and vgg54 (VGG-19's relu2_2 and relu5_4), lpips; plus `pixel` times l1.

    Those by features need `weights`, an .npz of VGG-19 (plain, or for vgg22 the normalised one) or of LPIPS' VGG. Raises
    `InputError` without them, with where to get them, and for those of another network.
    """
    if pixel:
        content = content_loss(name, weights)
        return lambda x, y: content(x, y) + pixel * l1(x, y)
    if name in _OF_PIXELS:
        return _OF_PIXELS[name]
    network, make = _OF_WEIGHTS[name]
    if weights is None:
        raise InputError(
            f"the content loss {name} needs the weights of {network}: give their .npz, or take --content mse, which needs "
            f"none. {how_to_get(network, Path(f'{network}.npz'))}"
        )
    return make(weights)
