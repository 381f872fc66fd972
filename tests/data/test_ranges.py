"""One range of values for a set of pictures of more than 8 bits: found, given or asked for."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_jax.data import load
from gan_jax.data.check import check
from gan_jax.data.deep import Limits, measured
from gan_jax.data.folder import folder_source
from gan_jax.data.ranges import found, levels_used, parse_range
from gan_jax.errors import InputError


def of(*bounds: tuple[float, float], dtype: str = "f4") -> list:
    """Pictures whose values fill these bounds."""
    return [measured(np.linspace(low, high, 500).astype(dtype).reshape(20, 25)) for low, high in bounds]


FOUND = {
    "unit floats": (of((0.1, 0.9), (0, 1)), (0, 1)),
    "signed unit floats": (of((-0.9, 0.9)), (-1, 1)),
    "a highlight over 1": (of((0, 0.99), (0, 1.05)), (0, 1.05)),
    "overshoot": (of((-0.02, 1.0)), (-0.02, 1.0)),
    "floats of 8 bits": (of((0.5, 200)), (0, 255)),
    "kelvin": (of((250, 300), (260, 320.5)), (250, 320.5)),
    "one bit": (of((0, 1), dtype="u2"), (0, 1)),
    "8 bits in 16": (of((0, 200), dtype="u2"), (0, 255)),
    "10 bits": (of((0, 1000), (0, 10), dtype="u2"), (0, 1023)),
    "12 bits": (of((0, 4000), (5, 2000), dtype="u2"), (0, 4095)),
    "16 bits": (of((0, 60000), dtype="u2"), (0, 65535)),
    "signed": (of((-1000, 3000), (-20, 400), dtype="i2"), (-1000, 3000)),
    "32 bits": (of((0, 10**6), dtype="i4"), (0, 10**6)),
}


@pytest.mark.parametrize("kind", FOUND)
def test_what_is_found(kind: str) -> None:
    seen, wanted = FOUND[kind]
    np.testing.assert_allclose(found(seen, "x"), wanted, rtol=1e-6)


ASKED = {
    "one value": (of((0, 0)), "All values are 0"),
    "few levels": (of((0, 12), dtype="u1"), "largest value is 12,"),
    "two scales": (of((0, 1), (0, 0.5), (0, 255)), "2 of 3 pictures have values up to 1 only, others up to 255"),
    "two depths": (of((0, 255), (0, 60000), dtype="u2"), "1 of 2 pictures have values up to 255 only, others up to 6"),
    "an outlier": ([measured(np.append(np.linspace(2, 3, 999), 1e6)[None])] * 9, "values are 2 to 1e.06, but 99 % of them 2"),
}


@pytest.mark.parametrize("kind", ASKED)
def test_what_is_asked(kind: str) -> None:
    seen, message = ASKED[kind]
    with pytest.raises(InputError, match=f"(?i)which values of x are black and white.*{message}.*--range"):
        found(seen, "x")


def folder(root: Path, pictures: list[np.ndarray]) -> Path:
    root.mkdir()
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(root / f"{i}.tif")
    return root


def levels(dataset) -> list[list[int]]:
    """The levels of the first row of each picture."""
    return dataset.train["image"][:, 0, :, 0].tolist()


def test_all_pictures_of_a_set_have_one_range(tmp_path: Path) -> None:
    bright, dim = np.tile(np.float32([0, 0.3, 0.9, 1.2]), (4, 1)), np.tile(np.float32([0, 0.3, 0.6, 0.9]), (4, 1))
    root = folder(tmp_path / "set", [bright, dim])
    dataset = load(root, (4, 4), cache=tmp_path / "cache")
    np.testing.assert_allclose(levels(dataset), [[0, 64, 191, 255], [0, 64, 128, 191]], atol=1)
    assert dataset.notes == (
        "2 pictures have more than 8 bits: 0,1.2 become black and white (found in all of them; --range LOW,HIGH sets another)",
    )
    given = load(root, (4, 4), value_range=(0, 0.6), cache=tmp_path / "cache")
    np.testing.assert_allclose(levels(given), [[0, 128, 255, 255], [0, 128, 255, 255]], atol=1)
    assert "values from 0 to 1.2 are cut to the range 0,0.6, " in given.notes[1]
    Image.new("RGB", (4, 4), (9, 99, 200)).save(root / "8bit.png")
    assert load(root, (4, 4), cache=tmp_path / "cache").train["image"][2, 0, 0].tolist() == [9, 99, 200]


def test_what_is_not_finite_is_named(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", [np.full((4, 4), np.nan, np.float32)] * 2)
    with pytest.raises(InputError, match=r"no picture of set .* is readable: 0\.tif: has values that are not finite, 1\.tif"):
        load(root, (4, 4), cache=tmp_path / "cache")


def test_negative_values_are_kept(tmp_path: Path) -> None:
    root = folder(tmp_path / "ct", [np.tile(np.int32([-1000, 0, 1000, 1550]), (4, 1))] * 2)
    assert levels(load(root, (4, 4), cache=tmp_path / "cache")) == [[0, 100, 200, 255]] * 2


@pytest.mark.parametrize(("dtype", "top"), [("u2", 4095), ("f4", 1.0), ("f8", 1.0), ("i8", 255)])
def test_arrays_have_one_range_too(dtype: str, top: float, tmp_path: Path) -> None:
    unit = np.linspace(0, 1, 256).reshape(4, 8, 8)
    np.savez(tmp_path / "set.npz", image=(unit * top).astype(dtype))
    image = load(tmp_path / "set.npz", (8, 8), cache=tmp_path / "cache").train["image"][..., 0]
    np.testing.assert_allclose(image, unit * 255, atol=1)


def test_a_range_for_8_bits_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", image=np.zeros((4, 8, 8), np.uint8))
    with pytest.raises(InputError, match="--range 0,1 is for more than 8 bits, which no picture of set has"):
        load(tmp_path / "set.npz", (8, 8), value_range=(0, 1), cache=tmp_path / "cache")


def test_the_check_shows_the_range_and_warns_where_little_is_used(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(0, 4000, 250, dtype=np.uint16), (16, 1))
    source = folder_source(folder(tmp_path / "set", [ramp, ramp]))
    text = str(check(source, (16, 16)))
    assert "range (of more than 8 bits): 0 becomes black, 4095 white; 99 % of the values lie in 0 to 3758" in text
    assert "warning" not in text
    text = str(check(source, (16, 16), value_range=(0, 65535)))
    assert "warning: nearly all values use 5% of the range" in text


def test_levels_used() -> None:
    histogram = np.zeros(256, int)
    histogram[[3, 10, 20, 250]] = [1, 500, 500, 1]
    assert levels_used(histogram) == (10, 20)


@pytest.mark.parametrize(("text", "wanted"), [("0,4095", (0, 4095)), ("-1,1.5", (-1, 1.5)), (None, None)])
def test_ranges_of_the_command_line(text: str | None, wanted: Limits | None) -> None:
    assert parse_range(text) == wanted


@pytest.mark.parametrize("text", ["", "1", "1,0", "1,1", "0,1,2", "nan,1", "0,inf", "a,b"])
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(InputError, match="--range .*give the values"):
        parse_range(text)
