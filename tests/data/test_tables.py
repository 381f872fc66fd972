"""What lies beside pictures: texts, tables, CelebA's lists."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from gan_jax.data.folder import folder_source
from gan_jax.data.load import load
from gan_jax.errors import InputError
from tests.data.folders import draw, write, zipped


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    return draw(tmp_path / "pair", "a.png", "b.png")


def test_captions_in_texts(tmp_path: Path) -> None:
    root = draw(tmp_path / "set", "a.png", "x/b.png", "x/c.jpg")
    write(root, "a.txt", "\ufeffa red\r\n\r\n  a bird \r\n")
    write(root, "x/c.txt", "größer\nsecond\u2028line")
    write(root, "b.txt", "not beside its picture")
    for source in (folder_source(root), folder_source(zipped(root, tmp_path / "set.zip"))):
        assert source.captioned
        captions = [source.splits["train"].read(i).captions for i in range(3)]
        assert captions == [("a red", "a bird"), ("",), ("größer", "second\u2028line")]
        assert "1 of 3 pictures have no caption: x/b.png" in source.notes
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


def test_accents_apart(tmp_path: Path) -> None:
    """macOS stores é as e and an accent."""
    root = draw(tmp_path / "set", "cafe\u0301.png", "b.png")
    write(root, "t.csv", "file,label\ncaf\u00e9.png,x\nb.png,y\n")
    assert folder_source(root).class_names == ("x", "y")


def test_separators_that_json_allows_in_text(pair: Path) -> None:
    write(pair, "t.jsonl", '{"file": "a.png", "caption": "one\u2028two"}\n')
    assert folder_source(pair).splits["train"].read(0).captions == ("one\u2028two",)


def test_a_damaged_table_in_a_zip(tmp_path: Path, pair: Path) -> None:
    write(pair, "t.csv", "file,label\na.png,x\nb.png,y\n")
    path = zipped(pair, tmp_path / "a.zip")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"file,label", b"file,labex"))
    source = folder_source(path)
    assert source.notes[0].startswith("left out: t.csv: damaged")
    assert source.class_names == ()


def test_texts_in_a_folder_of_their_own(tmp_path: Path) -> None:
    """As Reed's captions of birds and flowers are published: text_c10/CLASS/IMAGE.txt, a line a caption."""
    birds = draw(tmp_path / "birds", "images/001.Crow/Crow_1.jpg", "images/001.Crow/Crow_2.jpg", "images/002.Owl/Owl_1.jpg")
    bare = folder_source(birds)
    for name in ("001.Crow/Crow_1", "001.Crow/Crow_2", "002.Owl/Owl_1"):
        (birds / "text_c10" / name).parent.mkdir(parents=True, exist_ok=True)
        write(birds, f"text_c10/{name}.txt", "".join(f"{name[4:]} says {i}\n" for i in range(10)))
    write(birds, "allclasses.txt", "001.Crow\n002.Owl\n")
    source = folder_source(birds)
    assert source.class_names == ("001.Crow", "002.Owl")
    captions = [source.splits["train"].read(i).captions for i in range(3)]
    assert captions[1] == tuple(f"Crow/Crow_2 says {i}" for i in range(10))
    assert source.identity != bare.identity
    assert load(birds, (8, 8)).train["caption"].shape[:2] == (3, 10)
    flowers = draw(tmp_path / "flowers", "jpg/image_00001.jpg", "jpg/image_00002.jpg", "jpg/more/image_00002.jpg")
    for name in ("class_00001/image_00001", "class_00002/image_00002", "class_00002/none"):
        (flowers / "text_c10" / name).parent.mkdir(parents=True, exist_ok=True)
        write(flowers, f"text_c10/{name}.txt", f"of {name}\n")
    source = folder_source(flowers)
    assert [source.splits["train"].read(i).captions for i in range(3)] == [("of class_00001/image_00001",), ("",), ("",)]
    assert "2 .txt" in source.notes[-1]


def test_a_column_as_captions(tmp_path: Path) -> None:
    root = draw(tmp_path / "set", "a.png", "b.png", "c.png")
    write(root, "t.csv", "file,title,caption,size\na.png,one,x,1\nb.png,,y,2\nc.png,two,z,3\nc.png,three,z,3\n")
    write(root, "a.txt", "beside")
    source = folder_source(root, caption_column="Title")
    assert [source.splits["train"].read(i).captions for i in range(3)] == [("one",), ("",), ("two", "three")]
    assert source.attribute_names == ("size",)
    assert folder_source(root).splits["train"].read(0).captions == ("beside", "x")
    assert source.identity != folder_source(root).identity
    for column in ("size2", "nan"):
        with pytest.raises(
            InputError, match=f"--caption-column {column}: no table has texts in this column; there are title, "
        ):
            folder_source(root, caption_column=column)
    assert load(root, (8, 8), caption_column="title").train["caption"].shape[:2] == (3, 2)
    with pytest.raises(InputError, match="--caption-column is for tables beside pictures, and digits has none"):
        load("digits", (8, 8), caption_column="title")
