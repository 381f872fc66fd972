"""MNIST and CIFAR-10 through tensorflow-datasets: on real pictures where they are at hand, on small made ones everywhere."""

import gzip
import http.server
import io
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gan_jax
from gan_jax.data.archives import ARCHIVES, read_idx
from gan_jax.data.dataset import Dataset
from gan_jax.data.load import load
from gan_jax.data.store import Store
from gan_jax.data.tfds import named_source
from gan_jax.data.writing import Preparation
from gan_jax.errors import InputError

tfds = pytest.importorskip("tensorflow_datasets")

CLOSED = "http://127.0.0.1:9"  # nothing listens on the discard port
COUNTS = {"train": 50, "test": 20}
FILES = ARCHIVES["mnist"].files
Fake = tuple[Path, dict[str, np.ndarray]]


def mnist(data_dir: Path, archives: Path | None = None, name: str = "mnist", size: int = 32) -> Dataset:
    source = named_source(name, data_dir=data_dir, archives=archives)
    return Store(data_dir / "cache").prepared(source, Preparation((size, size)))


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes(), mtime=0))


def register(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str = "mnist", site: str = CLOSED) -> None:
    """Has tfds take the files in `folder` for the originals, to be had from `site`."""
    from tensorflow_datasets.core.download.checksums import compute_url_info

    infos = {f"{site}/{file}": compute_url_info(folder / file) for pair in FILES.values() for file in pair}
    monkeypatch.setattr(tfds.builder_cls(name), "url_infos", infos)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """A folder of four small archives that tfds takes for the originals, and what they hold."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("GAN_JAX_ARCHIVES", raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "unused"))
    folder = tmp_path / "archives"
    folder.mkdir()
    generator = np.random.default_rng(0)
    content = {}
    for split, (images, labels) in FILES.items():
        content[f"{split}_image"] = generator.integers(0, 256, (COUNTS[split], 28, 28), dtype=np.uint8)
        content[f"{split}_label"] = generator.integers(0, 10, COUNTS[split], dtype=np.uint8)
        write_idx(folder / images, content[f"{split}_image"])
        write_idx(folder / labels, content[f"{split}_label"])
    register(monkeypatch, folder)
    return folder, content


def pairs(images: np.ndarray, labels: np.ndarray) -> list[tuple[bytes, int]]:
    """Examples with their labels in an order of their own: tfds' order is not that of the archives."""
    return sorted((image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True))


def assert_holds(dataset: Dataset, content: dict[str, np.ndarray]) -> None:
    for split, arrays in (("train", dataset.train), ("test", dataset.held_out)):
        assert arrays["image"].shape == (COUNTS[split], 32, 32, 1)
        assert arrays["image"].dtype == np.uint8
        assert arrays["label"].dtype == np.int32
        middle = arrays["image"][:, 2:-2, 2:-2]
        assert pairs(middle, arrays["label"]) == pairs(content[f"{split}_image"], content[f"{split}_label"])
        assert arrays["image"].sum(dtype=np.int64) == middle.sum(dtype=np.int64)  # the border is 0


