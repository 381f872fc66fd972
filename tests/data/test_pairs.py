"""Test sets of super-resolution."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from gan_jax.data.pairs import read_pairs
from gan_jax.errors import InputError
from gan_jax.images.imresize import imresize


def picture(h, w, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (h, w, 3), np.uint8)


def save(pixels, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_low_pictures_are_made(tmp_path):
    save(picture(41, 62), tmp_path / "photos" / "b10.png")
    save(picture(40, 48, 1), tmp_path / "photos" / "b9.png")
    (one,) = read_pairs(tmp_path / "photos", 4)
    assert one.name == "photos"
    assert [pair.name for pair in one.pairs] == ["b9", "b10"]
    np.testing.assert_array_equal(one.pairs[1].high, picture(41, 62)[:40, :60])
    np.testing.assert_array_equal(one.pairs[1].low, imresize(picture(41, 62)[None, :40, :60], 0.25)[0])
    assert one.notes == ("photos: 1 pictures are cut below or at the right to multiples of 4",)


def test_given_low_pictures_of_several_sets_in_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "sets.zip", "w") as archive:
        for name, seed in (("SetA", 0), ("SetB", 1)):
            for folder, (h, w) in (("HR", (8, 12)), ("LRx4", (2, 3))):
                save(picture(h, w, seed), tmp_path / "one.png")
                archive.write(tmp_path / "one.png", f"{name}/x4/{folder}/001.png")
    sets = read_pairs(tmp_path / "sets.zip", 4)
    assert [one.name for one in sets] == ["SetA", "SetB"]
    for seed, one in enumerate(sets):
        np.testing.assert_array_equal(one.pairs[0].low, picture(2, 3, seed))
        np.testing.assert_array_equal(one.pairs[0].high, picture(8, 12, seed))


def test_given_low_pictures_beside_the_high_ones(tmp_path):
    for i in range(2):
        save(picture(8, 12, i), tmp_path / f"img_{i}_HR.png")
        save(picture(2, 3, i), tmp_path / f"img_{i}_LR.png")
    (one,) = read_pairs(tmp_path, 4)
    for i, pair in enumerate(one.pairs):
        np.testing.assert_array_equal(pair.low, picture(2, 3, i))


def test_the_shared_sets(real_data):
    sets = read_pairs(real_data / "sr" / "Set5_Set14_x4.zip", 4)
    assert {one.name: len(one.pairs) for one in sets} == {"Set5": 5, "Set14": 14}
    assert not any(one.notes for one in sets)


def test_sets_that_do_not_match(tmp_path):
    save(picture(8, 12), tmp_path / "HR" / "1.png")
    save(picture(4, 6), tmp_path / "LR" / "1.png")
    with pytest.raises(InputError, match=r"1.png is 8x12, and its low picture 4x6, not 2x3"):
        read_pairs(tmp_path, 4)
    save(picture(4, 6), tmp_path / "LR" / "2.png")
    with pytest.raises(InputError, match="has 1 high pictures and 2 low ones"):
        read_pairs(tmp_path, 4)
    (tmp_path / "HR" / "1.png").write_bytes(b"no picture")
    (tmp_path / "LR" / "2.png").unlink()
    with pytest.raises(InputError, match="a picture to compare with cannot be read: HR/1.png"):
        read_pairs(tmp_path, 4)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no pictures"):
        read_pairs(tmp_path / "empty", 4)
