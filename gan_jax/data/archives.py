"""MNIST, Fashion-MNIST and CIFAR-10: checked and prepared by tensorflow-datasets, without TensorFlow.

LeCun, Cortes & Burges 1998; Xiao, Rasul & Vollgraf 2017 (arXiv:1708.07747); Krizhevsky 2009. The addresses and checksums
are those that tensorflow-datasets registers. Its own builders unpack with TensorFlow; those here unpack with gzip and
tarfile, and write PNG.
"""

import contextlib
import gzip
import io
import math
import os
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from gan_jax.errors import InputError
from gan_jax.files import place

PathLike = str | os.PathLike[str]
Examples = Iterator[tuple[np.ndarray, int]]  # pixels and label


class Archive(NamedTuple):
    """A data set in archives: the shape of an image, the files of each split, and `read(split, paths)`, which reads them."""

    class_names: tuple[str, ...]
    shape: tuple[int, int, int]
    files: Mapping[str, tuple[str, ...]]
    read: Callable[[str, tuple[Path, ...]], Examples]


def read_idx_pair(split: str, paths: tuple[Path, ...]) -> Examples:
    """Images and labels from two idx files; raises `InputError` if they do not belong together or are not complete."""
    images, labels = read_idx(paths[0], ndim=3), read_idx(paths[1], ndim=1)
    if images.shape != (len(labels), 28, 28):
        raise InputError(
            f"{paths[0]} has images of shape {images.shape} and {paths[1]} {len(labels)} labels, but one label for each "
            "image of 28x28 pixels is expected: replace both by the originals"
        )
    yield from ((image[..., None], int(label)) for image, label in zip(images, labels, strict=True))


