"""Recognition by hand-made logits."""

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.metrics.recognised import class_counts, class_entropy, largest_class, recognised_share

LOGITS = jnp.log(jnp.array([[0.95, 0.03, 0.02], [0.85, 0.1, 0.05], [0.01, 0.98, 0.01], [0.4, 0.35, 0.25]])) + 7


def test_recognised_share():
    assert recognised_share(LOGITS) == 0.5
    assert recognised_share(LOGITS, confidence=0.8) == 0.75
    assert recognised_share(LOGITS, confidence=0.97) == 0.25


def test_class_counts():
    np.testing.assert_array_equal(class_counts(LOGITS), [3, 1, 0])


def test_class_entropy():
    assert class_entropy(jnp.array([5.0, 5.0, 5.0])) == pytest.approx(1, rel=1e-6)
    assert class_entropy(jnp.array([0.0, 9.0, 0.0])) == 0
    assert class_entropy(jnp.array([2.0, 2.0, 0.0, 0.0])) == pytest.approx(0.5, rel=1e-6)
    assert class_entropy(jnp.array([7.0])) == 0  # of data with one class


def test_largest_class():
    assert largest_class(class_counts(LOGITS)) == 0.75
