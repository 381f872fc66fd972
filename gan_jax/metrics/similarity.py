"""Similarity of pictures: PSNR, SSIM, multi-scale SSIM, and its mean within classes."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from gan_jax.errors import InputError

SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, section 3.2

Images = Float[Array, "b h w c"]


def psnr(x: Images, y: Images, peak: float = 255.0) -> Float[Array, " b"]:
    """10 log10(peak^2 / mean squared error) of each pair, in dB; infinite for equal pictures. `peak`: white less black."""
    return 10 * jnp.log10(peak**2 / jnp.mean((x - y) ** 2, axis=(1, 2, 3)))


def ssim(x: Images, y: Images, peak: float = 255.0) -> Float[Array, " b"]:
    """Structural similarity (Wang et al. 2004, eq. 13) of each pair: Gaussian windows of 11 pixels, sigma 1.5, without
    padding, each channel separately. Raises `InputError` for pictures under 11 pixels."""
    if min(x.shape[1:3]) < 11:
        raise InputError(f"SSIM has windows of 11x11 pixels: pictures of {x.shape[1]}x{x.shape[2]} are too small")
    return jnp.mean(jnp.prod(jnp.stack(_terms(x, y, peak)), axis=0), axis=(1, 2, 3))


def ms_ssim(x: Images, y: Images, peak: float = 255.0) -> Float[Array, " b"]:
    """Multi-scale structural similarity (Wang et al. 2003, eq. 7) of each pair.

    Each scale has half the resolution of the one before. Pictures too small for five scales of 11x11 windows get smaller
    windows there, as in the code used by AC-GAN (Odena et al. 2016, arXiv:1610.09585). Negative contrast terms count as 0.
    Raises `InputError` under 16 pixels.
    """
    if min(x.shape[1:3]) < 16:
        raise InputError(f"MS-SSIM halves pictures four times: {x.shape[1]}x{x.shape[2]} are too small")
    result = jnp.ones(x.shape[0])
    for scale, weight in enumerate(SCALES):
        luminance, contrast = _terms(x, y, peak)
        last = scale == len(SCALES) - 1
        value = jnp.mean(luminance * contrast if last else contrast, axis=(1, 2, 3))
        result = result * jnp.maximum(value, 0.0) ** weight
        x, y = _halved(x), _halved(y)
    return result


def _terms(x: Images, y: Images, peak: float) -> tuple[Array, Array]:
    """The luminance term, and the product of the contrast and structure terms, in every window."""
    size = min(11, *x.shape[1:3])
    weights = np.exp(-(((np.arange(size) - (size - 1) / 2) / (1.5 * size / 11)) ** 2) / 2)
    window = jnp.asarray(weights / weights.sum(), x.dtype)
    mean_x, mean_y, xx, yy, xy = (_filtered(z, window) for z in (x, y, x * x, y * y, x * y))
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    variance = xx - mean_x**2 + yy - mean_y**2
    return luminance, (2 * (xy - mean_x * mean_y) + c2) / (variance + c2)


def _filtered(x: Array, window: Float[Array, " k"]) -> Array:
    """Weighted means over all windows that lie within the picture."""
    for axis in (1, 2):
        whole = x.shape[axis] - len(window) + 1
        shifted = jnp.stack([jax.lax.slice_in_dim(x, i, i + whole, axis=axis) for i in range(len(window))], axis=-1)
        x = jnp.matmul(shifted, window, precision=jax.lax.Precision.HIGHEST)
    return x


def _halved(x: Array) -> Array:
    """Means of 2x2 pixels; an odd last row or column is repeated."""
    x = jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)), mode="edge")
    b, h, w, c = x.shape
    return jnp.mean(x.reshape(b, h // 2, 2, w // 2, 2, c), axis=(2, 4))


def ms_ssim_within_classes(
    images: np.ndarray, labels: Int[np.ndarray, " n"], pairs: int = 100, seed: int = 0
) -> dict[int, float]:
    """Mean MS-SSIM of `pairs` random pairs of each class's pictures (n, h, w, c) uint8: lower is more diverse.

    For unlabelled pictures give all the same label. AC-GAN (section 4.2) compares each class with the value of its training
    pictures. Raises `InputError` for a class of a single picture.
    """
    generator, found = np.random.Generator(np.random.Philox(key=seed)), {}
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise InputError(f"class {label} has {len(members)} picture: MS-SSIM within a class needs two or more")
        first = generator.integers(len(members), size=pairs)
        second = (first + generator.integers(1, len(members), size=pairs)) % len(members)
        x, y = (jnp.asarray(images[members[i]], jnp.float32) for i in (first, second))
        found[int(label)] = float(jnp.mean(_ms_ssim(x, y)))
    return found


_ms_ssim = jax.jit(ms_ssim)
