"""Draw samples from a run: a sheet, all pictures as one array, and the latents that they came from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

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
    labels = _labels(config.n, model["classes"], config.label, config.run)
    variables, step = load_generator(config.run, config.checkpoint, model["metric"], ema=not config.raw)
    inputs, sample = locate(model["sampler"])(**{name: from_spec(part) for name, part in model["parts"].items()})
    draw = make_draw(inputs, sample, config.statistics or model["statistics"])
    everything = {"label": _labels(128, model["classes"])}
    samples, (z, y) = draw(variables, jax.random.key(config.seed), {"label": labels}, everything)
    if samples.ndim != 4:
        raise InputError(f"{config.run} makes points, not images: there is nothing to draw on a sheet")
    pictures = images.to_uint8(samples)

    arrays: dict[str, Any] = {"images": pictures, "z": np.asarray(z)} | ({} if y is None else {"label": np.asarray(y)})
    out = config.out or config.run / "generated"
    try:
        out.mkdir(parents=True, exist_ok=True)
        images.save(images.grid(pictures), out / "sheet.png", scale=max(1, 64 // pictures.shape[1]))
        np.savez(out / "samples.npz", **arrays)
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror}; choose another --out") from error
    print(f"{config.n} samples of step {step}: {out / 'sheet.png'}, {out / 'samples.npz'}")


def _labels(n: int, classes: list[str], wanted: str | None = None, run: Path | None = None) -> np.ndarray:
    """n labels: those of the class `wanted`, or all classes in turn."""
    if wanted is None:
        return (np.arange(n) % max(len(classes), 1)).astype(np.int32)
    if wanted not in classes:
        known = f"its classes are {', '.join(classes)}" if classes else "it was trained without classes"
        raise InputError(f"--label {wanted}: {run} cannot draw it; {known}")
    return np.full(n, classes.index(wanted), np.int32)


def load_generator(run: Path, checkpoint: str, metric: str | None, ema: bool = True) -> tuple[Variables, int]:
    """The generator's variables in a checkpoint of a run (last, best by `metric`, or a step), and its step."""
    if not (run / "checkpoints").is_dir():
        raise InputError(f"{run} has no checkpoints")
    with Checkpoints(run / "checkpoints", metric=metric, read_only=True) as checkpoints:
        named = {str(step): step for step in checkpoints.steps}
        if checkpoints.steps:
            named |= {
                "last": checkpoints.steps[-1],
                **({} if checkpoints.best_step is None else {"best": checkpoints.best_step}),
            }
        if checkpoint not in named:
            raise InputError(f"{run} has no checkpoint {checkpoint!r}; it has {', '.join(named) or 'none'}")
        state = checkpoints.read(named[checkpoint])
    params = state["ema_params"] if ema else state["gen"]["params"]
    return {"params": params, **(state["gen"].get("stats") or {})}, named[checkpoint]
