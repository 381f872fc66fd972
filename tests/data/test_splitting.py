"""Held-out examples: at random, always the same, by class."""

import numpy as np
import pytest

from gan_jax.data.source import random_rows
from gan_jax.data.splitting import held_out_rows, note_on_held_out


def test_without_labels_it_is_the_random_rows() -> None:
    assert held_out_rows(200, 0.05) == random_rows(200, 10)
    assert held_out_rows(200, 0.001) == random_rows(200, 1)
    assert held_out_rows(19, 0.5) == held_out_rows(200, 0.0) == []
    assert len(held_out_rows(20, 0.999)) == 18


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_every_class_gives_its_part(share: float) -> None:
    labels = np.repeat(np.arange(5), [200, 100, 40, 3, 1])
    held = held_out_rows(len(labels), share, labels)
    assert held == held_out_rows(len(labels), share, labels.tolist())
    assert held == sorted(set(held))
    assert len(held) == round(share * len(labels))
    counts = np.bincount(labels[held], minlength=5)
    assert counts[3] == counts[4] == 0  # too few to give any
    np.testing.assert_allclose(counts[:3], share * np.array([200, 100, 40]), atol=1.01)
    first = [rows for rows in np.split(held, np.cumsum(counts)[:-1]) if len(rows) > 4]
    assert all(np.diff(rows).max() > 1 for rows in first)  # not the first or last of a class


def test_no_class_is_left_without_training_pictures() -> None:
    labels = np.repeat(np.arange(40), 10)
    held = held_out_rows(400, 0.05, labels)
    assert np.bincount(labels[held]).max() == 1
    assert len(held) == 20
    assert labels[held].min() < 15 < 25 < labels[held].max()  # classes of equal remainder at random
    assert np.bincount(np.delete(labels, held_out_rows(400, 0.9, labels))).tolist() == [2] * 40
    assert held_out_rows(40, 0.5, np.arange(40)) == []
    assert note_on_held_out(0.5, np.arange(40), 40) == ["40 classes have fewer than 4 pictures, which are all trained on"]
    assert note_on_held_out(0.05, labels, 400) == []
