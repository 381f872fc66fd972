"""A trained generator, from the directory of its run alone.

trained = open_trained("runs/demo")
trained.draw(16)                # 16 pictures
trained.render(z=z)             # the pictures of these latents, (n, dim)
trained.draw(label=[3, 3, 7])   # of these classes, where the run has classes
trained.upscale(picture)        # a picture enlarged, by a run of super-resolution
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import jax
import numpy as np
from jax import Array

from gan_jax import images, progress
from gan_jax.config import checked_seed
from gan_jax.core import Batch, Sampler, Variables
from gan_jax.data.npz_files import headers_of, read_arrays
from gan_jax.errors import InputError
from gan_jax.files import place
from gan_jax.parallel.memory import require_bytes
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.conditions import ASK, Rows, ask, population
from gan_jax.runs.records import is_file, read_json
from gan_jax.runs.run import FORMAT, require_there
from gan_jax.runs.spec import open_sampler
from gan_jax.sampling import Inputs, Statistics, render, settle
from gan_jax.upscaling import TILE, margin_for, upscaled


class Norms(NamedTuple):
    """The norms |z| of latent codes: the least, sqrt(E |z|^2), the largest, of many."""

    least: float
    typical: float
    largest: float


@dataclass(frozen=True)
class Trained:
    """The generator of `run` as it was at `step`: `averaged` weights or the newest ones, its statistics settled.

    `facts` is what model.json says of its samples: `classes`, the shapes of what it is asked by, rows of that.
    """

    run: Path
    step: int
    averaged: bool
    statistics: Statistics
    facts: Mapping[str, Any]
    sampler: Sampler
    variables: Variables

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes that it can be asked for; () of an unconditional generator."""
        return tuple(self.facts["classes"]) if "label" in self.sampler.needs else ()

    @cached_property
    def norms(self) -> Norms:
        """Of 4,096 latent codes; raises `InputError` for a generator without codes `z` (n, d)."""
        inputs = self.sampler.inputs(jax.random.key(0), jax.tree.map(jax.numpy.asarray, self.ask(_CODES)))
        z = np.asarray(inputs.get("z", ()))
        if z.ndim != 2:
            raise InputError(f"this generator takes {', '.join(inputs)}: it has no latent codes z (n, d)")
        norms = np.linalg.norm(z, axis=1)
        return Norms(float(norms.min()), math.sqrt(float(np.mean(norms**2))), float(norms.max()))

    def draw(self, n: int | None = None, seed: int = 0, **wanted: Any) -> np.ndarray:
        """n samples: uint8 (n, h, w, c) where they are pictures, float32 elsewhere; the same seed gives the same ones.

        `wanted` has a word for all samples (`label="7"`) or a row for each (`label=[3, 3, 7]`), and n may be left out then;
        what is not named is asked for in turn. Raises `InputError` for what the run cannot give.
        """
        return self.render(seed, **self.inputs(self._number(n, wanted), seed, **wanted))

    def inputs(self, n: int, seed: int = 0, **wanted: Any) -> Inputs:
        """What `draw` makes its samples of: latents `z`, and what they are asked for, by name.

        Raises `InputError` for more samples than memory holds.
        """
        key, _ = jax.random.split(jax.random.key(checked_seed(seed)))
        self.require_room(n)
        return self.sampler.inputs(key, jax.tree.map(jax.numpy.asarray, self.ask(n, **wanted)))

    def require_room(self, n: int) -> None:
        """Raises `InputError` where n samples and their inputs take more memory than there is."""

        def one(variables: Variables, rows: Batch) -> Any:
            inputs = self.sampler.inputs(jax.random.key(0), rows)
            return inputs, self.sampler.sample(variables, inputs, jax.random.key(0), False)[0]

        inputs, sample = jax.eval_shape(one, self.variables, self.ask(1))
        row = sum(math.prod(x.shape) * 4 for x in jax.tree.leaves(inputs))
        require_bytes(n * (row + math.prod(sample.shape)), f"{n:,} samples", "ask for fewer at a time")

    def ask(self, n: int, **wanted: Any) -> Rows:
        """The rows that n samples are asked by; see `gan_jax.runs.conditions.ask`."""
        return ask(self.sampler, self.facts, n, wanted)

    def embed(self, n: int, **wanted: Any) -> np.ndarray:
        """The embeddings (n, t) of the captions that n samples are asked by: `render` takes such ones as `text`, mixed or not.

        Raises `InputError` for a run that is not asked by text, and as `ask`.
        """
        if self.sampler.embed is None:
            raise InputError(f"{self.run} was trained without captions: there are no embeddings of them")
        (rows,) = self.ask(n, **wanted).values()
        return np.asarray(_embedded(self.sampler.embed, self.variables, rows))

    def render(self, seed: int = 0, **inputs: Any) -> np.ndarray:
        """The samples of given inputs, such as `z` (n, dim), and `label` (n,) where the run has classes.

        Where it is asked by captions, `text` (n, t) of `embed` may stand for them.

        `seed` is of what the network itself draws, if it does. Raises `InputError` for inputs that are missing, unknown or of
        another shape.
        """
        rows = {name: jax.numpy.asarray(value) for name, value in inputs.items()}
        self._require(rows)
        _, key = jax.random.split(jax.random.key(checked_seed(seed)))
        with progress.step("drawing samples"):
            return render(self.sampler, self.variables, rows, key, statistics=self.statistics, finish=_finish)

    def upscale(self, picture: np.ndarray, *, tile: int = TILE, margin: int | None = None) -> np.ndarray:
        """A picture (h, w) or (h, w, c), uint8 or uint16, as a run of super-resolution enlarges it; of the same kind and type.

        In tiles of `tile` pixels, of which `margin` at every side are not kept, so that memory stays bounded; see
        `gan_jax.upscaling.upscaled`. The default margin is as far as the run's network reaches, 64 at most. Raises
        `InputError` for other runs, and for what is no picture.
        """
        if self.statistics == "batch":
            raise InputError("tiles must be normalised alike: open the run with running or standing statistics, not batch")
        channels = int(self.facts["shapes"].get("low", (0,))[-1])
        margin = margin_for(int(self.facts["reach"])) if margin is None else margin
        return upscaled(self.sampler, self.variables, picture, channels, margin=margin, tile=tile)

    def _number(self, n: int | None, wanted: Mapping[str, Any]) -> int:
        found = [len(rows) for rows in wanted.values() if np.ndim(rows) and not isinstance(rows, str | Path)]
        if n is None and not found:
            raise InputError("say how many samples to draw")
        return found[0] if n is None else n

    def _require(self, given: Mapping[str, Any]) -> None:
        """Raises `InputError` unless these are the sampler's inputs."""
        expected = jax.eval_shape(lambda: self.sampler.inputs(jax.random.key(0), self.ask(1)))
        if "text" in given and self.sampler.embed is not None:
            (need,) = self.sampler.needs
            embedded = jax.eval_shape(self.sampler.embed, self.variables, expected.pop(need))
            expected["text"] = embedded
        if given.keys() != expected.keys():
            raise InputError(f"this generator takes {', '.join(expected)}, not {', '.join(given) or 'nothing'}")
        for name, like in expected.items():
            if given[name].ndim == 0:
                raise InputError(f"give a row of {name} for each sample, not one number")
            if name in ASK and name in self.sampler.needs:
                if reason := ASK[name].check(np.asarray(given[name]), self.facts):
                    raise InputError(reason)
            elif given[name].shape[1:] != like.shape[1:]:
                raise InputError(f"a row of {name} has the shape {like.shape[1:]}, not {given[name].shape[1:]}")
        if len({len(value) for value in given.values()}) > 1:
            raise InputError("give as many rows of each: " + ", ".join(f"{len(value)} {name}" for name, value in given.items()))


