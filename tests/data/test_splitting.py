"""Held-out examples: at random, always the same, by class or by attributes."""

from pathlib import Path

import numpy as np
import pytest

from gan_jax.data.folder import folder_source
from gan_jax.data.npz import npz_source
from gan_jax.data.source import random_rows
from gan_jax.data.splitting import attribute_strata, held_out_rows, note_on_held_out
from tests.data.folders import draw, write


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


def described(n: int = 2000, k: int = 12) -> np.ndarray:
    """Attributes that few have and that go together, and a number beside them."""
    generator = np.random.default_rng(0)
    cause = generator.random((n, 1))
    rates = np.linspace(0.02, 0.4, k)[None]
    binary = generator.random((n, k)) < rates * (0.5 + cause)
    return np.concatenate([binary, cause], axis=1).astype(np.float32)


def test_every_attribute_gives_its_part() -> None:
    attributes = described()
    strata = attribute_strata(attributes, 0.05)
    assert np.bincount(strata).min() >= 40
    held = held_out_rows(2000, 0.05, strata)
    wanted = 0.05 * attributes[:, :-1].sum(axis=0)
    error, chance = attributes[held, :-1].sum(axis=0) - wanted, np.sqrt(0.95 * wanted)
    assert len(held) == 100
    assert np.sqrt(np.mean((error / chance) ** 2)) < 0.75  # at random it is 1


def test_attributes_of_a_file_part_it_where_there_are_no_labels(tmp_path: Path) -> None:
    """A fifth of 100 pictures, of which 30 have the attribute."""
    glasses = np.arange(100) % 10 < 3
    pictures = {"image": np.zeros((100, 4, 4), np.uint8) + np.arange(100, dtype=np.uint8)[:, None, None]}
    held = {}
    for name, more in (
        ("plain", {}),
        ("described", {"attributes": glasses[:, None] * 1.0}),
        ("labelled", {"label": np.arange(100) % 2}),
        ("both", {"label": np.arange(100) % 2, "attributes": glasses[:, None] * 1.0}),
    ):
        np.savez(tmp_path / f"{name}.npz", **pictures, **more)
        source = npz_source(tmp_path / f"{name}.npz", 0.2)
        held[name] = [int(source.splits["held_out"].read(i).image[0, 0]) for i in range(20)]
        assert source.identity.endswith("by class or attributes" if name == "described" else "by class")
    assert glasses[held["described"]].sum() == 6
    assert held["plain"] == random_rows(100, 20) != held["described"]
    assert held["both"] == held["labelled"] != held["described"]


def test_attributes_of_a_table_part_a_folder(tmp_path: Path) -> None:
    root = draw(tmp_path / "set", *[f"{i}.png" for i in range(100)])
    assert glasses_held(root) is None
    write(root, "attributes.csv", "file,glasses\n" + "".join(f"{i}.png,{int(i < 30)}\n" for i in range(100)))
    assert glasses_held(root) == 6
    assert folder_source(root, 0.2).place.endswith("0.2 None by attributes")
    wanted = sum(i < 30 for i in random_rows(100, 50)) / 5
    assert abs(glasses_held(root, limit=50) - wanted) < 1
    parted = draw(tmp_path / "parted", *[f"{part}/{i}.png" for part in ("train", "test") for i in range(30)])
    write(parted, "attributes.csv", "file,glasses\n" + "".join(f"train/{i}.png,{i % 2}\n" for i in range(30)))
    source = folder_source(parted, 0.2)
    assert source.splits["held_out"].size == 30
    assert source.place.endswith("0.2 None")


def glasses_held(root: Path, limit: int | None = None) -> float | None:
    held = folder_source(root, 0.2, limit).splits["held_out"]
    attributes = [held.read(i).attributes for i in range(held.size)]
    return sum(values[0] for values in attributes) if attributes[0] else None


def test_combinations_are_told_apart_where_there_are_pictures_enough() -> None:
    """40 of each of 4 combinations, but one that has 10: the second attribute is told apart beside one value of the first."""
    rows = [[0, 0]] * 150 + [[0, 1]] * 60 + [[1, 0]] * 40 + [[1, 1]] * 10
    strata = attribute_strata(np.array(rows, np.float32), 0.05)
    assert [len(np.unique(part)) for part in np.split(strata, [150, 210])] == [1, 1, 1]
    assert len(np.unique(strata)) == 3
    unknown = np.array([[np.nan]] * 60 + [[0]] * 60 + [[1]] * 60, np.float32)
    assert len(np.unique(attribute_strata(unknown, 0.05))) == 2


def test_what_has_no_strata() -> None:
    one = np.zeros((100, 1), np.float32)
    for attributes, share in (
        (one, 0.05),
        (described()[:, -1:], 0.05),
        (described(), 0.0),
        (described(19), 0.5),
        (one[:, :0], 0.05),
    ):
        assert attribute_strata(attributes, share) is None
    one[:30] = 1  # fewer than give two to the held-out part
    assert attribute_strata(one, 0.05) is None
    assert attribute_strata(one, 0.1).tolist() == [1] * 30 + [0] * 70
