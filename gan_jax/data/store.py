"""A cache of decoded and fitted pictures: uint8 arrays in files that are mapped into memory.

A data set in one preparation is a folder NAME-KEY with a file of bytes for each array, and meta.json. It is written under
another name and renamed when it is complete, so that a killed process leaves nothing that could pass for a data set.
"""

import contextlib
import errno
import json
import os
import shutil
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from tqdm import tqdm

from gan_jax import files
from gan_jax.data import captions
from gan_jax.data.dataset import Arrays, Dataset, fingerprint
from gan_jax.data.pictures import Fit, decode, is_grey
from gan_jax.data.source import Source, Split, Unreadable
from gan_jax.errors import InputError
from gan_jax.locks import Lock, one_at_a_time
from gan_jax.rows import chunks

FORMAT = 1  # version of the folders; those of another version are not used
MOST_CAPTIONS, LONGEST_CAPTION = 16, 1000  # of one picture; in bytes; anything beyond is dropped
TOLERATED = 0.01  # share of the pictures that may be unreadable
_CHUNK = 512  # pictures decoded at once


@dataclass(frozen=True)
class Preparation:
    """How pictures are decoded: `size` (height, width), see `gan_jax.data.pictures.decode`; "auto" channels are 1 or 3."""

    size: tuple[int, int]
    fit: Fit = "crop"
    channels: Literal["auto", 1, 3, 4] = "auto"


