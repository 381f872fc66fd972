"""Agreement of two classifiers against scikit-learn's, and the share of blobs that are planted."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from gan_jax.metrics.agreement import agreement_table, kappa, recognisable


def opinions(n, seed, right=0.8, blobs=0.0, classes=10):
    """Two classifiers that are right in `right` of pictures, apart from each other, and name anything for blobs."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(classes, size=n)
    blob = generator.random(n) < blobs

    def opinion(weights):
        guess = generator.choice(classes, n, p=weights / weights.sum())
        return np.where((generator.random(n) < right) & ~blob, truth, guess)

    return opinion(np.arange(1.0, classes + 1)), opinion(np.ones(classes))


def test_kappa_is_scikit_learns():
    a, b = opinions(500, 0)
    table = agreement_table(a, b, 10)
    assert table.sum() == 500
    assert table[a[0], b[0]] >= 1
    assert float(kappa(table)) == pytest.approx(cohen_kappa_score(a, b))
    np.testing.assert_allclose(kappa(np.stack([table, table.T])), float(kappa(table)))
    assert kappa(np.diag([5, 0])) == 0


@pytest.mark.parametrize("blobs", [0.0, 0.4, 1.0])
def test_planted_blobs_are_found(blobs):
    found = recognisable(agreement_table(*opinions(4000, 1, blobs=blobs), 10), agreement_table(*opinions(4000, 2), 10))
    assert found.share == pytest.approx(1 - blobs, abs=0.05)
    assert found.low <= found.share <= found.high
    assert found.high - found.low < 0.12


def test_intervals_hold_the_share_as_often_as_they_say():
    """Of 60 draws with 40 % blobs."""
    held = 0
    for i in range(60):
        samples = agreement_table(*opinions(500, 1000 + i, blobs=0.4), 10)
        found = recognisable(samples, agreement_table(*opinions(500, 5000 + i), 10), seed=i)
        held += found.low <= 0.6 <= found.high
    assert 53 <= held <= 60


def test_classifiers_that_agree_by_chance_tell_nothing():
    generator = np.random.default_rng(0)
    chance = agreement_table(generator.integers(2, size=1000), 1 - generator.integers(2, size=1000), 2)
    apart = np.array([[0, 10], [10, 0]])
    assert abs(float(kappa(chance))) < 0.1
    with pytest.raises(ValueError, match="no more often than by chance"):
        recognisable(chance, apart)