def open_trained(
    run: Path | str,
    checkpoint: str = "last",
    statistics: Statistics | None = None,
    averaged: bool = True,
    trust: bool = False,
) -> Trained:
    """The generator in a checkpoint of a run: last, best, or a step; with statistics as in training unless given.

    Networks of others than gan_jax are opened only with `trust`: their modules are imported then. Raises `InputError` if the
    directory is no run that can be sampled, or has no such checkpoint.
    """
    run = place(run)
    model = _described(run)
    with progress.step(f"reading {run}"):
        variables, step = _load(run, checkpoint, model["metric"], model["mode"], averaged)
    sampler = open_sampler(model, trust)
    facts = {**model, "rows": _rows(run / "asked.npz")}
    _require_fits(run, step, sampler, variables, facts)
    statistics = statistics or model["statistics"]
    if statistics == "standing":
        with progress.step("re-estimating batch statistics"):
            variables = settle(sampler, variables, population(sampler, facts), jax.random.key(0))
    return Trained(run, step, averaged, statistics, facts, sampler, variables)


@partial(jax.jit, static_argnums=0)
def _embedded(embed: Callable[[Variables, Array], Array], variables: Variables, rows: Array) -> Array:
    return embed(variables, rows)


_CODES = 4096  # of which norms are measured
_LARGEST_SIDE, _MOST_AXES = 2**24, 32  # of a shape
_FACTS: dict[str, tuple[Any, Callable[[Any], bool]]] = {  # of model.json: what stands for a missing one, and what it may be
    "metric": (None, lambda value: value is None or isinstance(value, str)),
    "mode": ("max", lambda value: value in ("max", "min")),
    "statistics": ("running", lambda value: value in get_args(Statistics)),
    "classes": ((), lambda value: _all(value, lambda name: isinstance(name, str))),
    "untrained": ((), lambda value: _all(value, lambda number: _whole(number, _MOST_CLASSES))),
    "reach": (0, lambda value: _whole(value, _LARGEST_SIDE)),
    "shapes": ({}, lambda value: isinstance(value, dict) and all(map(_shape, value.values()))),
}
_MOST_CLASSES = 2**20
_UNSUSPICIOUS = 2**26  # bytes of rows that may be compressed; a run itself writes them as they are


