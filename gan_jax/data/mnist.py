"""MNIST and Fashion-MNIST: checked, prepared and read by tensorflow-datasets, without TensorFlow.

LeCun, Cortes & Burges 1998; Xiao, Rasul & Vollgraf 2017 (arXiv:1708.07747). The addresses and checksums are those which
tensorflow-datasets registers. Its own builders unpack with TensorFlow; the one here unpacks with gzip and writes PNG.
"""

import contextlib
import gzip
import io
import math
import os
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gan_jax.data.dataset import Arrays, Dataset
from gan_jax.errors import InputError

SIDE = 28
CLASS_NAMES = {
    "mnist": tuple("0123456789"),
    "fashion_mnist": (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
}
FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}

PathLike = str | os.PathLike[str]


def mnist(size: int = 32, data_dir: PathLike | None = None, archives: PathLike | None = None) -> Dataset:
    """60,000 handwritten digits to train on and 10,000 held out (the test split), (size, size, 1), white on black.

    The 28x28 images are padded with zeros up to `size` 32 and enlarged bicubically beyond it. The prepared set lies in
    `data_dir`, or else in `TFDS_DATA_DIR`, or else in ~/tensorflow_datasets, in a folder of its own. The four archives
    are taken from the folder `archives`, or else `GAN_JAX_ARCHIVES`, or from its sub-folder `mnist` if it has one;
    what is not there is downloaded.
    Raises `InputError` if an archive cannot be had or is not the original.
    """
    return _load("mnist", size, data_dir, archives)


def fashion_mnist(size: int = 32, data_dir: PathLike | None = None, archives: PathLike | None = None) -> Dataset:
    """60,000 articles of clothing in 10 classes to train on and 10,000 held out; arguments and errors as in `mnist`."""
    return _load("fashion_mnist", size, data_dir, archives)


def _load(name: str, size: int, data_dir: PathLike | None, archives: PathLike | None) -> Dataset:
    if size < SIDE:
        raise InputError(f"{name} cannot be had at size {size}: its images are {SIDE}x{SIDE}, choose {SIDE} or more")
    home = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    root = home / "gan_jax_array_record"  # tfds: one directory holds one format, and its own default is tfrecord
    cache = root / name / f"arrays_{size}.npz"
    arrays = _cached(cache)
    if arrays is None:
        try:
            sources = _prepared(name, home, root, archives)
        except ModuleNotFoundError as error:
            needed = "tensorflow-datasets importlib_resources"  # tfds 4.9.10 does not declare the second
            raise InputError(f"{name} needs the package {error.name}: pip install {needed}") from error
        arrays = {}
        for split, source in sources.items():
            arrays[f"{split}_image"], arrays[f"{split}_label"] = _decode(source, size)
        with contextlib.suppress(OSError):  # a read-only or full disk costs time next time, no more
            _store(cache, arrays)
    train, test = ({field: arrays[f"{split}_{field}"] for field in ("image", "label")} for split in FILES)
    return Dataset(name, train=train, held_out=test, class_names=CLASS_NAMES[name])


