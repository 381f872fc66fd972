"""LSUN (Yu et al. 2015, arXiv:1506.03365), read from its LMDB folders.

tensorflow-datasets' own builder needs tensorflow-io, which cannot be installed beside a current TensorFlow.
"""

import contextlib
import itertools
import subprocess
import sys
from pathlib import Path
from weakref import WeakValueDictionary

from gan_jax.data.source import Example, Source, Split, Unreadable, printable
from gan_jax.data.splitting import held_out_rows
from gan_jax.errors import InputError
from gan_jax.files import default_cache, identity, whole

_WALK = """
import contextlib, itertools, sys, lmdb
with contextlib.suppress(lmdb.Error), lmdb.open(sys.argv[1], readonly=True, lock=False) as environment:
    with environment.begin() as transaction:
        for _ in itertools.islice(transaction.cursor(), int(sys.argv[2]) or None):
            pass
"""
_PATIENCE = 60.0  # seconds, beside those for the size
_SLOWEST = 20e6  # bytes a second of a disk that need not be waited for any longer
ADDRESS = "http://dl.yf.io/lsun/scenes/{}_train_lmdb.zip"


def lmdb_source(folder: Path, held_out: float = 0.05, limit: int | None = None) -> Source:
    """The pictures in one LMDB folder, such as bedroom_train_lmdb: 3,033,042 bedrooms.

    With a `limit`, only the first ones are used. The pictures of bedroom_val_lmdb beside it are held out, or else a random
    share `held_out`, always the same. Raises `InputError` if the folder is not a complete LMDB.
    """
    beside, pictures = folder.with_name(folder.name.replace("_train_", "_val_")), _opened(folder)
    keys, name, place = pictures.keys(limit), printable(folder.name), f"lmdb {folder} {held_out} {limit}"
    if beside != folder and is_lmdb(beside):
        others = _opened(beside)
        splits = {"train": _split(pictures, keys), "held_out": _split(others, others.keys(None))}
        return Source(name, _identity(folder, beside, limit), splits, place=place)
    held = set(held_out_rows(len(keys), held_out))
    parts = {"train": [key for i, key in enumerate(keys) if i not in held], "held_out": [keys[i] for i in sorted(held)]}
    splits = {split: _split(pictures, part) for split, part in parts.items() if part}
    return Source(name, _identity(folder, held_out, limit, "at random"), splits, place=place)


def lsun_source(category: str, home: Path, held_out: float = 0.05, limit: int | None = None) -> Source:
    """The pictures of a category, such as "bedroom", from CATEGORY_train_lmdb below `home`; see `lmdb_source`.

    Raises `InputError` with the address of the archive if the folder is not there.
    """
    folder = home / f"{category}_train_lmdb"
    if not is_lmdb(folder):
        raise InputError(
            f"LSUN's {category} is not in {folder}: get {ADDRESS.format(category)} (the bedrooms are 43 GB), unpack it, and "
            "put it there, or give its folder as the data"
        )
    return lmdb_source(folder, held_out, limit)


def is_lmdb(path: Path) -> bool:
    """Whether the path is the folder of an LMDB."""
    return (path / "data.mdb").is_file()


class _Pictures:
    """An opened LMDB; closed when nothing refers to it any more."""

    def __init__(self, folder: Path):
        import lmdb

        try:
            self.environment = lmdb.open(str(folder), readonly=True, lock=False, readahead=False, max_readers=2048)
            pages, size = self.environment.info()["last_pgno"] + 1, self.environment.stat()["psize"]
            if pages * size > (folder / "data.mdb").stat().st_size:  # reading beyond the end of a mapped file crashes
                raise lmdb.Error("it is cut off")
        except lmdb.Error as error:
            raise InputError(f"{folder} is not a complete LMDB ({error}): unpack the archive again") from error
        self.folder, self.error = folder, lmdb.Error

    def keys(self, limit: int | None) -> list[bytes]:
        """The first `limit` keys, of entries that can be read without the end of the process."""
        self._walk(limit)
        try:
            with self.environment.begin() as transaction, transaction.cursor() as cursor:
                return list(itertools.islice(cursor.iternext(keys=True, values=False), limit))
        except self.error as error:
            raise InputError(f"{self.folder} is damaged ({error}): unpack the archive again") from error

    def _walk(self, limit: int | None) -> None:
        """Read the entries in a process of its own, since a damaged page, or length of a value, ends the one that reads it.

        Modules of the present folder are not imported there. Errors that LMDB itself tells are left to the caller. The cache
        keeps that it went well, since all of 43 GB is read.
        """
        folder = self.folder.resolve()
        sound = default_cache() / "lmdb" / identity([_identity(folder, limit)])
        if sound.exists():
            return
        command = [sys.executable, "-P", "-c", _WALK, str(folder), str(limit or 0)]
        wait = _PATIENCE + (folder / "data.mdb").stat().st_size / _SLOWEST
        try:
            walk = subprocess.run(command, capture_output=True, cwd=sys.prefix, timeout=wait)
        except subprocess.TimeoutExpired as error:
            raise InputError(f"{folder} is damaged, or its disk too slow: it was not read in {wait:,.3g} s") from error
        if walk.returncode:
            told = walk.stderr.decode(errors="replace").strip().split("\n")[-1][:200]
            why = "a page of it would end the process" if walk.returncode < 0 else told
            raise InputError(f"{folder} is damaged ({why}): unpack the archive again")
        with contextlib.suppress(OSError), whole(sound) as unfinished:
            unfinished.touch()

    def read(self, key: bytes) -> Example:
        try:
            with self.environment.begin() as transaction:
                content = transaction.get(key)
        except self.error as error:
            raise Unreadable(f"{self.folder.name}/{key.decode(errors='replace')}: {error}") from error
        if content is None:
            raise Unreadable(f"{self.folder.name}/{key.decode(errors='replace')}: no such entry")
        return Example(image=content)


_OPENED: WeakValueDictionary[Path, _Pictures] = WeakValueDictionary()  # lmdb refuses to open a folder twice in a process


def _opened(folder: Path) -> _Pictures:
    pictures = _OPENED.get(folder.resolve()) or _Pictures(folder)
    _OPENED[folder.resolve()] = pictures
    return pictures


def _split(pictures: _Pictures, keys: list[bytes]) -> Split:
    return Split(len(keys), lambda i: pictures.read(keys[i]))


def _identity(folder: Path, *rest: object) -> str:
    """Changes with the files of the folders, and with the rest."""
    files = [path.resolve() / "data.mdb" for path in (folder, *rest) if isinstance(path, Path)]
    stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return f"lmdb {stats} {[r for r in rest if not isinstance(r, Path)]}"
