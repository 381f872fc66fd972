"""A cache of decoded and fitted pictures: uint8 arrays in files that are mapped into memory.

A data set in one preparation is a folder NAME-KEY with a file of bytes for each array, and meta.json. It is written under
another name and renamed when it is complete, so that a killed process leaves nothing that could pass for a data set.
"""

import contextlib
import errno
import json
import re
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from gan_jax import files
from gan_jax.data.dataset import Dataset
from gan_jax.data.pictures import values
from gan_jax.data.source import Source, Unreadable
from gan_jax.data.writing import mapped_array
from gan_jax.errors import InputError
from gan_jax.locks import Lock, one_at_a_time
from gan_jax.rows import evenly

FOLDERS = ("features", "judges", "lmdb")  # of `gan_jax.evaluation` and `gan_jax.data.lsun`
FORMAT = 1  # version of the folders; those of another version are not used


@runtime_checkable
class How(Protocol):
    """A way of preparing pictures, such as `Preparation`."""

    def described(self) -> dict[str, Any]:
        """What a name of the cache depends on."""

    def nbytes(self, source: Source) -> int:
        """The bytes that it takes at most, 0 where that is not known before."""

    def write(self, source: Source, folder: Path, identity: Mapping[str, Any]) -> None:
        """Write the arrays of all splits, and meta.json with `identity`; raises `InputError` for too few pictures."""


class Store:
    """A folder of prepared data sets, by default `gan_jax.files.default_cache()`."""

    def __init__(self, folder: Path | None = None):
        self.folder = folder or files.default_cache()

    def prepared(self, source: Source, how: How) -> Dataset:
        """The data set from the cache, or else read, fitted and kept there.

        Raises `InputError` if more than 1 % of the pictures are unreadable, or if the disk is too small for the result.
        """
        dataset = self.find(source.name, source.identity, how)
        if dataset is None or _is_outdated(self.place(source.name, source.identity, how), source):
            return self.build(source, how)
        return dataset

    def place(self, name: str, identity: str, how: How) -> Path:
        """The folder of one data set in one preparation."""
        key = files.identity([json.dumps([FORMAT, identity, how.described()])])
        return self.folder / f"{''.join(c if c.isalnum() else '_' for c in name)}-{key}"

    def find(self, name: str, identity: str, how: How) -> Dataset | None:
        """The prepared data set; None if there is none, or if its files are not complete."""
        return _open(self.place(name, identity, how))

    def build(self, source: Source, how: How) -> Dataset:
        """Read, fit and keep the data set, also where the cache has it already; raises `InputError` as `prepared` does."""
        final = self.place(source.name, source.identity, how)
        unfinished = final.with_name(f"{final.name}.{uuid.uuid4().hex}.partial")
        lock = Lock(unfinished.with_name(f"{unfinished.name}.lock"))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
            unfinished.mkdir()
            _forget_dead(self.folder)
            _check_room(source, how, self.folder)
            identity = {"identity": source.identity, "place": source.place, "how": how.described()}
            how.write(source, unfinished, identity)
            dataset = _settle(unfinished, final)
            _forget_older(self.folder, final.name, identity)
            return dataset
        except OSError as error:
            raise InputError(
                f"cannot keep the decoded pictures in {self.folder}: {error.strerror or error}. Free space there, or name "
                "another folder in the environment variable GAN_JAX_CACHE"
            ) from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
            lock.remove()

    def entries(self) -> list["Entry"]:
        """What is kept here, each data set by itself, features and classifiers together; largest first."""
        found = [Entry(path, _bytes_in(path), _about(path)) for path in self.folder.glob("*") if _is_kept(path)]
        return sorted(found, key=lambda entry: -entry.nbytes)

    def clear(self) -> list["Entry"]:
        """Remove all of `entries`, which are returned; processes that have one open keep it until they end."""
        removed = self.entries()
        for entry in removed:
            shutil.rmtree(entry.path, ignore_errors=True)
        return removed


class Entry(NamedTuple):
    """A folder in the cache: its bytes, and what it holds in words."""

    path: Path
    nbytes: int
    about: str


