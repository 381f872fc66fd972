"""How near a restored picture is to the original, as papers on super-resolution measure it."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from gan_jax.errors import InputError
from gan_jax.metrics.similarity import psnr, ssim

_LUMA = (65.481, 128.553, 24.966)  # of R, G, B in [0, 1]: ITU-R BT.601, 16 to 235


def luma(x: Float[Array, "b h w c"]) -> Float[Array, "b h w 1"]:
    """Y = 16 + 65.481 R + 128.553 G + 24.966 B with R, G, B in [0, 1]; `x` is in [0, 255], and so is Y, from 16 to 235.

    MATLAB's `rgb2ycbcr`. Differs: not rounded. A grey picture counts as three equal colours; papers that take its own values
    for Y print about 0.1 dB less for Set14, which has one.
    """
    if x.shape[-1] == 1:
        return 16 + x * (sum(_LUMA) / 255)
    return 16 + jnp.sum(x[..., :3] * (jnp.array(_LUMA) / 255)[None, None, None], axis=-1, keepdims=True)


def fidelity(
    restored: Float[Array, "b h w c"], original: Float[Array, "b i j k"], border: int
) -> dict[str, Float[Array, " b"]]:
    """PSNR in dB and SSIM of each pair in [0, 255], on Y and on RGB, without `border` pixels at each side.

    `psnr_y`, `ssim_y`, `psnr_rgb`, `ssim_rgb`. The custom is a border of as many pixels as the enlargement (Ledig et al. 2016,
    section 3.1), PSNR on Y. Raises `InputError` for pictures of different sizes, or too small for SSIM without their border.
    """
    if restored.shape != original.shape:
        raise InputError(f"a picture of {restored.shape[1:]} cannot be compared with one of {original.shape[1:]}")
    x, y = (_shaved(jnp.asarray(each, jnp.float32), border) for each in (restored, original))
    return {
        "psnr_y": psnr(luma(x), luma(y)),
        "ssim_y": ssim(luma(x), luma(y)),
        "psnr_rgb": psnr(x, y),
        "ssim_rgb": ssim(x, y),
    }


def _shaved(x: Array, border: int) -> Array:
    h, w = x.shape[1:3]
    if min(h, w) < 2 * border + 11:
        raise InputError(f"a picture of {h}x{w} is too small to be compared without its border of {border} pixels")
    return jax.lax.slice_in_dim(jax.lax.slice_in_dim(x, border, h - border, axis=1), border, w - border, axis=2)
