"""Folders and zips of pictures as users have them."""

import os
import shutil
import struct
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_jax.data.folder import folder_source
from gan_jax.data.load import open_source
from gan_jax.data.pictures import decode
from gan_jax.data.source import Unreadable
from gan_jax.errors import InputError
from tests.data.folders import NUMBERED, draw, names, write, zipped


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    return draw(tmp_path / "pair", "a.png", "b.png")


def test_folder_and_zip_are_the_same(tmp_path: Path) -> None:
    root = draw(tmp_path / "set", *NUMBERED, "x/10.jpg", "x/9.JPG", "B.png", "a10b2.webp", "a10b10.webp", "a9.gif")
    for litter in (".hidden.png", ".git/a.png", "__MACOSX/._1.png"):
        draw(root, litter)
    for other in ("Thumbs.db", ".DS_Store", "notes.md", "more.md", "README.txt"):
        (root / other).write_text("x")
    sources = folder_source(root), folder_source(zipped(root, tmp_path / "set.zip"))
    for split, count in (("train", 34), ("held_out", 2)):
        assert len(names(sources[0], split)) == count
        assert names(sources[0], split) == names(sources[1], split)
        for i in range(count):
            examples = [source.splits[split].read(i) for source in sources]
            assert examples[0] == examples[1]
            assert examples[0].image == (root / examples[0].image.name).read_bytes()
    assert [source.name for source in sources] == ["set", "set"]
    both = {*names(sources[0]), *names(sources[0], "held_out")}
    wanted = [*NUMBERED, "B.png", "a9.gif", "a10b2.webp", "a10b10.webp", "x/9.JPG", "x/10.jpg"]
    assert both == set(wanted)
    assert names(sources[0]) == [name for name in wanted if name not in names(sources[0], "held_out")]
    assert "3 other files are left out (2 .md, 1 .txt)" in sources[0].notes[-1]
    assert sources[0].notes == sources[1].notes
    assert sources[0].class_names == ()


def test_held_out_and_limit(tmp_path: Path) -> None:
    root = draw(tmp_path / "set", *[f"{i}.png" for i in range(200)])
    source = folder_source(root)
    held = names(source, "held_out")
    assert len(held) == 10
    assert held == names(folder_source(root), "held_out")
    assert sorted([*names(source), *held]) == sorted(f"{i}.png" for i in range(200))
    assert held != [f"{i}.png" for i in range(10)]
    assert "held_out" not in folder_source(root, held_out=0.0).splits
    assert folder_source(root, held_out=0.001).splits["held_out"].size == 1
    limited = folder_source(root, limit=50)
    assert (limited.splits["train"].size, limited.splits["held_out"].size) == (48, 2)
    assert max(int(name[:-4]) for name in names(limited)) > 100  # drawn from all
    assert folder_source(root, held_out=0.5, limit=19).splits.keys() == {"train"}
    assert folder_source(root, held_out=0.5, limit=20).splits["held_out"].size == 10
    assert folder_source(root, limit=1000).splits["train"].size == 190
    for wrong in ({"held_out": 1.0}, {"held_out": -0.1}, {"limit": 1}):
        with pytest.raises(InputError, match="must be at least 0|leaves too few"):
            folder_source(root, **wrong)


def test_identity(tmp_path: Path, pair: Path) -> None:
    seen = {folder_source(pair).identity, folder_source(pair, held_out=0.1).identity, folder_source(pair, limit=2).identity}
    assert len(seen) == 3
    assert folder_source(pair).identity in seen
    moved = pair.rename(tmp_path / "moved")
    here = folder_source(moved).identity
    assert here not in seen  # times and sizes may be equal elsewhere
    os.utime(moved / "a.png", ns=(10**18, 10**18))
    changed = folder_source(moved).identity
    assert changed not in {*seen, here}
    write(moved, "a.txt", "words")
    assert folder_source(moved).identity != changed
    archive = zipped(moved, tmp_path / "a.zip")
    copy = Path(shutil.copy(archive, tmp_path / "b.zip"))
    os.utime(copy, ns=(10**18, 10**18))
    assert folder_source(archive).identity == folder_source(copy).identity
    Image.new("RGB", (4, 4), (9, 9, 9)).save(moved / "a.png")  # of the same size
    assert folder_source(zipped(moved, tmp_path / "c.zip")).identity != folder_source(copy).identity
    assert len(changed) == 16