def _is_kept(path: Path) -> bool:
    """Whether the folder was made here, and not by somebody else in a folder that is now taken for the cache."""
    made = path.name in FOLDERS or ((path / "meta.json").is_file() and re.fullmatch(r".*-[0-9a-f]{16}", path.name) is not None)
    return made and path.is_dir() and not path.is_symlink()


def _about(path: Path) -> str:
    if path.name in FOLDERS:
        return ""
    meta = read_meta(path)
    try:
        splits = {name.replace("_", " "): arrays for name, arrays in meta["splits"].items()}
        if all("size" in arrays for arrays in splits.values()):  # whole pictures
            return ", ".join(f"{arrays['size']['shape'][0]:,} {name} of all sizes" for name, arrays in splits.items())
        shapes = {name: arrays["image"]["shape"] for name, arrays in splits.items()}
        return ", ".join(f"{n:,} {name} of {h}x{w}x{c}" for name, (n, h, w, c) in shapes.items())
    except (KeyError, TypeError, ValueError, AttributeError):
        return "damaged"


def _bytes_in(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _is_outdated(folder: Path, source: Source) -> bool:
    """Whether pictures of more than 8 bits were kept before they had one range for the set; a few are looked at."""
    if "how" in read_meta(folder):
        return False
    split = source.splits["train"]
    try:
        outdated = any(values(split.read(int(i)).image) is not None for i in evenly(split.size, 16))
    except (Unreadable, OSError):
        return False
    if outdated:
        shutil.rmtree(folder, ignore_errors=True)
    return outdated


def _settle(unfinished: Path, final: Path) -> Dataset:
    """Rename the folder, unless another process has completed the same one; one process at a time."""
    with one_at_a_time(final.parent / ".lock"):
        if (dataset := _open(final)) is not None:
            return dataset
        shutil.rmtree(final, ignore_errors=True)  # damaged
        unfinished.rename(final)
        return _read(final)


def _open(folder: Path) -> Dataset | None:
    try:
        return _read(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read(folder: Path) -> Dataset:
    meta = json.loads((folder / "meta.json").read_text())
    splits = {
        split: {name: mapped_array(folder / f"{split}.{name}", **spec) for name, spec in arrays.items()}
        for split, arrays in meta["splits"].items()
    }
    return Dataset(
        name=meta["name"],
        train=splits["train"],
        held_out=splits.get("held_out", {}),
        class_names=tuple(meta["class_names"]),
        attribute_names=tuple(meta["attribute_names"]),
        notes=tuple(meta["notes"]),
        stored_fingerprint=meta["fingerprint"],
    )


def _forget_older(folder: Path, name: str, identity: Mapping[str, Any]) -> None:
    """Remove what the same place held before, in the same preparation; processes that have it open keep it."""
    if not identity["place"]:
        return
    for path in folder.glob(f"{name.rpartition('-')[0]}-*/meta.json"):
        known = read_meta(path.parent)
        if path.parent.name != name and all(known.get(key) == _plain(identity[key]) for key in ("place", "how")):
            shutil.rmtree(path.parent, ignore_errors=True)


def read_meta(folder: Path) -> dict[str, Any]:
    """What a prepared folder says of itself; {} if it cannot be read."""
    try:
        meta = json.loads((folder / "meta.json").read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return meta if isinstance(meta, dict) else {}


def _plain(value: Any) -> Any:
    """The value as JSON gives it back."""
    return json.loads(json.dumps(value))


def _check_room(source: Source, how: How, folder: Path) -> None:
    needed = how.nbytes(source)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(errno.ENOSPC, f"{needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB free")


def _forget_dead(folder: Path) -> None:
    """Remove the unfinished folders of processes that have ended, whatever their data and their machine."""
    for path in folder.glob("*.partial"):
        lock = Lock(path.with_name(f"{path.name}.lock"))
        with contextlib.suppress(OSError):
            if lock.acquire():
                shutil.rmtree(path, ignore_errors=True)
                lock.remove()
