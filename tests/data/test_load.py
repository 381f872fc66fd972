"""The one door to all data: names, files and folders, and what is said where there is nothing behind it."""

import io
from pathlib import Path

import lmdb
import numpy as np
import pytest
from PIL import Image

from gan_jax.data import captions, load, lsun, parse_size
from gan_jax.data.load import open_source
from gan_jax.data.store import Store
from gan_jax.data.tfds import named_source
from gan_jax.data.whole import load_whole, whole
from gan_jax.data.writing import Preparation
from gan_jax.errors import InputError
from tests.data.prepared import prepare

tfds = pytest.importorskip("tensorflow_datasets")


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.delenv("GAN_JAX_ARCHIVES", raising=False)


def pictures(n: int, h: int, w: int) -> np.ndarray:
    return np.random.default_rng(n + h).integers(0, 256, (n, h, w, 3), dtype=np.uint8)


def png(image: np.ndarray) -> io.BytesIO:
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="png")
    file.seek(0)
    return file


F = tfds.features


def ordered(dataset_images: np.ndarray, images: np.ndarray) -> list[int]:
    """Which of `images` each of the data set is: tfds shuffles."""
    keys = [image.tobytes() for image in images]
    return [keys.index(image.tobytes()) for image in dataset_images]


def test_celeb_a() -> None:
    """Attributes as truth values in a dictionary; the features are those of tfds."""
    stock = tfds.builder_cls("celeb_a")
    names = tuple(tfds.builder("celeb_a").info.features["attributes"])
    assert stock.name == "celeb_a"
    assert {"Eyeglasses", "Male", "Smiling"} <= set(names)
    features = {"image": F.Image(shape=(218, 178, 3)), "attributes": F.FeaturesDict(dict.fromkeys(names, np.bool_))}
    features["landmarks"] = F.FeaturesDict({"nose_x": np.int64})
    images = pictures(6, 218, 178)
    truth = np.random.default_rng(1).integers(0, 2, (6, 40)).astype(bool)
    rows = [
        {"image": png(image), "attributes": dict(zip(names, map(bool, t), strict=True)), "landmarks": {"nose_x": 1}}
        for image, t in zip(images, truth, strict=True)
    ]
    prepare("celeb_a", "2.1.0", features, {"train": rows[:4], "validation": rows[4:5], "test": rows[5:]})
    dataset = load("celeb_a", (218, 178))
    assert sorted(dataset.attribute_names) == sorted(names)
    truth = truth[:, [names.index(name) for name in dataset.attribute_names]]
    which = ordered(dataset.train["image"], images)
    assert sorted(which) == [0, 1, 2, 3]
    np.testing.assert_array_equal(dataset.train["attributes"], truth[which].astype(np.float32))
    np.testing.assert_array_equal(dataset.held_out["image"], images[5:])
    assert load("celeb_a", (64, 64)).train["image"].shape == (4, 64, 64, 3)
    assert len(load("celeb_a", (64, 64), split="train[:50%]+validation")) == 3
    with pytest.raises(InputError, match=r"no split 'trian'.*train, "):
        load("celeb_a", (64, 64), split="trian")
    with pytest.raises(InputError, match=r"celeb_a has no label: it has image, attributes\. Put"):
        dataset.require("label")


def test_coco_captions() -> None:
    """Several sentences a picture, in tfds' feature of COCO; pictures of differing sizes."""
    captions_feature = F.Sequence({"id": np.int64, "text": F.Text()})
    rows = [
        {"image": png(pictures(1, 40 + i, 50)[0]), "captions": [{"id": j, "text": f"dog {i} {j}"} for j in range(1 + i % 3)]}
        for i in range(9)
    ]
    prepare(
        "coco_captions/2014", "1.1.0", {"image": F.Image(), "captions": captions_feature}, {"train": rows[:7], "val": rows[7:]}
    )
    dataset = load("coco_captions/2014", (32, 32))
    assert dataset.train["image"].shape == (7, 32, 32, 3)
    assert len(dataset.held_out["image"]) == 2
    texts = [[captions.decode(text) for text in row] for row in dataset.train["caption"]]
    for row in texts:
        i = int(row[0].split()[1])
        assert row == [f"dog {i} {j % (1 + i % 3)}" for j in range(3)]
    assert {int(row[0].split()[1]) for row in texts} == set(range(7))