def test_sub_folders_are_classes(tmp_path: Path) -> None:
    root = draw(tmp_path / "set", *[f"data/all/{kind}/deep/{i}.png" for kind in ("dog", "10", "cat") for i in range(2)])
    for source in (folder_source(root), folder_source(zipped(root, tmp_path / "set.zip"))):
        assert source.class_names == ("10", "cat", "dog")
        assert [source.splits["train"].read(i).label for i in range(6)] == [0, 0, 1, 1, 2, 2]
    draw(root, "data/all/stray.png")
    source = folder_source(root)
    assert source.class_names == ()
    assert source.splits["train"].read(0).label is None
    assert "1 pictures lie outside" in source.notes[0]
    numbers = draw(tmp_path / "numbers", "10/a.png", "9/a.png", "1/a.png")
    assert folder_source(numbers).class_names == ("1", "9", "10")


def test_one_sub_folder_is_no_class(tmp_path: Path) -> None:
    source = folder_source(draw(tmp_path / "set", "images/a.png", "images/b.png"))
    assert source.class_names == ()
    assert source.notes == ()


@pytest.mark.parametrize("other", ["test", "Val", "validation", "held_out"])
def test_split_folders(tmp_path: Path, other: str) -> None:
    root = draw(tmp_path / "set", "x/train/b/1.png", "x/train/a/2.png", "x/train/a/3.png", f"x/{other}/b/4.png")
    source = folder_source(root, held_out=0.5)
    assert names(source) == ["x/train/a/2.png", "x/train/a/3.png", "x/train/b/1.png"]
    assert names(source, "held_out") == [f"x/{other}/b/4.png"]
    assert source.class_names == ("a", "b")
    assert source.splits["held_out"].read(0).label == 1
    flat = folder_source(draw(tmp_path / "flat", "train/1.png", "train/2.png", f"{other}/3.png", "valid/4.png"))
    assert flat.class_names == ()
    assert {name: split.size for name, split in flat.splits.items()} == {"train": 2, "held_out": 2}


def test_only_one_picture_to_train_on(tmp_path: Path) -> None:
    root = draw(tmp_path / "set", "train/1.png", "test/2.png", "test/3.png")
    with pytest.raises(InputError, match="only 1 of the pictures"):
        folder_source(root)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    root = draw(tmp_path / "set", *(f"{kind}/{i}.png" for kind in "ab" for i in range(2)))
    os.rename(os.fsencode(root / "b"), os.fsencode(root) + b"/\xb0\xa1")
    os.link(root / "a" / "0.png", os.fsencode(root) + b"/a/\xc4\xe3.png")
    (Path(os.fsdecode(os.fsencode(root) + b"/a/\xc4.csv"))).write_text("q")
    source = folder_source(root)
    said = [*names(source), *source.class_names, *source.notes]
    "".join(said).encode()
    assert source.class_names == ("a", r"\udcb0\udca1")
    assert r"a/\udcc4\udce3.png" in said


def test_pipes_and_devices_are_not_waited_for(tmp_path: Path) -> None:
    root = draw(tmp_path / "set", "a.png", "b.png")
    for name in ("c.png", "t.csv", "a.txt", "pictures.npz", "pictures.zip"):
        os.mkfifo(root / name)
    assert names(folder_source(root)) == ["a.png", "b.png"]
    read = folder_source(root).splits["train"].read
    (root / "b.png").unlink()
    os.mkfifo(root / "b.png")
    with pytest.raises(Unreadable, match=r"b\.png: not a regular file"):
        read(1)
    for path in (root / "pictures.npz", root / "pictures.zip", Path("/dev/zero")):
        with pytest.raises(InputError, match="is neither a file nor a folder"):
            open_source(path, (8, 8))


