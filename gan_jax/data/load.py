"""One door to all data: a name, a folder, a zip, an .npz or an LMDB becomes a `Dataset`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gan_jax.data.archives import ARCHIVES, PathLike
from gan_jax.data.dataset import Dataset
from gan_jax.data.digits import digits_source
from gan_jax.data.doodles.birds import doodle_birds
from gan_jax.data.doodles.faces import doodle_faces
from gan_jax.data.doodles.flowers import doodle_flowers
from gan_jax.data.folder import folder_source
from gan_jax.data.lsun import is_lmdb, lmdb_source, lsun_source
from gan_jax.data.npz import npz_source
from gan_jax.data.pictures import Fit
from gan_jax.data.source import Source, Split, random_rows
from gan_jax.data.store import Preparation, Store
from gan_jax.data.tfds import homes, named_identity, named_source
from gan_jax.errors import InputError

DRAWN: dict[str, Callable[..., Source]] = {
    "doodle_faces": doodle_faces,
    "doodle_birds": doodle_birds,
    "doodle_flowers": doodle_flowers,
}


@dataclass(frozen=True)
class PictureFlags:
    """The flags that say what to learn from."""

    data: str = "digits"
    """A folder, a zip or an .npz of pictures, LSUN's LMDB folder, or a name: digits, doodle_faces, doodle_birds,
    doodle_flowers, mnist, fashion_mnist, cifar10, lsun/bedroom, or any image data set of tensorflow-datasets."""
    split: str | None = None
    """Of a data set of tensorflow-datasets, such as train[:20%]."""
    image_size: str = "32"
    """Height and width of the pictures, such as 64 or 64x96."""
    fit: Fit = "crop"
    """How pictures of another shape are fitted: cut the middle out, fill up the border, or distort."""
    channels: Literal["auto", 1, 3, 4] = "auto"
    """1 grey, 3 colours, 4 with transparency; auto is 1 for grey pictures and 3 for others."""
    held_out: float = 0.05
    """Share of a folder's pictures that is kept for measurements and not trained on."""
    limit: int | None = None
    """Take only so many pictures to train on, drawn from all (of an LMDB the first)."""

    @property
    def size(self) -> tuple[int, int]:
        return parse_size(self.image_size)

    def load(self) -> Dataset:
        return load(
            self.data,
            self.size,
            split=self.split,
            fit=self.fit,
            channels=self.channels,
            held_out=self.held_out,
            limit=self.limit,
        )


def parse_size(text: str) -> tuple[int, int]:
    """ "64" or "64x96", height first, as (height, width); raises `InputError` for anything else."""
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
    held_out: float = 0.05,
    limit: int | None = None,
    cache: Path | None = None,
) -> Dataset:
    """The data that `PictureFlags` describes, decoded and fitted to `size` (height, width).

    The result is kept in `cache` (`gan_jax.data.store.default_cache`) and mapped from there; the next time is quick.
    Raises `InputError` if there is no such thing, or if it cannot be used.
    """
    if not 0 <= held_out < 1:
        raise InputError(f"--held-out {held_out}: choose a share of 0 or more and less than 1")
    how, store = Preparation(size, fit, channels), Store(cache)
    identity = None if limit else _quick_identity(str(data), split)
    if identity and (dataset := store.find(str(data), identity, how)):
        return dataset
    return store.prepared(open_source(data, size, split=split, held_out=held_out, limit=limit), how)


def open_source(
    data: PathLike, size: tuple[int, int], *, split: str | None = None, held_out: float = 0.05, limit: int | None = None
) -> Source:
    """The reader of the same; drawn pictures are drawn at `size`."""
    name = str(data)
    if limit is not None and limit < 2:
        raise InputError(f"--limit {limit} leaves nothing to learn from: choose a few hundred or more")
    try:
        path = Path(data).expanduser()
        exists, at_lmdb = path.exists(), is_lmdb(path)
    except (OSError, RuntimeError) as error:
        raise InputError(f"cannot look at {name[:200]}: {error}") from error
    if split is not None and (exists or name in DRAWN or name == "digits" or name.startswith("lsun/")):
        raise InputError(f"--split is for data sets of tensorflow-datasets, and {name} is none: leave it out, or use --limit")
    if name == "digits":
        return limited(digits_source(size), limit)
    if name in DRAWN:
        return limited(DRAWN[name](size=size), limit)
    if at_lmdb:
        return lmdb_source(path.resolve(), held_out, limit)
    if path.suffix == ".npz" and exists:
        return limited(npz_source(path, held_out), limit)
    if name.startswith("lsun/"):
        return lsun_source(name.removeprefix("lsun/"), homes()[1] / "archives", held_out, limit)
    if exists or not _is_name(name):
        return folder_source(path, held_out=held_out, limit=limit)
    return limited(named_source(name, split), limit)


def limited(source: Source, limit: int | None) -> Source:
    """The source with at most `limit` training examples, drawn from all, always the same."""
    train = source.splits["train"]
    if limit is None or limit >= train.size:
        return source
    chosen = random_rows(train.size, limit)
    fewer = Split(limit, lambda i: train.read(chosen[i]))
    return replace(source, splits={**source.splits, "train": fewer}, identity=f"{source.identity} limit {limit}")


def _quick_identity(name: str, split: str | None) -> str | None:
    """Of a set that is prepared already, without importing anything; None for all else."""
    return named_identity(name, split) if name in ARCHIVES and not Path(name).exists() else None


def _is_name(text: str) -> bool:
    """Whether it may be tensorflow-datasets': lower case words, perhaps with a configuration after a slash."""
    parts = text.split("/")
    return (
        len(parts) <= 2 and all(part and part.replace("_", "").replace("-", "").isalnum() for part in parts) and "." not in text
    )
