"""Settings of the process that make XLA faster and change no result; experiments call them, the library never does."""

import ctypes
import os
import sys
from pathlib import Path

import jax

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # <malloc.h>
_HUGE_PAGE, _MADV_HUGEPAGE = 2**21, 14


def prepare() -> None:
    """Keep compiled programs, and memory, from one use to the next."""
    keep_compiled()
    keep_memory()


def keep_compiled() -> None:
    """Keep compiled programs on disk, in JAX_COMPILATION_CACHE_DIR or ~/.cache/gan_jax/xla: the second start is quick."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(Path.home() / ".cache" / "gan_jax" / "xla"))


def keep_memory(share: float = 0.25, most: int = 2**31 - 2**25) -> bool:
    """On Linux, do not give freed memory back, and ask for large pages; whether that was done.

    XLA's CPU client takes the memory between a step's inputs and outputs anew for every step. The C library gets large
    pieces from the system and returns them each time, page by page: 86,000 page faults a step for a DCGAN at 64x64. Here
    `share` of the memory, at most `most` bytes, is reserved once (used or not) and backed by large pages where used.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):  # another C library
        return False
    size = min(int(share * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")), most)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes, libc.madvise.argtypes = [ctypes.c_void_p], [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for option, value in ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1)):
        libc.mallopt(option, value)
    piece = libc.malloc(size)
    if not piece:
        return False
    start = -(-piece // _HUGE_PAGE) * _HUGE_PAGE
    libc.madvise(start, (piece + size - start) // _HUGE_PAGE * _HUGE_PAGE, _MADV_HUGEPAGE)
    libc.free(piece)
    return True
