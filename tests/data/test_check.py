"""The report on a set of pictures: what it counts, finds and advises."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_jax.data.check import check
from gan_jax.data.folder import folder_source
from gan_jax.data.report import Report, advice
from gan_jax.data.source import Example, Source, Split, Unreadable
from gan_jax.errors import InputError


def noise(seed: int, height: int = 20, width: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Two classes, every kind of picture, one pair of equal ones and two broken files."""
    root = tmp_path / "mixed"
    for kind in ("cat", "dog"):
        (root / kind).mkdir(parents=True)
    for i in range(4):
        Image.fromarray(noise(i)).save(root / "cat" / f"{i}.png")
    Image.fromarray(noise(2)).save(root / "dog" / "copy.bmp")
    Image.fromarray(noise(5, 30, 60)).convert("L").save(root / "dog" / "grey.png")
    Image.fromarray(noise(6, 8, 8)).convert("RGBA").save(root / "dog" / "clear.png")
    Image.fromarray(noise(7)[..., 0].astype(np.uint16) * 200).save(root / "dog" / "deep.png")
    Image.new("CMYK", (20, 20), (9, 99, 0, 0)).save(root / "dog" / "print.jpg")
    (root / "dog" / "text.png").write_text("no picture")
    (root / "cat" / "cut.png").write_bytes((root / "cat" / "0.png").read_bytes()[:-500])
    (root / "t.csv").write_text("file,age,caption\n0.png,3,one\n1.png,5,three\ntext.png,99,unread\n")
    return root


def test_what_is_found(mixed: Path) -> None:
    report = check(folder_source(mixed), (16, 16))
    assert report.splits == {"train": 9}
    assert report.classes == {"train": {"cat": 4, "dog": 5}}
    assert report.kinds == {"colour": 5, "grey": 1, "transparent": 1, "16-bit": 1, "CMYK": 1}
    assert report.grey == 2
    assert report.duplicates == (("cat/2.png", "dog/copy.bmp"),)
    assert (report.captions, report.caption_total, report.caption_length) == (2, 2, 5)
    assert report.attributes == (("age", 4, 3, 5, 7),)
    assert [re.sub(" .*", "", line) for line in report.corrupt] == ["cat/cut.png:", "dog/text.png:"]
    assert "not a picture of a known kind" in report.corrupt[1]
    assert sorted(report.heights * report.widths) == [64, *[400] * 7, 1800]
    assert report.pictures.shape == (9, 16, 16, 3)
    assert report.leaked == 0


def test_the_text(mixed: Path) -> None:
    report = check(folder_source(mixed), (16, 16))
    text = str(report)
    assert text == "\n".join(report.lines())
    for part in (
        *("mixed: 9 pictures (9 train)", "classes, train: cat 4, dog 5", "attribute age: mean 4, from 3 to 5, unknown in 7"),
        *("captions: 2 for 2 pictures, the longest of 5 characters", "smallest 8x8, median 20x20, largest 30x60"),
        *("not square: 11%; smaller than 16x16: 11%", "without colour: 2", "1 pictures too many in 1 groups"),
        *("  cat/2.png = dog/copy.bmp", "unreadable: 2", "  dog/text.png: not a picture", "note: 2 sub-folders are taken"),
        *("recommended:", "  image size 16: ", "2020, arXiv:2006.10738"),
    ):
        assert part in text, part


