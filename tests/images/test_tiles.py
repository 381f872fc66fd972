"""Tiles that cover a picture, and functions of pictures computed in tiles."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from gan_jax.errors import InputError
from gan_jax.images.tiles import in_tiles, spans


@pytest.mark.parametrize("n", [1, 7, 16, 17, 30, 31, 64, 100])
@pytest.mark.parametrize(("tile", "margin"), [(16, 3), (16, 0), (9, 4)])
def test_spans(n, tile, margin):
    found = spans(n, tile, margin)
    assert [span.first for span in found] == [0, *(span.end for span in found[:-1])]
    assert found[-1].end == n
    for span in found:
        assert span.size == min(n, tile)
        assert span.start + span.size <= n
        assert span.start == 0 or span.first - span.start >= margin
        assert span.start + span.size == n or span.start + span.size - span.end >= margin
    assert all(one.first < other.first for one, other in pairwise(found))


@pytest.mark.parametrize("size", [(50, 33), (8, 60), (16, 16), (5, 7)])
def test_equal_to_the_whole(size):
    """A mean over 7x7 pixels, zeros beyond the border, enlarged twice."""

    def function(x):
        mean = ndimage.uniform_filter(x.astype(np.float64), (7, 7, 0), mode="constant")
        return np.repeat(np.repeat(mean, 2, axis=0), 2, axis=1)

    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    shown = []
    found = in_tiles(lambda part: shown.append(part.shape) or function(part), picture, 2, 16, 3)
    np.testing.assert_allclose(found, function(picture), atol=1e-9)
    assert set(shown) == {(min(size[0], 16), min(size[1], 16), 3)}
    if max(size) > 16:
        assert np.abs(in_tiles(function, picture, 2, 16, 2) - function(picture)).max() > 0.1  # too small a margin shows


def test_tiles_that_keep_nothing():
    with pytest.raises(InputError, match="tiles of 16 pixels keep nothing without 8 at each side: choose tiles above 16"):
        spans(100, 16, 8)
