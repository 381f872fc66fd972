"""What happens at intervals of a run: sheets of samples, scores."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from gan_jax.core import Objective, TrainState, sampling_variables
from gan_jax.data.dataset import Arrays, Dataset
from gan_jax.evaluation.evaluator import Evaluator, data_labels
from gan_jax.images.convert import film, grid, save, to_uint8
from gan_jax.runs.run import Run
from gan_jax.sampling import Statistics, make_draw
from gan_jax.training.doctor import overfit
from gan_jax.training.loop import Row

Call = Callable[[int, TrainState], Row | None]
_GRID_SEED, _SCORE_SEED = 1, 2  # noise of sheets and of scores: the same in every run


def condition(dataset: Dataset, n: int | None = None) -> Arrays:
    """A batch that asks for n samples, the classes in turn; by default one of each."""
    classes = max(len(dataset.class_names), 1)
    return {"label": (np.arange(classes if n is None else n) % classes).astype(np.int32)}


def sample_grid(run: Run, objective: Objective, dataset: Dataset, statistics: Statistics, n: int = 64) -> Call:
    """Write samples/STEP.png, n samples of fixed noise by the averaged generator; real.png, n real ones, beside it."""
    scale = max(1, 64 // dataset.train["image"].shape[1])
    spread = np.linspace(0, len(dataset) - 1, min(n, len(dataset))).round().astype(int)
    save(grid(dataset.train["image"][spread]), run.path("real.png"), scale)
    draw, everything = make_draw(objective.inputs, objective.sample, statistics), condition(dataset)

    def call(step: int, state: TrainState) -> None:
        images, _ = draw(sampling_variables(state), jax.random.key(_GRID_SEED), condition(dataset, n), everything)
        save(grid(to_uint8(images)), run.path(f"samples/{step:06}.png"), scale)

    return call


def evaluation(evaluator: Evaluator, objective: Objective, statistics: Statistics, n: int) -> Call:
    """Scores of n samples of the averaged generator, with their floors and their protocol.

    Raises `InputError` if the evaluator's metrics cannot score so many.
    """
    evaluator.require(n)
    draw = make_draw(objective.inputs, objective.sample, statistics, finish=to_uint8)
    labels = data_labels(evaluator.dataset, n, evaluator.dataset.class_names)
    asked, everything = {"label": labels}, condition(evaluator.dataset)
    protocol = {"generator_weights": "averaged", "statistics": statistics, "seed": _SCORE_SEED}

    def call(step: int, state: TrainState) -> Row:
        images, _ = draw(sampling_variables(state), jax.random.key(_SCORE_SEED), asked, everything)
        row = evaluator.row([evaluator.score(images, labels if evaluator.labelled else None)], n, **protocol)
        return {"source": "training", **row}

    return call


def overfit_check(objective: Objective, dataset: Dataset, names: Sequence[str], n: int = 256) -> Call:
    """How much the discriminator has learned by heart, from n training and n held-out examples' arrays `names`."""

    def some(arrays: Arrays) -> Arrays:
        size = len(arrays["image"])
        chosen = np.unique(np.linspace(0, size - 1, min(n, size)).round().astype(int))
        return {name: np.asarray(arrays[name][chosen]) for name in names}

    train, held_out = some(dataset.train), some(dataset.held_out)
    measure = jax.jit(partial(overfit, objective))
    return lambda step, state: {"overfit": float(measure(state, train, held_out, jax.random.key(_SCORE_SEED)))}


def make_film(run: Run, seconds: float = 8.0, most: int = 120) -> list[Path]:
    """The sheets of samples so far, at most `most` of them, as a film in video/; returns the files written."""
    sheets = sorted(run.directory.glob("samples/[0-9]*.png"))
    if len(sheets) < 2:
        return []
    chosen = np.unique(np.linspace(0, len(sheets) - 1, min(most, len(sheets))).round().astype(int))
    frames = [np.asarray(Image.open(sheets[i]).convert("RGB")) for i in chosen]
    return film(frames, run.path("video/training"), seconds)
