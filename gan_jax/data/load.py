"""Loading data of all kinds: a name, a folder, a zip, an .npz or an LMDB becomes a `Dataset`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from gan_jax.config import Count, CountOrNone, Share
from gan_jax.data.archives import ARCHIVES, PathLike
from gan_jax.data.dataset import Dataset
from gan_jax.data.deep import Limits
from gan_jax.data.digits import digits_source
from gan_jax.data.doodles.birds import doodle_birds
from gan_jax.data.doodles.faces import doodle_faces
from gan_jax.data.doodles.flowers import doodle_flowers
from gan_jax.data.fitting import Fit
from gan_jax.data.folder import folder_source
from gan_jax.data.lsun import is_lmdb, lmdb_source, lsun_source
from gan_jax.data.npz import npz_source
from gan_jax.data.pages import all_pages
from gan_jax.data.ranges import check_range, parse_range
from gan_jax.data.rounds import mirror, shift
from gan_jax.data.source import Example, Source, Split, random_rows
from gan_jax.data.stacked import STACKED, stack, trimmed
from gan_jax.data.store import Store
from gan_jax.data.tfds import homes, named_identity, named_source
from gan_jax.data.variation import Variation
from gan_jax.data.writing import Preparation
from gan_jax.errors import InputError
from gan_jax.files import exists, place

DRAWN: dict[str, Callable[..., Source]] = {
    "doodle_faces": doodle_faces,
    "doodle_birds": doodle_birds,
    "doodle_flowers": doodle_flowers,
}


@dataclass(frozen=True)
class PictureFlags:
    """The flags that choose the training data."""

    data: str = "digits"
    """A folder, a zip or an .npz of pictures, LSUN's LMDB folder, or a name: digits, doodle_faces, doodle_birds,
    doodle_flowers, mnist, stacked_mnist, fashion_mnist, cifar10, lsun/bedroom, or any image data set of tensorflow-datasets."""
    split: str | None = None
    """The part of a data set of tensorflow-datasets to train on, such as train[:20%]."""
    image_size: str = "32"
    """Height and width of the pictures, such as 64 or 64x96."""
    fit: Fit = "crop"
    """How pictures of another shape are fitted: crop cuts out the centre, pad fills the border, stretch distorts."""
    channels: Literal["auto", 1, 3, 4] = "auto"
    """1 grey, 3 colours, 4 with transparency; auto is 1 if all pictures are grey and 3 otherwise."""
    held_out: Share = 0.05
    """Share of the pictures held out for scores, of a folder, zip, .npz or LMDB that has no held-out part of its own."""
    limit: Count | None = None
    """Number of pictures to use, at random but always the same (of an LMDB the first)."""
    range: str | None = None
    """Of pictures of more than 8 bits, signed ones and floats, the values that become black and white, such as
    --range=0,4095 or --range=-1,1. Without it they are found in all pictures together, or asked for."""
    pages: Literal["first", "all"] | None = None
    """Of TIFF with several pages and of animations: the first page or frame (default), or each as a picture of its own."""
    label_column: str | None = None
    """The column of a table beside the pictures, numbers or words, or the array of an .npz, that holds the classes."""
    caption_column: str | None = None
    """The column of a table beside the pictures that holds the captions; default those named caption, captions or text."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width); raises `InputError` if `image_size` is not a size."""
        return parse_size(self.image_size)

    def load(self) -> Dataset:
        """`load` with these flags, and its errors."""
        return load(
            self.data,
            self.size,
            split=self.split,
            fit=self.fit,
            channels=self.channels,
            held_out=self.held_out,
            limit=self.limit,
            value_range=parse_range(self.range),
            pages=self.pages or "first",
            label_column=self.label_column,
            caption_column=self.caption_column,
        )

    def source(self) -> Source:
        """`open_source` with these flags, and its errors."""
        return open_source(
            self.data,
            self.size,
            split=self.split,
            held_out=self.held_out,
            limit=self.limit,
            pages=self.pages or "first",
            label_column=self.label_column,
            caption_column=self.caption_column,
        )


@dataclass(frozen=True)
class VariationFlags:
    """The flags that vary pictures from round to round."""

    mirror: bool = False
    """Show the pictures as they are and mirrored left to right, at random."""
    crop: CountOrNone = 0
    """Shift each picture at random by up to so many pixels each way, its edge reflected."""

    def variations(self) -> tuple[Variation, ...]:
        """What `Rounds` takes."""
        return (mirror(),) * self.mirror + (shift(self.crop),) * (self.crop > 0)


def parse_size(text: str) -> tuple[int, int]:
    """(height, width) of "64" or "64x96", height first; raises `InputError` for anything else."""
    parts = text.lower().split("x")
    if len(parts) not in (1, 2) or not all(part.isdecimal() and 1 <= int(part) <= 4096 for part in parts):
        raise InputError(f"image size {text!r}: give one number of pixels, such as 64, or height x width, such as 64x96")
    return int(parts[0]), int(parts[-1])


def load(
    data: PathLike,
    size: tuple[int, int],
    *,
    split: str | None = None,
    fit: Fit = "crop",
    channels: Literal["auto", 1, 3, 4] = "auto",
    held_out: Share = 0.05,
    limit: int | None = None,
    value_range: Limits | None = None,
    pages: Literal["first", "all"] = "first",
    label_column: str | None = None,
    caption_column: str | None = None,
    cache: Path | None = None,
) -> Dataset:
    """The data chosen by these arguments (see `PictureFlags`), decoded and fitted to `size` (height, width).

    `value_range` is (low, high), see `gan_jax.data.ranges`. The decoded pictures are cached in `cache` (default:
    `gan_jax.files.default_cache`) and mapped from there.
    Raises `InputError` with the cure if there are no such data, or if they cannot be used.
    """
    if _is_stacked(data):
        return _load_stacked(str(data), size, channels, split, fit, limit, cache)
    limits = None if value_range is None else check_range(value_range)
    how, store = Preparation(size, fit, channels, limits), Store(cache)
    usual = limit is None and label_column is None and caption_column is None and pages == "first"
    identity = _quick_identity(str(data), split) if usual else None
    if identity and (dataset := store.find(str(data), identity, how)):
        return dataset
    columns = {"label_column": label_column, "caption_column": caption_column}
    source = open_source(data, size, split=split, held_out=held_out, limit=limit, pages=pages, **columns)
    return store.prepared(source, how)


