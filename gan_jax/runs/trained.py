"""A trained generator, from the directory of its run alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax import images
from gan_jax.core import Variables
from gan_jax.errors import InputError
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.run import read_json
from gan_jax.runs.spec import from_spec, locate
from gan_jax.sampling import Draw, Statistics, make_draw


@dataclass(frozen=True)
class Trained:
    """The generator of `run` as it was at `step`; `averaged` weights or the newest ones, of `classes`, if any."""

    run: Path
    step: int
    averaged: bool
    statistics: Statistics
    classes: tuple[str, ...]
    variables: Variables
    draw: Draw

    def samples(self, labels: np.ndarray, seed: int) -> tuple[np.ndarray, Any]:
        """One for each label (n,), uint8 (n, h, w, c) where they are images, and the inputs (z, y) that they were made of."""
        everything = {"label": self.labels(max(len(self.classes), 1))}
        samples, inputs = self.draw(self.variables, jax.random.key(seed), {"label": labels}, everything)
        return samples, inputs

    def labels(self, n: int, wanted: str | None = None) -> np.ndarray:
        """n labels: those of the class `wanted`, or all classes in turn; raises `InputError` for an unknown class."""
        if wanted is None:
            return (np.arange(n) % max(len(self.classes), 1)).astype(np.int32)
        if wanted not in self.classes:
            known = f"its classes are {', '.join(self.classes)}" if self.classes else "it was trained without classes"
            raise InputError(f"--label {wanted}: {self.run} cannot draw it; {known}")
        return np.full(n, self.classes.index(wanted), np.int32)


def open_trained(run: Path, checkpoint: str = "last", statistics: Statistics | None = None, averaged: bool = True) -> Trained:
    """The generator in a checkpoint of a run: last, best, or a step; with statistics as in training unless given.

    Raises `InputError` if the directory is no run that can be sampled, or has no such checkpoint.
    """
    model = read_json(run / "model.json")
    if model is None:
        raise InputError(f"{run} is no run that can be sampled: it has no model.json")
    variables, step = _load(run, checkpoint, model["metric"], model.get("mode", "max"), averaged)
    inputs, sample = locate(model["sampler"])(**{name: from_spec(part) for name, part in model["parts"].items()})
    statistics = statistics or model["statistics"]
    draw = make_draw(inputs, sample, statistics, finish=_finish)
    return Trained(run, step, averaged, statistics, tuple(model["classes"]), variables, draw)


def _finish(samples: np.ndarray) -> np.ndarray:
    return images.to_uint8(samples) if samples.ndim == 4 else samples


def _load(run: Path, checkpoint: str, metric: str | None, mode: Any, averaged: bool) -> tuple[Variables, int]:
    """The generator's variables in a checkpoint (last, best by `metric`, or a step), and its step."""
    if not (run / "checkpoints").is_dir():
        raise InputError(f"{run} has no checkpoints")
    with Checkpoints(run / "checkpoints", metric=metric, mode=mode, read_only=True) as checkpoints:
        named = {str(step): step for step in checkpoints.steps}
        if checkpoints.steps:
            named |= {
                "last": checkpoints.steps[-1],
                **({} if checkpoints.best_step is None else {"best": checkpoints.best_step}),
            }
        if checkpoint not in named:
            raise InputError(f"{run} has no checkpoint {checkpoint!r}; it has {', '.join(named) or 'none'}")
        state = checkpoints.read(named[checkpoint])
    params = state["ema_params"] if averaged else state["gen"]["params"]
    return {"params": params, **(state["gen"].get("stats") or {})}, named[checkpoint]
