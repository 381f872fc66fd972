"""The film of a run, while it trains or afterwards: `film RUN`, samples of the same noise over its rounds, with its curves."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from gan_jax.config import MOST, Rate, Within, command
from gan_jax.errors import InputError
from gan_jax.runs.run import require_run
from gan_jax.training.film import SECONDS, progress_film


@dataclass(frozen=True)
class Config:
    """The flags of `film`."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    frames: Annotated[int, Within(2, MOST)] | None = None
    """Largest number of sheets that are shown, all early ones, later ones at growing distances; default half, but 60 to 120."""
    seconds: Rate = SECONDS
    """Length of the film."""
    out: Path | None = None
    """Folder for progress.mp4 (progress.webp without the extra `video`) and the strip progress.png; default RUN/video."""


@command
def main(config: Config) -> list[Path]:
    """Write the film and the strip; returns the files.

    Raises `InputError` for what is no run, a run without two sheets of samples, and where nothing can be written.
    """
    require_run(config.run)
    try:
        files = progress_film(config.run, print, out=config.out, most=config.frames, seconds=config.seconds)
    except OSError as error:
        raise InputError(f"cannot write the film: {error}; choose another --out") from error
    print(f"written: {', '.join(map(str, files))}")
    return files
