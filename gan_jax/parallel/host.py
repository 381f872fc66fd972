"""Process settings that make XLA faster and change no result; programs call them, the library does not."""

import ctypes
import os
import sys

import jax

from gan_jax.files import default_cache

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # <malloc.h>
_HUGE_PAGE, _MADV_HUGEPAGE = 2**21, 14


def prepare() -> None:
    """Cache compiled programs on disk, and keep freed memory."""
    keep_compiled()
    keep_memory()


def keep_compiled() -> None:
    """Cache compiled programs in JAX_COMPILATION_CACHE_DIR, or xla in `gan_jax.files.default_cache`.

    For scripts and notebooks that import the library: the second start then compiles nothing.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(default_cache() / "xla"))


def keep_memory(share: float = 0.25, most: int = 2**31 - 2**25) -> bool:
    """On Linux, do not return freed memory to the system, and use large pages; False where that is impossible.

    XLA's CPU client allocates a step's temporary memory anew in every step. The C library gets large blocks from the
    system and returns them each time, page by page: 86,000 page faults a step for a DCGAN at 64x64. Here
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
    block = libc.malloc(size)
    if not block:
        return False
    start = -(-block // _HUGE_PAGE) * _HUGE_PAGE
    libc.madvise(start, (block + size - start) // _HUGE_PAGE * _HUGE_PAGE, _MADV_HUGEPAGE)
    libc.free(block)
    return True
