"""Score samples: `evaluate RUN`, or pictures; every score with its standard deviation, its floor and its protocol."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import tyro

from gan_jax import images
from gan_jax.commands import reference
from gan_jax.commands.flags import TrainedFlags
from gan_jax.commands.reference import Needs
from gan_jax.config import MOST, Count, CountOrNone, Seed, Within, command
from gan_jax.data.dataset import Dataset
from gan_jax.data.load import load, open_source
from gan_jax.data.pictures import facts
from gan_jax.errors import InputError
from gan_jax.evaluation.evaluator import MOST_REAL, Evaluator, parse_metrics
from gan_jax.evaluation.flags import FeatureFlags
from gan_jax.evaluation.scores import BETTER, wish
from gan_jax.files import check_apart, exists
from gan_jax.metrics.neighbours import nearest
from gan_jax.parallel import host
from gan_jax.rows import evenly
from gan_jax.runs.conditions import Rows, rows_of
from gan_jax.runs.records import append_row
from gan_jax.runs.run import is_run
from gan_jax.runs.trained import Trained


@dataclass(frozen=True)
class Config(TrainedFlags, FeatureFlags):
    """The flags of `evaluate`."""

    samples: Annotated[Path, tyro.conf.Positional]
    """A run's directory, or a folder, a zip or an .npz of samples."""
    ref: str = "train"
    """What they are compared with: train or held_out pictures of the run's own data, or any data (a folder, a name, ...)."""
    metrics: str = "auto"
    """Scores to compute, of fid, kid, is, prdc, memorised, diversity, birthday, ms_ssim, recognised, attributes, counting,
    stacked;
    auto: of fid, kid, prdc, memorised, diversity and recognised those that there are enough pictures for."""
    n: Annotated[int, Within(2, MOST)] | None = None
    """Number of samples to score (papers: 50,000); default 10,000 of a run, of pictures as many as are compared with."""
    reference: CountOrNone = MOST_REAL
    """Largest number of real pictures to compare with: of more a fixed random subset; 0 for all."""
    repeats: Count = 3
    """Number of repeats with other noise, or of a folder with other pictures."""
    seed: Seed = 0
    """Random seed for the noise of the first repeat."""
    out: Path | None = None
    """Folder for eval.jsonl and nearest.png; default the run's directory, or for other samples the present one."""


OF_RUN = 10_000  # samples by default
AUTO = ("fid", "kid", "prdc", "memorised", "diversity", "recognised")


class _Draw(NamedTuple):
    images: np.ndarray
    asked: dict[str, np.ndarray]


@command
def main(config: Config) -> dict[str, Any]:
    """Print the table and add its row to eval.jsonl; returns the row. Raises `InputError` for what cannot be scored."""
    metrics = AUTO if config.metrics == "auto" else parse_metrics(config.metrics)
    if not metrics:
        raise InputError("--metrics none: name a score or several")
    host.keep_compiled()
    trained = _open(config)
    needs = Needs(metrics, config.metrics == "auto", config.features)
    out = config.out or (config.samples if trained else Path())
    beside = [config.ref] if config.ref not in reference.SPLITS else []
    check_apart(out / "eval.jsonl", beside if trained else [*beside, config.samples])
    if trained is None:
        if config.checkpoint != "last":
            raise InputError(f"--checkpoint {config.checkpoint}: {config.samples} is no run and has none")
        given = _given(config.samples)
        compared = reference.of_pictures(config.samples, given, config.ref, needs)
        source = _of_pictures(config, given, compared.dataset)
        labelled = _labels_by_name(given, compared.dataset) is not None
    else:
        compared = reference.of_run(config.samples, config.ref, needs, partial(_shape, trained))
        source = _of_run(config, trained, compared.dataset)
        labelled = bool(trained.classes) and trained.classes == compared.dataset.class_names
    print(compared.told(config.reference), flush=True)
    if source.times < config.repeats:
        print(
            f"{config.samples} has samples for {source.times} of {config.repeats} repeats of {source.n}: ask for fewer by --n"
        )
    if not compared.apart:
        metrics = tuple(name for name in metrics if name != "memorised")
        print("left out    memorised needs pictures that are not compared with: ask for it by --metrics")
    network = config.open_features(compared.taught)
    evaluator = Evaluator(compared.dataset, network, metrics, compared.split, labelled, most=config.reference or None)
    if config.metrics == "auto":
        left_out = evaluator.drop_lacking(source.n)
        if not evaluator.metrics:
            raise InputError(f"nothing can be scored: {'; '.join(left_out)}")
        for reason in left_out:
            print(f"left out    {reason}")
    evaluator.require(source.n)
    drawn, repeats = _Draw(np.empty(0), {}), []
    for repeat in range(source.times):
        drawn = source.draw(repeat)
        repeats.append(evaluator.score(*drawn))
    row = {"step": trained.step if trained else 0, **evaluator.row(repeats, source.n, **_origin(config, trained))}
    print(table(row))
    _write(row, out, drawn, evaluator)
    return row


