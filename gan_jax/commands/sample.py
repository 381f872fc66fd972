"""Draw samples from a run: a sheet, all pictures as one array, and the latents that they came from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from gan_jax import images
from gan_jax.commands.flags import TrainedFlags
from gan_jax.config import Count, Seed, command
from gan_jax.errors import InputError


@dataclass(frozen=True)
class Config(TrainedFlags):
    """The flags of `sample`."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    n: Count = 64
    """Number of samples."""
    seed: Seed = 0
    """Random seed for the noise: the same seed gives the same pictures."""
    label: str | None = None
    """Name of the class to draw, for class-conditional runs; default all in turn."""
    caption: str | None = None
    """Text of what to draw, for runs on captioned pictures; default captions of the run's data in turn."""
    out: Path | None = None
    """Folder for sheet.png and samples.npz; default RUN/generated."""


@command
def main(config: Config) -> dict[str, Any]:
    """Write sheet.png and samples.npz (uint8 images, inputs), and return these; raises `InputError` for what cannot be had."""
    trained = config.open_generator(config.run)
    wanted = {name: word for name, word in (("label", config.label), ("caption", config.caption)) if word is not None}
    inputs = trained.inputs(config.n, config.seed, **wanted)
    pictures = trained.render(config.seed, **inputs)
    if pictures.ndim != 4:
        raise InputError(f"{config.run} makes points, not images: there is nothing to draw on a sheet")

    arrays: dict[str, Any] = {"images": pictures, **{name: np.asarray(value) for name, value in inputs.items()}}
    out = config.out or config.run / "generated"
    try:
        out.mkdir(parents=True, exist_ok=True)
        images.save(images.grid(pictures), out / "sheet.png", scale=images.enlargement(pictures.shape[1]))
        np.savez(out / "samples.npz", **arrays)
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror}; choose another --out") from error
    print(f"{config.n} samples of step {trained.step}: {out / 'sheet.png'}, {out / 'samples.npz'}")
    return arrays
