"""What the host has left, as the system tells it."""

import os
from pathlib import Path

import pytest

from gan_jax.errors import InputError
from gan_jax.host_memory import free_memory, require

INFO = "/proc/meminfo"
LIMIT, USED = "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"
HALF = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
AVAILABLE = "MemTotal: 9 kB\nMemAvailable:   3 kB\n"


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({INFO: AVAILABLE}, 3072),
        ({INFO: AVAILABLE, LIMIT: "max\n", USED: "5\n"}, 3072),
        ({INFO: AVAILABLE, LIMIT: "1005\n", USED: "5\n"}, 1000),
        ({INFO: "MemTotal: 9 kB\n", LIMIT: "1\n", USED: "5\n"}, 0),
        ({INFO: "MemAvailable:\n"}, HALF),
        ({}, HALF),
    ],
)
def test_the_least_of_what_is_told(told, wanted, monkeypatch):
    def read_text(path, *args, **kwargs):
        if str(path) not in told:
            raise FileNotFoundError(path)
        return told[str(path)]

    monkeypatch.setattr(Path, "read_text", read_text)
    assert free_memory() == wanted


def test_what_takes_more_is_refused():
    require(2**30, 2**30, "this", "ask for less")
    with pytest.raises(InputError, match="this would take 2.0 GiB, and 1.0 GiB are free: ask for less"):
        require(2**31, 2**30, "this", "ask for less")
