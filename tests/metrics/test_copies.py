"""Memorised samples, the birthday paradox and rms distances, on sets made so that the answer is known."""

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.metrics.birthday import birthday
from gan_jax.metrics.diversity import rms_distance, rms_within_classes
from gan_jax.metrics.memorised import memorised
from gan_jax.metrics.neighbours import nearest


def points(n: int, seed: int, d: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def test_share_of_memorised_samples():
    train, held_out, new = points(800, 1), points(800, 2), points(800, 3)
    assert memorised(new, train, held_out).share == pytest.approx(0.05, abs=0.025)
    half = np.concatenate([new[:400], train[:400] + 1e-3])
    found = memorised(half, train, held_out)
    assert found.share == pytest.approx(0.525, abs=0.03)
    np.testing.assert_array_equal(found.which[400:], np.arange(400))
    assert memorised(new + 100, train, held_out).share == 0


@pytest.mark.parametrize("twins", [0, 60, 400, 800])
@pytest.mark.parametrize("disturbed", [0.0, 1e-6])
def test_a_copier_is_told_whatever_part_of_the_held_out_examples_are_twins(twins, disturbed):
    """Held-out examples that are copies of training ones, to the bit or as a network's rounding leaves them."""
    train, held_out = points(800, 1), points(800, 2)
    held_out[:twins] = train[:twins] + disturbed * points(twins, 15)
    assert memorised(train[:300], train, held_out).share == 1
    found = memorised(points(800, 3), train, held_out)
    apart = 0.05 if twins < 800 else 0
    assert found.share == pytest.approx(apart, abs=0.025)
    assert found.expected == pytest.approx((twins + apart * (800 - twins)) / 800, abs=0.005)


def test_distances_of_copies_are_exactly_0():
    """Far from the origin, where |x|^2 + |y|^2 - 2 x.y loses every digit of a small distance."""
    x = points(70, 16) + 1e6
    y = np.concatenate([x[30:] + 3, x])
    distances, which = nearest(x, y)
    assert distances.max() == 0
    np.testing.assert_array_equal(which, 40 + np.arange(70))


@pytest.mark.parametrize("support", [100, 3000])
def test_birthday_of_a_uniform_choice(support):
    """1,000 draws from so many pictures, slightly disturbed."""
    pictures, generator = 10 * points(support, 4, d=20), np.random.default_rng(5)
    fake = pictures[generator.integers(support, size=1000)] + 1e-3 * points(1000, 6, d=20)
    found = birthday(fake, 10 * points(1000, 7, d=20))
    assert found.support == pytest.approx(support, rel=0.25)  # the number of pairs deviates by 8 % at 3,000
    assert found.batch == pytest.approx(np.sqrt(2 * np.log(2) * support), rel=0.15)
    assert not found.at_least


def test_birthday_without_a_duplicate_is_a_bound():
    found = birthday(points(200, 8), points(200, 9), threshold=1e-6)
    assert found.at_least
    assert found.support == pytest.approx(200 * 199 / 2 / 3)


def test_exact_copies_among_the_real_do_not_hide_a_collapse():
    """Five pictures twice among 500 real ones; the generator makes 20 pictures only."""
    real = points(500, 12, d=20)
    real[:5] = real[5:10]
    fake = 10 * points(20, 13, d=20)[np.arange(500) % 20] + 1e-3 * points(500, 14, d=20)
    assert birthday(fake, real).support == pytest.approx(20, rel=0.1)


def test_real_pictures_have_no_duplicates_by_definition():
    real = points(300, 10)
    assert birthday(real, real).pairs == 0


def test_rms_distance():
    assert rms_distance(np.zeros((5, 3), np.float32) + 7) == pytest.approx(0, abs=1e-9)
    assert rms_distance(points(20_000, 11)) == pytest.approx(np.sqrt(6), rel=0.02)


def test_rms_within_classes():
    """Classes at 0 and at 100 with deviations 1 and 2 in 6 dimensions: sqrt((6 + 24) / 2); a third class has no example."""
    x = jnp.asarray(np.concatenate([points(5000, 15), 2 * points(5000, 16) + 100]))
    labels = jnp.repeat(jnp.arange(2), 5000)
    assert rms_within_classes(x, labels, 3) == pytest.approx(np.sqrt(15), rel=0.02)
    assert rms_within_classes(x * 0 + labels[:, None], labels, 3) == 0
