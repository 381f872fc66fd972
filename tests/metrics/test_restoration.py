"""PSNR and SSIM on Y and RGB."""

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.errors import InputError
from gan_jax.metrics.restoration import fidelity, luma
from gan_jax.metrics.similarity import psnr, ssim


def pair(h=24, w=32, channels=3):
    generator = np.random.default_rng(0)
    x = generator.uniform(30, 220, (2, h, w, channels)).astype(np.float32)
    return jnp.asarray(x), jnp.asarray(x + generator.normal(0, 5, x.shape).astype(np.float32))


def test_luma():
    """MATLAB's rgb2ycbcr: black 16, white 235, red 81.481, green 144.553, blue 40.966."""
    colours = jnp.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]], jnp.float32)
    np.testing.assert_allclose(luma(colours[:, None, None])[:, 0, 0, 0], [16, 235, 81.481, 144.553, 40.966], atol=1e-3)


def test_a_grey_picture_counts_as_three_equal_colours():
    x, _ = pair(channels=1)
    np.testing.assert_allclose(luma(x), luma(jnp.repeat(x, 3, axis=-1)), rtol=1e-6)


def test_what_is_at_the_border_does_not_count():
    x, y = pair()
    spoilt = y.at[:, :3].set(0).at[:, -3:].set(0).at[:, :, :3].set(0).at[:, :, -3:].set(0)
    found = fidelity(spoilt, x, border=3)
    inner = (slice(None), slice(3, -3), slice(3, -3))
    np.testing.assert_allclose(found["psnr_rgb"], psnr(x[inner], y[inner]), rtol=1e-6)
    np.testing.assert_allclose(found["ssim_y"], ssim(luma(x)[inner], luma(y)[inner]), rtol=1e-6)
    assert (fidelity(spoilt, x, border=2)["psnr_y"] < found["psnr_y"]).all()


def test_on_luma_errors_are_smaller_than_on_colours():
    """219 / 255 of the range, 1.32 dB, for a grey error."""
    x, _ = pair()
    found = fidelity(x + 5, x, border=0)
    np.testing.assert_allclose(found["psnr_y"] - found["psnr_rgb"], 20 * np.log10(255 / 219), atol=1e-4)


def test_bad_pairs():
    x, y = pair()
    with pytest.raises(InputError, match="cannot be compared with one of"):
        fidelity(x, y[:, 1:], border=0)
    with pytest.raises(InputError, match="24x32 is too small to be compared without its border of 7"):
        fidelity(x, y, border=7)