def test_members_of_a_zip_are_bounded_by_their_declared_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = draw(tmp_path / "set", "a.png", "b.png")
    write(root, "t.csv", "file,size\na.png,1\nb.png,2\n" + "\n" * 50_000)
    write(root, "a.txt", "y" * 50_000)
    monkeypatch.setattr("gan_jax.data.tables.LARGEST_TABLE", 40_000)
    monkeypatch.setattr("gan_jax.data.tables.LARGEST_CAPTION", 40_000)
    monkeypatch.setattr("gan_jax.data.folder.LARGEST_FILE", 50)
    for path in (root, zipped(root, tmp_path / "set.zip")):
        source = folder_source(path)
        assert [note.split(",")[0] for note in source.notes] == ["left out: a.txt: 50", "left out: t.csv: 50"]
        with pytest.raises(Unreadable, match=r"a\.png: \d+ bytes, where 50 are the most"):
            source.splits["train"].read(0)


def test_links(tmp_path: Path, pair: Path) -> None:
    root = draw(tmp_path / "set", "c.png")
    (root / "linked").symlink_to(pair)
    (root / "self").symlink_to(root)
    (root / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert names(folder_source(root)) == ["c.png", "linked/a.png", "linked/b.png"]


def test_paths_that_cannot_be(tmp_path: Path, pair: Path) -> None:
    cases = {tmp_path / "pairs": r"no .*pairs: do you mean .*/pair\?", tmp_path / "q" / "r": "give a folder or a .zip"}
    for suffix in (".tar", ".rar", ".7z", ".tar.gz"):
        (tmp_path / f"a{suffix}").write_bytes(b"x")
        cases[tmp_path / f"a{suffix}"] = "archive, which is not read directly: unpack it"
    (tmp_path / "text").write_text("x")
    cases[tmp_path / "text"] = "neither a folder nor a zip"
    cases[pair / "a.png"] = "is one picture: give the folder"
    np.save(tmp_path / "x.npy", np.zeros((2, 4, 4), np.uint8))
    cases[tmp_path / "x.npy"] = r"holds one array without a name: give an .npz, np.savez\('x.npz', image="
    (tmp_path / "empty").mkdir()
    cases[tmp_path / "empty"] = "is empty: put pictures there"
    for path, message in cases.items():
        with pytest.raises(InputError, match=message):
            folder_source(path)


def test_pictures_of_phones_are_told_how_to_convert(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for name in ("a.HEIC", "b.heic"):
        write(tmp_path / "set", name, "x")
    with pytest.raises(InputError, match=r"no pictures, but 2 \.heic: of \.heic, \.heif and \.avif make JPEG first"):
        folder_source(tmp_path / "set")
    for i in range(3):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / "set" / f"{i}.png")
    assert any("2 other files are left out (2 .heic): of .heic" in note for note in folder_source(tmp_path / "set").notes)


def test_folders_without_enough_pictures(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    write(tmp_path / "set", "a.mp4", "x")
    write(tmp_path / "set", "b.mp4", "x")
    write(tmp_path / "set", "README", "x")
    with pytest.raises(InputError, match=r"no pictures, but 2 \.mp4, 1 without suffix: pictures end in \.png"):
        folder_source(tmp_path / "set")
    write(tmp_path / "set", "images.zip", "x")
    with pytest.raises(InputError, match=r"unpack images\.zip, or give it itself"):
        folder_source(tmp_path / "set")
    draw(tmp_path / "set", "1.png")
    with pytest.raises(InputError, match=r"one picture only, 1\.png.*at least 2.*few thousand"):
        folder_source(tmp_path / "set")


def test_damaged_zips(tmp_path: Path, pair: Path) -> None:
    path = zipped(pair, tmp_path / "a.zip")
    content = path.read_bytes()
    for damaged in (b"", content[:-30], content[: len(content) // 2], b"<html>"):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="a damaged or incomplete zip.*get it again"):
            folder_source(path)
    with zipfile.ZipFile(path, "w"):
        pass
    with pytest.raises(InputError, match="is empty"):
        folder_source(path)


def test_an_encrypted_zip(tmp_path: Path, pair: Path) -> None:
    path = zipped(pair, tmp_path / "a.zip")
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\x01\x02")
    content[place + 8 : place + 10] = struct.pack("<H", 1)
    path.write_bytes(content)
    with pytest.raises(InputError, match="encrypted: unpack it with its password"):
        folder_source(path)


def test_a_damaged_member_and_a_vanished_file(tmp_path: Path, pair: Path) -> None:
    path = zipped(pair, tmp_path / "a.zip")
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 8] ^= 0xFF  # of b.png, which stands first
    path.write_bytes(content)
    read = folder_source(path).splits["train"].read
    assert read(0).image.name == "a.png"
    with pytest.raises(Unreadable, match=r"b\.png: damaged in a\.zip"):
        read(1)
    read = folder_source(pair).splits["train"].read
    (pair / "b.png").unlink()
    with pytest.raises(Unreadable, match=r"b\.png: No such file"):
        read(1)
    (pair / "a.png").write_text("no picture")
    with pytest.raises(Unreadable, match=r"a\.png: not a picture"):
        decode(read(0).image, (4, 4))


def test_windows_zips(tmp_path: Path, pair: Path) -> None:
    path = zipped(draw(tmp_path / "set", "xSa/1.png", "xSb/2.png"), tmp_path / "a.zip")
    path.write_bytes(path.read_bytes().replace(b"xSa/1", b"x\\a/1").replace(b"xSb/2", b"x\\b/2"))
    source = folder_source(path)
    assert names(source) == ["x/a/1.png", "x/b/2.png"]
    assert source.class_names == ("a", "b")


def test_zips_are_read_from_many_threads(tmp_path: Path) -> None:
    root = draw(tmp_path / "set", *[f"{i}.png" for i in range(300)])
    for path in (root, zipped(root, tmp_path / "set.zip")):
        read = folder_source(path, held_out=0.0).splits["train"].read
        with ThreadPoolExecutor(8) as pool:
            got = list(pool.map(lambda i: decode(read(i).image, (4, 4))[0, 0, :2], range(300)))
        np.testing.assert_array_equal(got, [(i % 256, i // 256) for i in range(300)])


def test_real_sets(real_data: Path) -> None:
    pokemon = folder_source(real_data / "pokemon" / "pokemon64.zip")
    assert {name: split.size for name, split in pokemon.splits.items()} == {"train": 1546, "held_out": 81}
    assert decode(pokemon.splits["train"].read(0).image, (64, 64)).shape == (64, 64, 3)
    faces = folder_source(real_data / "faces" / "utkface64.zip", held_out=0.0)
    assert faces.splits["train"].size == 6500
    assert faces.attribute_names == ("age", "male", "baby_0_4", "child_0_12", "senior_50_plus", "near_gray")
    first = faces.splits["train"].read(0)
    assert (first.image.name, first.attributes) == ("images/00000.jpg", (100, 0, 0, 0, 1, 0))
    emoji = folder_source(real_data / "emoji" / "twemoji_64.zip", held_out=0.0)
    assert emoji.splits["train"].size == 2530
    assert emoji.captioned
    captions = [emoji.splits["train"].read(i).captions for i in range(2530)]
    assert captions[0] == ("joker",)  # 1f0cf.png, 1 before 0023
    assert len(set(captions)) == 2530
