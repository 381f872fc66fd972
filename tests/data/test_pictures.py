"""Every kind of picture file, whole and broken, against pixels that are known beforehand."""

import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from gan_jax.data import pictures
from gan_jax.data.deep import RangeNeeded
from gan_jax.data.opening import SUFFIXES, File
from gan_jax.data.pictures import decode, facts, is_grey, pages, values
from gan_jax.data.source import Unreadable

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def stored(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def pixels(height: int = 8, width: int = 8, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP", "TIFF"])
def test_a_picture_of_the_size_stays_to_the_bit(kind: str) -> None:
    wanted = pixels()
    options = {"lossless": True} if kind == "WEBP" else {}
    content = stored(Image.fromarray(wanted), kind, **options)
    for fit in ("crop", "pad", "stretch"):
        got = decode(content, (8, 8), fit)
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, wanted)
    got = decode(content, (8, 8), channels=4)
    np.testing.assert_array_equal(got[..., :3], wanted)
    assert (got[..., 3] == 255).all()


def test_arrays_and_pictures_are_taken_as_well() -> None:
    colour, grey = pixels(), pixels(channels=1)
    np.testing.assert_array_equal(decode(colour, (8, 8)), colour)
    np.testing.assert_array_equal(decode(Image.fromarray(colour), (8, 8)), colour)
    for array in (grey, grey[..., 0]):
        np.testing.assert_array_equal(decode(array, (8, 8)), grey.repeat(3, -1))
    for wrong in (colour.astype(np.float32), np.zeros((0, 8, 3), np.uint8), np.zeros((2, 2, 2, 2), np.uint8)):
        with pytest.raises((Unreadable, RangeNeeded)):
            decode(wrong, (8, 8))


def test_one_bit_and_grey() -> None:
    bits = pixels()[..., 0] > 127
    wanted = (bits * np.uint8(255))[..., None].repeat(3, -1)
    np.testing.assert_array_equal(decode(stored(Image.fromarray(bits)), (8, 8)), wanted)
    grey = pixels(channels=1)
    np.testing.assert_array_equal(decode(stored(Image.fromarray(grey[..., 0])), (8, 8)), grey.repeat(3, -1))


def test_sixteen_bits_are_shifted_not_clipped() -> None:
    ramp = np.arange(0, 65536, 1024, dtype=np.uint16).reshape(8, 8)
    wanted = np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8)
    content = stored(Image.fromarray(ramp))
    assert Image.open(io.BytesIO(content)).mode == "I;16"
    assert facts(content) == (8, 8, "16-bit")
    for picture in (content, Image.fromarray(ramp.astype(np.int32)), stored(Image.fromarray(ramp.astype(np.int32)), "TIFF")):
        np.testing.assert_array_equal(decode(picture, (8, 8), limits=(0, 65535))[..., 1], wanted)
        np.testing.assert_array_equal(decode(picture, (8, 8), limits=(0, 4095))[..., 1], np.minimum(ramp // 16, 255))


def test_more_than_eight_bits_need_the_range_of_their_set() -> None:
    levels = np.arange(64).reshape(8, 8)
    for array in (levels.astype(np.int32), levels.astype(np.float32), levels.astype(np.uint16)):
        for picture in (Image.fromarray(array), array):
            with pytest.raises(RangeNeeded):
                decode(picture, (8, 8))
            np.testing.assert_array_equal(decode(picture, (8, 8), limits=(0, 255))[..., 2], levels)
    floats = (levels / 64 - 0.5).astype(np.float32)
    assert decode(floats, (8, 8), limits=(-0.5, 0.5))[0, [0, 4], 0].tolist() == [0, 16]
    colours = np.stack([floats, floats * 0, -floats], -1)
    assert decode(colours, (8, 8), limits=(-1, 1))[0, 0].tolist() == [64, 128, 191]
    clear = np.full((8, 8, 4), [4095, 2048, 0, 32768], np.uint16)  # opacity has all 16 bits
    assert decode(clear, (8, 8), channels=4, limits=(0, 4095))[0, 0].tolist() == [255, 128, 0, 128]
    for wrong in (np.full((8, 8), np.nan, np.float32), np.full((8, 8), np.inf, np.float32)):
        with pytest.raises(Unreadable, match="not finite"):
            decode(Image.fromarray(wrong), (8, 8), limits=(0, 1))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["u2", "i1", "i2", "i4", "u4", "f4", "u2 of 3", "u2 of 4"])
def test_the_numbers_in_tiff(kind: str, packed: bool, order: str) -> None:
    """All that PIL opens, in both orders of bytes, also where it keeps the upper 8 of 16 bits or mistakes the order or sign."""
    name, _, channels = kind.partition(" of ")
    if (name, order) == ("u4", ">"):
        pytest.skip("PIL does not open it")
    array = np.random.default_rng(0).integers(-100 if name[0] != "u" else 0, 120, (5, 7, int(channels or 1)))
    array = (array * (1 if name[1] == "1" else 211)).astype(name)
    if name == "u4":
        array[0, 0] = 2**32 - 1
    content = tiff(array, order, packed)
    got = values(content)
    np.testing.assert_array_equal(got, array if channels else array[..., 0])
    decode(content, (5, 7), limits=(-1e4, 1e5))


def tiff(array: np.ndarray, order: str, packed: bool) -> bytes:
    """An uncompressed or deflated TIFF (h, w, c) of numbers of any kind, which PIL does not write."""
    h, w, c = array.shape
    data = array.astype(array.dtype.newbyteorder(order)).tobytes()
    data = zlib.compress(data) if packed else data
    bits, form = array.itemsize * 8, "_uif".index(array.dtype.kind)
    lists = [struct.pack(f"{order}{c}H", *[number] * c) for number in (bits, form)] if c > 1 else [b"", b""]
    place = 8 + 2 + 11 * 12 + 4
    start = place + sum(map(len, lists))

    def entry(tag: int, count: int, value: int) -> bytes:
        last = struct.pack(f"{order}HH", value, 0) if count == 1 else struct.pack(f"{order}I", value)
        return struct.pack(f"{order}HHI", tag, 3, count) + last

    tags = [(256, 1, w), (257, 1, h), (258, c, bits if c == 1 else place), (259, 1, 8 if packed else 1)]
    tags += [(262, 1, 2 if c > 1 else 1), (273, 1, start), (277, 1, c), (278, 1, h), (279, 1, len(data)), (284, 1, 1)]
    tags += [(339, c, form if c == 1 else place + len(lists[0]))]
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IH", 8, 11)
    return head + b"".join(entry(*tag) for tag in tags) + bytes(4) + b"".join(lists) + data


def test_texts_beyond_the_limit_of_pil_are_no_damage() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("XML:com.adobe.xmp", "x" * 1_500_000, zip=True)
    content = stored(Image.fromarray(pixels()), pnginfo=info)
    with pytest.raises(ValueError, match="MAX_TEXT"):
        Image.open(io.BytesIO(content)).load()
    np.testing.assert_array_equal(decode(content, (8, 8)), pixels())
    assert facts(content) == (8, 8, "colour")
    with pytest.raises(Unreadable, match="a kind of TIFF that Pillow does not read"):
        decode(tiff(np.zeros((5, 7, 3), np.float32), "<", False), (8, 8))


def test_pages_are_counted_and_taken() -> None:
    frames = [Image.fromarray(pixels(seed=seed)) for seed in range(3)]
    for kind, options in (("TIFF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("GIF", {})):
        content = stored(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert pages(content) == 3
        if kind != "GIF":
            np.testing.assert_array_equal(decode(File(content, "x", 2), (8, 8)), pixels(seed=2))
    assert pages(stored(frames[0])) == pages(stored(frames[0], "TIFF")) == pages(pixels()) == 1


def palette(**options: Any) -> bytes:
    indexed = Image.fromarray(np.array([[0, 1], [2, 0]], np.uint8))
    indexed.putpalette([*RED, *GREEN, *BLUE])
    return stored(indexed, **options)


def test_palettes_with_and_without_transparency() -> None:
    np.testing.assert_array_equal(decode(palette(), (2, 2)), [[RED, GREEN], [BLUE, RED]])
    one_clear = palette(transparency=0)
    np.testing.assert_array_equal(decode(one_clear, (2, 2)), [[WHITE, GREEN], [BLUE, WHITE]])
    assert decode(one_clear, (2, 2), channels=4)[..., 3].tolist() == [[0, 255], [255, 0]]
    partly = palette(transparency=bytes([255, 0, 128]))  # PIL warns of this one where it is converted to RGB
    np.testing.assert_array_equal(decode(partly, (2, 2)), [[RED, WHITE], [(127, 127, 255), RED]])


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_is_laid_on_white_or_kept(mode: str) -> None:
    array = np.zeros((2, 2, 4), np.uint8)
    array[..., 3] = [[0, 255], [51, 255]]
    content = stored(Image.fromarray(array).convert(mode))
    assert decode(content, (2, 2))[..., 1].tolist() == [[255, 0], [204, 0]]
    assert decode(content, (2, 2), channels=4)[..., 3].tolist() == [[0, 255], [51, 255]]
    assert facts(content).kind == "transparent"


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_one_transparent_colour(mode: str) -> None:
    black = Image.new(mode, (2, 2))
    content = stored(black, transparency=(0, 0, 0) if mode == "RGB" else 0)
    assert (decode(content, (2, 2)) == 255).all()


def test_hidden_colours_do_not_bleed() -> None:
    array = np.zeros((2, 2, 4), np.uint8)
    array[0] = *RED, 0
    array[1] = *BLUE, 255
    assert decode(stored(Image.fromarray(array)), (1, 1)).tolist() == [[[128, 128, 255]]]
    assert decode(stored(Image.fromarray(array)), (1, 1), channels=4)[0, 0, :3].tolist() == [0, 0, 255]


def test_cmyk() -> None:
    content = stored(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100)
    assert np.abs(decode(content, (16, 16)).astype(int) - RED).max() <= 2
    assert facts(content) == (16, 16, "CMYK")


def test_jpeg_and_webp_are_near() -> None:
    wanted = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    for kind in ("JPEG", "WEBP"):
        got = decode(stored(Image.fromarray(wanted), kind, quality=95), (16, 16))
        assert np.abs(got.astype(int) - wanted).max() <= 4


def test_the_first_frame() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, GREEN, BLUE)]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        options = {"lossless": True} if kind == "WEBP" else {}
        content = stored(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert Image.open(io.BytesIO(content)).n_frames == 3
        assert (decode(content, (4, 4)) == RED).all(), kind


INVERSE = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"} | {
    6: "ROTATE_90",
    7: "TRANSVERSE",
    8: "ROTATE_270",
}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_all_orientations_look_the_same(kind: str) -> None:
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :24], upright[:16, 24:], upright[16:, :24] = RED, GREEN, BLUE
    for orientation in range(1, 10):  # 9 means nothing
        exif = Image.Exif()
        exif[0x0112] = orientation
        picture = Image.fromarray(upright)
        if orientation in INVERSE:
            picture = picture.transpose(Image.Transpose[INVERSE[orientation]])
        options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
        content = stored(picture, kind, exif=exif.tobytes() if kind != "TIFF" else exif, **options)
        difference = np.abs(decode(content, (32, 48)).astype(int) - upright)
        assert difference.max() <= 2, orientation
        assert facts(content)[:2] == (32, 48)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def bomb() -> bytes:
    header = struct.pack(">2I5B", 20_000, 20_000, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


def smaller_bomb() -> bytes:
    """Of 100 million pixels: PIL only warns."""
    return stored(Image.new("1", (10_000, 10_000)))


def damaged_png() -> bytes:
    content = bytearray(stored(Image.fromarray(pixels(64, 64))))
    content[len(content) // 2] ^= 0xFF
    return bytes(content)


PHOTO = Image.fromarray(pixels(64, 64))
BROKEN = {
    "nothing": lambda: b"",
    "text": lambda: b"this is no picture\n" * 20,
    "html": lambda: b"<html><body>404</body></html>",
    "svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "postscript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
    "a header only": lambda: b"\x89PNG\r\n\x1a\n",
    "zeros": lambda: bytes(1000),
    "bomb": bomb,
    "smaller bomb": smaller_bomb,
    "damaged png": damaged_png,
    "no pixels": lambda: b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", 0, 4, 8, 0, 0, 0, 0)) + chunk(b"IEND", b""),
    **{f"cut {kind}": lambda kind=kind: stored(PHOTO, kind)[:-2000] for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")},
    **{f"cut {kind} early": lambda kind=kind: stored(PHOTO, kind)[:40] for kind in ("PNG", "JPEG", "WEBP", "BMP", "TIFF")},
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_files_raise_and_are_named(kind: str) -> None:
    content = BROKEN[kind]()
    with pytest.raises(Unreadable, match=r"^a/b\.png: ."):
        decode(File(content, "a/b.png"), (16, 16))
    with pytest.raises(Unreadable) as caught:
        decode(content, (16, 16))
    assert kind not in ("text", "html", "svg", "postscript") or "not a picture of a known kind" in str(caught.value)
    assert "bomb" not in kind or "89,478,485 pixels: shrink it" in str(caught.value)


def test_damaged_exif_does_not_matter() -> None:
    """Many photographs have it; PIL warns, from whichever thread."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12\0\x03\0\0"
    content = stored(Image.fromarray(np.full((16, 16, 3), 90, np.uint8)), "JPEG", exif=exif)
    with pytest.warns(UserWarning, match="EXIF"):
        Image.open(io.BytesIO(content)).getexif()
    with warnings.catch_warnings(record=True) as caught, ThreadPoolExecutor(4) as pool:
        warnings.simplefilter("always")
        assert all((got == 90).all() for got in pool.map(lambda _: decode(content, (16, 16)), range(40)))
        assert not caught


def flag() -> np.ndarray:
    """64 high and 96 wide: a red quarter on the left, a blue one on the right, green between."""
    array = np.full((64, 96, 3), GREEN, np.uint8)
    array[:, :16], array[:, -16:] = RED, BLUE
    return array


@pytest.mark.parametrize("side", [64, 32, 128])
def test_crop(side: int) -> None:
    seen = slice(2, -2) if side > 64 else slice(None)  # bicubic enlarging looks beyond the cut
    assert (decode(stored(Image.fromarray(flag())), (side, side))[:, seen] == GREEN).all()
    tall = np.ascontiguousarray(flag().swapaxes(0, 1))
    assert (decode(stored(Image.fromarray(tall)), (side, side))[seen] == GREEN).all()


def test_crop_to_what_is_not_square() -> None:
    content = stored(Image.fromarray(flag()))
    got = decode(content, (16, 24))
    assert (got[:, :4] == RED).all()
    assert (got[:, 4:-4] == GREEN).all()
    assert (got[:, -4:] == BLUE).all()
    assert (decode(content, (32, 16)) == GREEN).all()


def test_pad() -> None:
    picture = np.full((64, 96, 3), GREEN, np.uint8)
    picture[8:40, 8:88], picture[0, :32] = RED, BLUE  # most of the edge is green still
    got = decode(stored(Image.fromarray(picture)), (96, 96), "pad")
    np.testing.assert_array_equal(got[16:80], picture)
    assert (got[:16] == GREEN).all()
    assert (got[80:] == GREEN).all()
    half = decode(stored(Image.fromarray(picture)), (48, 48), "pad")
    np.testing.assert_array_equal(half[9:40], picture[2::2, ::2])
    tall = decode(stored(Image.fromarray(np.ascontiguousarray(picture.swapaxes(0, 1)))), (48, 64), "pad")
    np.testing.assert_array_equal(tall[:, 17:48], picture[2::2, ::2].swapaxes(0, 1))
    assert (tall[:, :16] == GREEN).all()
    thin = np.full((1, 500, 3), RED, np.uint8)
    assert decode(thin, (8, 8), "pad").tolist() == [[list(RED)] * 8] * 8


def test_stretch() -> None:
    got = decode(stored(Image.fromarray(flag())), (48, 48), "stretch")
    assert (got[:, :8] == RED).all()
    assert (got[:, 8:-8] == GREEN).all()
    assert (got[:, -8:] == BLUE).all()


def test_shrinks_by_area_and_enlarges_bicubically() -> None:
    array = pixels(12, 12)
    mean = array.reshape(4, 3, 4, 3, 3).mean((1, 3))
    np.testing.assert_allclose(decode(array, (4, 4)), mean, atol=1)  # rounded twice
    wanted = Image.fromarray(array).resize((30, 30), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(decode(array, (30, 30)), np.asarray(wanted))


def test_border() -> None:
    array = pixels(28, 28, 1) | 1
    got = decode(array, (32, 32), border=2)
    np.testing.assert_array_equal(got[2:-2, 2:-2], array.repeat(3, -1))
    assert got.sum(dtype=int) == 3 * array.sum(dtype=int)
    assert (decode(array, (32, 32), channels=4, border=2)[..., 3] == 255).all()


def test_large_photographs_are_shrunk_while_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    upright = pictures.upright
    monkeypatch.setattr(pictures, "upright", lambda picture: sizes.append(picture.size) or upright(picture))
    generator = np.random.default_rng(0)
    small = Image.fromarray(generator.integers(60, 200, (20, 15, 3), dtype=np.uint8))
    content = stored(small.resize((1600, 2000), Image.Resampling.BICUBIC), "JPEG", quality=95)
    opened = Image.open(io.BytesIO(content))
    whole = opened.crop((0, 200, 1600, 1800)).resize((64, 64), Image.Resampling.BOX)
    got = decode(content, (64, 64))
    difference = np.abs(got.astype(int) - np.asarray(whole))
    assert difference.mean() < 2
    assert difference.max() < 10
    assert sizes == [(200, 250)]
    large = decode(content, (1000, 1000))  # too large for a draft: twice of it is not there
    whole = opened.crop((0, 200, 1600, 1800)).resize((1000, 1000), Image.Resampling.BOX)
    np.testing.assert_array_equal(large, np.asarray(whole))


def test_a_picture_that_is_lent_is_not_changed() -> None:
    content = stored(Image.fromarray(pixels(600, 600)), "JPEG")
    lent = Image.open(io.BytesIO(content))
    decode(lent, (32, 32))
    assert lent.size == (600, 600)


def test_threads_agree() -> None:
    contents = [stored(Image.fromarray(pixels(40, 50, seed=seed)), kind) for seed in range(20) for kind in ("PNG", "JPEG")]
    alone = [decode(content, (32, 32)) for content in contents]
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        np.testing.assert_array_equal(list(pool.map(lambda content: decode(content, (32, 32)), contents)), alone)
    assert warnings.filters == before


def test_kinds_and_grey() -> None:
    assert facts(stored(Image.new("L", (3, 2)))) == (2, 3, "grey")
    assert facts(stored(Image.new("RGB", (3, 2)))) == (2, 3, "colour")
    header = struct.pack(">2I5B", 1, 1, 16, 2, 0, 0, 0)
    deep = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\xff\xff\x80\0\0\0"))
    deep += chunk(b"IEND", b"")
    assert facts(deep).kind == "16-bit"
    assert decode(deep, (1, 1), limits=(0, 65535)).tolist() == [[[255, 128, 0]]]
    with pytest.raises(Unreadable, match="x.png: not a picture"):
        facts(File(b"no", "x.png"))
    grey = pixels(channels=1)
    assert is_grey(grey)
    assert is_grey(np.concatenate([grey.repeat(3, -1), pixels(channels=1, seed=1)], -1))
    assert not is_grey(pixels())
    assert not is_grey(np.full((2, 2, 3), (9, 9, 8), np.uint8))
    assert {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp"} <= set(SUFFIXES)
