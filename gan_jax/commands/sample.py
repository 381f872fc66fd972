"""Draw samples from a run: a sheet, all pictures as one array, and the latents that they came from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from gan_jax import images
from gan_jax.commands.flags import TrainedFlags
from gan_jax.config import Count, Seed, Within, command
from gan_jax.errors import InputError
from gan_jax.files import check_apart, whole
from gan_jax.latents import truncate
from gan_jax.runs.trained import Trained


@dataclass(frozen=True)
class Config(TrainedFlags):
    """The flags of `sample`."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    n: Count = 64
    """Number of samples, of each caption where several are given."""
    seed: Seed = 0
    """Random seed for the noise: the same seed gives the same pictures."""
    label: str | None = None
    """Name of the class to draw, for class-conditional runs; default all in turn."""
    each_class: bool = False
    """Draw --n samples of every class, a row each of the same noise, in class-conditional runs."""
    truncation: Annotated[float, Within(0, 1, open_least=True)] = 1.0
    """Codes are scaled by this, towards their mean 0: less variety, and samples that are more usual."""
    caption: tuple[str, ...] = ()
    """Text of what to draw, for runs on captioned pictures, several for a row of samples each, of the same noise; default
    captions of the run's data in turn."""
    out: Path | None = None
    """Folder for sheet.png and samples.npz; default RUN/generated."""


@command
def main(config: Config) -> dict[str, Any]:
    """Write sheet.png and samples.npz (uint8 images, inputs), and return these; of samples that are no images only the latter.

    Raises `InputError` for what cannot be had, for a file in place of a folder, and for a place among the run's own
    checkpoints or sheets.
    """
    out = config.out or config.run / "generated"
    if out.suffix.lower() in (".png", ".npz") and not out.is_dir():
        raise InputError(f"--out is a folder for sheet.png and samples.npz, not a file such as {out.name}")
    for name in ("samples.npz", "sheet.png"):
        check_apart(out / name, [config.run / "checkpoints", config.run / "samples"])
    trained = config.open_generator(config.run)
    wanted: dict[str, Any] = {} if config.label is None else {"label": config.label}
    rows = max(len(config.caption), 1)
    if config.caption:
        wanted["caption"] = [text for text in config.caption for _ in range(config.n)]
    if config.each_class:
        classes = _classes(config, trained)
        rows, wanted = len(classes), {"label": [name for name in classes for _ in range(config.n)]}
    inputs = trained.inputs(rows * config.n, config.seed, **wanted)
    if rows > 1 and "z" in inputs:
        inputs["z"] = np.tile(np.asarray(inputs["z"])[: config.n], (rows, 1))
    if config.truncation < 1:
        if "z" not in inputs:
            raise InputError(f"--truncation {config.truncation}: this generator has no codes z that could be scaled")
        inputs["z"] = truncate(inputs["z"], config.truncation)
    samples = trained.render(config.seed, **inputs)
    pictures = samples.ndim == 4 and samples.shape[-1] in (1, 3, 4)
    arrays: dict[str, Any] = {"images" if pictures else "samples": samples}
    arrays |= {name: np.asarray(value) for name, value in inputs.items()}
    written = [out / "samples.npz"]
    try:
        out.mkdir(parents=True, exist_ok=True)
        if pictures:
            written.insert(0, out / "sheet.png")
            images.save(
                images.grid(samples, config.n if rows > 1 else None),
                out / "sheet.png",
                scale=images.enlargement(samples.shape[1]),
            )
        with whole(out / "samples.npz") as unfinished:
            np.savez(unfinished, **arrays)
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror}; choose another --out") from error
    print(f"{rows * config.n} samples of step {trained.step}: {', '.join(map(str, written))}")
    return arrays


def _classes(config: Config, trained: Trained) -> list[str]:
    """The classes that can be drawn; raises `InputError` for a run without and where others are asked for."""
    if not trained.classes:
        raise InputError(f"--each-class: {config.run} was trained without classes")
    if config.label is not None or config.caption:
        raise InputError("--each-class draws all classes: leave out --label and --caption")
    return [name for i, name in enumerate(trained.classes) if i not in trained.facts.get("untrained", ())]