def default_cache() -> Path:
    """`GAN_JAX_CACHE`, or else gan_jax in the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("GAN_JAX_CACHE") or Path(home) / "gan_jax").expanduser()


class Store:
    """A folder of prepared data sets, by default `default_cache()`."""

    def __init__(self, folder: Path | None = None):
        self.folder = folder or default_cache()

    def prepared(self, source: Source, how: Preparation) -> Dataset:
        """The data set from the cache, or else read, fitted and kept there.

        Raises `InputError` if more than 1 % of the pictures are unreadable, or if the disk is too small for the result.
        """
        return self.find(source.name, source.identity, how) or self.build(source, how)

    def place(self, name: str, identity: str, how: Preparation) -> Path:
        """The folder of one data set in one preparation."""
        key = files.identity([json.dumps([FORMAT, identity, asdict(how)])])
        return self.folder / f"{''.join(c if c.isalnum() else '_' for c in name)}-{key}"

    def find(self, name: str, identity: str, how: Preparation) -> Dataset | None:
        """The prepared data set; None if there is none, or if its files are not complete."""
        return _open(self.place(name, identity, how))

    def build(self, source: Source, how: Preparation) -> Dataset:
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
            _write(source, how, unfinished)
            return _settle(unfinished, final)
        except OSError as error:
            raise InputError(
                f"cannot keep the decoded pictures in {self.folder}: {error.strerror or error}. Free space there, or name "
                "another folder in the environment variable GAN_JAX_CACHE"
            ) from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
            lock.remove()


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
        split: {name: _map(folder / f"{split}.{name}", **spec) for name, spec in arrays.items()}
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


def _map(path: Path, shape: list[int], dtype: str) -> np.ndarray:
    if path.stat().st_size != np.dtype(dtype).itemsize * np.prod(shape, dtype=np.int64):
        raise ValueError(f"{path} is not complete")
    return np.memmap(path, dtype, mode="r", shape=tuple(shape))


def _write(source: Source, how: Preparation, folder: Path) -> None:
    """Write all splits and meta.json; raises `InputError` for too few readable pictures."""
    lost: list[str] = []
    total = sum(split.size for split in source.splits.values())
    with tqdm(total=total, desc=f"reading {source.name}", unit=" pictures", disable=None) as bar:
        written = {name: _write_split(source, name, how, folder, lost, bar) for name in source.splits}
    if len(lost) > TOLERATED * total or "train" not in written or not written["train"].known:
        raise InputError(_refusal(source, lost, total))
    if how.channels == "auto" and all(split.grey for split in written.values()):
        for name in written:
            _keep_one_channel(folder / f"{name}.image")
    specs = {name: _write_sides(source, name, split.known, how, folder) for name, split in written.items() if split.known}
    mapped = {field: _map(folder / f"train.{field}", **spec) for field, spec in specs["train"].items()}
    meta = {
        "name": source.name,
        "splits": specs,
        "class_names": source.class_names,
        "attribute_names": source.attribute_names,
        "notes": [*source.notes, *(f"skipped, not readable: {line}" for line in lost)],
        "fingerprint": fingerprint(mapped),
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=1))


class _Written(NamedTuple):
    known: list[tuple[Any, ...]]  # label, attributes and captions of each readable picture
    grey: bool


def _write_split(source: Source, name: str, how: Preparation, folder: Path, lost: list[str], bar: tqdm) -> _Written:
    known, grey = [], True
    with (folder / f"{name}.image").open("wb") as file:
        split = source.splits[name]
        for rows in chunks(split.size, _CHUNK):
            indices = range(rows.start, rows.stop)
            found = _decode_chunk(split, indices, how, source.border, lost)
            bar.update(len(indices))
            if found:
                pictures = np.stack([picture for picture, _ in found])
                grey = grey and is_grey(pictures)
                file.write((_luma(pictures) if how.channels == 1 else pictures).tobytes())
                known += [sides for _, sides in found]
    return _Written(known, grey)


def _decode_chunk(
    split: Split, indices: range, how: Preparation, border: int, lost: list[str]
) -> list[tuple[np.ndarray, tuple[Any, ...]]]:
    """The readable pictures in order, each with label, attributes and captions; the errors of the others go to `lost`."""

    def one(i: int) -> tuple[np.ndarray, tuple[Any, ...]] | str:
        try:
            image, *sides = split.read(i)
            return decode(image, how.size, how.fit, channels=4 if how.channels == 4 else 3, border=border), tuple(sides)
        except Unreadable as error:
            return str(error)
        except OSError as error:
            return f"picture {i}: {error}"

    with ThreadPoolExecutor(max(os.cpu_count() or 1, 2)) as pool:
        results = list(pool.map(one, indices))
    lost += [result for result in results if isinstance(result, str)]
    return [result for result in results if not isinstance(result, str)]


def _write_sides(source: Source, name: str, known: list[tuple[Any, ...]], how: Preparation, folder: Path) -> dict[str, Any]:
    """Write labels, attributes and captions; returns shapes and types of these and of the pictures."""
    labels, attributes, texts = zip(*known, strict=True)
    arrays: Arrays = {}
    if source.class_names:
        arrays["label"] = np.asarray(labels, np.int32)
    if source.attribute_names:
        arrays["attributes"] = np.asarray(attributes, np.float32)
    if source.captioned:
        arrays["caption"] = captions.encode(texts, most=MOST_CAPTIONS, length=LONGEST_CAPTION)
    for field, array in arrays.items():
        (folder / f"{name}.{field}").write_bytes(array.tobytes())
    size = (folder / f"{name}.image").stat().st_size
    channels = size // (len(known) * how.size[0] * how.size[1])
    return {
        "image": {"shape": [len(known), *how.size, channels], "dtype": "uint8"},
        **{field: {"shape": list(array.shape), "dtype": str(array.dtype)} for field, array in arrays.items()},
    }


def _luma(pictures: np.ndarray) -> np.ndarray:
    """Brightness (ITU-R BT.601) of pictures (n, h, w, 3), as (n, h, w, 1)."""
    return np.rint(pictures @ np.array([0.299, 0.587, 0.114]))[..., None].astype(np.uint8)


def _keep_one_channel(path: Path) -> None:
    """Keep the first of three equal channels."""
    with files.whole(path) as unfinished, path.open("rb") as coloured, unfinished.open("wb") as grey:
        while chunk := coloured.read(3 << 20):
            grey.write(chunk[::3])


def _refusal(source: Source, lost: list[str], total: int) -> str:
    if not lost:
        return f"{source.name} has no pictures to train on"
    named = "".join(f"\n  {line}" for line in lost[:10]) + ("\n  ..." if len(lost) > 10 else "")
    return (
        f"{len(lost)} of the {total} pictures of {source.name} cannot be read, more than {TOLERATED:.0%}:{named}\n"
        "replace or remove them; `python -m gan_jax data check` lists them all"
    )


def _check_room(source: Source, how: Preparation, folder: Path) -> None:
    total = sum(split.size for split in source.splits.values())
    needed = total * how.size[0] * how.size[1] * (how.channels if how.channels in (1, 4) else 3)
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
