"""Draw samples from a run: a sheet, all pictures as one array, and the latents that they came from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from gan_jax import images
from gan_jax.errors import InputError
from gan_jax.runs.trained import open_trained


@dataclass(frozen=True)
class Config:
    run: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    n: int = 64
    """How many samples."""
    seed: int = 0
    """Of the noise: the same seed gives the same pictures."""
    label: str | None = None
    """A class by its name, for class-conditional runs; default all in turn."""
    caption: str | None = None
    """What the pictures show, for runs on captioned pictures; default captions of the run's data in turn."""
    checkpoint: str = "last"
    """last, best, or a step."""
    statistics: Literal["running", "batch", "standing"] | None = None
    """Batch-norm statistics; default as in training."""
    raw: bool = False
    """Use the newest weights, not their average."""
    trust: bool = False
    """Also open networks that are no part of gan_jax: their code is imported and run. Only for runs of known origin."""
    out: Path | None = None
    """Folder for sheet.png and samples.npz; default RUN/generated."""


def main(config: Config) -> dict[str, Any]:
    """Write sheet.png and samples.npz (uint8 images, inputs), and return these; raises `InputError` for what cannot be had."""
    if config.n < 1:
        raise InputError(f"--n {config.n}: ask for at least one sample")
    trained = open_trained(config.run, config.checkpoint, config.statistics, averaged=not config.raw, trust=config.trust)
    wanted = {name: word for name, word in (("label", config.label), ("caption", config.caption)) if word is not None}
    inputs = trained.inputs(config.n, config.seed, **wanted)
    pictures = trained.render(config.seed, **inputs)
    if pictures.ndim != 4:
        raise InputError(f"{config.run} makes points, not images: there is nothing to draw on a sheet")

    arrays: dict[str, Any] = {"images": pictures, **{name: np.asarray(value) for name, value in inputs.items()}}
    out = config.out or config.run / "generated"
    try:
        out.mkdir(parents=True, exist_ok=True)
        images.save(images.grid(pictures), out / "sheet.png", scale=max(1, 64 // pictures.shape[1]))
        np.savez(out / "samples.npz", **arrays)
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror}; choose another --out") from error
    print(f"{config.n} samples of step {trained.step}: {out / 'sheet.png'}, {out / 'samples.npz'}")
    return arrays
