"""Draw samples from a run: a sheet, all pictures as one array, and the latents that they came from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import jax
import numpy as np
import tyro

from gan_jax import images
from gan_jax.checkpoint import Checkpoints
from gan_jax.core import Variables
from gan_jax.errors import InputError
from gan_jax.run import read_json
from gan_jax.sampling import make_draw
from gan_jax.spec import from_spec, locate


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
    checkpoint: str = "last"
    """last, best, or a step."""
    statistics: Literal["running", "batch", "standing"] | None = None
    """Batch-norm statistics; default as in training."""
    raw: bool = False
    """Use the newest weights, not their average."""
    out: Path | None = None
    """Folder for sheet.png and samples.npz; default RUN/generated."""


def main(config: Config) -> None:
    """Write sheet.png and samples.npz (images uint8, z, label); raises `InputError` for what the run cannot give."""
    if config.n < 1:
        raise InputError(f"--n {config.n}: ask for at least one sample")
    model = read_json(config.run / "model.json")
    if model is None:
        raise InputError(f"{config.run} is no run that can be sampled: it has no model.json")
    labels = _labels(config, model["classes"])
    variables, step = load_generator(config.run, config.checkpoint, model["metric"], ema=not config.raw)
    sampler = locate(model["sampler"])(**{name: from_spec(part) for name, part in model["parts"].items()})
    draw = make_draw(*sampler, config.statistics or model["statistics"])
    samples, (z, y) = draw(variables, jax.random.key(config.seed), {"label": labels})
    pictures = images.to_uint8(samples)

    out = config.out or config.run / "generated"
    try:
        out.mkdir(parents=True, exist_ok=True)
        images.save(images.grid(pictures), out / "sheet.png", scale=max(1, 64 // pictures.shape[1]))
        np.savez(out / "samples.npz", images=pictures, z=np.asarray(z), **({} if y is None else {"label": np.asarray(y)}))
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror}; choose another --out") from error
    print(f"{config.n} samples of step {step}: {out / 'sheet.png'}, {out / 'samples.npz'}")


def _labels(config: Config, classes: list[str]) -> np.ndarray:
    if config.label is None:
        return (np.arange(config.n) % max(len(classes), 1)).astype(np.int32)
    if config.label not in classes:
        known = f"its classes are {', '.join(classes)}" if classes else "it was trained without classes"
        raise InputError(f"--label {config.label}: {config.run} cannot draw it; {known}")
    return np.full(config.n, classes.index(config.label), np.int32)


def load_generator(run: Path, checkpoint: str, metric: str | None, ema: bool = True) -> tuple[Variables, int]:
    """The generator's variables in a checkpoint of a run (last, best by `metric`, or a step), and its step."""
    if not (run / "checkpoints").is_dir():
        raise InputError(f"{run} has no checkpoints")
    with Checkpoints(run / "checkpoints", metric=metric) as checkpoints:
        named = {str(step): step for step in checkpoints.steps}
        if checkpoints.steps:
            named |= {"last": checkpoints.steps[-1], "best": checkpoints.best_step or checkpoints.steps[-1]}
        if checkpoint not in named:
            raise InputError(f"{run} has no checkpoint {checkpoint!r}; it has {', '.join(named) or 'none'}")
        state = checkpoints.read(named[checkpoint])
    params = state["ema_params"] if ema else state["gen"]["params"]
    return {"params": params, **(state["gen"].get("stats") or {})}, named[checkpoint]
