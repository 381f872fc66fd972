"""How much memory the host has left, of which a container may have a part only."""

import contextlib
import os
import sys
from pathlib import Path

from gan_jax.errors import InputError


def free_memory() -> int:
    """Free bytes of the host and of its container's limit; half of the host's memory where neither is known."""
    known = []
    with contextlib.suppress(OSError, KeyError, ValueError, IndexError):
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        known.append(1024 * int(lines["MemAvailable"].split()[0]))
    with contextlib.suppress(OSError, ValueError):  # "max" is no number
        limit, used = (int(Path(f"/sys/fs/cgroup/memory.{name}").read_text()) for name in ("max", "current"))
        known.append(limit - used)
    if known:
        return max(min(known), 0)
    with contextlib.suppress(AttributeError, ValueError, OSError):  # not on every system
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return sys.maxsize


def require(nbytes: int, free: int, what: str, cure: str) -> None:
    """Raises `InputError`, with the estimate, where `what` takes more bytes than are free."""
    if nbytes > free:
        raise InputError(f"{what} would take {nbytes / 2**30:,.1f} GiB, and {free / 2**30:,.1f} GiB are free: {cure}")
