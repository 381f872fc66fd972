"""Wilson's interval against values worked out by hand."""

import numpy as np
import pytest

from gan_jax.metrics.intervals import proportion


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (10, 10), (7, 20), (481, 500)])
def test_the_formula_of_wilson(successes, trials):
    z, p = 1.959963984540054, successes / trials
    middle = (p + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(p * (1 - p) / trials + z**2 / (4 * trials**2))
    found = proportion(successes, trials)
    assert found == pytest.approx((p, middle - half, middle + half), abs=1e-9)
    assert 0 <= found.low <= found.share <= found.high <= 1


def test_told_in_words():
    assert str(proportion(0, 10)) == "0.00 [0.00, 0.28]"


def test_impossible_counts():
    with pytest.raises(ValueError, match="must not be greater"):
        proportion(3, 2)
