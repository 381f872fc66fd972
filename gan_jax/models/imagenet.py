"""What networks trained on ImageNet want to be shown, each after its makers."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Num

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of RGB in [0, 1]
_CAFFE_MEAN = (103.939, 116.779, 123.68)  # of BGR in [0, 255]


def torchvision_input(x: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
    """Images in [-1, 1], standardised by ImageNet's means and deviations: torchvision's networks, LPIPS."""
    mean, deviation = 2 * jnp.array(_MEAN) - 1, 2 * jnp.array(_DEVIATION)
    return (x - mean[None, None, None]) / deviation[None, None, None]


def caffe_input(x: Num[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
    """Images in [0, 255], blue first, less ImageNet's means: networks that come from Caffe."""
    return x.astype(jnp.float32)[..., ::-1] - jnp.array(_CAFFE_MEAN)[None, None, None]


def inception_input(x: Num[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
    """Images in [0, 255] to [-1, 1): FID's Inception."""
    return (x.astype(jnp.float32) - 128) / 128
