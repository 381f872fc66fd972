"""Locks: one holder, told by name, free when its process ends, with whatever locks the file system has."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import gan_jax
from gan_jax.errors import InputError
from gan_jax.locks import Lock, one_at_a_time, runs

HOLDER = """
import errno, fcntl, sys, time, types
from pathlib import Path
package = types.ModuleType("gan_jax")  # without its __init__, which imports jax
package.__path__ = [sys.argv[1]]
sys.modules["gan_jax"] = package
def broken(*_):
    raise OSError(errno.ENOLCK, "no locks available")
for name in sys.argv[3:]:
    setattr(fcntl, name, broken)
from gan_jax.locks import Lock
Lock(Path(sys.argv[2])).require("it")
print("held", flush=True)
time.sleep(600)
"""


@contextmanager
def held_by_another(path: Path, *broken: str) -> Iterator[subprocess.Popen]:
    home = str(Path(gan_jax.__file__).parent)
    process = subprocess.Popen([sys.executable, "-c", HOLDER, home, str(path), *broken], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()


def broken(*_: object) -> None:
    raise OSError(errno.ENOLCK, "no locks available")


@pytest.mark.parametrize("missing", [(), ("flock",), ("flock", "lockf")])
def test_a_lock_is_held_by_one_process_and_ends_with_it(tmp_path, monkeypatch, missing):
    for name in missing:
        monkeypatch.setattr(fcntl, name, broken)
    lock = Lock(tmp_path / ".lock")
    with held_by_another(tmp_path / ".lock", *missing) as process:
        assert not lock.acquire()
        with pytest.raises(InputError, match=rf"my run is being written by process {process.pid} on \S+ since \d+-\d+-\d+ "):
            lock.require("my run")
    assert lock.acquire()  # it was killed
    assert not Lock(tmp_path / ".lock").acquire()  # nor by two in one process
    lock.release()
    assert Lock(tmp_path / ".lock").acquire()


def test_a_claim_of_another_machine_or_of_a_recycled_process_number(tmp_path, monkeypatch):
    for name in ("flock", "lockf"):
        monkeypatch.setattr(fcntl, name, broken)
    lock = Lock(tmp_path / ".lock")
    claim = '{"host": "%s", "process": %d, "started": "%s", "since": "then"}'
    (tmp_path / ".lock.held").write_text(claim % ("elsewhere", os.getpid(), ""))
    with pytest.raises(InputError, match=rf"process {os.getpid()} on elsewhere since then: .*, remove {lock.path}\.held$"):
        lock.require("it")  # who could know whether it lives
    (tmp_path / ".lock.held").write_text(claim % (os.uname().nodename, os.getpid(), "another start"))
    assert lock.acquire()


def test_a_second_lock_in_the_process_does_not_end_the_first_where_lockf_is_all_there_is(tmp_path, monkeypatch):
    """POSIX: to close any copy of a file ends all locks of the process on it."""
    monkeypatch.setattr(fcntl, "flock", broken)
    first, second = Lock(tmp_path / ".lock"), Lock(tmp_path / ".lock")
    assert first.acquire()
    with pytest.raises(InputError, match=rf"is being written by process {os.getpid()} on "):
        second.require("it")
    with pytest.raises(AssertionError), held_by_another(tmp_path / ".lock", "flock"):
        pass
    first.release()
    with held_by_another(tmp_path / ".lock", "flock"):
        pass


def test_a_process_is_known_by_number_and_start():
    assert runs(os.getpid())
    assert not runs(os.getpid(), "another start")
    assert not runs(-1)
    assert not runs(2**70)


def test_a_short_block_is_run_by_one_thread_at_a_time_and_does_not_wait_for_ever(tmp_path):
    inside, most = [0], []

    def work() -> None:
        with one_at_a_time(tmp_path / ".lock"):
            inside[0] += 1
            most.append(inside[0])
            threading.Event().wait(0.01)
            inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]
    with one_at_a_time(tmp_path / ".lock"), one_at_a_time(tmp_path / ".lock", patience=0.05):
        pass
    with one_at_a_time(tmp_path / "no such folder" / ".lock"):
        pass
