"""R-precision by hand and by chance."""

import numpy as np
import pytest

from gan_jax.errors import InputError
from gan_jax.metrics.retrieval import r_precision

OWN = np.arange(4)
NONE = np.zeros((4, 4), bool)


def test_the_share_of_pictures_whose_own_text_is_nearest():
    texts = np.eye(4)
    assert r_precision(3 * texts, texts, OWN, NONE, among=4) == 1
    pictures = texts[[0, 1, 3, 2]]  # two are nearer to the other's
    assert r_precision(pictures, texts, OWN, NONE, among=4) == 0.5
    swapped = NONE.copy()
    swapped[2, 3] = swapped[3, 2] = True  # which fits them too
    assert r_precision(pictures, texts, OWN, swapped, among=3) == 0.5  # a tie at 0 counts against them
    assert r_precision(pictures + 0.1 * texts, texts, OWN, swapped, among=3) == 1


def test_chance_is_one_of_so_many():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 2000, 8))
    found = r_precision(x, y, np.arange(2000), np.eye(2000, dtype=bool), among=10)
    assert found == pytest.approx(0.1, abs=0.02)


def test_too_few_texts():
    with pytest.raises(InputError, match="among 4, and only 2 others do not fit"):
        r_precision(np.eye(4), np.eye(4), OWN, np.eye(4)[::-1].astype(bool), among=4)
