"""Pictures of every kind read as they are and written again of the same kind."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from gan_jax.data.kept import read_kept
from gan_jax.data.pictures import values
from gan_jax.data.png import deep_png
from gan_jax.data.source import Unreadable


def noise(*shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


MODES = {"L": noise(6, 8), "LA": noise(6, 8, 2), "RGB": noise(6, 8, 3), "RGBA": noise(6, 8, 4)}


@pytest.mark.parametrize("mode", MODES)
def test_modes(tmp_path, mode):
    Image.fromarray(MODES[mode]).save(tmp_path / "one.png")
    kept = read_kept(tmp_path / "one.png")
    np.testing.assert_array_equal(kept.pixels, MODES[mode].reshape(6, 8, -1))
    kept.of(kept.pixels[::-1]).save(tmp_path / "out" / "two.png")
    with Image.open(tmp_path / "out" / "two.png") as again:
        assert again.mode == mode
        np.testing.assert_array_equal(np.asarray(again), MODES[mode][::-1])


@pytest.mark.parametrize(("transparent", "channels"), [(False, 3), (True, 4)])
def test_palettes(tmp_path, transparent, channels):
    picture = Image.fromarray(MODES["RGBA" if transparent else "RGB"]).quantize(16, method=Image.Quantize.FASTOCTREE)
    picture.save(tmp_path / "one.png")
    kept = read_kept(tmp_path / "one.png")
    assert kept.pixels.shape == (6, 8, channels)
    np.testing.assert_array_equal(kept.pixels, picture.convert("RGBA" if transparent else "RGB"))
    kept.save(tmp_path / "two.png")
    with Image.open(tmp_path / "two.png") as again:
        assert again.mode == "P"
        assert np.abs(np.asarray(again.convert("RGBA"))[..., :channels].astype(int) - kept.pixels).max() <= 16


def test_exif_and_profile_stay(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(MODES["RGB"]).save(tmp_path / "one.jpg", exif=exif, icc_profile=b"a profile", dpi=(72, 72), quality=95)
    kept = read_kept(tmp_path / "one.jpg")
    assert kept.pixels.shape == (6, 8, 3)  # as stored: the tag still says how to turn it
    kept.save(tmp_path / "two.png")
    with Image.open(tmp_path / "two.png") as again:
        assert again.getexif()[0x0112] == 6
        assert again.info["icc_profile"] == b"a profile"


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits(tmp_path, channels):
    pixels = noise(6, 8, channels, dtype=np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 3
    content = deep_png(pixels, exif.tobytes())
    (tmp_path / "one.png").write_bytes(content)
    with Image.open(tmp_path / "one.png") as picture:
        picture.load()
        assert picture.getexif()[0x0112] == 3
    if channels != 2:  # of which PIL keeps 8 bits
        kept = read_kept(tmp_path / "one.png")
        np.testing.assert_array_equal(kept.pixels, pixels)
        kept.save(tmp_path / "two.png")
        np.testing.assert_array_equal(values((tmp_path / "two.png").read_bytes()).reshape(pixels.shape), pixels)


def test_black_and_white_and_cmyk(tmp_path):
    Image.fromarray(MODES["L"] > 127).save(tmp_path / "one.png")
    assert set(np.unique(read_kept(tmp_path / "one.png").pixels)) == {0, 255}
    Image.fromarray(MODES["RGB"]).convert("CMYK").save(tmp_path / "one.tif")
    np.testing.assert_array_equal(read_kept(tmp_path / "one.tif").pixels, MODES["RGB"])


def test_what_cannot_be_read(tmp_path):
    Image.fromarray(noise(4, 4).astype(np.float32)).save(tmp_path / "floats.tif")
    with pytest.raises(Unreadable, match="floats.tif: its values are float32: save it with 8 or 16 bits"):
        read_kept(tmp_path / "floats.tif")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(Unreadable, match="text.png: not a picture"):
        read_kept(tmp_path / "text.png")


def test_a_picture_too_large_is_refused_by_its_header(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    (tmp_path / "large.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    with pytest.raises(Unreadable, match="large.png: has more than 89,478,485 pixels: shrink it first"):
        read_kept(tmp_path / "large.png")
