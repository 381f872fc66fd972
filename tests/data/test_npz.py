"""Pictures in .npz files: the names of arrays, the splits, the labels, and what is refused before it is read."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gan_jax.data import captions, load
from gan_jax.data.load import open_source
from gan_jax.errors import InputError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))


def pictures(n: int, h: int = 8, w: int = 8, c: int = 3) -> np.ndarray:
    return np.random.default_rng(n + h).integers(0, 256, (n, h, w, c), dtype=np.uint8)


def test_arrays_and_splits(tmp_path: Path) -> None:
    images = pictures(40)
    path = tmp_path / "set.npz"
    np.savez(path, images=images, label=np.arange(40) % 2, class_names=["cat", "dog"], caption=[f"no {i}" for i in range(40)])
    dataset = load(path, (8, 8))
    held = [int(captions.decode(text[0]).split()[1]) for text in dataset.held_out["caption"]]
    assert sorted(dataset.held_out["label"].tolist()) == [0, 1]  # by class
    np.testing.assert_array_equal(dataset.train["image"], np.delete(images, held, 0))
    np.testing.assert_array_equal(dataset.held_out["image"], images[held])
    assert dataset.class_names == ("cat", "dog")
    np.savez(path, image=images[:5], label=np.arange(5))  # too few to hold any out
    assert (len(load(path, (8, 8))), load(path, (8, 8)).held_out) == (5, {})
    np.savez(path, image=images[..., 0], held_out_image=images[:3, ..., 0])
    dataset = load(path, (8, 8))
    np.testing.assert_array_equal(dataset.train["image"], images[..., :1])
    np.testing.assert_array_equal(dataset.held_out["image"], images[:3, ..., :1])


@pytest.mark.parametrize(
    ("train", "label", "test", "test_label"),
    [
        ("x_train", "y_train", "x_test", "y_test"),  # Keras
        ("train_images", "train_labels", "test_images", "test_labels"),  # MedMNIST
        ("X", "Y", "X_val", "Y_val"),
        ("image", "label", "held_out_image", "held_out_label"),
    ],
)
def test_names_of_arrays(train: str, label: str, test: str, test_label: str, tmp_path: Path) -> None:
    path, images = tmp_path / "set.npz", pictures(9)[..., 0]
    np.savez(path, **{train: images[:6], label: np.arange(6)[:, None] % 3, test: images[6:], test_label: np.arange(3.0)})
    dataset = load(path, (8, 8))
    np.testing.assert_array_equal(dataset.train["image"][..., 0], images[:6])
    np.testing.assert_array_equal(dataset.held_out["image"][..., 0], images[6:])
    assert dataset.train["label"].tolist() == [0, 1, 2, 0, 1, 2]
    assert dataset.held_out["label"].tolist() == [0, 1, 2]
    assert dataset.notes == ()


def test_labels_in_words_and_of_another_array(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, image=pictures(3), y=["dog", "cat", "dog"], age=np.array([10, 9, 9]), more=np.zeros((3, 2)))
    dataset = load(path, (8, 8))
    assert (dataset.class_names, dataset.train["label"].tolist()) == (("cat", "dog"), [1, 0, 1])
    assert dataset.notes == ("arrays that are not used: age int64 (3,), more float64 (3, 2)",)
    dataset = load(path, (8, 8), label_column="age")
    assert dataset.train["label"].tolist() == [10, 9, 9]
    assert dataset.untrained == tuple(range(9))
    with pytest.raises(InputError, match="no array 'breed' for the labels: it has image, y, age, more"):
        load(path, (8, 8), label_column="breed")


def test_labels_of_any_size_take_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, image=pictures(3), label=np.array([10**8, 7, 10**8]))
    dataset = load(path, (8, 8))
    assert (dataset.class_names, dataset.train["label"].tolist()) == (("7", "100000000"), [1, 0, 1])
    assert "numbered anew" in dataset.notes[0]


def test_classes_without_training_pictures_are_told(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    parts = {"held_out_image": pictures(2), "held_out_label": np.array([0, 2])}
    np.savez(path, image=pictures(4), label=np.array([0, 1, 3, 3]), class_names=["a", "b", "c", "d", "e"], **parts)
    dataset = load(path, (8, 8))
    assert dataset.untrained == (2, 4)
    assert dataset.notes == ("2 of 5 classes have no training pictures and cannot be drawn: c, e",)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"q": np.zeros(3)}, r"no array `image` \(or images, x, x_train\): it has q"),
        ({"image": np.zeros((3, 8, 8, 3))}, "which values of set are black and white"),
        ({"image": np.zeros((3, 8, 8, 2), np.uint8)}, "1, 3 or 4"),
        ({"x": np.zeros((3, 3, 8, 8), np.uint8)}, r"x must be .*uint8 \(3, 3, 8, 8\): put the channels last"),
        ({"x": np.zeros((3, 64), np.uint8)}, "reshape the rows"),
        ({"image": np.zeros((3, 8, 8), np.uint8), "label": np.zeros(2, int)}, "different lengths"),
        ({"image": np.zeros((3, 8, 8), np.uint8), "label": np.array([0, 1, -1])}, "from 0 on"),
        ({"image": np.zeros((3, 8, 8), np.uint8), "label": np.array([0, 1.5, 1])}, "from 0 on"),
        ({"image": np.zeros((3, 8, 8), np.uint8), "label": np.eye(3)}, "argmax"),
        ({"image": np.zeros((3, 8, 8), np.uint8), "attributes": np.zeros(3)}, "numbers"),
        ({"image": np.zeros((1, 8, 8), np.uint8)}, "fewer than 2"),
        ({"image": np.zeros((0, 8, 8), np.uint8)}, "fewer than 2"),
        ({"image": np.zeros((9, 0, 8, 3), np.uint8)}, "pictures without pixels"),
        ({"image": np.array([None] * 3)}, "holds objects of Python"),
        (
            {
                "image": np.zeros((3, 8, 8), np.uint8),
                "label": np.zeros(3, int),
                "held_out_image": np.zeros((3, 8, 8), np.uint8),
            },
            "have the same names",
        ),
    ],
)
def test_what_is_refused(arrays: dict, message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load(tmp_path / "set.npz", (8, 8))
    (tmp_path / "torn.npz").write_bytes((tmp_path / "set.npz").read_bytes()[:50])
    with pytest.raises(InputError, match="not a complete .npz"):
        load(tmp_path / "torn.npz", (8, 8))


def write(path: Path, shape: tuple[int, ...], content: bytes) -> None:
    """An .npz whose header says `shape` of uint8."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("image.npy", header.getvalue() + content)


def test_nothing_is_read_by_a_header_that_lies_or_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "load", lambda *args, **kwargs: pytest.fail("read"))
    path = tmp_path / "set.npz"
    for shape, content in (((10**12, 8, 8), bytes(640)), ((10, 8, 8), bytes(9000)), ((-1, 8, 8), b"")):
        write(path, shape, content)
        with pytest.raises(InputError, match=r"image\.npy says uint8 .* and holds [\d,]+ bytes"):
            open_source(path, (8, 8))
    write(path, (1000, 8, 8), bytes(64_000))
    monkeypatch.setattr("gan_jax.data.bounds.free_memory", lambda: 50_000)
    with pytest.raises(InputError, match="would take 0.0 GiB, and 0.0 GiB are free: take fewer pictures"):
        open_source(path, (8, 8))
    write(path, (4000, 8, 8), bytes(256_000))
    monkeypatch.setattr("gan_jax.data.bounds.UNSUSPICIOUS", 50_000)
    with pytest.raises(InputError, match="would unpack to 0.0 GB from 0.0 MB"):
        open_source(path, (8, 8))