def test_held_out_pictures_that_are_trained_on(tmp_path: Path) -> None:
    for i, name in enumerate(["train/a.png", "train/b.png", "test/c.png", "test/d.png", "test/e.png"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(noise({2: 0, 4: 3}.get(i, i))).save(tmp_path / name)
    report = check(folder_source(tmp_path), (20, 20))
    assert report.splits == {"train": 2, "held_out": 3}
    assert report.leaked == 1  # d and e are equal, but both held out
    assert len(report.duplicates) == 2
    assert "1 held-out pictures are among those trained on" in str(report)


def made(count: int, shape: tuple[int, int, int] = (4, 4, 3), lost: range = range(0)) -> Source:
    """Pictures of the colour of their number, some unreadable; of no file, so that they have no names."""

    def read(i: int) -> Example:
        if i in lost:
            raise Unreadable("gone")
        return Example(np.full(shape, [i % 256, i // 256, 0], np.uint8))

    return Source("made", "0", {"train": Split(count, read)})


def test_the_shown_pictures_are_spread_and_readable() -> None:
    report = check(made(1100, lost=range(100)), (2, 2))
    assert report.pictures.shape == (64, 2, 2, 3)
    numbers = report.pictures[:, 0, 0, 0] + 256 * report.pictures[:, 0, 0, 1].astype(int)
    assert (numbers[0], numbers[-1]) == (100, 1099)
    assert set(np.diff(numbers)) == {15, 16}
    assert len(report.corrupt) == 100
    assert report.corrupt[7] == "train 7: gone"
    assert "... and 80 more" in str(report)
    with pytest.raises(InputError, match="none of the 5 pictures of made is readable; the first: train 0: gone"):
        check(made(5, lost=range(5)), (2, 2))


def test_the_fit_and_the_border_are_those_asked_for() -> None:
    picture = np.zeros((4, 8, 3), np.uint8)
    picture[:, 2:6] = 200
    source = Source("one", "0", {"train": Split(1, lambda _: Example(picture))})
    assert (check(source, (4, 4), "crop").pictures == 200).all()
    assert (check(source, (4, 4), "stretch").pictures[:, :, 0] == 0).all()
    bordered = Source("one", "0", {"train": Split(1, lambda _: Example(picture[:, 2:6]))}, border=2)
    assert check(bordered, (8, 8)).pictures.sum(dtype=int) == 200 * 16 * 3


def report_of(count: int, height: int = 64, width: int = 64, **changes: object) -> Report:
    values = {"splits": {"train": count, "held_out": 5}, "heights": np.full(9, height), "widths": np.full(9, width)}
    nothing = {"classes": {}, "captions": 0, "caption_length": 0, "caption_total": 0, "attributes": (), "kinds": {"colour": 9}}
    rest = {"grey": 0, "duplicates": (), "leaked": 0, "corrupt": (), "notes": (), "pictures": np.zeros((1, 2, 2, 3), np.uint8)}
    return Report("r", (64, 64), **(values | nothing | rest | changes))


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (60, ["augmentation diffaugment: but expect the generator to memorise", "batch 4:", "mirror: it doubles 60"]),
        (99, ["to memorise"]),
        (100, ["augmentation diffaugment: hundreds can suffice", "2006.10738", "batch 8:"]),
        (1000, ["augmentation ada or diffaugment", "2006.06676", "batch 64: the usual size"]),
        (5000, ["augmentation ada if", "mirror: it doubles"]),
        (10_000, ["no mirror"]),
        (50_000, ["no augmentation"]),
    ],
)
def test_advice_by_number(count: int, words: list[str]) -> None:
    lines = "\n".join(advice(report_of(count)))
    for word in words:
        assert word in lines


def test_advice_by_shape_and_kind() -> None:
    def lines(**changes: object) -> str:
        return "\n".join(advice(report_of(1000, **changes)))

    assert "image size 64: " in lines()
    assert "image size 32: " in lines(height=63)
    assert "image size 256: " in lines(height=3000, width=4000)
    assert "image size 16: " in lines(height=9, width=9)
    assert "all fits give the same" in lines()
    assert "fit crop: a square from the centre loses 25%" in lines(height=300, width=400)
    assert "fit pad: a square from the centre would lose 67%" in lines(height=300, width=100)
    assert "channels 3: 9 of 9" in lines()
    assert "channels 1: no picture has colour" in lines(grey=9)
    assert "4 keeps the transparency that 8 of 9" in lines(kinds={"transparent": 8, "colour": 1})
    assert "no pictures are held out" in lines(splits={"train": 1000})
    assert "held out" not in lines()


def test_no_bar_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    check(made(3), (4, 4))
    assert capsys.readouterr() == ("", "")


def test_real_pictures(real_data: Path) -> None:
    report = check(folder_source(real_data / "pokemon" / "pokemon64.zip"), (64, 64))
    assert report.splits == {"train": 1546, "held_out": 81}
    assert report.corrupt == report.duplicates == ()
    assert report.pictures.shape == (64, 64, 64, 3)
    assert "image size 64" in str(report)
