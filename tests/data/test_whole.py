"""Pictures of all sizes kept whole, windows of them as a function of (seed, step), pairs of low and high pictures."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gan_jax.data.dataset import Order
from gan_jax.data.rounds import Rounds, shrunk, turned
from gan_jax.data.whole import WindowFlags, load_whole, pairs_of, whole, windows_of
from gan_jax.data.windows import Whole, Windows, placed
from gan_jax.errors import InputError
from gan_jax.images.imresize import imresize
from gan_jax.training.sources import loads_itself

SIZES = [(40, 60), (33, 70), (64, 48), (12, 90)]


def pictures(sizes=SIZES, seed=0, channels=3):
    generator = np.random.default_rng(seed)
    return [generator.integers(0, 256, (*size, channels), np.uint8) for size in sizes]


def flat(found):
    pixels = np.concatenate([x.reshape(-1, x.shape[-1]) for x in found])
    return Whole(pixels, np.array([x.shape[:2] for x in found], np.int32))


def folder(path: Path, found) -> Path:
    path.mkdir()
    for i, pixels in enumerate(found):
        Image.fromarray(pixels).save(path / f"{i}.png")
    return path


def test_pictures_are_kept_whole(tmp_path):
    found = pictures()
    dataset = load_whole(folder(tmp_path / "photos", found), held_out=0.0, cache=tmp_path / "cache")
    kept = whole(dataset.train)
    assert isinstance(dataset.train["image"], np.memmap)
    assert len(kept) == 4
    for one, other in zip(kept, found, strict=False):
        np.testing.assert_array_equal(one, other)
    (meta,) = (tmp_path / "cache").glob("photos-*/meta.json")
    before = meta.stat().st_mtime_ns
    assert load_whole(tmp_path / "photos", held_out=0.0, cache=tmp_path / "cache").fingerprint == dataset.fingerprint
    assert meta.stat().st_mtime_ns == before  # not decoded again
    assert json.loads(meta.read_text())["splits"]["train"]["size"]["shape"] == [4, 2]


def test_grey_pictures_and_a_damaged_one(tmp_path):
    place = folder(tmp_path / "photos", pictures([(9, 9)] * 120))
    (place / "7.png").write_bytes(b"no picture")
    dataset = load_whole(place, channels=1, held_out=0.0, cache=tmp_path / "cache")
    assert len(whole(dataset.train)) == 119
    assert whole(dataset.train)[0].shape == (9, 9, 1)
    assert any("7.png" in note for note in dataset.notes)


def rounds(windows, vary=(), seed=0, batch=6):
    return Rounds({"image": windows}, Order(seed, len(windows), batch), vary=(placed(), *vary))


def test_windows_are_of_the_pictures_and_from_everywhere():
    found = pictures([(20, 24), (17, 19), (8, 50)])
    windows = Windows(flat(found), 16)
    assert len(windows) == 20 * 24 // 256 + 17 * 19 // 256  # the third has none
    corners = set()
    r = rounds(windows, batch=2)
    for step in range(80):
        for image in r.load(step)["image"]:
            at = [
                (i, top, left)
                for i, whole_picture in enumerate(found[:2])
                for top in range(whole_picture.shape[0] - 15)
                for left in range(whole_picture.shape[1] - 15)
                if (whole_picture[top : top + 16, left : left + 16] == image).all()
            ]
            assert len(at) == 1
            corners |= set(at)
    assert len(corners) > 30
    assert max(top for i, top, _ in corners if i == 0) == 4
    assert max(left for i, _, left in corners if i == 0) == 8


def test_windows_are_a_function_of_seed_and_step():
    windows = Windows(flat(pictures()), 16)
    a, b, c = (rounds(windows, seed=seed) for seed in (3, 3, 4))
    assert a.plan(5).keys() == {"index", "place"}
    np.testing.assert_array_equal(a.load(5)["image"], b.load(5)["image"])
    assert (a.load(5)["image"] != c.load(5)["image"]).any()
    assert (a.load(5)["image"] != a.load(6)["image"]).any()
    assert loads_itself(a)  # so that training never takes the flat pixels for examples


def test_windows_become_pairs_turned_alike():
    windows = Windows(flat(pictures()), 16)
    r = rounds(windows, vary=(turned(), shrunk(4)))
    assert r.shapes["low"].shape == (6, 4, 4, 3)
    batch = r.load(0)
    done = r.finish({name: jnp.asarray(x) for name, x in batch.items()})
    seen = set()
    for i, image in enumerate(batch["image"]):
        ways = [np.rot90(base, k) for base in (image, image[:, ::-1]) for k in range(4)]
        (way,) = [k for k, each in enumerate(ways) if (each == np.asarray(done["high"][i])).all()]
        seen.add(way)
    assert len(seen) > 2
    np.testing.assert_array_equal(done["low"], imresize(done["high"], 0.25))


def test_given_pairs_show_the_same_place(tmp_path):
    high = pictures([(41, 62), (36, 72), (65, 48)])
    low = [np.asarray(imresize(x[None, : x.shape[0] // 4 * 4, : x.shape[1] // 4 * 4], 0.25))[0] for x in high]
    sets = [
        load_whole(folder(tmp_path / name, found), held_out=0.0, cache=tmp_path / "cache")
        for name, found in [("h", high), ("l", low)]
    ]
    dataset = pairs_of(*sets, side=32, factor=4)
    r = Rounds(dataset.drawn.arrays, Order(0, len(dataset.drawn.arrays["low"]), 4), vary=dataset.drawn.vary)
    for step in range(5):
        batch = r.finish({name: jnp.asarray(x) for name, x in r.load(step).items()})
        assert batch["high"].shape == (4, 32, 32, 3)
        again = np.asarray(imresize(batch["high"], 0.25))
        np.testing.assert_array_equal(batch["low"][:, 2:-2, 2:-2], again[:, 2:-2, 2:-2])  # the border saw what lies beyond


def test_pairs_that_do_not_match(tmp_path):
    high, low = pictures([(40, 60), (64, 48)]), pictures([(10, 15), (15, 12)])
    sets = {
        name: load_whole(folder(tmp_path / name, found), held_out=0.0, cache=tmp_path / "cache")
        for name, found in [("high", high), ("low", low), ("more", [*low, *low])]
    }
    with pytest.raises(InputError, match="picture 2 of high is 64x48, and that of low 15x12: the low one must be a 4th"):
        pairs_of(sets["high"], sets["low"], 32, 4)
    with pytest.raises(InputError, match="high has 2 pictures and more 4: give as many low ones"):
        pairs_of(sets["high"], sets["more"], 32, 4)


def test_a_data_set_of_windows(tmp_path):
    place = folder(tmp_path / "photos", pictures(SIZES * 6))
    dataset = windows_of(load_whole(place, held_out=0.1, cache=tmp_path / "cache"), 32)
    assert dataset.train["image"].shape == (256, 32, 32, 3)
    assert dataset.held_out["image"].shape[1:] == (32, 32, 3)
    assert any("have no window of 32x32 pixels and are left out" in note for note in dataset.notes)
    with pytest.raises(InputError, match="no picture has a window of 96x96 pixels, the largest is 64x90"):
        windows_of(load_whole(place, cache=tmp_path / "cache"), 96)


def test_windows_that_are_no_multiples():
    with pytest.raises(InputError, match="--window 50 is no multiple of --factor 4: choose 48"):
        WindowFlags(data="nothing", window=50).load()


def test_only_squares_are_turned():
    with pytest.raises(InputError, match="images of 4x6 cannot be turned"):
        Rounds({"image": np.zeros((5, 4, 6, 3), np.uint8)}, Order(0, 5, 2), vary=(turned(),))
