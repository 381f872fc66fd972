"""Folders and zips of pictures as users have them, and what lies beside the pictures."""

import json
import os
import re
import shutil
import struct
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_jax.data.folder import folder_source
from gan_jax.data.load import load, open_source
from gan_jax.data.pictures import decode
from gan_jax.data.source import Source, Unreadable
from gan_jax.errors import InputError


def draw(root: Path, *names: str) -> Path:
    """Pictures of one colour each, that of their number."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (number % 256, number // 256, 7)).save(path)
    return root


def zipped(root: Path, path: Path) -> Path:
    """The files in an order of their own, as zips have them."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted((file for file in root.rglob("*") if file.is_file()), reverse=True):
            archive.write(file, file.relative_to(root).as_posix())
    return path


def names(source: Source, split: str = "train") -> list[str]:
    count, read = source.splits[split]
    return [read(i).image.name for i in range(count)]


def write(root: Path, name: str, text: str) -> None:
    (root / name).write_text(text, encoding="utf-8", newline="")


NUMBERED = [f"{i}.png" for i in range(1, 31)]


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


def test_captions_in_texts(tmp_path: Path) -> None:
    root = draw(tmp_path / "set", "a.png", "x/b.png", "x/c.jpg")
    write(root, "a.txt", "\ufeffa red\r\n\r\n  a bird \r\n")
    write(root, "x/c.txt", "größer\nsecond\u2028line")
    write(root, "b.txt", "not beside its picture")
    for source in (folder_source(root), folder_source(zipped(root, tmp_path / "set.zip"))):
        assert source.captioned
        captions = [source.splits["train"].read(i).captions for i in range(3)]
        assert captions == [("a red", "a bird"), ("",), ("größer", "second\u2028line")]
        assert "1 .txt" in source.notes[-1]
    write(root, "x/B.TXT", "in other case")
    assert folder_source(root).splits["train"].read(1).captions == ("in other case",)
    (root / "a.txt").write_bytes(b"caf\xe9")
    source = folder_source(root)
    assert source.notes[0] == "left out: a.txt is not UTF-8 (byte 3): save it as UTF-8"
    assert source.splits["train"].read(0).captions == ("",)


TABLES = {
    "t.csv": '\ufefffile,caption,caption_2,size\r\na.png,"one, two",other,3\r\n\r\nx/b.png,,last,\r\n',
    "t2.csv": "Filename;text;captions;size\na.png;one, two;other;3\nb.png;;last;\n",
    "t.tsv": "image\tcaption\tcaption_2\tsize\na.png\tone, two\tother\t3\nb\tlast\t\t\n",
    "t.jsonl": (
        '{"file_name": "./a.png", "captions": ["one, two", "other"], "size": 3}\r\n\r\n{"image": "b.png", "text": "last"}\r\n'
    ),
    "t.json": (
        '[{"file": "a.png", "image": "u", "caption": "one, two", "text": "other", "size": "3"},'
        ' {"file": "x\\\\b.png", "text": "last"}]'
    ),
    "x/t.csv": 'file,caption,caption_2,size\n../a.png,"one, two",other,3\nb.png,last,,\n',
    "captions.txt": 'image,caption,size\na.png,"one, two",3\na.png,other,3\na.png,other,3\nb.png,last,\n',
}


@pytest.mark.parametrize("table", TABLES)
def test_captions_in_tables(table: str, tmp_path: Path) -> None:
    root = draw(tmp_path / "set", "a.png", "x/b.png", "x/c.png")
    write(root, table, TABLES[table])
    for source in (folder_source(root), folder_source(zipped(root, tmp_path / "set.zip"))):
        examples = [source.splits["train"].read(i) for i in range(3)]
        assert [example.captions for example in examples] == [("one, two", "other"), ("last",), ("",)]
        assert source.captioned
        assert source.attribute_names == ("size",)
        np.testing.assert_array_equal([example.attributes for example in examples], [[3], [np.nan], [np.nan]])
        assert examples[0].label is None


