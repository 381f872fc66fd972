"""Data sets of tensorflow-datasets by name, read by random access without TensorFlow.

They are prepared once as array_record files: MNIST, Fashion-MNIST and CIFAR-10 by `gan_jax.data.archives`, all others by
tensorflow-datasets' own builders, which need TensorFlow for that (the extra `prepare`).
"""

import contextlib
import difflib
import hashlib
import importlib.util
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gan_jax.data.archives import ARCHIVES, PathLike, archive_folder, prepare_archive
from gan_jax.data.source import Example, Source, Split
from gan_jax.errors import InputError
from gan_jax.files import place

HELD_OUT_SPLITS = ("test", "validation", "val", "valid")
_BLOCK = 512  # examples read at once: one at a time takes five times as long


def named_source(
    name: str, split: str | None = None, data_dir: PathLike | None = None, archives: PathLike | None = None
) -> Source:
    """A data set of tensorflow-datasets, such as "celeb_a" or "coco_captions/2014".

    `split` (default "train") is the part to train on in the syntax of tfds: "train[:20%]", "train+validation". The test or
    validation examples are held out, or the last twentieth where there is only a training split. Prepared data sets are in a
    folder of their own below `data_dir`, or else `TFDS_DATA_DIR`, or else ~/tensorflow_datasets. Archives are taken from
    `archives` or `GAN_JAX_ARCHIVES`, or a sub-folder of the data set's name there; missing ones are downloaded.

    Labels are the feature `label`, attributes a dictionary of truth values (CelebA), captions the feature `captions` (COCO).
    Raises `InputError` for unknown names and splits, for data sets without pictures, and if preparing one fails.
    """
    home, root = homes(data_dir)
    folder = _prepared_folder(name, root) or _prepare(name, home, root, archives)
    return _source(name, folder, split, _identity(folder, split))


def named_identity(name: str, split: str | None = None, data_dir: PathLike | None = None) -> str | None:
    """The identity of `named_source`, without tensorflow-datasets; None if the data set is not prepared yet."""
    folder = _prepared_folder(name, homes(data_dir)[1])
    return None if folder is None else _identity(folder, split)


def _identity(folder: Path, split: str | None) -> str:
    return f"tfds {hashlib.sha256((folder / 'dataset_info.json').read_bytes()).hexdigest()} {split}"


