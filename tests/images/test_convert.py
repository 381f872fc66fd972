"""Images to floats and back, sheets, files and films."""

import subprocess

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gan_jax.images.convert import to_float, to_uint8
from gan_jax.images.film import film
from gan_jax.images.sheets import cut, grid, save

LEVELS = np.arange(256, dtype=np.uint8)


def test_bytes_survive_the_round_trip():
    np.testing.assert_array_equal(to_uint8(to_float(jnp.asarray(LEVELS))), LEVELS)


def test_range():
    x = to_float(jnp.asarray(LEVELS))
    assert x.dtype == jnp.float32
    assert (x[0], x[-1]) == (-1, 1)
    np.testing.assert_allclose(np.diff(x), 2 / 255, rtol=1e-4)


def test_floats_pass_unchanged():
    x = jnp.array([-1.0, 0.3, 200.0])
    assert to_float(x) is x


def test_to_uint8_rounds_and_clips():
    x = np.array([-1.5, -1.0, 0.4 / 127.5 - 1, 0.6 / 127.5 - 1, 1.0, 1.5])
    np.testing.assert_array_equal(to_uint8(x), [0, 0, 0, 1, 255, 255])


def test_grid_layout():
    images = np.stack([np.full((2, 3, 1), i, np.uint8) for i in range(5)])
    sheet = grid(images, gap=1)  # 3 columns, 2 rows, the last place empty
    assert sheet.shape == (2 * 3 + 1, 3 * 4 + 1, 1)
    expected = np.full((7, 13), 255, np.uint8)
    expected[1:3, 1:4], expected[1:3, 5:8], expected[1:3, 9:12], expected[4:6, 1:4], expected[4:6, 5:8] = range(5)
    np.testing.assert_array_equal(sheet[..., 0], expected)
    assert grid(images, columns=5, gap=0).shape == (2, 15, 1)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_save(channels, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (4, 6, channels), dtype=np.uint8)
    save(image, tmp_path / "image.png", scale=2)
    with Image.open(tmp_path / "image.png") as picture:
        read = np.asarray(picture).reshape(8, 12, channels)
    np.testing.assert_array_equal(read, image.repeat(2, axis=0).repeat(2, axis=1))
    assert [path.name for path in tmp_path.iterdir()] == ["image.png"]


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "webp"])
def test_save_follows_the_suffix(suffix, tmp_path):
    save(np.zeros((8, 8, 3), np.uint8), tmp_path / f"image.{suffix}")
    with Image.open(tmp_path / f"image.{suffix}") as picture:
        assert picture.format == suffix.replace("jpg", "jpeg").upper()


def test_save_leaves_the_old_file_if_it_fails(tmp_path, monkeypatch):
    def stop(picture, path, **_):
        path.write_bytes(b"half")
        raise OSError("disk full")

    (tmp_path / "image.png").write_bytes(b"old")
    monkeypatch.setattr(Image.Image, "save", stop)
    with pytest.raises(OSError, match="disk full"):
        save(np.zeros((2, 2, 3), np.uint8), tmp_path / "image.png")
    assert (tmp_path / "image.png").read_bytes() == b"old"


@pytest.mark.parametrize("channels", [1, 3])
def test_film(channels, tmp_path):
    frames = [np.full((16, 24, channels), level, np.uint8) for level in (0, 60, 120, 180, 240)]
    files = film(frames, tmp_path / "film", seconds=1.0)
    assert files[0] == tmp_path / "film.webp"
    assert all(path.stat().st_size > 0 for path in files)
    durations = []
    with Image.open(files[0]) as picture:
        assert (picture.format, picture.n_frames, picture.size) == ("WEBP", 5, (24, 16))
        assert picture.info["loop"] == 0
        for i, frame in enumerate(frames):
            picture.seek(i)
            picture.load()
            np.testing.assert_allclose(np.asarray(picture.convert("RGB"), int), int(frame[0, 0, 0]), atol=4)
            durations.append(picture.info["duration"])
    assert durations == [200, 200, 200, 200, 1000]


def test_film_is_an_mp4_too_where_ffmpeg_is(tmp_path):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    frames = [np.full((16, 24, 3), level, np.uint8) for level in (0, 60, 120, 180, 240)]
    files = film(frames, tmp_path / "film.webp", seconds=1.0)
    assert files == [tmp_path / "film.webp", tmp_path / "film.mp4"]
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(files[1]))
    assert (count, seconds) == (10, pytest.approx(2.0, abs=0.1))  # 5 frames at 5 a second, and a second of the last


def test_an_odd_edge_is_cut_off_the_mp4(tmp_path, caplog):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    picture = np.random.default_rng(0).integers(0, 256, (17, 25, 3)).astype(np.uint8)
    _, mp4 = film([picture, picture], tmp_path / "film.webp", seconds=1.0)
    told = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-i", mp4], capture_output=True, text=True).stderr
    assert "24x16" in told
    assert caplog.text == ""


def test_a_sheet_is_cut_into_its_images():
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 3, 3), np.uint8)
    np.testing.assert_array_equal(cut(grid(images, columns=3), (4, 3)), images)
    assert cut(grid(images[:5], columns=3), (4, 3))[5].min() == 255  # the empty place
    for wrong in ((5, 3), (4, 4), (40, 40)):
        with pytest.raises(ValueError, match="is none of images of"):
            cut(grid(images, columns=3), wrong)