def test_labels_in_tables(tmp_path: Path) -> None:
    root = draw(tmp_path / "set", "a.png", "b.png", "c.png")
    write(root, "t.csv", "file,label\na.png,10\nb.png,9.0\nc.png,10\n")
    source = folder_source(root)
    assert source.class_names == ("9", "10")
    assert [source.splits["train"].read(i).label for i in range(3)] == [1, 0, 1]
    write(root, "t.csv", "file,class\na.png,dog\nb.png,Cat\nc.png,9\n")
    assert folder_source(root).class_names == ("9", "Cat", "dog")
    assert folder_source(root).attribute_names == ()
    write(root, "t.csv", "file,label\na.png,dog\nb.png,cat\n")
    source = folder_source(root)
    assert source.class_names == ()
    assert "1 of 3 pictures have none" in source.notes[0]
    (root / "t.csv").unlink()
    write(root, "dataset.json", json.dumps({"labels": [["a.png", 1], ["b.png", 0], ["c.png", 1]]}))
    assert [folder_source(root).splits["train"].read(i).label for i in range(3)] == [1, 0, 1]


def test_labels_of_a_table_go_before_sub_folders(tmp_path: Path) -> None:
    root = draw(tmp_path / "set", "x/a.png", "y/b.png")
    write(root, "t.jsonl", '{"file": "a.png", "label": true}\n{"file": "y/b.png", "label": "q"}')
    source = folder_source(root)
    assert source.class_names == ("True", "q")
    assert "not the sub-folders" in source.notes[0]


def test_attributes(tmp_path: Path) -> None:
    root = draw(tmp_path / "set", "a.png", "b.png", "c.png")
    write(
        root,
        "t.csv",
        "file,age,smiles,male,is_new,words,mixed,none,big,gap\na.png,1.5,-1,1,TRUE,x,1,,1e3,nan\nc.png,-2,1,0,false,y,z,,1,5\n",
    )
    write(root, "t2.jsonl", '{"file": "b.png", "age": 7, "smiles": 1, "tags": ["q"]}\n')
    source = folder_source(root)
    assert source.attribute_names == ("age", "smiles", "male", "is_new", "big", "gap")
    wanted = [[1.5, 0, 1, 1, 1000, np.nan], [7, 1, *[np.nan] * 4], [-2, 1, 0, 0, 1, 5]]
    np.testing.assert_array_equal([source.splits["train"].read(i).attributes for i in range(3)], wanted)
    assert "words, mixed, none, tags" in source.notes[0]
    assert not source.captioned


def test_celeba(tmp_path: Path) -> None:
    root = draw(tmp_path / "set", "img_align_celeba/000001.jpg", "img_align_celeba/000002.jpg")
    write(root, "list_attr_celeba.txt", "2\nBald Young \n000001.jpg -1  1\n000002.jpg  1  1\n")
    write(root, "list_bbox_celeba.txt", "2\nimage_id x_1 y_1\n000001.jpg    95  71\n000002.jpg    72  94\n")
    write(root, "list_eval_partition.txt", "000001.jpg 0\n000002.jpg 0\n")
    source = folder_source(root)
    assert source.attribute_names == ("Bald", "Young", "x_1", "y_1")
    assert [source.splits["train"].read(i).attributes for i in range(2)] == [(0, 1, 95, 71), (1, 1, 72, 94)]
    assert source.notes == ("1 other files are left out (1 .txt)",)


BAD = {
    "no column": ("t.csv", "name,caption\nq,x\n", r"t\.csv, line 2: no column named file.*name, caption: rename"),
    "no header": ("t.csv", "", "t.csv has no rows"),
    "a field too many": ("t.csv", "file,caption\na.png,x\nb.png,y,z\n", "t.csv, line 3 has 3 fields.*2 columns: put"),
    "open quote": ("t.csv", 'file,caption\na.png,"x\n', "t.csv, line 2 is not CSV"),
    "json line": ("t.jsonl", '{"file": "a.png"}\n{"file": \n', r"t\.jsonl, line 2 is not JSON.*correct it"),
    "not an object": ("t.jsonl", '{"file": "a.png"}\n["b.png"]\n', "t.jsonl, line 2 is not an object"),
    "no key": ("t.jsonl", '{"file": "a.png"}\n{"caption": "b c"}\n', "t.jsonl, line 2: no column named file"),
    "json": ("t.json", '[{"file": "a.png"},\n oh]', "t.json, line 2 is not JSON"),
    "json entry": ("t.json", '[{"file": "a.png"}, 3]', "t.json, entry 2 is not an object"),
    "names only": ("t.json", '["cat", "dog"]', "t.json, entry 1 is not an object"),
    "a huge number": ("t.json", '[{"file": "a.png", "size": ' + "1" * 5000 + "}]", "t.json is not JSON"),
    "list label": ("t.jsonl", '{"file": "a.png", "label": [1]}', r"t\.jsonl, line 1: a label must be"),
    "two labels": ("t.csv", "file,label\na.png,x\na.png,y\n", "t.csv, line 3: a second label y.*x"),
    "not utf-8": ("t.csv", "file,caption\na.png,caf\udce9\n", "t.csv is not UTF-8"),
    "celeba": ("t.txt", "2\nBald Young\na.png 1 1\nb.png 1\n", "t.txt, line 4 has 2 fields"),
    "absent": (
        *("t.csv", "file,label\n1.png,x\n2.png,x\n3.png,x\n4.png,x\n"),
        r"t\.csv names 4 pictures that are not there: 1.png, 2.png, 3.png and 1 more; correct",
    ),
    "ambiguous": ("t.csv", "file,label\nc.png,x\n", "t.csv names 1 picture that are there several times: c.png; write"),
}


