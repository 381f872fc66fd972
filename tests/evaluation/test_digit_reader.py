"""The classifier that counts the modes of stacked MNIST, on the real digits."""

import numpy as np
import pytest

from gan_jax.data import load
from gan_jax.data.stacked import COLOURS
from gan_jax.evaluation.digit_reader import train_digit_reader
from gan_jax.metrics.modes import stacked_coverage


@pytest.mark.slow
def test_real_digits_are_read_and_real_pictures_score_as_the_truth(real_data, tmp_path, monkeypatch):
    """99.4 % of the test digits, with deviations of 0.08 % over test sets of 10,000; pictures of 28x28 and 32x32 alike."""
    monkeypatch.setenv("GAN_JAX_ARCHIVES", str(real_data))
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    reader = train_digit_reader((32, 32))
    print(reader.about)
    assert reader.judge.accuracy >= 0.992
    small, large = (load("stacked_mnist", (side, side)).held_out for side in (28, 32))
    np.testing.assert_array_equal(small["image"], large["image"][:, 2:-2, 2:-2])
    read = np.stack([reader(large["image"])[colour] for colour in COLOURS], axis=-1)
    again = np.stack([train_digit_reader((28, 28))(small["image"])[colour] for colour in COLOURS], axis=-1)
    np.testing.assert_array_equal(read, again)
    assert np.mean(np.all(read == large["digits"], axis=-1)) >= 0.992**3 - 0.01
    frequencies = np.stack([np.bincount(channel, minlength=10) / len(read) for channel in large["digits"].T])
    found, truth = (stacked_coverage(digits, frequencies) for digits in (read, large["digits"]))
    assert found.modes >= truth.modes - 2
    assert found.kl == pytest.approx(truth.kl, abs=0.005)
