"""The files of a folder or a zip, by name, each with what changes when it does."""

import difflib
import os
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from gan_jax.data.bounds import check_size, read_regular
from gan_jax.data.opening import SUFFIXES
from gan_jax.data.source import Unreadable
from gan_jax.errors import InputError

LITTER = {"thumbs.db", "desktop.ini", "__macosx"}
ARCHIVES = (".tar", ".tgz", ".gz", ".bz2", ".xz", ".rar", ".7z", ".zst")
SENSIBLE = "a few thousand are a good start, a hundred of one class the minimum"


class Tree(NamedTuple):
    """The files below a root: `stamps` by name (with "/") change when the file does; `read(name, most)` gives a file
    of at most so many bytes, or raises `Unreadable`."""

    stamps: dict[str, tuple[int, int]]
    read: Callable[[str, int], bytes]


def opened(path: Path) -> Tree:
    """The files below the folder or in the zip, without hidden ones; raises `InputError` for anything else."""
    if path.is_dir():
        return _folder(path)
    if path.is_file():
        return _zip(path)
    siblings = [sibling.name for sibling in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, siblings, 1, 0.5)
    raise InputError(
        f"there is no {path}" + (f": do you mean {path.parent / near[0]}?" if near else ": give a folder or a .zip")
    )


def _folder(root: Path) -> Tree:
    def read(name: str, most: int) -> bytes:
        return read_regular(root / name, name, most)

    try:
        return Tree({name: stamp for name, stamp in _walk(root, "", set()) if not _is_litter(name)}, read)
    except OSError as error:
        raise InputError(
            f"cannot look into {error.filename}: {error.strerror}; make it readable, or move it elsewhere"
        ) from error


def _walk(folder: Path, before: str, seen: set[tuple[int, int]]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Files below the folder with size and time of change; links are followed, but no folder is entered twice."""
    place = folder.stat()
    if (place.st_dev, place.st_ino) in seen:
        return
    seen.add((place.st_dev, place.st_ino))
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                if not _is_litter(entry.name):
                    yield from _walk(Path(entry.path), f"{before}{entry.name}/", seen)
            elif entry.is_file():
                yield before + entry.name, (entry.stat().st_size, entry.stat().st_mtime_ns)


def _zip(path: Path) -> Tree:
    kind = next((suffix for suffix in ARCHIVES if path.name.lower().endswith(suffix)), None)
    if kind:
        raise InputError(f"{path} is a {kind} archive, which is not read directly: unpack it and give the folder")
    if path.suffix.lower() in SUFFIXES:
        raise InputError(f"{path} is one picture: give the folder that holds it and others ({SENSIBLE})")
    if path.suffix.lower() == ".npy":
        raise InputError(
            f"{path} holds one array without a name: give an .npz, np.savez('x.npz', image=np.load('{path.name}'))"
        )
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        what = "a damaged or incomplete zip" if path.suffix.lower() == ".zip" else "neither a folder nor a zip"
        raise InputError(f"{path} is {what} ({error}): get it again, or give the unpacked folder") from error
    members = {info.filename.replace("\\", "/"): info for info in archive.infolist() if not info.is_dir()}
    members = {name: info for name, info in members.items() if not _is_litter(name)}
    if any(info.flag_bits & 1 for info in members.values()):
        raise InputError(f"{path} is encrypted: unpack it with its password and give the folder")
    lock = threading.Lock()  # zipfile is not documented as safe for threads

    def read(name: str, most: int) -> bytes:
        check_size(name, members[name].file_size, most)  # zipfile never unpacks more than a member is said to have
        try:
            with lock:
                return archive.read(members[name])
        except Exception as error:  # from zipfile, four decompressors and the disk
            raise Unreadable(f"{name}: damaged in {path.name} ({error})") from error

    return Tree({name: (info.file_size, info.CRC) for name, info in members.items()}, read)


def _is_litter(name: str) -> bool:
    return any(part.startswith(".") or part.lower() in LITTER for part in name.split("/"))