@pytest.mark.parametrize("kind", BAD)
def test_tables_that_cannot_be_used_are_told_and_left_out(kind: str, tmp_path: Path) -> None:
    root = draw(tmp_path / "set", "a.png", "b.png", "x/c.png", "y/c.png")
    table, text, message = BAD[kind]
    (root / table).write_bytes(text.encode(errors="surrogateescape"))
    for path in (root, zipped(root, tmp_path / "set.zip")):
        source = folder_source(path)
        [told] = [note for note in source.notes if "sub-folders" not in note]
        assert re.match(f"left out: {message}", told)
        assert (source.class_names, source.attribute_names, source.captioned) == ((), (), False)
        with pytest.raises(InputError, match=rf"--label-column label: .*{message}"):
            folder_source(path, label_column="label")


def test_a_table_that_cannot_be_used_is_an_error_where_it_is_asked_for(tmp_path: Path) -> None:
    root = draw(tmp_path / "set", "a.png", "b.png")
    write(root, "t.csv", "file,caption\na.png,x\nb.png,y,z\n")
    dataset = load(root, (4, 4), cache=tmp_path / "cache")
    with pytest.raises(InputError, match=r"set has no caption: it has image.*; left out: t\.csv, line 3 has 3 fields"):
        dataset.require("caption")


MANY = {
    "rows of CSV": ("t.csv", "file\n" + "a\n" * 60),
    "columns of CSV": ("t.csv", "," * 2000 + "\n" + ("," * 2000 + "\n") * 3),
    "JSON lines": ("t.jsonl", "{}\n" * 60),
    "a JSON list": ("t.json", "[" + "{}," * 300 + "{}]"),
    "lists in a JSON list": ("t.json", '[{"file": [' + "[]," * 300 + "[]]}]"),
    "numbers in a JSON list": ("t.json", '[{"file": [' + "1," * 4000 + "1]}]"),
    "pairs of StyleGAN": ("t.json", '{"labels": [' + '["a.png",1],' * 60 + '["a.png",1]]}'),
    "CelebA's": ("t.txt", "60\nyoung\n" + "a 1\n" * 60),
    "columns of JSON lines": ("t.jsonl", "".join(f'{{"file": "a.png", "x{i}": 1}}\n' for i in range(45))),
}