def _all(value: Any, right: Callable[[Any], bool]) -> bool:
    return isinstance(value, list | tuple) and len(value) <= _MOST_CLASSES and all(map(right, value))


def _whole(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _shape(value: Any) -> bool:
    return _all(value, lambda side: _whole(side, _LARGEST_SIDE)) and len(value) <= _MOST_AXES


def _described(run: Path) -> dict[str, Any]:
    """What model.json says, checked."""
    require_there(run)
    model = read_json(run / "model.json")
    if model is None:
        raise InputError(
            f"{run} is no run that can be sampled: it has no model.json. A script of your own writes it by Run.describe_model"
        )
    newest = model.get("format", 1)
    if not isinstance(newest, int) or newest > FORMAT:
        raise InputError(f"{run} was made by a newer gan_jax (format {str(newest)[:20]}, known here {FORMAT}): update gan_jax")
    if missing := {"sampler", "parts"} - model.keys():
        raise InputError(f"{run / 'model.json'} is damaged: it lacks {', '.join(sorted(missing))}")
    model = {name: default for name, (default, _) in _FACTS.items()} | model
    for name, (_, right) in _FACTS.items():
        if not right(model[name]):
            raise InputError(f"{run / 'model.json'} is damaged: its {name} is {str(model[name])[:100]!r}")
    untrained = set(model["untrained"])
    if untrained and not untrained < set(range(len(model["classes"]))):
        raise InputError(f"{run / 'model.json'} is damaged: its untrained are not some of its {len(model['classes'])} classes")
    return model


def _require_fits(run: Path, step: int, sampler: Sampler, variables: Variables, facts: Mapping[str, Any]) -> None:
    """Raises `InputError` unless the sampler takes these variables and what the facts say: tried on shapes alone."""

    def one(variables: Variables) -> Any:
        key, batch = jax.random.key(0), ask(sampler, facts, 1, {})
        return sampler.sample(variables, sampler.inputs(key, jax.tree.map(jax.numpy.asarray, batch)), key, False)

    try:
        jax.eval_shape(one, variables)
    except InputError:
        raise
    except Exception as error:  # whatever a network raises for other arrays than its own
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(
            f"the generator that {run / 'model.json'} describes does not fit checkpoint {step}: {reason[0][:200]}"
        ) from error


def _rows(path: Path) -> Rows:
    if not is_file(path):
        return {}
    headers = headers_of(path)
    nbytes = sum(header.nbytes for header in headers.values())
    if nbytes > max(_UNSUSPICIOUS, 2 * path.stat().st_size):
        raise InputError(f"{path} is damaged: it would unpack to {nbytes / 1e6:,.0f} MB")
    if empty := [name for name, header in headers.items() if not header.shape or not header.shape[0]]:
        raise InputError(f"{path} is damaged: {empty[0]} has no rows")
    return read_arrays(path, headers, list(headers)) if headers else {}


def _finish(samples: np.ndarray) -> np.ndarray:
    return images.to_uint8(samples) if samples.ndim == 4 else samples


def _load(run: Path, checkpoint: str, metric: str | None, mode: Literal["max", "min"], averaged: bool) -> tuple[Variables, int]:
    """The generator's variables in a checkpoint (last, best by `metric`, or a step), and its step."""
    if not (run / "checkpoints").is_dir():
        raise InputError(f"{run} has no checkpoints")
    with Checkpoints(run / "checkpoints", metric=metric, mode=mode, read_only=True) as checkpoints:
        named = {str(step): step for step in checkpoints.steps}
        if checkpoints.steps:
            named["last"] = checkpoints.steps[-1]
        if checkpoints.best_step is not None:
            named["best"] = checkpoints.best_step
        if checkpoint not in named:
            raise InputError(f"{run} has no checkpoint {checkpoint!r}; it has {', '.join(named) or 'none'}")
        state = checkpoints.read(named[checkpoint])
    try:
        if averaged and "gen" in state and not state.get("ema_params"):
            raise InputError(
                f"checkpoint {checkpoint} of {run} has no averaged weights: open the newest ones (--raw, averaged=False)"
            )
        params = state["ema_params"] if averaged else state["gen"]["params"]
        return {"params": params, **(state["gen"].get("stats") or {})}, named[checkpoint]
    except (AttributeError, LookupError, TypeError) as error:
        raise InputError(f"checkpoint {checkpoint} of {run} is not of a game: it lacks {error}") from error