def _write(row: dict[str, Any], out: Path, drawn: _Draw, evaluator: Evaluator) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        append_row(out / "eval.jsonl", row)
        print(f"written: {out / 'eval.jsonl'}")
        if "memorised" in evaluator.metrics:
            images.save(
                nearest_sheet(drawn.images, evaluator), out / "nearest.png", scale=images.enlargement(drawn.images.shape[1])
            )
            print(f"written: {out / 'nearest.png'}: the samples nearest to a training picture, and that one below each")
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror}; choose another --out") from error


def _open(config: Config) -> Trained | None:
    """The run, or None if the path is something else that holds pictures."""
    if not exists(config.samples):
        raise InputError(f"there is no {config.samples}: name a run's directory, or a folder, a zip or an .npz of samples")
    if not exists(config.samples / "model.json") and not _is_run(config.samples):
        runs = sorted(str(path.parent) for path in config.samples.glob("*/config.json"))
        if runs:
            raise InputError(f"{config.samples} holds {len(runs)} runs: name one of them, such as {runs[0]}")
        return None
    return config.open_generator(config.samples)


def _is_run(path: Path) -> bool:
    with contextlib.suppress(InputError):  # a folder of samples may have an env.json of another kind
        return is_run(path)
    return False


def _given(path: Path) -> Dataset:
    """Pictures of a folder, zip or .npz, all of one size."""
    split = open_source(path, (64, 64), held_out=0.0).splits["train"]
    sizes = {facts(split.read(int(i)).image)[:2] for i in evenly(split.size, 50)}
    if len(sizes) > 1:
        named = ", ".join(f"{h}x{w}" for h, w in sorted(sizes)[:5])
        raise InputError(f"{path} has samples of several sizes ({named}): scores need one size")
    return load(path, sizes.pop(), held_out=0.0)


class _Source(NamedTuple):
    """What draws the samples of a repeat, how many, and how many repeats there can be."""

    draw: Callable[[int], _Draw]
    n: int
    times: int


def _of_run(config: Config, trained: Trained, dataset: Dataset) -> _Source:
    n = OF_RUN if config.n is None else config.n
    trained.require_room(n)
    asked = _asked_as_in(dataset, trained, n)
    same = not trained.classes or trained.classes == dataset.class_names  # else its labels are not those of the reference
    known = {name: rows for name, rows in asked.items() if same or name != "label"}

    def drawn(repeat: int) -> _Draw:
        samples = trained.draw(n, config.seed + repeat, **asked)
        if samples.ndim != 4:
            raise InputError(f"{trained.run} makes points, not images: see the script that trained it for its scores")
        return _Draw(samples, known)

    return _Source(drawn, n, config.repeats)