def test_flowers_birds_and_imagenet_have_labels() -> None:
    for name, version, size, classes in (
        ("oxford_flowers102", "2.1.1", (50, 60), ["pink primrose", "colt's foot"]),
        ("caltech_birds2011", "0.1.1", (60, 50), ["001.Black_footed_Albatross", "002.Laysan_Albatross"]),
        ("imagenet2012", "5.1.0", (140, 200), ["n01440764", "n01443537"]),
    ):
        image = pictures(1, *size)[0]
        features = {"image": F.Image(), "label": F.ClassLabel(names=classes)}
        rows = [{"image": png(image), "label": 1} for _ in range(2)]
        if name == "caltech_birds2011":
            features["segmentation_mask"] = F.Image(shape=(None, None, 1))
            rows = [row | {"segmentation_mask": png(image[..., 0])} for row in rows]
        parts = {"train": rows[:1], "test": rows[1:]}
        if name == "imagenet2012":  # the labels of its test pictures were never published
            parts = {"train": rows[:1], "validation": rows[1:], "test": [{"image": png(image), "label": -1}]}
        prepare(name, version, features, parts)
        dataset = load(name, (128, 128))
        assert dataset.train["label"].tolist() == dataset.held_out["label"].tolist() == [1]
        assert dataset.class_names == tuple(classes)
        side = min(size)  # centre crop, area resize or, for the small ones, bicubic
        top, left = (size[0] - side) // 2, (size[1] - side) // 2
        resample = Image.Resampling.BOX if side > 128 else Image.Resampling.BICUBIC
        wanted = Image.fromarray(image).resize((128, 128), resample, box=(left, top, left + side, top + side))
        assert np.abs(dataset.train["image"][0].astype(int) - np.asarray(wanted)).max() <= 1, name


def test_only_a_training_split() -> None:
    rows = [{"image": png(pictures(i + 1, 20, 20)[i])} for i in range(40)]
    prepare("stanford_dogs", "0.2.0", {"image": F.Image()}, {"train": rows})
    dataset = load("stanford_dogs", (20, 20))
    assert (len(dataset), len(dataset.held_out["image"])) == (38, 2)
    assert not {x.tobytes() for x in dataset.train["image"]} & {x.tobytes() for x in dataset.held_out["image"]}


def test_all_leaves_nothing_to_hold_out_and_configurations_are_named() -> None:
    rows = [{"image": png(pictures(i + 1, 20, 20)[i])} for i in range(4)]
    prepare("stanford_dogs", "0.2.0", {"image": F.Image()}, {"train": rows[:2], "test": rows[2:]})
    dataset = load("stanford_dogs", (20, 20), split="all")
    assert (len(dataset), dataset.held_out) == (4, {})
    for size in ("8x8", "16x16"):
        row = {"image": png(pictures(1, 8, 8)[0])}
        prepare(f"imagenet_resized/{size}", "2.0.0", {"image": F.Image()}, {"train": [row]})
    with pytest.raises(InputError, match="say which, imagenet_resized/16x16 or imagenet_resized/8x8"):
        load("imagenet_resized", (8, 8))