def read_idx(path: PathLike, ndim: int) -> np.ndarray:
    """The uint8 array of `ndim` dimensions in a gzipped idx file (format: http://yann.lecun.com/exdb/mnist).

    Raises `InputError` if the file is something else or not complete.
    """
    try:
        content = gzip.decompress(Path(path).read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is not a complete gzip archive ({error}): replace it by the original") from error
    start = 4 + 4 * ndim
    shape = tuple(int.from_bytes(content[i : i + 4]) for i in range(4, start, 4))
    if content[:4] != bytes([0, 0, 8, ndim]) or len(content) != start + math.prod(shape):  # 8: unsigned byte
        raise InputError(f"{path} is not a complete idx file of {ndim} dimensions: replace it by the original")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_cifar10(split: str, paths: tuple[Path, ...]) -> Examples:
    """Images and labels of one split from the binary version: records of a label and 3 x 32 x 32 bytes.

    Raises `InputError` if the archive is something else or not complete.
    """
    wanted = "data_batch_" if split == "train" else "test_batch"
    try:
        with tarfile.open(paths[0]) as archive:
            members = sorted((m for m in archive if Path(m.name).name.startswith(wanted)), key=lambda m: m.name)
            contents = [archive.extractfile(member).read() for member in members]  # type: ignore[union-attr]
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise InputError(f"{paths[0]} is not a complete tar.gz archive ({error}): replace it by the original") from error
    if not contents or any(len(content) % 3073 for content in contents):
        raise InputError(f"{paths[0]} is not the binary version of CIFAR-10: replace it by the original")
    for record in np.frombuffer(b"".join(contents), np.uint8).reshape(-1, 3073):
        yield record[1:].reshape(3, 32, 32).transpose(1, 2, 0), int(record[0])


_IDX = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
_CLOTHES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR10_FILE = "cifar-10-binary.tar.gz"
ARCHIVES = {
    "mnist": Archive(tuple("0123456789"), (28, 28, 1), _IDX, read_idx_pair),
    "fashion_mnist": Archive(_CLOTHES, (28, 28, 1), _IDX, read_idx_pair),
    "cifar10": Archive(_CIFAR10, (32, 32, 3), {"train": (_CIFAR10_FILE,), "test": (_CIFAR10_FILE,)}, read_cifar10),
}


def prepare_archive(name: str, home: Path, root: Path, folder: Path) -> Path:
    """Write a data set as array_record files below `root`, and return their folder.

    The archives are those in `folder`, or else downloaded; tfds compares their checksums. The data set is written completely
    or not at all. Raises `InputError` if an archive cannot be downloaded or is not the original, or if writing fails.
    """
    builder = _builder(name, root)
    prepared = Path(builder.data_path)
    if prepared.exists():
        return prepared
    import requests
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

    downloads = home / "downloads"
    urls = {info.filename: url for url, info in builder.url_infos.items()}
    at_hand = all((folder / file).is_file() for file in urls)
    downloaded = len(list((downloads / builder.name).glob("*.gz"))) >= len(urls)
    config = tfds.download.DownloadConfig(manual_dir=folder, force_checksums_validation=True, try_download_gcs=False)
    if at_hand:
        tfds.disable_progress_bar()
    try:
        if not (at_hand or downloaded):
            requests.head(next(iter(urls.values())), timeout=20)  # without a network tfds retries for minutes
        with contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare(download_dir=downloads, download_config=config)
    except NonMatchingChecksumError as error:
        found = str(error).rsplit("\n", 1)[0]  # the last line is for tfds' developers
        raise InputError(
            f"{found}\nReplace this file by the original, or remove it to have it downloaded; archives of several data "
            f"sets go into sub-folders, those of this one into {builder.name}/"
        ) from error
    except (requests.RequestException, tfds.download.DownloadError) as error:
        wanted = "".join(f"\n  {file}  {url}" for file, url in urls.items())
        raise InputError(
            f"{builder.name} is not in {folder} and cannot be downloaded ({type(error).__name__}). Put the original archives "
            f"there, or in a folder that GAN_JAX_ARCHIVES names:{wanted}"
        ) from error
    except OSError as error:
        if not prepared.exists():  # otherwise another process has prepared it
            raise InputError(
                f"{builder.name} cannot be prepared in {prepared}: {error}. Free space there, or name "
                "another folder in TFDS_DATA_DIR"
            ) from error
    return prepared


def archive_folder(name: str, root: Path, archives: PathLike | None = None) -> Path:
    """The folder for the archives of the data set `name`: `archives`, or else `GAN_JAX_ARCHIVES`, or else below `root`.

    A sub-folder `name` of the given folder comes first. Raises `InputError` if the given folder does not exist.
    """
    given = archives or os.environ.get("GAN_JAX_ARCHIVES")
    if not given:
        return root / "archives" / name
    folder = place(given)
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}: make it, or change GAN_JAX_ARCHIVES")
    return folder / name if (folder / name).is_dir() else folder


def _builder(dataset: str, root: Path) -> Any:
    """A tfds builder that writes array_record files, with the checksums and the order of examples of tfds' own builder."""
    import tensorflow_datasets as tfds

    registered: dict[str, Any] = tfds.builder_cls(dataset).url_infos or {}
    archive = ARCHIVES[dataset]
    wanted = {file for files in archive.files.values() for file in files}
    urls = {url: info for url, info in registered.items() if info.filename in wanted}

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
        name = dataset
        VERSION = tfds.builder_cls(dataset).VERSION
        url_infos = urls

        def _info(self) -> Any:
            features = {
                "image": tfds.features.Image(shape=archive.shape),
                "label": tfds.features.ClassLabel(names=archive.class_names),
            }
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            paths = dl_manager.download({info.filename: url for url, info in urls.items()})
            return {
                split: self._generate_examples(split, tuple(Path(paths[file]) for file in files))
                for split, files in archive.files.items()
            }

        def _generate_examples(self, split: str, paths: tuple[Path, ...]) -> Iterator[tuple[Any, dict]]:
            for i, (pixels, label) in enumerate(archive.read(split, paths)):
                yield i, {"image": _png(pixels), "label": label}

    return Builder(data_dir=root, file_format="array_record")


def _png(image: np.ndarray) -> io.BytesIO:
    """The image as an open PNG file, which tfds stores unchanged; it would encode an array with TensorFlow."""
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, format="png")
    file.seek(0)  # tfds reads from the current position
    return file
