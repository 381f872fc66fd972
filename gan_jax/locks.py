"""Locks on folders and files: one holder at a time, and free when the holding process ends, however it ends.

A lock is a file. The system locks it for the process (`flock`, or `lockf` where a file system has no `flock`), and its
content names the holder. On file systems with neither, a second file is the lock: one that was left by a process of this
machine that is gone does not count.
"""

import contextlib
import datetime
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gan_jax.errors import InputError

try:
    import fcntl
except ImportError:  # no system locks on this platform
    fcntl = None  # type: ignore[assignment]

_UNNAMED = 10.0  # seconds after which a claim without a holder's name is one of a process that was killed while it claimed
_registry = threading.RLock()
_held: dict[str, "Lock"] = {}  # by path: `lockf` does not exclude the threads of a process


class Holder(NamedTuple):
    """A process that holds a lock: its machine, number, start (where the system tells it), and since when it holds the lock."""

    host: str
    process: int
    started: str
    since: str

    def __str__(self) -> str:
        return f"process {self.process} on {self.host} since {self.since}"

    @property
    def gone(self) -> bool:
        """Whether it was a process of this machine and has ended."""
        return self.host == socket.gethostname() and not runs(self.process, self.started)

    def line(self) -> bytes:
        """As the content of a file."""
        return json.dumps(self._asdict()).encode() + b"\n"


class Lock:
    """The lock that the file `path` is. Its folder must exist; forked children do not hold it.

    Taking it raises `OSError` where the file can be neither made nor opened.
    """

    def __init__(self, path: Path):
        self.path = path
        self._key = os.path.realpath(path)
        self._claim = path.with_name(path.name + ".held")
        self._file: int | None = None
        self._me: Holder | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        return _held.get(self._key) is self

    def acquire(self) -> bool:
        """Take the lock; False if another process or thread holds it."""
        with _registry:
            if self._key in _held:
                return False
            if not self._take():
                return False
            _held[self._key] = self
            return True

    def require(self, what: str) -> None:
        """Take the lock; raises `InputError`, which says that `what` is being written and by whom, if it is taken."""
        if self.acquire():
            return
        holder, cure = self.holder(), "wait until it ends, or stop it, or choose another directory (--outdir)"
        if holder and holder.host != socket.gethostname() and _read(self._claim) == holder:
            cure += f"; if it has ended already, which is not seen from here, remove {self._claim}"
        raise InputError(f"{what} is being written by {holder or 'another process'}: {cure}")

    def release(self) -> None:
        """Give it up; nothing happens if it is not held."""
        with _registry:
            if not self.held:
                return
            del _held[self._key]
            with contextlib.suppress(OSError):
                if self._file is None:
                    self._claim.unlink()
                else:
                    os.ftruncate(self._file, 0)
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def remove(self) -> None:
        """Give it up and remove its file: for locks that nobody waits for."""
        if self.held:
            with contextlib.suppress(OSError):
                self.path.unlink()
        self.release()

    def holder(self) -> Holder | None:
        """Who holds it, as far as the files tell.

        Of a lock of this process they are not opened: to close any copy of a file ends all `lockf` locks of the process on it.
        """
        with _registry:
            if self._key in _held:
                return _held[self._key]._me
            return _read(self._claim) or _read(self.path)

    def _take(self) -> bool:
        self._me = _me()
        file, writable = _open(self.path)
        locked = _lock(file)
        if locked and not _is_at(file, self.path):  # its last holder has removed it
            os.close(file)
            return self._take()
        if not locked:
            os.close(file)
            return locked is None and self._take_claim(self._me.line())  # None: no locks here
        self._file = file
        if writable:
            with contextlib.suppress(OSError):  # a full disk: the lock holds without a name
                os.ftruncate(file, 0)
                os.pwrite(file, self._me.line(), 0)
        return True

    def _take_claim(self, line: bytes) -> bool:
        for _ in range(2):
            with contextlib.suppress(FileExistsError):
                file = os.open(self._claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
                os.write(file, line)
                os.close(file)
                return True
            if not self._drop_dead_claim():
                return False
        return False

    def _drop_dead_claim(self) -> bool:
        """Remove the claim of a process that is gone; False if its process may live."""
        holder = _read(self._claim)
        if not (holder.gone if holder else _age(self._claim) > _UNNAMED):
            return False
        aside = self._claim.with_name(f"{self._claim.name}.{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            self._claim.rename(aside)
            if _read(aside) != holder:  # it has dropped that claim already, and this is its own
                aside.rename(self._claim)
                return False
            aside.unlink()
        return True


def runs(process: int, started: str = "") -> bool:
    """Whether a process of this machine runs, and is the one that started then, where that is known."""
    if process <= 0:
        return False
    try:
        os.kill(process, 0)
    except PermissionError:  # another user's
        pass
    except (OSError, OverflowError):
        return False
    return not started or started == _start_of(process)


def _start_of(process: int) -> str:
    """When a process started, in ticks since a start of the machine; "" where the system does not tell."""
    try:
        ticks = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}:{ticks}"
    except (OSError, IndexError):
        return ""


def _me() -> Holder:
    now = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return Holder(socket.gethostname(), os.getpid(), _start_of(os.getpid()), now)


def _read(path: Path) -> Holder | None:
    try:
        found = json.loads(path.read_bytes()[:10_000])
        return Holder(str(found["host"]), int(found["process"]), str(found["started"]), str(found["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _open(path: Path) -> tuple[int, bool]:
    """The file, and whether it can be written: `lockf` and NFS want that, but it may be another user's."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644), True
    except PermissionError:
        return os.open(path, os.O_RDONLY), False


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False


def _lock(file: int) -> bool | None:
    """Whether the system gave the lock; None if it has none for this file."""
    for kind in ("flock", "lockf") if fcntl else ():
        try:
            getattr(fcntl, kind)(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            continue
        return True
    return None


@contextlib.contextmanager
def one_at_a_time(path: Path, patience: float = 60.0) -> Iterator[None]:
    """A short block that one process or thread at a time runs.

    Without the lock where its file cannot be made, and after `patience` seconds: another machine's process may have left it.
    """
    lock, deadline = Lock(path), time.monotonic() + patience
    with contextlib.suppress(OSError):
        while not lock.acquire() and time.monotonic() < deadline:
            time.sleep(0.02)
    try:
        yield
    finally:
        lock.remove()


def _forget() -> None:
    """In a forked child: its copies of the files are closed, so that locks end with the process that took them."""
    global _registry
    _registry = threading.RLock()  # another thread of the parent may have held it
    for lock in _held.values():
        if lock._file is not None:
            os.close(lock._file)
            lock._file = None
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