def test_no_tensorflow() -> None:
    import sys

    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("celeba", r"no data set 'celeba' in tensorflow-datasets; the nearest names are .*celeb_a"),
        ("qqqqqqqq", "catalog"),
        ("oxford_flowers102", r"pip install tensorflow"),
        ("lsun/bedroom", r"(?s)bedroom_train_lmdb.*http://dl.yf.io/lsun/scenes/bedroom_train_lmdb.zip.*unpack"),
        ("no/such/folder", "no/such/folder"),
        ("pictures.zip", "pictures.zip"),
    ],
)
def test_nothing_behind_the_name(name: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(InputError, match=message):
        load(name, (32, 32))


def test_div2k_is_its_high_pictures_whole() -> None:
    """tfds' features of DIV2K are `lr` and `hr`, of many sizes."""
    sizes = [(12, 20), (16, 12), (20, 24)]
    high = [pictures(1, *size)[0] for size in sizes]
    rows = [{"lr": png(x[::4, ::4]), "hr": png(x)} for x in high]
    features = {"lr": F.Image(), "hr": F.Image()}
    prepare("div2k/bicubic_x4", "2.0.0", features, {"train": rows[:2], "validation": rows[2:]})
    dataset = load_whole("div2k/bicubic_x4")
    assert sorted(picture.tobytes() for picture in whole(dataset.train)) == sorted(x.tobytes() for x in high[:2])
    np.testing.assert_array_equal(whole(dataset.held_out)[0], high[2])


def test_a_set_without_pictures() -> None:
    prepare("titanic", "4.0.0", {"age": np.float32}, {"train": [{"age": 1.0}]})
    with pytest.raises(InputError, match="titanic has no pictures: its features are age"):
        load("titanic", (32, 32))


def write_lmdb(folder: Path, images: np.ndarray) -> None:
    with lmdb.open(str(folder), map_size=10_000_000) as environment, environment.begin(write=True) as transaction:
        for i, image in enumerate(images):
            file = io.BytesIO()
            Image.fromarray(image).save(file, format="webp", lossless=True)  # as LSUN ships them
            transaction.put(f"{i:040x}".encode(), file.getvalue())


def test_lsun(tmp_path: Path) -> None:
    images = pictures(40, 20, 24)
    folder = tmp_path / "bedroom_train_lmdb"
    write_lmdb(folder, images)
    dataset = load(folder, (20, 24))
    held = ordered(dataset.held_out["image"], images)
    assert len(held) == 2
    assert held != [38, 39]
    np.testing.assert_array_equal(dataset.train["image"], np.delete(images, held, 0))
    assert len(load(folder, (20, 24), limit=10, held_out=0.0)) == 10
    write_lmdb(tmp_path / "bedroom_val_lmdb", images[:3])
    assert [len(x["image"]) for x in (load(folder, (20, 24)).train, load(folder, (20, 24)).held_out)] == [40, 3]
    home = tmp_path / "tfds" / "gan_jax_array_record" / "archives"
    home.mkdir(parents=True)
    folder.rename(home / folder.name)
    np.testing.assert_array_equal(load("lsun/bedroom", (20, 24), held_out=0.0).train["image"], images)
    whole = (home / folder.name / "data.mdb").read_bytes()
    for torn in (b"torn", whole[: len(whole) // 2], whole[:-4096]):
        (home / folder.name / "data.mdb").write_bytes(torn)
        with pytest.raises(InputError, match="not a complete LMDB"):
            load(home / folder.name, (20, 24))


def test_a_page_of_an_lmdb_that_would_abort_the_process(tmp_path: Path) -> None:
    folder = tmp_path / "x_lmdb"
    write_lmdb(folder, pictures(200, 4, 4))
    content, branches = bytearray((folder / "data.mdb").read_bytes()), 0
    for page in range(2 * 4096, len(content), 4096):
        if content[page + 10] == 1:  # an inner node of the tree, here without children
            content[page + 12 : page + 14] = (16).to_bytes(2, "little")
            branches += 1
    assert branches
    (folder / "data.mdb").write_bytes(content)
    with pytest.raises(InputError, match="a page of it would end the process"):
        load(folder, (4, 4))


@pytest.mark.parametrize("side", [4, 48])  # 48: too long for a page of the tree, and kept on pages of their own
def test_a_value_of_an_lmdb_that_would_abort_the_process(tmp_path: Path, side: int) -> None:
    folder = tmp_path / "x_lmdb"
    write_lmdb(folder, pictures(20, side, side))
    content = bytearray((folder / "data.mdb").read_bytes())
    place = content.find(f"{7:040x}".encode()) - 8  # of the entry's header: length of the value, flags, length of the key
    content[place : place + 4] = b"\xff\xff\xff\x6f"
    (folder / "data.mdb").write_bytes(content)
    with pytest.raises(InputError, match="is damaged"):
        open_source(folder, (4, 4))
    assert open_source(folder, (4, 4), limit=7, held_out=0.0).splits["train"].size == 7  # entries before it


def test_an_lmdb_is_read_without_modules_of_the_present_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lmdb(tmp_path / "x_lmdb", pictures(3, 4, 4))
    (tmp_path / "lmdb.py").write_text("open('executed', 'w')")
    monkeypatch.chdir(tmp_path)
    assert len(load("x_lmdb", (4, 4), held_out=0.0)) == 3
    assert not list(tmp_path.rglob("executed"))


def test_an_lmdb_that_is_never_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lmdb(tmp_path / "x_lmdb", pictures(3, 4, 4))
    monkeypatch.setattr(lsun, "_WALK", "while True: pass")
    monkeypatch.setattr(lsun, "_PATIENCE", 0.2)
    with pytest.raises(InputError, match="was not read in 0.2"):
        load(tmp_path / "x_lmdb", (4, 4))


def test_digits_and_drawn_sets() -> None:
    assert load("digits", (16, 24)).train["image"].shape == (1437, 16, 24, 1)
    assert load("digits", (16, 16), channels=3).train["image"].shape == (1437, 16, 16, 3)
    assert open_source("doodle_faces", (64, 96)).captioned
    few = load("digits", (16, 16), limit=50)
    assert (len(few), len(few.held_out["image"])) == (50, 360)
    assert {x.tobytes() for x in few.train["image"]} < {x.tobytes() for x in load("digits", (16, 16)).train["image"]}
    with pytest.raises(InputError, match="--limit 1 leaves too few"):
        load("digits", (16, 16), limit=1)
    with pytest.raises(InputError, match="--split is for"):
        load("digits", (16, 16), split="train")
    with pytest.raises(InputError, match="choose a share"):
        load("digits", (16, 16), held_out=1.0)


@pytest.mark.parametrize("text", ["", "x", "64x", "64x96x3", "-1", "0", "64.5", "5000"])
def test_sizes(text: str) -> None:
    assert parse_size("64x96") == (64, 96)
    assert parse_size("32") == (32, 32)
    with pytest.raises(InputError, match="image size"):
        parse_size(text)


def test_the_real_sets_through_the_folder_door(real_data: Path) -> None:
    pokemon = load(real_data / "pokemon" / "pokemon64.zip", (64, 64))
    assert (len(pokemon), len(pokemon.held_out["image"])) == (1546, 81)
    assert pokemon.train["image"].shape[1:] == (64, 64, 3)
    faces = load(real_data / "faces" / "utkface64.zip", (32, 32))
    assert faces.attribute_names[:2] == ("age", "male")
    ages = np.concatenate([faces.train["attributes"], faces.held_out["attributes"]])[:, 0]
    assert len(ages) == 6500
    assert 0 <= ages.min() < 5 < 80 < ages.max() <= 116
    emoji = load(real_data / "emoji" / "twemoji_64.zip", (32, 32))
    texts = {captions.decode(row[0]) for row in emoji.train["caption"]}
    assert "keycap: #" in texts | {captions.decode(row[0]) for row in emoji.held_out["caption"]}
    assert len(texts) == len(emoji)


def test_named_source_is_kept_by_what_it_is(tmp_path: Path) -> None:
    """Another version of the prepared files is another data set in the store."""
    rows = [{"image": png(pictures(1, 8, 8)[0])} for _ in range(5)]
    prepare("stanford_dogs", "0.1.0", {"image": F.Image()}, {"train": rows[:1], "test": rows[1:2]})
    old = named_source("stanford_dogs")
    prepare("stanford_dogs", "0.2.0", {"image": F.Image()}, {"train": rows[2:4], "test": rows[4:]})
    new = named_source("stanford_dogs")
    assert old.identity != new.identity
    store, how = Store(tmp_path / "kept"), Preparation((8, 8))
    assert [len(store.prepared(source, how)) for source in (old, new)] == [1, 2]
