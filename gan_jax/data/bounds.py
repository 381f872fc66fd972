"""Bounds on what is read, so that a wrong or hostile file is refused before it fills the memory."""

import contextlib
import os
import stat
from pathlib import Path

from gan_jax.data.source import Unreadable
from gan_jax.errors import InputError

LARGEST_FILE = 1 << 29  # bytes of one picture file, larger than 89 million pixels of 16-bit colour
LARGEST_TABLE, LARGEST_CAPTION = 1 << 27, 1 << 20  # bytes of a table, and of a text beside a picture
MOST_UNPACKED, UNSUSPICIOUS = 500, 1 << 30  # no pictures unpack to more than 500 times their size; bytes that nobody minds


def read_regular(path: Path, name: str, most: int = LARGEST_FILE) -> bytes:
    """The content of a regular file of at most `most` bytes; raises `Unreadable`, also for what waits for a writer."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Unreadable(f"{name}: not a regular file")
            check_size(name, status.st_size, most)
            return file.read(most)
    except OSError as error:
        raise Unreadable(f"{name}: {error.strerror or error}") from error


def check_size(name: str, size: int, most: int = LARGEST_FILE) -> None:
    """Raises `Unreadable` for more than `most` bytes."""
    if size > most:
        raise Unreadable(f"{name}: {size:,} bytes, where {most:,} are the most that is read of one")


def check_memory(nbytes: int, packed: int, what: str) -> None:
    """Raises `InputError` if `nbytes`, unpacked from `packed`, exceed the free memory or cannot be pictures."""
    if nbytes > UNSUSPICIOUS and nbytes > MOST_UNPACKED * packed:
        raise InputError(f"{what} would unpack to {nbytes / 1e9:,.1f} GB from {packed / 1e6:,.1f} MB: these are no pictures")
    free = free_memory()
    if free is not None and nbytes > free:
        raise InputError(
            f"{what} needs {nbytes / 1e9:,.1f} GB of memory and {free / 1e9:,.1f} GB are free: take fewer pictures, or "
            "put them into a folder or a zip, which is read one picture at a time"
        )


def free_memory() -> int | None:
    """Bytes that this process may still take, as far as the system tells."""
    found = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        found.append(int(lines["MemAvailable"].split()[0]) * 1024)
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        found.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    return max(min(found), 0) if found else None
