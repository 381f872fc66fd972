"""MATLAB's bicubic resizing, against pictures that MATLAB shrank, and by its definition."""

import io
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gan_jax.errors import InputError
from gan_jax.images.imresize import imresize
from gan_jax.images.resize import resize
from gan_jax.metrics.restoration import luma
from gan_jax.metrics.similarity import psnr


def noise(h, w, channels=3):
    return np.random.default_rng(0).integers(0, 256, (1, h, w, channels), np.uint8)


@pytest.mark.parametrize(("name", "decibels"), [("Set5", 28.43), ("Set14", 26.09)])
def test_equals_matlab_on_the_test_sets(real_data, name, decibels):
    """The low pictures there were made by MATLAB; PSNR on Y without 4 pixels at each side, as the folder's manifest has it."""
    found = []
    with zipfile.ZipFile(real_data / "sr" / "Set5_Set14_x4.zip") as archive:
        for member in sorted(m for m in archive.namelist() if m.startswith(f"{name}/x4/HR/")):
            high, low = (
                np.asarray(Image.open(io.BytesIO(archive.read(m)))) for m in (member, member.replace("/HR/", "/LRx4/"))
            )
            high, low = (x.reshape(1, *x.shape[:2], -1) for x in (high, low))
            shrunk = imresize(high, 0.25)
            assert (np.asarray(shrunk) == low).all(), member
            planes = [luma(jnp.asarray(x, jnp.float32))[:, 4:-4, 4:-4] for x in (imresize(shrunk, 4.0), high)]
            found.append(float(psnr(*planes)[0]))
    assert np.mean(found) == pytest.approx(decibels, abs=0.02)


@pytest.mark.parametrize("factor", [0.25, 0.5, 1 / 3, 0.7, 1.0, 1.5, 2.0, 4.0])
def test_away_from_the_border_it_is_pillows(factor):
    """Pillow has the same kernel and antialiasing where sizes are multiples, and leaves out what lies beyond the border."""
    x = noise(60, 120).astype(np.float32)
    ours = np.asarray(imresize(x, factor))
    assert ours.shape == (1, round(60 * factor), round(120 * factor), 3)
    theirs = np.asarray(resize(x, ours.shape[1:3], "clean"))
    edge = int(np.ceil(3 * max(factor, 1)))
    inner = (slice(None), slice(edge, -edge), slice(edge, -edge))
    np.testing.assert_allclose(np.clip(ours, 0, 255)[inner], theirs[inner], atol=2e-2)


def by_definition(row, factor, border):
    """One row, output by output, in MATLAB's 1-based words: u = x / scale + (1 - 1 / scale) / 2."""

    def cubic(x):
        x = abs(x)
        return 1.5 * x**3 - 2.5 * x**2 + 1 if x <= 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0.0

    n, width, narrow = len(row), 4 / min(factor, 1), min(factor, 1)
    out = []
    for x in range(1, int(np.ceil(n * factor)) + 1):
        u = x / factor + (1 - 1 / factor) / 2
        taps = [int(np.floor(u - width / 2)) + i for i in range(int(np.ceil(width)) + 2)]
        weights = np.array([narrow * cubic(narrow * (u - tap)) for tap in taps])
        mirrored = [*range(1, n + 1), *range(n, 0, -1)]
        inside = [mirrored[(t - 1) % (2 * n)] if border == "symmetric" else min(max(t, 1), n) for t in taps]
        out.append(sum(w * row[i - 1] for w, i in zip(weights / weights.sum(), inside, strict=True)))
    return np.array(out)


@pytest.mark.parametrize("border", ["edge", "symmetric"])
@pytest.mark.parametrize("factor", [0.25, 0.3, 1.5, 3.0])
def test_by_definition(factor, border):
    x = noise(7, 11, 1).astype(np.float32)
    rows = np.stack([by_definition(row, factor, border) for row in x[0, :, :, 0].T], axis=1)
    both = np.stack([by_definition(row, factor, border) for row in rows])
    np.testing.assert_allclose(imresize(x, factor, border)[0, :, :, 0], both, atol=1e-3)


def test_whole_numbers_are_rounded_and_cut_after_each_axis():
    """A step of 0 to 255 overshoots."""
    step = np.zeros((1, 8, 8, 1), np.uint8)
    step[:, :, 4:] = 255
    large = np.asarray(imresize(step, 2.0))
    assert large.dtype == np.uint8
    assert large.min() == 0
    assert large.max() == 255
    assert np.asarray(imresize(step.astype(np.float32), 2.0)).max() > 256
    deep = np.asarray(imresize(noise(8, 8).astype(np.uint16) * 257, 0.5))
    assert deep.dtype == np.uint16
    assert deep.max() > 255


def test_inside_jit():
    x = noise(12, 8)
    np.testing.assert_array_equal(jax.jit(lambda x: imresize(x, 0.5))(x), imresize(x, 0.5))


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan")])
def test_bad_factor(factor):
    with pytest.raises(InputError, match="8x8 cannot be resized by"):
        imresize(noise(8, 8), factor)