def _of_pictures(config: Config, given: Dataset, dataset: Dataset) -> _Source:
    n = min(len(given), config.n or config.reference or len(given))
    order = np.random.Generator(np.random.Philox(key=0)).permutation(len(given))
    known = _labels_by_name(given, dataset)

    def part(repeat: int) -> _Draw:
        chosen = np.sort(order[repeat * n : (repeat + 1) * n])
        return _Draw(np.asarray(given.train["image"][chosen]), {} if known is None else {"label": known[chosen]})

    return _Source(part, n, max(1, min(config.repeats, len(given) // n)))


def _asked_as_in(dataset: Dataset, trained: Trained, n: int) -> Rows:
    """What n samples are asked for: as often as in the data where these are of the generator's classes, else all in turn."""
    own = not trained.classes or trained.classes == dataset.class_names
    if own and all(name in dataset.train and dataset.train[name].ndim == 1 for name in trained.sampler.needs):
        asked = rows_of(trained.sampler, dataset.train, n)
    else:
        asked = trained.ask(n)
    return {name: rows for name, rows in asked.items() if name in trained.sampler.needs}


def _labels_by_name(given: Dataset, dataset: Dataset) -> np.ndarray | None:
    """The samples' labels in the numbers of the reference; None if a name is unknown there."""
    if not given.class_names or not set(given.class_names) <= set(dataset.class_names):
        return None
    numbers = np.array([dataset.class_names.index(name) for name in given.class_names], np.int32)
    return numbers[np.asarray(given.train["label"])]


def _origin(config: Config, trained: Trained | None) -> dict[str, Any]:
    if trained is None:
        return {"samples": str(config.samples)}
    weights = "averaged" if trained.averaged else "newest"
    return {"generator_weights": weights, "statistics": trained.statistics, "seed": config.seed}


def _shape(trained: Trained) -> tuple[int, int, int]:
    """Height, width and channels of a run's samples; raises `InputError` where these are no images."""
    shape = trained.draw(1).shape[1:]
    if len(shape) != 3:
        raise InputError(f"{trained.run} makes points, not images: see the script that trained it for its scores")
    return shape[0], shape[1], shape[2]


def table(row: dict[str, Any]) -> str:
    """Every score with its deviation over repeats, the floor, and which way is better; then the protocol.

    Between them, where attributes are scored, how well the classifier recognises each in held-out pictures.
    """
    protocol, lines = row["protocol"], [f"{'':16}{'samples':>12}{'':12}{'real':>12}"]
    for name in (name for name in BETTER if name in row):
        deviation = f"± {row[f'{name}_std']:.3g}" if f"{name}_std" in row else ""
        floor = f"{row[f'{name}_floor']:.4g}" if f"{name}_floor" in row else "-"
        bound = "> " * (name == "support" and row.get("duplicates") == 0)  # the estimate of no near duplicate is one
        lines.append(f"{name:16}{f'{bound}{row[name]:.4g}':>12} {deviation:11}{floor:>12}  {wish(name)}")
    if reliability := protocol.get("reliability"):
        lines.append(f"{'classifier':28}{'recall':>12}{'precision':>12}{'held-out':>12}")
        lines += [
            f"{name:28}" + "".join(f"{_number(value):>12}" for value in each.values()) for name, each in reliability.items()
        ]
    facts = ", ".join(f"{name} {value}" for name, value in protocol.items() if name != "reliability")
    return "\n".join([*lines, f"protocol: {facts}"])


def _number(value: float | int | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def nearest_sheet(samples: np.ndarray, evaluator: Evaluator, count: int = 12) -> np.ndarray:
    """A sheet: the samples that are nearest to a training picture, nearest first, and these pictures below them."""
    train = evaluator.reference.train
    distances, which = nearest(evaluator.look(samples).features, train.features)
    chosen = np.argsort(distances)[:count]
    pictures = train.images[which[chosen]]
    return images.grid(np.concatenate([samples[chosen], pictures]), len(chosen))
