"""Bounds on what is read, so that a wrong or hostile file is refused before it fills the memory."""

import os
import stat
from pathlib import Path

from gan_jax.data.source import Unreadable
from gan_jax.errors import InputError
from gan_jax.host_memory import free_memory, require

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
    cure = "take fewer pictures, or put them into a folder or a zip, which is read one picture at a time"
    require(nbytes, free_memory(), what, cure)
