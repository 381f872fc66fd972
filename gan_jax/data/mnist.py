"""MNIST and Fashion-MNIST: checked, prepared and read by tensorflow-datasets, without TensorFlow.

LeCun, Cortes & Burges 1998; Xiao, Rasul & Vollgraf 2017 (arXiv:1708.07747). The addresses and checksums are those which
tensorflow-datasets registers. Its own builders unpack with TensorFlow; the one here unpacks with gzip and writes PNG.
"""

import contextlib
import gzip
import io
import math
import os
import struct
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

    The 28x28 images are padded with zeros up to `size` 32 and enlarged bicubically beyond. The prepared set lies in a
    folder of its own in `data_dir`, or else in TFDS_DATA_DIR, or else in ~/tensorflow_datasets. The four archives are
    taken from the folder `archives`, or else GAN_JAX_ARCHIVES, or its sub-folder `mnist`; others are downloaded.
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
    arrays = _arrays(name, size, home, archives)
    train, test = ({field: arrays[f"{split}_{field}"] for field in ("image", "label")} for split in FILES)
    return Dataset(name, train=train, held_out=test, class_names=CLASS_NAMES[name])


def _arrays(name: str, size: int, home: Path, archives: PathLike | None) -> Arrays:
    """The arrays `train_image`, `train_label`, `test_image`, `test_label`, from their cache if there is one."""
    root = home / "gan_jax_array_record"  # tfds: one directory holds one format, and its own default is tfrecord
    cache = root / name / f"arrays_{size}.npz"
    arrays = _cached(cache)
    if arrays is not None:
        return arrays
    arrays = {}
    if size == SIDE:
        for split, source in _prepared(name, home, root, archives).items():
            arrays[f"{split}_image"], arrays[f"{split}_label"] = _decode(source)
    else:
        for field, array in _arrays(name, SIDE, home, archives).items():
            arrays[field] = _resize(array, size) if field.endswith("image") else array
    _store(cache, arrays)
    return arrays


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


def _decode(source: Any) -> tuple[np.ndarray, np.ndarray]:
    """All of a source of PNG bytes: images (n, 28, 28, 1) uint8 and labels (n,) int32."""
    images = np.empty((len(source), SIDE, SIDE, 1), np.uint8)
    labels = np.empty(len(source), np.int32)
    for start in range(0, len(source), 1000):  # many at once: one by one takes twice as long
        indices = range(start, min(start + 1000, len(source)))
        for i, example in zip(indices, source.__getitems__(indices), strict=True):
            images[i, ..., 0] = np.asarray(Image.open(io.BytesIO(example["image"])))
            labels[i] = example["label"]
    return images, labels


def _resize(images: np.ndarray, size: int) -> np.ndarray:
    if size <= 32:
        before = (size - SIDE) // 2
        around = (before, size - SIDE - before)
        return np.pad(images, ((0, 0), around, around, (0, 0)))
    resized = np.empty((len(images), size, size, 1), np.uint8)
    for i, image in enumerate(images):
        resized[i, ..., 0] = np.asarray(Image.fromarray(image[..., 0]).resize((size, size), Image.Resampling.BICUBIC))
    return resized


def _prepared(name: str, home: Path, root: Path, archives: PathLike | None) -> dict[str, Any]:
    """The splits as random-access sources of {"image": PNG bytes, "label"}; prepared first where they are not yet."""
    try:
        import tensorflow_datasets as tfds  # 0.5 s
    except ModuleNotFoundError as error:
        needed = "tensorflow-datasets importlib_resources"
        raise InputError(f"{name} needs tensorflow-datasets: pip install {needed}") from error
    builder = _builder(name, root)
    if not builder.data_path.exists():
        _prepare(builder, home / "downloads", _archive_folder(name, root / "archives", archives))
        builder = _builder(name, root)
    return builder.as_data_source(decoders={"image": tfds.decode.SkipDecoding()})  # tfds' decoder warns without OpenCV


def _prepare(builder: Any, downloads: Path, folder: Path) -> None:
    """Has tfds validate the archives in `folder`, or download them, and write the array_record files."""
    import requests
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

    urls = {info.filename: url for url, info in builder.url_infos.items()}
    at_hand = all((folder / file).is_file() for file in urls)
    downloaded = len(list((downloads / builder.name).glob("*.gz"))) >= len(urls)
    config = tfds.download.DownloadConfig(manual_dir=folder, force_checksums_validation=True, try_download_gcs=False)
    try:
        if not (at_hand or downloaded):
            requests.head(next(iter(urls.values())), timeout=20)  # without a network tfds goes on trying for minutes
        with _progress(shown=not at_hand):
            builder.download_and_prepare(download_dir=downloads, download_config=config)
    except NonMatchingChecksumError as error:
        found = str(error).rsplit("\n", 1)[0]  # the last line is for tfds' developers
        raise InputError(f"{found}\nReplace this file by the original, or remove it to have it downloaded") from error
    except (requests.RequestException, tfds.download.DownloadError) as error:
        wanted = "".join(f"\n  {file}  {url}" for file, url in urls.items())
        raise InputError(
            f"{builder.name} is not in {folder} and cannot be downloaded ({type(error).__name__}). Put these four "
            f"files there, or in a folder that `archives` or GAN_JAX_ARCHIVES names:{wanted}"
        ) from error
    except OSError as error:
        if not builder.data_path.exists():  # if it does, another process was faster
            raise InputError(
                f"{builder.name} cannot be prepared in {builder.data_path}: {error}. Make room there or choose another "
                "place by `data_dir` or TFDS_DATA_DIR"
            ) from error


def _archive_folder(name: str, default: Path, archives: PathLike | None) -> Path:
    """Where archives lie or belong: the given folder or its sub-folder `name`, whichever has more of the four."""
    given = archives or os.environ.get("GAN_JAX_ARCHIVES")
    if given and not Path(given).expanduser().is_dir():
        raise InputError(f"there is no folder {given}: make it, or change `archives` or GAN_JAX_ARCHIVES")
    base = Path(given).expanduser() if given else default
    files = [file for pair in FILES.values() for file in pair]
    return max((base / name, base), key=lambda folder: sum((folder / file).is_file() for file in files))


@contextlib.contextmanager
def _progress(shown: bool) -> Iterator[None]:
    """What tfds prints goes to stderr with its progress bars, or nowhere."""
    import tensorflow_datasets as tfds

    if not shown:
        tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(sys.stderr if shown else io.StringIO()):
            yield
    finally:
        tfds.enable_progress_bar()


def _builder(dataset: str, root: Path) -> Any:
    """A tfds builder in array_record files, with the checksums and the order of examples of tfds' own builder."""
    import tensorflow_datasets as tfds

    registered: dict[str, Any] = tfds.builder_cls(dataset).url_infos or {}

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
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
        with gzip.open(path) as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is no whole gzip archive ({error}): replace it by the original") from error
    start = 4 + 4 * ndim
    magic = content[:4]
    if magic != bytes([0, 0, 8, ndim]) or len(content) < start:  # 8: unsigned byte
        raise InputError(f"{path} is no idx file of {ndim} dimensions (begins {magic.hex()}): replace it by the original")
    shape = struct.unpack(f">{ndim}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise InputError(f"{path} promises {shape} bytes and holds {len(content) - start}: replace it by the original")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
