"""PSNR and SSIM against scikit-image, MS-SSIM against the definition in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from gan_jax.errors import InputError
from gan_jax.metrics import similarity
from gan_jax.metrics.similarity import SCALES, ms_ssim_within_classes, psnr
from tests.oracles import oracle

ssim, ms_ssim = jax.jit(similarity.ssim), jax.jit(similarity.ms_ssim)


def pair(seed: int, size: tuple[int, int] = (40, 52), noise: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    x = ndimage.gaussian_filter(generator.uniform(0, 255, (*size, 3)), (2, 2, 0)) * 3 - 255
    y = x + noise * generator.standard_normal(x.shape)
    return np.clip(x, 0, 255).astype(np.float32), np.clip(y, 0, 255).astype(np.float32)


def test_psnr_and_ssim_equal_scikit_image():
    metrics = oracle("skimage.metrics")
    for seed, noise in ((1, 5.0), (2, 40.0)):
        x, y = pair(seed, noise=noise)
        ours = float(psnr(jnp.asarray(x)[None], jnp.asarray(y)[None])[0])
        assert ours == pytest.approx(metrics.peak_signal_noise_ratio(x, y, data_range=255), rel=1e-5)
        theirs = metrics.structural_similarity(
            x, y, data_range=255, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert float(ssim(jnp.asarray(x)[None], jnp.asarray(y)[None])[0]) == pytest.approx(theirs, rel=1e-5)


def by_the_definition(x: np.ndarray, y: np.ndarray) -> float:
    """Five scales of one channel, windows that lie within the picture, the next scale from 2x2 means."""
    value, x, y = 1.0, x.astype(float), y.astype(float)
    for scale, weight in enumerate(SCALES):
        size = min(11, *x.shape)
        at = np.arange(size) - (size - 1) / 2
        window = np.exp(-(at[:, None] ** 2 + at[None] ** 2) / 2 / (1.5 * size / 11) ** 2)
        window /= window.sum()
        views = [np.lib.stride_tricks.sliding_window_view(z, window.shape) for z in (x, y)]
        mean_x, mean_y = ((v * window).sum((-2, -1)) for v in views)
        xx, yy, xy = ((a * b * window).sum((-2, -1)) for a, b in ((views[0],) * 2, (views[1],) * 2, views))
        c1, c2 = 2.55**2, 7.65**2
        term = (2 * (xy - mean_x * mean_y) + c2) / (xx - mean_x**2 + yy - mean_y**2 + c2)
        if scale == len(SCALES) - 1:
            term = term * (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
        value *= max(term.mean(), 0) ** weight
        if scale < len(SCALES) - 1:
            x, y = ((z[::2, ::2] + z[1::2, ::2] + z[::2, 1::2] + z[1::2, 1::2]) / 4 for z in (x, y))
    return value


@pytest.mark.parametrize("size", [(192, 176), (64, 64), (32, 48)])
def test_ms_ssim_by_the_definition(size):
    x, y = (z[..., :1] for z in pair(3, size))
    found = float(ms_ssim(jnp.asarray(x)[None], jnp.asarray(y)[None])[0])
    assert found == pytest.approx(by_the_definition(x[..., 0], y[..., 0]), rel=1e-4)


def test_equal_pictures_are_alike():
    x = jnp.asarray(pair(4)[0])[None]
    assert float(ssim(x, x)[0]) == pytest.approx(1)
    assert float(ms_ssim(x, x)[0]) == pytest.approx(1)
    assert np.isinf(psnr(x, x)[0])


def test_ms_ssim_within_classes():
    """Class 0 is one picture with noise, class 1 are different pictures."""
    same = np.stack([pair(5, (32, 32), noise=3.0)[1] for _ in range(20)])
    other = np.stack([pair(seed, (32, 32))[0] for seed in range(20)])
    images = np.concatenate([same, other]).astype(np.uint8)
    found = ms_ssim_within_classes(images, np.repeat([0, 1], 20))
    assert found[0] > 0.95
    assert found[1] < 0.5
    with pytest.raises(InputError, match="class 7 has 1 picture"):
        ms_ssim_within_classes(images[:1], np.array([7]))


def test_small_pictures_are_refused():
    tiny = jnp.zeros((1, 10, 10, 1))
    for metric, message in ((ssim, "windows of 11x11"), (ms_ssim, "too small")):
        with pytest.raises(InputError, match=message):
            metric(tiny, tiny)