def _cached(path: Path) -> Arrays | None:
    """The stored arrays, or None if there are none or the file is damaged."""
    try:
        with path.open("rb") as file, np.load(file) as stored:
            return {f"{split}_{field}": stored[f"{split}_{field}"] for split in FILES for field in ("image", "label")}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def _store(path: Path, arrays: Arrays) -> None:
    """Several processes may do this at once; a reader sees the whole file or none."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _decode(source: Any, size: int) -> tuple[np.ndarray, np.ndarray]:
    """All of a source of PNG bytes: images (n, size, size, 1) uint8 and labels (n,) int32."""
    side = SIDE if size <= 32 else size
    inner = slice((size - side) // 2, (size - side) // 2 + side)
    images = np.zeros((len(source), size, size, 1), np.uint8)
    labels = np.empty(len(source), np.int32)
    for start in range(0, len(source), 1000):  # many at once: one by one takes three times as long
        indices = range(start, min(start + 1000, len(source)))
        for i, example in zip(indices, source.__getitems__(indices), strict=True):
            picture = Image.open(io.BytesIO(example["image"])).resize((side, side), Image.Resampling.BICUBIC)
            images[i, inner, inner, 0], labels[i] = np.asarray(picture), example["label"]
    return images, labels


def _prepared(name: str, home: Path, root: Path, archives: PathLike | None) -> dict[str, Any]:
    """The splits as random-access sources of {"image": PNG bytes, "label"}; prepared first where they are not yet."""
    import tensorflow_datasets as tfds  # 0.5 s

    builder = _builder(name, root)
    if not builder.data_path.exists():
        _prepare(builder, home / "downloads", _archive_folder(name, root, archives))
        builder = _builder(name, root)
    return builder.as_data_source(decoders={"image": tfds.decode.SkipDecoding()})  # tfds' decoder warns without OpenCV


def _prepare(builder: Any, downloads: Path, folder: Path) -> None:
    """Has tfds validate the archives in `folder`, or download them, and write the array_record files, all or none."""
    import requests
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

    urls = {info.filename: url for url, info in builder.url_infos.items()}
    at_hand = all((folder / file).is_file() for file in urls)
    downloaded = len(list((downloads / builder.name).glob("*.gz"))) >= len(urls)
    config = tfds.download.DownloadConfig(manual_dir=folder, force_checksums_validation=True, try_download_gcs=False)
    if at_hand:
        tfds.disable_progress_bar()
    try:
        if not (at_hand or downloaded):
            requests.head(next(iter(urls.values())), timeout=20)  # without a network tfds goes on trying for minutes
        with contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare(download_dir=downloads, download_config=config)
    except NonMatchingChecksumError as error:
        found = str(error).rsplit("\n", 1)[0]  # the last line is for tfds' developers
        raise InputError(
            f"{found}\nReplace this file by the original, or remove it to have it downloaded; archives of several sets "
            f"lie in sub-folders, those of this one in {builder.name}/"
        ) from error
    except (requests.RequestException, tfds.download.DownloadError) as error:
        wanted = "".join(f"\n  {file}  {url}" for file, url in urls.items())
        raise InputError(
            f"{builder.name} is not in {folder} and cannot be downloaded ({type(error).__name__}). Put these four files "
            f"there, or in a folder that `archives` or GAN_JAX_ARCHIVES names:{wanted}"
        ) from error
    except OSError as error:
        if not builder.data_path.exists():  # if it does, another process was faster
            raise InputError(
                f"{builder.name} cannot be prepared in {builder.data_path}: {error}. Make room there or choose another "
                "place by `data_dir` or TFDS_DATA_DIR"
            ) from error


def _archive_folder(name: str, root: Path, archives: PathLike | None) -> Path:
    """Where the archives lie or should be put."""
    given = archives or os.environ.get("GAN_JAX_ARCHIVES")
    if not given:
        return root / "archives" / name
    folder = Path(given).expanduser()
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}: make it, or change `archives` or GAN_JAX_ARCHIVES")
    return folder / name if (folder / name).is_dir() else folder


def _builder(dataset: str, root: Path) -> Any:
    """A tfds builder in array_record files, with the checksums and the order of examples of tfds' own builder."""
    import tensorflow_datasets as tfds

    registered: dict[str, Any] = tfds.builder_cls(dataset).url_infos or {}

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
        name = dataset
        VERSION = tfds.core.Version("1.0.0")
        url_infos = registered

        def _info(self) -> Any:
            features = {
                "image": tfds.features.Image(shape=(SIDE, SIDE, 1)),
                "label": tfds.features.ClassLabel(names=CLASS_NAMES[dataset]),
            }
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            paths = dl_manager.download({info.filename: url for url, info in registered.items()})
            return {split: self._generate_examples(*(paths[file] for file in files)) for split, files in FILES.items()}

        def _generate_examples(self, image_path: PathLike, label_path: PathLike) -> Iterator[tuple[int, dict]]:
            images, labels = read_idx(image_path, ndim=3), read_idx(label_path, ndim=1)
            if images.shape != (len(labels), SIDE, SIDE):
                raise InputError(
                    f"{image_path} has images {images.shape} and {label_path} {len(labels)} labels, where as many of "
                    f"each are wanted and {SIDE}x{SIDE} pixels: replace both by the originals"
                )
            for i, (image, label) in enumerate(zip(images, labels, strict=True)):
                yield i, {"image": _png(image), "label": int(label)}

    return Builder(data_dir=root, file_format="array_record")


def _png(image: np.ndarray) -> io.BytesIO:
    """An opened file of PNG, which tfds takes as it is; an array it would encode with TensorFlow."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="png")
    file.seek(0)  # tfds reads from here on, and would store an empty image
    return file


def read_idx(path: PathLike, ndim: int) -> np.ndarray:
    """The uint8 array of `ndim` dimensions in a gzipped idx file (format: http://yann.lecun.com/exdb/mnist).

    Raises `InputError` if the file is something else or not whole.
    """
    try:
        content = gzip.decompress(Path(path).read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is no whole gzip archive ({error}): replace it by the original") from error
    start = 4 + 4 * ndim
    shape = tuple(int.from_bytes(content[i : i + 4]) for i in range(4, start, 4))
    if content[:4] != bytes([0, 0, 8, ndim]) or len(content) != start + math.prod(shape):  # 8: unsigned byte
        raise InputError(f"{path} is no whole idx file of {ndim} dimensions: replace it by the original")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