@pytest.mark.parametrize("kind", MANY)
def test_tables_are_bounded_by_what_they_become(kind: str, pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gan_jax.data.tables.LEAST_ROWS", 50)
    monkeypatch.setattr("gan_jax.data.tables.MOST_COLUMNS", 40)
    name, text = MANY[kind]
    write(pair, name, text)
    notes = " ".join(folder_source(pair).notes)
    assert re.search(rf"left out: {name} has (more than 50 rows|46 columns)", notes), notes


def test_rows_about_other_pictures_are_told_and_left_out(tmp_path: Path) -> None:
    root = draw(tmp_path / "set", "a.png", "b.png", "x/c.png", "y/c.png")
    write(root, "t.csv", "file,size\na.png,1\nb.png,2\nq.png,3\nc.png,4\nx/c.png,5\n")
    source = folder_source(root)
    np.testing.assert_array_equal([source.splits["train"].read(i).attributes[0] for i in range(4)], [1, 2, 5, np.nan])
    assert source.notes[1].startswith("t.csv names 1 picture that are not there: q.png")
    assert source.notes[2].startswith("t.csv names 1 picture that are there several times: c.png")


NAMES = {
    "other case": ("Ab.PNG", "file"),
    "without suffix": ("aB", "file"),
    "another suffix": ("aB.jpg", "file"),
    "another folder": ("images/aB.png", "file"),
    "all of it": ("IMAGES\\AB.JPG", "image_id"),
    "a column of any name": ("aB", "id"),
}


@pytest.mark.parametrize("kind", NAMES)
def test_names_that_differ(kind: str, tmp_path: Path) -> None:
    name, column = NAMES[kind]
    root = draw(tmp_path / "set", "x/aB.png", "x/c.png")
    write(root, "t.csv", f"{column},size\nc.png,1\n{name},2\n")
    source = folder_source(root)
    assert source.attribute_names == ("size",)
    assert [source.splits["train"].read(i).attributes for i in range(2)] == [(2,), (1,)]


def test_a_name_without_its_folder_goes_after_the_path(tmp_path: Path) -> None:
    """The table speaks of pictures of two folders, one of which is not there."""
    root = draw(tmp_path / "set", "train/1.png", "train/2.png")
    write(root, "t.csv", "file,size\ntest/1.png,9\ntrain/1.png,1\ntrain/2.png,2\n")
    source = folder_source(root)
    assert [source.splits["train"].read(i).attributes for i in range(2)] == [(1,), (2,)]
    assert source.notes[0].startswith("t.csv names 1 picture that are not there: test/1.png")
    write(root, "t.csv", "file,size\ntest/1.png,9\nval/1.png,1\ntrain/2.png,2\n")
    assert "several times: test/1.png, val/1.png" in folder_source(root).notes[0]


def test_a_column_as_labels(tmp_path: Path) -> None:
    root = draw(tmp_path / "set", "1/a.png", "1/b.png", "2/c.png")
    write(root, "t.csv", "file,breed,age,label\na.png,pug,10,0\nb.png,cat,9,1\nc.png,pug,9,0\n")
    source = folder_source(root, label_column="Breed")
    assert source.class_names == ("cat", "pug")
    assert [source.splits["train"].read(i).label for i in range(3)] == [1, 0, 1]
    assert source.attribute_names == ("age", "label")
    assert folder_source(root, label_column="age").class_names == ("9", "10")
    assert folder_source(root).identity != source.identity
    assert "breed (--label-column takes one" in folder_source(root).notes[-1]
    with pytest.raises(InputError, match="--label-column q: no table has this column; there are breed, age, label"):
        folder_source(root, label_column="q")
    write(root, "t.csv", "file,breed\na.png,pug\nb.png,pug\nc.png,\n")
    with pytest.raises(InputError, match="--label-column breed: 1 of 3 pictures have none"):
        folder_source(root, label_column="breed")


def test_json_that_is_no_table_is_left_out(pair: Path) -> None:
    write(pair, "info.json", '{"made": "by hand"}')
    assert "1 .json" in folder_source(pair).notes[0]


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


def test_accents_apart(tmp_path: Path) -> None:
    """macOS stores é as e and an accent."""
    root = draw(tmp_path / "set", "cafe\u0301.png", "b.png")
    write(root, "t.csv", "file,label\ncaf\u00e9.png,x\nb.png,y\n")
    assert folder_source(root).class_names == ("x", "y")


def test_separators_that_json_allows_in_text(pair: Path) -> None:
    write(pair, "t.jsonl", '{"file": "a.png", "caption": "one\u2028two"}\n')
    assert folder_source(pair).splits["train"].read(0).captions == ("one\u2028two",)


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
    (tmp_path / "empty").mkdir()
    cases[tmp_path / "empty"] = "is empty: put pictures there"
    for path, message in cases.items():
        with pytest.raises(InputError, match=message):
            folder_source(path)


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


def test_a_damaged_table_in_a_zip(tmp_path: Path, pair: Path) -> None:
    write(pair, "t.csv", "file,label\na.png,x\nb.png,y\n")
    path = zipped(pair, tmp_path / "a.zip")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"file,label", b"file,labex"))
    source = folder_source(path)
    assert source.notes[0].startswith("left out: t.csv: damaged")
    assert source.class_names == ()


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
