"""Picture files that a user names, fitted to the size and channels of a generator, and codes in an .npz."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gan_jax.data.bounds import read_regular
from gan_jax.data.deep import RangeNeeded
from gan_jax.data.fitting import Fit
from gan_jax.data.npz import FIELDS
from gan_jax.data.npz_files import headers_of, read_arrays
from gan_jax.data.opening import SUFFIXES, File, Picture
from gan_jax.data.pictures import decode, facts
from gan_jax.data.source import Unreadable
from gan_jax.data.writing import luma
from gan_jax.errors import InputError
from gan_jax.files import exists, place


def is_file_name(word: str) -> bool:
    """Whether a word names a file or a folder: by the suffix of a picture or of an .npz, or by a slash."""
    return Path(word).suffix.lower() in (*SUFFIXES, ".npz") or "/" in word


def read_codes(paths: Sequence[str], dim: int) -> np.ndarray | None:
    """The codes `z` of .npz files, (n, dim), if these hold some; None where none does.

    Raises `InputError` for codes of another length, and for codes beside pictures.
    """
    found = [codes for path in paths if (codes := _codes(place(path), dim)) is not None]
    if found and len(found) < len(paths):
        raise InputError(f"{', '.join(paths)}: codes and pictures are different exemplars, name either")
    return np.concatenate(found) if found else None


def _codes(path: Path, dim: int) -> np.ndarray | None:
    if path.suffix.lower() != ".npz" or not path.is_file():
        return None
    headers = headers_of(path)
    if "z" not in headers:
        return None
    z = read_arrays(path, headers, ["z"])["z"]
    if z.ndim != 2 or z.shape[1] != dim or z.dtype.kind != "f" or not len(z) or not np.isfinite(z).all():
        raise InputError(
            f"{path} has codes z {z.dtype} {z.shape}, and this run takes finite ones (n, {dim}): is it of another run?"
        )
    return z.astype(np.float32)


def read_pictures(paths: Sequence[str], shape: tuple[int, ...], fit: Fit, most: int, flag: str) -> tuple[np.ndarray, list[str]]:
    """At most `most` pictures in files, folders and .npz as uint8 (n, *shape), and their names.

    `shape` is (height, width, channels). Says how they were fitted, and where more are there than were read, which the user
    chooses by `flag`. Raises `InputError` for what is not there, holds no pictures, or cannot be read.
    """
    there, found = 0, []
    for path in paths:
        size, pictures = _pictures(place(path), most)
        there += size
        found += pictures
    if there > most:
        print(f"taken       the first {most:,} of {there:,} pictures ({flag})")
    fitted, others = [], []
    for name, picture in found[:most]:
        try:
            h, w = facts(picture)[:2]
            fitted.append(_decoded(picture, shape, fit))
        except (Unreadable, RangeNeeded) as error:
            reason = str(error) or "it has more than 8 bits a channel: save it with 8"
            raise InputError(f"{name} cannot be read: {reason.removeprefix(f'{name}: ')}") from error
        if (h, w) != shape[:2]:
            others.append(f"{name} ({h}x{w})")
    if others:
        more = f" and {len(others) - 1} more" * (len(others) > 1)
        print(f"fitted      {others[0]}{more} to the run's {shape[0]}x{shape[1]} pixels (--fit {fit})")
    return np.stack(fitted), [name for name, _ in found[:most]]


def _pictures(path: Path, most: int) -> tuple[int, list[tuple[str, Picture]]]:
    """How many pictures a path has, and the first of them with their names."""
    if not exists(path):
        raise InputError(f"there is no {path}: name picture files, a folder of them or an .npz")
    if path.is_dir():
        inside = sorted(each for each in path.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file())
        if not inside:
            raise InputError(f"{path} holds no pictures: they end in {', '.join(SUFFIXES)}")
        return len(inside), [_file(each) for each in inside[:most]]
    return _arrays(path, most) if path.suffix.lower() == ".npz" else (1, [_file(path)])


def _file(path: Path) -> tuple[str, Picture]:
    try:
        return str(path), File(read_regular(path, str(path)), str(path))
    except Unreadable as error:
        raise InputError(f"{error}: name a picture file") from error


def _arrays(path: Path, most: int) -> tuple[int, list[tuple[str, Picture]]]:
    headers = headers_of(path)
    name = next((name for name in FIELDS["image"] if name in headers), None)
    if name is None:
        raise InputError(f"{path} has no array `image` (or images, x): it has {', '.join(headers) or 'none'}")
    images = read_arrays(path, headers, [name])[name]
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or not images.size:
        raise InputError(f"{path}: {name} must be uint8 (n, h, w) or (n, h, w, c), not {images.dtype} {images.shape}")
    return len(images), [(f"{path}[{i}]", picture) for i, picture in enumerate(images[:most])]


def _decoded(picture: Picture, shape: tuple[int, ...], fit: Fit) -> np.ndarray:
    channels = shape[2]
    pixels = decode(picture, (shape[0], shape[1]), fit, channels=4 if channels == 4 else 3)
    return luma(pixels[None])[0] if channels == 1 else pixels