def open_source(
    data: PathLike,
    size: tuple[int, int],
    *,
    split: str | None = None,
    held_out: Share = 0.05,
    limit: int | None = None,
    pages: Literal["first", "all"] = "first",
    label_column: str | None = None,
    caption_column: str | None = None,
) -> Source:
    """The `Source` that `load` decodes; doodles and digits are drawn at `size` (height, width).

    Raises `InputError` with the cure if there are no such data.
    """
    if not 0 <= held_out < 1:
        raise InputError(f"--held-out {held_out}: choose a share of 0 or more and less than 1")
    if limit is not None and limit < 2:
        raise InputError(f"--limit {limit} leaves too few pictures: choose a few hundred or more")
    source = _opened(data, size, split, held_out, limit, label_column, caption_column)
    if _is_stacked(data):
        return source  # of limited digits
    if pages == "all":
        source = all_pages(source)
    return limited(source, limit)


def _opened(
    data: PathLike,
    size: tuple[int, int],
    split: str | None,
    held_out: float,
    limit: int | None,
    label_column: str | None,
    caption_column: str | None,
) -> Source:
    name = str(data)
    if _is_stacked(data):
        return _source(_load_stacked(name, size, "auto", split, "crop", limit, None))
    path = place(data)
    there, at_lmdb = exists(path), is_lmdb(path)
    if there and not (path.is_file() or path.is_dir()):
        raise InputError(f"{path} is neither a file nor a folder: give a folder, a zip or an .npz of pictures")
    drawn = name == "digits" or name in DRAWN
    if split is not None and (there or drawn or name.startswith("lsun/")):
        raise InputError(
            f"--split is for data sets of tensorflow-datasets, and {name} is not one: leave it out, or use --limit"
        )
    of_files = not drawn and not at_lmdb and (there or not _is_name(name))
    if label_column is not None and not of_files:
        raise InputError(f"--label-column is for tables beside pictures and for .npz files, and {name} has none: leave it out")
    if caption_column is not None and (not of_files or path.suffix == ".npz"):
        raise InputError(f"--caption-column is for tables beside pictures, and {name} has none: leave it out")
    if drawn:
        return digits_source(size) if name == "digits" else DRAWN[name](size=size)
    if at_lmdb:
        return lmdb_source(path.resolve(), held_out, limit)
    if path.suffix == ".npz" and there and path.is_file():
        return npz_source(path, held_out, label_column)
    if name.startswith("lsun/"):
        return lsun_source(name.removeprefix("lsun/"), homes()[1] / "archives", held_out, limit)
    if of_files:
        return folder_source(path, held_out=held_out, limit=limit, label_column=label_column, caption_column=caption_column)
    return named_source(name, split)


def _is_stacked(data: PathLike) -> bool:
    return str(data) in STACKED and not exists(Path(data))


def _load_stacked(
    name: str,
    size: tuple[int, int],
    channels: Literal["auto", 1, 3, 4],
    split: str | None,
    fit: Fit,
    limit: int | None,
    cache: Path | None,
) -> Dataset:
    """At 28x28 the pixels are MNIST's own; at other sizes those of its digits with a border of two pixels, resized."""
    if channels not in ("auto", 3):
        raise InputError(f"--channels {channels}: {name} has a digit in each of three colours; leave it out")
    own = size == (28, 28)
    grey = load(STACKED[name], (32, 32) if own else size, split=split, fit=fit, channels=1, limit=limit, cache=cache)
    return stack(name, trimmed(grey, 2) if own else grey)


def _source(dataset: Dataset) -> Source:
    """The fixed examples of a data set that is not read from files."""

    def split(images: np.ndarray) -> Split:
        return Split(len(images), lambda i: Example(np.asarray(images[i])))

    splits = {"train": dataset.train, "held_out": dataset.held_out}
    return Source(
        dataset.name,
        dataset.fingerprint,
        {name: split(arrays["image"]) for name, arrays in splits.items() if arrays},
        notes=dataset.notes,
    )


def limited(source: Source, limit: int | None) -> Source:
    """The source with at most `limit` training examples, chosen at random but always the same."""
    train = source.splits["train"]
    if limit is None or limit >= train.size:  # a folder and an LMDB have chosen already
        return source
    chosen = random_rows(train.size, limit)
    fewer = Split(limit, lambda i: train.read(chosen[i]))
    return replace(source, splits={**source.splits, "train": fewer}, identity=f"{source.identity} limit {limit}")


def _quick_identity(name: str, split: str | None) -> str | None:
    """The identity of a data set that is prepared already, found without importing tensorflow-datasets; else None."""
    return named_identity(name, split) if name in ARCHIVES and not exists(Path(name)) else None


def _is_name(text: str) -> bool:
    """Whether tensorflow-datasets may have the name: words, perhaps with a configuration after a slash."""
    parts = text.split("/")
    return (
        len(parts) <= 2 and all(part and part.replace("_", "").replace("-", "").isalnum() for part in parts) and "." not in text
    )
