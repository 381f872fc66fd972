"""Temperature scaling: recovers a known temperature; the calibration error by hand."""

import numpy as np
import pytest
from scipy.special import softmax

from gan_jax.metrics.calibration import calibration_error, confidence, temperature


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_of_labels_drawn_with_it(true):
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 3, (20_000, 4))
    chances = softmax(logits / true, axis=1).cumsum(axis=1)
    labels = (generator.random((20_000, 1)) > chances).sum(axis=1)
    assert temperature(logits, labels) == pytest.approx(true, rel=0.05)
    sure = confidence(logits, true)
    assert calibration_error(sure, logits.argmax(axis=1) == labels) < 0.02
    assert calibration_error(confidence(logits, true / 4), logits.argmax(axis=1) == labels) > 0.05


def test_confidence_and_error_by_hand():
    assert confidence(np.log(np.array([[1.0, 3.0]])))[0] == pytest.approx(0.75)
    assert confidence(np.array([[0.0, 2 * np.log(3)]]), 2.0)[0] == pytest.approx(0.75)
    # bins of 1/2: two of 0.8 of which one is right, |1 - 1.6| / 4; two of 0.25 of which none is, 0.5 / 4
    sure, right = np.array([0.8, 0.8, 0.25, 0.25]), np.array([True, False, False, False])
    assert calibration_error(sure, right, bins=2) == pytest.approx((0.6 + 0.5) / 4)