@pytest.mark.slow
def test_real_archives(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "mnist"
    assert folder.is_dir(), "GAN_JAX_DATA names a folder without mnist/"
    dataset = mnist(tmp_path, archives=folder)
    images, labels = dataset.train["image"], dataset.train["label"]
    assert images.shape == (60000, 32, 32, 1)
    assert dataset.held_out["image"].shape == (10000, 32, 32, 1)
    # the well-known counts of the digits 0 to 9; 0.1307 and 0.3081 are the usual normalisation
    assert np.bincount(labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(dataset.held_out["label"]).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    pixels = images[:, 2:-2, 2:-2] / np.float32(255)
    assert pixels.mean(dtype=np.float64) == pytest.approx(0.1307, abs=5e-5)
    assert pixels.std(dtype=np.float64) == pytest.approx(0.3081, abs=5e-5)
    assert images.mean() / 255 * 1024 / 784 == pytest.approx(0.1307, abs=5e-5)
    expected = read_idx(folder / FILES["test"][0], ndim=3), read_idx(folder / FILES["test"][1], ndim=1)
    assert pairs(dataset.held_out["image"][:, 2:-2, 2:-2], dataset.held_out["label"]) == pairs(*expected)
    again = mnist(tmp_path)  # without the archives: from what was kept
    assert again.fingerprint == dataset.fingerprint


def test_reads_back_what_the_archives_hold(fake: Fake, tmp_path: Path) -> None:
    folder, content = fake
    dataset = mnist(tmp_path, archives=folder)
    assert dataset.name == "mnist"
    assert dataset.class_names == tuple("0123456789")
    assert_holds(dataset, content)


def test_fashion_mnist(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, content = fake
    register(monkeypatch, folder, "fashion_mnist")
    dataset = mnist(tmp_path, folder, "fashion_mnist")
    assert dataset.name == "fashion_mnist"
    assert dataset.class_names[9] == "Ankle boot"
    assert_holds(dataset, content)


@pytest.mark.parametrize("name", ARCHIVES)
def test_names_shapes_and_files_are_those_of_tfds(name: str, tmp_path: Path) -> None:
    stock, ours = tfds.builder(name, data_dir=tmp_path), ARCHIVES[name]
    if name != "cifar10":  # tfds takes these from a file of the archive
        assert list(ours.class_names) == stock.info.features["label"].names
    assert ours.shape == stock.info.features["image"].shape
    registered = {info.filename for info in stock.url_infos.values()}
    assert registered == {file for files in ours.files.values() for file in files}


def test_second_call_needs_neither_archives_nor_tfds(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, content = fake
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GAN_JAX_ARCHIVES", str(folder))
    assert_holds(load("mnist", (32, 32)), content)
    shutil.rmtree(folder)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    assert_holds(load("mnist", (32, 32)), content)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "elsewhere"))
    with pytest.raises(InputError, match="pip install tensorflow-datasets"):
        load("mnist", (32, 32))


def test_sizes(fake: Fake, tmp_path: Path) -> None:
    folder, _ = fake
    framed = mnist(tmp_path, folder).train["image"]
    larger = mnist(tmp_path, folder, size=40).train["image"]
    assert larger.shape == (50, 40, 40, 1)
    wanted = Image.fromarray(framed[7, ..., 0]).resize((40, 40), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(larger[7, ..., 0], np.asarray(wanted))
    smaller = mnist(tmp_path, folder, size=16).train["image"]
    means = framed[7].reshape(16, 2, 16, 2).mean(axis=(1, 3))
    assert np.abs(smaller[7, ..., 0] - means).max() <= 1


def test_archives_in_a_sub_folder_and_by_environment(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, content = fake
    (tmp_path / "all").mkdir()
    folder.rename(tmp_path / "all" / "mnist")
    assert_holds(mnist(tmp_path / "1", archives=tmp_path / "all"), content)
    monkeypatch.setenv("GAN_JAX_ARCHIVES", str(tmp_path / "all"))
    assert_holds(mnist(tmp_path / "2"), content)
    with pytest.raises(InputError, match=r"no folder .*absent"):
        mnist(tmp_path / "3", archives=tmp_path / "absent")


def test_preparing_leaves_stdout_alone(fake: Fake, tmp_path: Path) -> None:
    code = f"from gan_jax.data.tfds import named_source as n; n('mnist', None, {str(tmp_path)!r}, {str(fake[0])!r})"
    done = run_with_registered(fake[0], code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "Generating splits" not in done.stderr  # a progress bar
    assert "WARNING" not in done.stderr


def run_with_registered(folder: Path, code: str, *python_path: Path) -> subprocess.CompletedProcess[str]:
    """Runs code in a fresh interpreter in which `folder` holds the originals; warnings are errors there."""
    prelude = f"""
import sys
import gan_jax.data
assert "tensorflow_datasets" not in sys.modules
import tensorflow_datasets as tfds
from pathlib import Path
from tensorflow_datasets.core.download.checksums import compute_url_info
infos = {{f"{CLOSED}/{{path.name}}": compute_url_info(path) for path in Path({str(folder)!r}).iterdir()}}
tfds.builder_cls("mnist").url_infos = infos
"""
    places = [*python_path, Path(gan_jax.__file__).parents[1]]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, places)), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-W", "error", "-c", prelude + code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_tensorflow_is_never_imported(fake: Fake, tmp_path: Path) -> None:
    stub = tmp_path / "stub" / "tensorflow"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("raise SystemExit('TensorFlow was imported')")
    code = f"from gan_jax.data.tfds import named_source as n; n('mnist', None, {str(tmp_path)!r}, {str(fake[0])!r})"
    done = run_with_registered(fake[0], code, tmp_path / "stub")
    assert done.returncode == 0, done.stderr
    assert "was imported" in run_with_registered(fake[0], "import tensorflow", tmp_path / "stub").stderr


def test_a_wrong_archive_raises_and_leaves_nothing(fake: Fake, tmp_path: Path) -> None:
    folder, content = fake
    labels = folder / FILES["test"][1]
    original = labels.read_bytes()
    write_idx(labels, (content["test_label"] + 1) % 10)
    assert len(read_idx(labels, ndim=1)) == 20  # a whole archive of the right shape, only not the original
    with pytest.raises(InputError, match=f"(?s){labels}.*wrong checksum.*Replace"):
        mnist(tmp_path, archives=folder)
    labels.write_bytes(original)
    assert_holds(mnist(tmp_path, archives=folder), content)


GARBAGE = {
    "empty": b"",
    "not gzip": b"<html>404</html>",
    "cut off": gzip.compress(bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 28, 28) + bytes(1568), mtime=0)[:-9],
    "damaged": gzip.compress(bytes(100), mtime=0)[:10] + b"\x07" + bytes(20),  # a block of no known type
    "labels": gzip.compress(bytes([0, 0, 8, 1]) + struct.pack(">I", 2) + bytes(2), mtime=0),
    "signed": gzip.compress(bytes([0, 0, 9, 3]) + struct.pack(">3I", 2, 28, 28) + bytes(1568), mtime=0),
    "float": gzip.compress(bytes([0, 0, 13, 3]) + struct.pack(">3I", 2, 28, 28) + bytes(1568 * 4), mtime=0),
    "short header": gzip.compress(bytes([0, 0, 8, 3]) + struct.pack(">2I", 2, 28), mtime=0),
    "too few": gzip.compress(bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 28, 28) + bytes(1567), mtime=0),
    "too many": gzip.compress(bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 28, 28) + bytes(1569), mtime=0),
}


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_no_idx(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{path}.*replace it"):
        read_idx(path, ndim=3)


@pytest.mark.parametrize("kind", ["cut off", "labels", "two images"])
def test_garbage_with_the_right_checksum_raises(kind: str, fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = fake
    images = folder / FILES["train"][0]
    if kind in GARBAGE:
        images.write_bytes(GARBAGE[kind])
    else:
        write_idx(images, np.zeros((2, 28, 28), np.uint8))
    register(monkeypatch, folder)
    with pytest.raises(InputError, match=f"{images}.*(replace it|replace both)"):
        mnist(tmp_path, archives=folder)
    assert not list(tmp_path.rglob("*array_record-*"))


def test_neither_network_nor_archives(fake: Fake, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        mnist(tmp_path / "data")
    message = str(caught.value)
    assert all(f"{file}  {CLOSED}/{file}" in message for pair in FILES.values() for file in pair)
    assert "GAN_JAX_ARCHIVES" in message
    named = tmp_path / "data" / "gan_jax_array_record" / "archives" / "mnist"
    assert str(named) in message
    shutil.copytree(fake[0], named)
    assert_holds(mnist(tmp_path / "data"), fake[1])


@pytest.fixture
def site(fake: Fake) -> Iterator[str]:
    """The address of a server of the made archives."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(fake[0]))) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_download(
    fake: Fake, site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, content = fake
    register(monkeypatch, folder, site=site)
    assert_holds(mnist(tmp_path / "data"), content)
    assert capsys.readouterr().out == ""
    shutil.rmtree(tmp_path / "data" / "gan_jax_array_record")
    monkeypatch.setattr("requests.head", lambda *_, **__: pytest.fail("asked the network for files that lie here"))
    shutil.rmtree(folder)  # the server has nothing any more, tfds' folder of downloads has
    assert_holds(mnist(tmp_path / "data"), content)


def test_a_wrong_or_missing_download(fake: Fake, site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, content = fake
    register(monkeypatch, folder, site=site)
    labels = folder / FILES["test"][1]
    write_idx(labels, (content["test_label"] + 1) % 10)
    with pytest.raises(InputError, match="wrong checksum"):
        mnist(tmp_path / "data")
    labels.unlink()
    with pytest.raises(InputError, match=f"cannot be downloaded \\(DownloadError\\)(?s:.*){labels.name}"):
        mnist(tmp_path / "data")


def test_another_process_was_faster(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two processes that prepare at once, the second cannot move its directory to where the first one's is."""
    folder, content = fake
    prepare = tfds.core.GeneratorBasedBuilder.download_and_prepare

    def slower(self: object, **arguments: object) -> None:
        prepare(self, **arguments)
        raise OSError("Directory not empty")

    monkeypatch.setattr(tfds.core.GeneratorBasedBuilder, "download_and_prepare", slower)
    assert_holds(mnist(tmp_path, archives=folder), content)


def test_a_place_that_cannot_be_written(fake: Fake, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match=r"cannot be prepared in .*file.*TFDS_DATA_DIR"):
        mnist(tmp_path / "file", archives=fake[0])


@pytest.fixture(scope="module")
def cifar10(real_data: Path) -> dict[str, np.ndarray]:
    """Real pictures of CIFAR-10 as the folder of real data has them: sheets of 1,000."""
    arrays: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    with tarfile.open(real_data / "cifar10" / "cifar10_train20k_test2k.tar") as archive:
        labels = np.load(io.BytesIO(archive.extractfile("cifar10/labels.npz").read()))
        content = {f"{split}_label": labels[f"y_{split}"].astype(np.uint8) for split in ("train", "test")}
        for name in sorted(member for member in archive.getnames() if member.endswith(".webp")):
            sheet = np.asarray(Image.open(archive.extractfile(name)).convert("RGB"))
            tiles = sheet.reshape(sheet.shape[0] // 32, 32, sheet.shape[1] // 32, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3)
            arrays["train" if "train" in name else "test"].append(tiles)
    content |= {f"{split}_image": np.concatenate(parts) for split, parts in arrays.items()}
    return {name: array[: {"train": 20_000, "test": 2_000}[name.split("_")[0]]] for name, array in content.items()}


@pytest.mark.slow
def test_cifar10(cifar10: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real pictures in an archive of the original's form, whose checksum is put in the place of the original's."""
    from tensorflow_datasets.core.download.checksums import compute_url_info

    path = tmp_path / "archives" / "cifar-10-binary.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for split, parts, name in (("train", 5, "data_batch_{}.bin"), ("test", 1, "test_batch.bin")):
            planes = cifar10[f"{split}_image"].transpose(0, 3, 1, 2).reshape(len(cifar10[f"{split}_label"]), -1)
            records = np.concatenate([cifar10[f"{split}_label"][:, None], planes], axis=1)
            for i, piece in enumerate(np.split(records, parts)):
                member = tarfile.TarInfo("cifar-10-batches-bin/" + name.format(i + 1))
                member.size = piece.size
                archive.addfile(member, io.BytesIO(piece.tobytes()))
    monkeypatch.setattr(tfds.builder_cls("cifar10"), "url_infos", {f"{CLOSED}/{path.name}": compute_url_info(path)})
    dataset = mnist(tmp_path, path.parent, "cifar10")
    for split, arrays in (("train", dataset.train), ("test", dataset.held_out)):
        assert pairs(arrays["image"], arrays["label"]) == pairs(cifar10[f"{split}_image"], cifar10[f"{split}_label"])
    assert dataset.class_names[9] == "truck"
    # the canonical means of the channels, 0.4914, 0.4822, 0.4465, to the error of 20,000 of the 50,000
    np.testing.assert_allclose(dataset.train["image"].mean(axis=(0, 1, 2)) / 255, [0.4914, 0.4822, 0.4465], atol=3e-3)


@pytest.mark.parametrize(
    "content", [b"", b"no archive", gzip.compress(b"no tar" * 200, mtime=0)], ids=["empty", "text", "gzip"]
)
def test_garbage_is_no_cifar10(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"(?s){path}.*replace it"):
        list(ARCHIVES["cifar10"].read("train", (path,)))
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        member.size = 3000
        archive.addfile(member, io.BytesIO(bytes(3000)))
    with pytest.raises(InputError, match="not the binary version"):
        list(ARCHIVES["cifar10"].read("train", (path,)))


def test_equal_to_tfds_own_builder(real_data: Path, tmp_path: Path) -> None:
    """Needs TensorFlow, which tfds' builder unpacks with (`pip install 'gan_jax[prepare]'`)."""
    pytest.importorskip("tensorflow")
    ours = mnist(tmp_path / "ours", real_data / "mnist")
    stock = tfds.builder("mnist", data_dir=tmp_path / "stock", file_format="array_record")
    stock.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=real_data / "mnist"))
    for split, arrays in (("train", ours.train), ("test", ours.held_out)):
        source = stock.as_data_source(split=split)
        examples = source.__getitems__(range(len(source)))
        np.testing.assert_array_equal(arrays["image"][:, 2:-2, 2:-2], np.stack([example["image"] for example in examples]))
        np.testing.assert_array_equal(arrays["label"], [example["label"] for example in examples])
