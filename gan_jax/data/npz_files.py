"""The arrays in .npz files: looked at by their headers, and read where they are used."""

import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax.data.bounds import check_memory
from gan_jax.errors import InputError

Arrays = dict[str, np.ndarray]
_LONGEST_HEADER = 10_000  # characters, as numpy.load has it


class Header(NamedTuple):
    """Shape and type of one array, and the bytes that it takes in the file."""

    shape: tuple[int, ...]
    dtype: np.dtype
    packed: int

    @property
    def nbytes(self) -> int:
        """The bytes of the array in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


def headers_of(path: Path) -> dict[str, Header]:
    """The header of every array; raises `InputError` unless the file is a complete .npz."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            return {info.filename.removesuffix(".npy"): _header(archive, info) for info in members}
    except Exception as error:  # zipfile and numpy raise a dozen types
        raise InputError(f"{path} is not a complete .npz file of plain arrays: {str(error)[:200]}") from error


def read_arrays(path: Path, headers: Mapping[str, Header], names: Sequence[str]) -> Arrays:
    """These arrays; raises `InputError` if they are damaged, no plain arrays, or exceed the memory."""
    wanted = {name: headers[name] for name in names}
    if objects := [name for name, header in wanted.items() if header.dtype.hasobject]:
        raise InputError(f"{path} is not a complete .npz file of plain arrays: {objects[0]} holds objects of Python")
    nbytes, packed = (sum(values) for values in zip(*((h.nbytes, h.packed) for h in wanted.values()), strict=True))
    check_memory(nbytes, packed, str(path))
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in wanted}
    except Exception as error:
        raise InputError(f"{path} is not a complete .npz file of plain arrays: {str(error)[:200]}") from error


def _header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Header:
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        read: Any = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
        if read is None:
            raise ValueError(f"{info.filename} has the version {version} of the format")
        shape, _, dtype = read(file, max_header_size=_LONGEST_HEADER)
        header = Header(shape, dtype, info.compress_size)
        if min(shape, default=0) < 0 or (not dtype.hasobject and file.tell() + header.nbytes != info.file_size):
            raise ValueError(f"{info.filename} says {header}, and holds {info.file_size:,} bytes")
        return header