def homes(data_dir: PathLike | None = None) -> tuple[Path, Path]:
    """The folder of tfds, and the one in it for array_record files: tfds keeps one format a folder, by default another."""
    home = place(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")
    return home, home / "gan_jax_array_record"


def _prepared_folder(name: str, root: Path) -> Path | None:
    """The folder of the newest prepared version, root/name[/config]/version.

    Raises `InputError` if there are several configurations.
    """
    found = [path.parent for depth in ("*", "*/*") for path in (root / name).glob(f"{depth}/features.json")]
    versions = [path for path in found if re.fullmatch(r"\d+\.\d+\.\d+", path.name)]
    configurations = {path.parent.name for path in versions}
    if len(configurations) > 1:
        raise InputError(
            f"{name} is prepared in several configurations: say which, {name}/{f' or {name}/'.join(sorted(configurations))}"
        )
    return max(versions, key=lambda path: [int(number) for number in path.name.split(".")], default=None)


def _prepare(name: str, home: Path, root: Path, archives: PathLike | None) -> Path:
    """Prepare a data set and return its folder; raises `InputError` with the cure if that fails."""
    try:
        import tensorflow_datasets as tfds  # 0.5 s
    except ModuleNotFoundError as error:
        needed = "tensorflow-datasets importlib_resources"  # tfds 4.9.10 does not declare the second
        raise InputError(f"{name} needs the package {error.name}: pip install {needed}") from error
    if name in ARCHIVES:
        return prepare_archive(name, home, root, archive_folder(name, root, archives))
    known = tfds.list_builders(with_community_datasets=False)
    base = name.split("/")[0]
    if base not in known:
        near = difflib.get_close_matches(base, known, n=3, cutoff=0.5)
        hint = f"the nearest names are {', '.join(near)}" if near else "see https://www.tensorflow.org/datasets/catalog"
        raise InputError(f"there is no file and no data set {name!r} in tensorflow-datasets; {hint}")
    if importlib.util.find_spec("tensorflow") is None:
        raise InputError(
            f"{name} must be prepared once with TensorFlow, which is not installed: pip install tensorflow, and run "
            f"the same command again. It will be kept in {root / name}; afterwards TensorFlow is not needed"
        )
    return _prepare_by_tensorflow(name, home, root, archive_folder(base, root, archives))


def _prepare_by_tensorflow(name: str, home: Path, root: Path, folder: Path) -> Path:
    import tensorflow_datasets as tfds

    manual = ""
    config = tfds.download.DownloadConfig(manual_dir=folder if folder.is_dir() else None, try_download_gcs=False)
    try:
        builder = tfds.builder(name, data_dir=root, file_format="array_record")
        manual = (builder.MANUAL_DOWNLOAD_INSTRUCTIONS or "").strip()
        with contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare(download_dir=home / "downloads", download_config=config)
        return Path(builder.data_path)
    except Exception as error:  # tfds raises a dozen types for a missing or wrong archive
        how = f"It must be downloaded by hand:\n{manual}\n" if manual else "Its archives can also be downloaded by hand. "
        raise InputError(
            f"{name} cannot be prepared: {type(error).__name__}: {str(error)[:500]}\n{how}Put the files into {folder}, "
            "or into the sub-folder of that name in a folder that GAN_JAX_ARCHIVES names, and run the same command again"
        ) from error


def _source(name: str, folder: Path, split: str | None, identity: str) -> Source:
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(folder)
    features = dict(builder.info.features)
    image = _image_feature(name, features, tfds)
    label = next((key for key in ("label", "labels") if isinstance(features.get(key), tfds.features.ClassLabel)), None)
    attributes = _attribute_names(features)
    captioned = "captions" in features
    skipped = {key: tfds.decode.SkipDecoding() for key, kind in features.items() if isinstance(kind, tfds.features.Image)}

    def example(record: Mapping[str, Any]) -> Example:
        return Example(
            image=record[image],
            label=int(record[label]) if label else None,
            attributes=tuple(float(record["attributes"][key]) for key in attributes),
            captions=_texts(record["captions"]) if captioned else (),
        )

    def labelled(part: str) -> bool:
        """Whether a split has labels: those of the test splits of competitions are all -1."""
        rows = builder.as_data_source(split=part, decoders=skipped)
        return label is None or len(rows) == 0 or int(rows[0][label]) >= 0

    chosen = _splits([part for part in builder.info.splits if part not in HELD_OUT_SPLITS or labelled(part)], split)
    splits = {}
    for ours, theirs in chosen.items():
        try:
            source = builder.as_data_source(split=theirs, decoders=skipped)
        except (ValueError, KeyError, AssertionError) as error:
            names = ", ".join(builder.info.splits)
            raise InputError(f"{name} has no split {theirs!r}: its splits are {names}, such as train[:20%]") from error
        splits[ours] = Split(len(source), _in_blocks(source, example))
    return Source(
        name=name,
        identity=identity,
        splits=splits,
        class_names=tuple(features[label].names) if label else (),
        attribute_names=attributes,
        captioned=captioned,
        border=2 if name in ("mnist", "fashion_mnist") else 0,
    )


def _image_feature(name: str, features: dict[str, Any], tfds: Any) -> str:
    found = [key for key, kind in features.items() if type(kind) is tfds.features.Image]
    if not found:
        raise InputError(f"{name} has no pictures: its features are {', '.join(features)}")
    return next((key for key in ("image", "hr") if key in found), found[0])  # DIV2K has hr and lr


def _attribute_names(features: dict[str, Any]) -> tuple[str, ...]:
    kinds: Any = features.get("attributes")
    return tuple(kinds.keys()) if hasattr(kinds, "keys") else ()


def _texts(captions: Any) -> tuple[str, ...]:
    """The captions of COCO's feature, a dictionary of lists of equal length, or of a list of texts."""
    texts = captions["text"] if isinstance(captions, Mapping) else captions
    return tuple(text.decode() if isinstance(text, bytes) else str(text) for text in texts)


def _splits(known: list[str], asked: str | None) -> dict[str, str]:
    train = asked or "train"
    taken = re.findall(r"\w+", train)
    if "all" in taken:
        return {"train": train}
    held_out = next((split for split in HELD_OUT_SPLITS if split in known and split not in taken), None)
    if held_out:
        return {"train": train, "held_out": held_out}
    return {"train": "train[:95%]", "held_out": "train[95%:]"} if train == "train" else {"train": train}


def _in_blocks(source: Any, example: Callable[[Mapping[str, Any]], Example]) -> Callable[[int], Example]:
    """A function that gives example i of a random-access source, and reads it with its neighbours."""
    lock = threading.Lock()
    block: tuple[int, Any] = (-1, [])

    def read(i: int) -> Example:
        nonlocal block
        with lock:
            if block[0] != i // _BLOCK:
                start = i - i % _BLOCK
                block = (i // _BLOCK, source.__getitems__(range(start, min(start + _BLOCK, len(source)))))
            record = block[1][i % _BLOCK]
        return example(record)

    return read
