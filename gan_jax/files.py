"""Files that appear whole or not at all, results that are kept in files, and identities by content."""

import contextlib
import errno
import hashlib
import os
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from gan_jax.errors import InputError

T = TypeVar("T")

# What reading a missing, torn or foreign file raises, in NumPy, zipfile and msgpack.
DAMAGED = (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile)


def default_cache() -> Path:
    """The folder of what is kept between runs: `GAN_JAX_CACHE`, or else gan_jax in the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("GAN_JAX_CACHE") or Path(home) / "gan_jax").expanduser()


def place(path: str | os.PathLike[str]) -> Path:
    """The path that a user named, with the home folder in place of ~; raises `InputError` for an unknown user's."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{path}: {error}") from error


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path in the same folder to write to; it replaces `path` when the block ends, and is removed if the block raises.

    The folder is made. A reader of `path` finds the old content or the new one, never a part, also after a kill.
    Raises `OSError` as the block and the replacement do, and where `path` is there and no regular file.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EEXIST, "there is something that is no file", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}-{threading.get_ident()}{path.suffix}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def check_apart(out: Path, inputs: Iterable[Path | str]) -> None:
    """Raises `InputError` if `out` is one of the inputs, lies in a folder that is one, or is no regular file."""
    place = out.expanduser().resolve()
    for given in inputs:
        source = Path(given).expanduser()
        if place == source.resolve() or (source.is_dir() and source.resolve() in place.parents):
            where = "would overwrite" if place == source.resolve() else "lies in"
            raise InputError(f"{out} {where} the input {source}: choose another place with --out")
    if place.exists() and not place.is_file():
        raise InputError(f"{out} is a {'folder' if place.is_dir() else 'device or pipe'}: name a file to write with --out")


def kept(path: Path | None, read: Callable[[Path], T], make: Callable[[], T], write: Callable[[Path, T], object]) -> T:
    """`read(path)`, or else what `make` gives, written to `path` for the next time.

    A missing or damaged file, or one that `read` refuses by `ValueError` or `KeyError`, is made anew. Without a path, or
    where the path cannot be written, nothing is kept.
    """
    if path is None:
        return make()
    with contextlib.suppress(*DAMAGED):
        return read(path)
    value = make()
    with contextlib.suppress(OSError), whole(path) as unfinished:
        write(unfinished, value)
    return value


def identity(parts: Iterable[bytes | str]) -> str:
    """sha256 over the concatenation of the parts, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode(errors="surrogateescape") if isinstance(part, str) else part)
    return digest.hexdigest()[:16]
