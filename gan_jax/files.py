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

# What reading a missing, torn or foreign file raises, in NumPy, zipfile (RuntimeError: "encrypted") and msgpack.
DAMAGED = (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile)


def default_cache() -> Path:
    """The folder of what is kept between runs: `GAN_JAX_CACHE`, or else gan_jax in the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return place(os.environ.get("GAN_JAX_CACHE") or Path(home) / "gan_jax")


def place(path: str | os.PathLike[str]) -> Path:
    """The path that a user named, with the home folder in place of ~.

    Raises `InputError` for what no file can be called: an unknown user's home, too long a name, a circle of links.
    """
    text = os.fsdecode(path)
    try:
        found = Path(text).expanduser()
        found.stat()
    except RuntimeError as error:
        raise InputError(f"{text[:80]!r}: there is no such home folder ({error})") from error
    except ValueError as error:  # a null character, half a surrogate pair
        raise InputError(f"{text[:80]!r}: this can be no path ({str(error)[:80]})") from error
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise InputError(f"{text[:80]!r}: this can be no path ({error.strerror})") from error
    return found


def exists(path: Path) -> bool:
    """Whether there is something that this process may see."""
    with contextlib.suppress(OSError, ValueError):
        return path.exists()
    return False


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path in the same folder to write to; it replaces `path` when the block ends, and is removed if the block raises.

    The folder is made. A reader of `path` finds the old content or the new one, never a part, also after a kill.
    Raises `OSError` as the block and the replacement do, with the file's name, and where `path` is there and no regular file.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EEXIST, "there is something that is no file", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}-{threading.get_ident()}{path.suffix}")
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        if error.errno is not None and error.filename is None:  # a full disk is told while bytes are written
            error.filename = str(path)
        raise
    finally:
        unfinished.unlink(missing_ok=True)


def check_apart(out: Path, inputs: Iterable[Path | str], flag: str = "--out") -> None:
    """Raises `InputError` if `out`, given by `flag`, is one of the inputs, lies in a folder that is one, or is no regular file.

    Inputs are known by any of their names: hard links, and folders that are mounted in several places.
    """
    written = place(out).resolve()
    for given in inputs:
        source = place(given)
        same = written == source.resolve() or _same(written, source)
        if same or (source.is_dir() and any(_same(folder, source) for folder in written.parents)):
            raise InputError(
                f"{out} {'would overwrite' if same else 'lies in'} the input {source}: choose another place with {flag}"
            )
    if exists(written) and not written.is_file():
        kind = "folder" if written.is_dir() else "device or pipe"
        raise InputError(f"{out} is a {kind}: name a file to write with {flag}")


def _same(one: Path, other: Path) -> bool:
    with contextlib.suppress(OSError):  # one of them is not there
        return one.samefile(other)
    return False


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
