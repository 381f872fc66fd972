"""Enlarge pictures of any size with a run of super-resolution, keeping their kind: grey, opacity, palette, 16 bits, EXIF."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from gan_jax.commands.flags import TrainedFlags
from gan_jax.config import Count, CountOrNone, command
from gan_jax.data.kept import read_kept
from gan_jax.data.opening import SUFFIXES
from gan_jax.data.source import Unreadable
from gan_jax.errors import InputError
from gan_jax.files import check_apart, exists, place
from gan_jax.runs.trained import Trained
from gan_jax.upscaling import TILE


@dataclass(frozen=True)
class Config(TrainedFlags):
    """The flags of `upscale`."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    pictures: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Picture files, and folders of them."""
    out: Path | None = None
    """Folder for the enlarged pictures, PNG of the same names; those of a folder in its sub-folders. Default RUN/upscaled."""
    tile: Count = TILE
    """Side of the tiles that the network is shown, in pixels of the given picture; smaller ones take less memory and longer."""
    overlap: CountOrNone | None = None
    """Pixels at each side of a tile that are not kept, where the picture goes on; default as far as the network reaches, 64 at
    most."""


@command
def main(config: Config) -> list[Path]:
    """Write the enlarged pictures; returns their paths.

    A picture of a folder that cannot be read is told and left out. Raises `InputError` for a named file that cannot be
    read, where nothing is left, and for pictures that are too large, before memory goes.
    """
    if not config.pictures:
        raise InputError("name picture files, or a folder of them")
    out = place(config.out or config.run / "upscaled")
    jobs = _jobs([place(path) for path in config.pictures], out)
    for given, made, _ in jobs:
        check_apart(made, [given, config.run / "checkpoints", config.run / "samples"])
    trained = config.open_generator(config.run)
    written = []
    for given, made, of_folder in jobs:
        try:
            _upscale(trained, given, made, config)
            written.append(made)
        except Unreadable as error:
            reason = str(error).removeprefix(f"{given}: ")
            if not of_folder:
                raise InputError(f"{given} cannot be read: {reason}") from error
            print(f"left out    {given}: {reason}")
        except OSError as error:
            raise InputError(f"cannot write {made}: {error.strerror}; choose another --out") from error
    if not written:
        raise InputError("none of the pictures can be read")
    return written


def _upscale(trained: Trained, given: Path, made: Path, config: Config) -> None:
    start = time.perf_counter()
    kept = read_kept(given)
    enlarged = kept.of(trained.upscale(kept.pixels, tile=config.tile, margin=config.overlap))
    enlarged.save(made)
    (h, w), (height, width) = kept.pixels.shape[:2], enlarged.pixels.shape[:2]
    print(f"{made}   {w}x{h} to {width}x{height} in {time.perf_counter() - start:.1f} s")


def _jobs(paths: list[Path], out: Path) -> list[tuple[Path, Path, bool]]:
    """Each given file, the file to write, and whether it was found in a folder."""
    jobs: list[tuple[Path, Path, bool]] = []
    for path in paths:
        if not exists(path):
            raise InputError(f"there is no {path}: name picture files, or a folder of them")
        if not path.is_dir():
            jobs.append((path, out / path.name, False))
            continue
        found = sorted(each for each in path.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file())
        if not found:
            raise InputError(f"{path} holds no pictures: they end in {', '.join(SUFFIXES)}")
        jobs += [(each, out / each.relative_to(path), True) for each in found]
    names: set[Path] = set()
    unique = []
    for given, target, of_folder in jobs:
        made = target.with_suffix(".png")
        if made in names:  # a.jpg beside a.png
            made = target.with_name(f"{target.stem}-{target.suffix[1:]}.png")
        if made in names:
            raise InputError(f"two pictures would be written to {made}: name one folder, or one after the other")
        names.add(made)
        unique.append((given, made, of_folder))
    return unique
