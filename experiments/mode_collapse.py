"""Mode collapse and its cures over many seeds, on games whose modes are known: how often modes are lost, and what a cure costs.

    python -m experiments.mode_collapse --benchmark ring                      8 Gaussians, PacGAN's networks
    python -m experiments.mode_collapse --benchmark grid --cures plain pac4 --seeds 64
    python -m experiments.mode_collapse --benchmark unrolled --inner gen      the order of play: G to the end inside
    python -m experiments.mode_collapse --benchmark unrolled --inner disc     D to the end inside
    python -m experiments.mode_collapse --benchmark digits --cures plain minibatch --seeds 16 --steps 2000

The benchmarks stand in `experiments/collapse_benchmarks.py`. The seeds of a cure are one population
(`gan_jax.training.train_population`); run the same command again to continue. Written to --outdir: table.md and results.json
(share of seeds that lost a mode with its Wilson interval; modes at the end and visited at any time, scores, with standard
errors; seconds a seed), modes.png (every seed over the rounds), samples.png (the last samples of every seed), film.webp (the
first seed of each cure).
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jax
import numpy as np
import optax
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.stats import binomtest

from experiments.collapse_benchmarks import BENCHMARKS, Benchmark
from gan_jax import cli, core, losses, penalties
from gan_jax.config import Count, Rate, checked
from gan_jax.core import Objective, Players
from gan_jax.errors import InputError
from gan_jax.files import whole
from gan_jax.images import film
from gan_jax.instance_noise import instance_noise
from gan_jax.layers.head import Minibatch
from gan_jax.losses import Loss
from gan_jax.objectives import image_gan
from gan_jax.rows import evenly
from gan_jax.runs.run import is_run
from gan_jax.training import Measure, Population, train_population
from gan_jax.training.flags import inner_loop

os.environ.setdefault("NPROC", "16")  # jax < 0.12 on few cores: orthogonal kernels of many members dead-lock XLA's threads
FRAMES = 120
PANEL = {"point": 1.5, "image": 2.4}  # the side of one seed's samples, in inches


Look = tuple[int, dict[str, np.ndarray]]  # a round, and arrays of all members


class Cure(NamedTuple):
    """What differs from the plain game. Penalties are named, and weighted as the benchmark says; `norm` is the generator's
    and, but for virtual batch norm, the discriminator's.
    """

    pack: int = 1
    minibatch: Minibatch = "none"
    unroll: int = 0
    penalties: tuple[str, ...] = ()
    loss: Loss | None = None
    smoothing: float = 0.0
    feature_matching: float = 0.0
    noise: float = 0.0
    norm: Literal["", "batch", "virtual"] = ""
    change: Callable[[optax.GradientTransformation], optax.GradientTransformation] = lambda tx: tx
    optimizer: Callable[..., optax.GradientTransformation] = optax.adam


CURES = {
    "plain": Cure(),
    "pac2": Cure(pack=2),
    "pac3": Cure(pack=3),
    "pac4": Cure(pack=4),
    "stddev": Cure(minibatch="stddev"),
    "minibatch": Cure(minibatch="discrimination"),
    "minibatch_scaled": Cure(minibatch="discrimination_scaled"),
    "unrolled": Cure(unroll=5),
    "r1": Cure(penalties=("r1",)),
    "relativistic": Cure(penalties=("r1", "r2"), loss=losses.relativistic_paired),
    "feature_matching": Cure(feature_matching=1.0),
    "label_smoothing": Cure(smoothing=0.1),
    "historical": Cure(change=lambda tx: optax.chain(penalties.historical_averaging(0.1), tx)),
    "instance_noise": Cure(noise=0.1),
    "batch_norm": Cure(norm="batch"),
    "virtual_norm": Cure(norm="virtual"),
    "optimistic": Cure(optimizer=partial(optax.optimistic_adam_v2, nesterov=False)),
}


if TYPE_CHECKING:
    CureName = BenchmarkName = str
else:  # a command line offers what the tables have
    CureName, BenchmarkName = Literal[tuple(CURES)], Literal[tuple(BENCHMARKS)]


@dataclass(frozen=True)
class Config:
    benchmark: BenchmarkName = "ring"
    """What is played on, with the networks, optimizer and cost of its paper."""
    cures: tuple[CureName, ...] = ("plain", "pac2", "minibatch", "unrolled", "r1", "relativistic")
    """What is played beside each other: the plain game and what is said to keep it from losing modes."""
    seeds: Count = 10
    """Runs of each."""
    steps: Count = 20_000
    """Rounds of each run (PacGAN: 400,000; Unrolled GAN: 25,000; stacked: 100,000 and 500,000)."""
    every: Count = 500
    """Rounds between counts of the modes."""
    inner: Literal["none", "disc", "gen"] = "none"
    """Order of play: the player that makes --k updates before each one of the other; none for the benchmark's own."""
    k: Count = 10
    """Updates of the --inner player in a round."""
    lr: Rate | None = None
    """Learning rate of both players; default the benchmark's."""
    disc_lr: Rate | None = None
    """Learning rate of the discriminator; default that of both."""
    together: Count | None = None
    """Seeds that are trained in one program at a time; default all in the plane and on GPUs, one of pictures on a CPU."""
    outdir: Path | None = None
    """Directory; default runs/collapse-BENCHMARK, with -inner-INNER where that is given."""


def main(config: Config) -> dict[str, dict[str, Any]]:
    """Train every cure's seeds, and write and return what became of them; raises `InputError` for what does not fit."""
    config = checked(config)
    benchmark = BENCHMARKS[config.benchmark]()
    if benchmark.real == "point" and (normed := [name for name in config.cures if CURES[name].norm]):
        raise InputError(f"{normed[0]} changes networks of pictures: choose --benchmark digits, flowers or a stacked one")
    order = "" if config.inner == "none" else f"-inner-{config.inner}"
    outdir = config.outdir or Path("runs") / f"collapse-{config.benchmark}{order}"
    found: dict[str, dict[str, Any]] = {}
    looks: dict[str, list[Look]] = {}
    for name in config.cures:
        print(f"\n{name}: {config.seeds} seeds, {config.steps} rounds")
        with stopwatch(outdir / name) as spent:
            population = play(config, benchmark, name, outdir / name)
        looks[name] = looks_of(outdir / name)
        found[name] = summary(population, benchmark) | {
            "visited": visited(looks[name]),
            "seconds_a_seed": spent() / config.seeds,
        }
    report(found, benchmark, outdir)
    draw_curves(found, benchmark.modes, outdir / "modes.png")
    draw_samples(looks, benchmark, config.seeds, outdir / "samples.png")
    make_film(looks, benchmark, outdir / "film")
    return found


@contextmanager
def stopwatch(run: Path) -> Iterator[Callable[[], float]]:
    """A function that gives the seconds spent in blocks like this on a run, in all calls together: they are kept there."""
    path = run / "seconds.txt"

    def spent() -> float:
        with suppress(OSError, ValueError):
            return float(path.read_text())
        return 0.0

    before, begun = spent(), time.perf_counter()
    try:
        yield spent
    finally:
        if is_run(run):  # else it was refused
            with whole(path) as unfinished:
                unfinished.write_text(f"{before + time.perf_counter() - begun:.1f}\n")


def play(config: Config, benchmark: Benchmark, name: str, directory: Path) -> Population:
    """The population of one cure."""
    cure = CURES[name]
    own = 1, benchmark.gen_steps, benchmark.schedule
    disc_steps, gen_steps, schedule = own if config.inner == "none" else inner_loop(config.inner, config.k)
    make = partial(core.make_step, disc_steps=disc_steps, gen_steps=gen_steps, schedule=schedule)
    one_by_one = benchmark.real == "image" and jax.devices()[0].platform == "cpu"
    return train_population(
        partial(build, config, benchmark, cure),
        [{"seed": seed} for seed in range(config.seeds)],
        benchmark.rounds(cure.pack, core.minibatches_per_round(disc_steps, gen_steps)),
        steps=config.steps,
        log_every=config.every,
        save_every=max(config.every, config.steps // 10 // config.every * config.every),
        make=partial(make, ema=0.0, unroll=cure.unroll),
        measure=Measure(config.every, benchmark.score, benchmark.scored_with),
        together=config.together or (1 if one_by_one else None),
        directory=directory,
        facts={
            "benchmark": config.benchmark,
            "cure": name,
            "inner": config.inner,
            "k": config.k,
            "lr": config.lr,
            "disc_lr": config.disc_lr,
        },
    )


def build(config: Config, benchmark: Benchmark, cure: Cure, setting: Any) -> tuple[Objective, Players]:
    """The game of a cure."""
    loss = cure.loss or benchmark.loss
    generator, discriminator = benchmark.generator, benchmark.discriminator.clone(minibatch=cure.minibatch)
    if cure.norm:
        generator = generator.clone(norm=cure.norm)
    if cure.norm == "batch":
        discriminator = discriminator.clone(norm="batch")
    objective = image_gan(
        generator,
        discriminator,
        losses.smooth_labels(loss, 1 - cure.smoothing) if cure.smoothing else loss,
        benchmark.latent,
        penalties=[(benchmark.penalty, penalties.PENALTIES[name]) for name in cure.penalties],
        real=benchmark.real,
        augment=instance_noise(cure.noise, config.steps) if cure.noise else None,
        pack=cure.pack,
        feature_matching=cure.feature_matching,
    )
    b1, b2 = benchmark.decays
    gen_lr, disc_lr = (config.lr or rate for rate in benchmark.rates)
    adam = partial(cure.optimizer, b1=b1, b2=b2)
    return objective, Players(
        gen=cure.change(adam(gen_lr)),
        disc=cure.change(adam(config.disc_lr or disc_lr, eps_root=1e-16 if cure.unroll else 0.0)),
    )


def summary(population: Population, benchmark: Benchmark) -> dict[str, Any]:
    """What became of the seeds: those that died count as having lost every mode."""
    last = [scores[-1] if i not in population.died and scores else None for i, scores in enumerate(population.scores)]
    covered = np.array([row["modes"] if row else 0 for row in last])
    lost = int((covered < benchmark.modes).sum())
    interval = binomtest(lost, len(last)).proportion_ci(method="wilson")
    alive = [row for row in last if row]
    numbers = {name: np.array([row[name] for row in alive]) for name in benchmark.columns}
    return {
        "seeds": len(last),
        "died": len(population.died),
        "lost": lost,
        "lost_share": [lost / len(last), interval.low, interval.high],
        "modes": _mean(covered),
        **{name: _mean(values[np.isfinite(values)]) for name, values in numbers.items()},
        "curves": [[[row["step"], row["modes"]] for row in scores] for scores in population.scores],
    }


def _mean(values: np.ndarray) -> list[float]:
    """Mean and its standard error."""
    if not len(values):
        return [float("nan"), float("nan")]
    return [float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0]


def report(found: dict[str, dict[str, Any]], benchmark: Benchmark, outdir: Path) -> None:
    """The table in Markdown, printed and written, and the numbers as JSON; the last line is what real examples score."""
    rows = [["", "lost a mode", "modes", "visited", *benchmark.columns, "s a seed"]]
    for name, row in found.items():
        share, low, high = row["lost_share"]
        scores = [" ± ".join(form.format(x) for x in row[key]) for key, (form, _) in benchmark.columns.items()]
        modes = ["{:.1f} ± {:.1f}".format(*row[key]) for key in ("modes", "visited")]
        rows.append([name, f"{share:.2f} [{low:.2f}, {high:.2f}]", *modes, *scores, f"{row['seconds_a_seed']:.1f}"])
    rows.append(["real", "", str(benchmark.modes), "", *(form.format(real) for form, real in benchmark.columns.values()), ""])
    rows.insert(1, ["---"] * len(rows[0]))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows]
    print("\n" + "\n".join(lines))
    with whole(outdir / "table.md") as unfinished:
        unfinished.write_text("\n".join(lines) + "\n")
    with whole(outdir / "results.json") as unfinished:
        unfinished.write_text(json.dumps(found) + "\n")


def visited(looks: list[Look]) -> list[float]:
    """The number of modes that a seed covered at one time or another, its mean and standard error."""
    return _mean(np.any([arrays["covered"] for _, arrays in looks], axis=0).sum(axis=1))


def looks_of(directory: Path) -> list[Look]:
    """What was seen, in the order of the rounds."""
    parts: dict[int, dict[int, dict[str, np.ndarray]]] = {}
    for path in sorted((directory / "looks").glob("*.npz")):
        first, step = map(int, path.stem.split("-"))
        with np.load(path) as file:
            parts.setdefault(step, {})[first] = dict(file)
    return [
        (step, {name: np.concatenate([chunks[first][name] for first in sorted(chunks)]) for name in ("covered", "samples")})
        for step, chunks in sorted(parts.items())
    ]


def draw_curves(found: dict[str, dict[str, Any]], modes: int, path: Path) -> None:
    """Modes over the rounds: a panel a cure, a line a seed."""
    figure = Figure(figsize=(2.6 * len(found), 2.4), layout="constrained")
    for axes, (name, row) in zip(np.atleast_1d(figure.subplots(1, len(found), sharey=True)), found.items(), strict=True):
        for curve in row["curves"]:
            axes.plot(*zip(*curve, strict=True), color="tab:blue", alpha=0.35, linewidth=0.8)
        axes.set(title=name, xlabel="rounds", ylim=(-0.3, modes + 0.5))
    with whole(path) as unfinished:
        figure.savefig(unfinished, dpi=110)


def draw_samples(looks: dict[str, list[Look]], benchmark: Benchmark, seeds: int, path: Path) -> None:
    """The last samples: a row a cure, a column a seed."""
    columns = min(seeds, 10)
    side = PANEL[benchmark.real]
    figure = Figure(figsize=(side * columns, 1.05 * side * len(looks)), layout="constrained")
    panels = figure.subplots(len(looks), columns, squeeze=False)
    for row, (name, seen) in zip(panels, looks.items(), strict=True):
        for i, axes in enumerate(row):
            benchmark.show(axes, seen[-1][1]["samples"][i])
            axes.set(xticks=[], yticks=[])
        row[0].set_ylabel(name)
    with whole(path) as unfinished:
        figure.savefig(unfinished, dpi=110)


def make_film(looks: dict[str, list[Look]], benchmark: Benchmark, path: Path) -> None:
    """The first seed of each cure, side by side."""
    shortest, side = min(len(seen) for seen in looks.values()), PANEL[benchmark.real]
    frames = []
    for i in evenly(shortest, min(FRAMES, shortest)):
        figure = Figure(figsize=(1.4 * side * len(looks), 1.6 * side), dpi=90, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        for axes, (name, seen) in zip(np.atleast_1d(figure.subplots(1, len(looks))), looks.items(), strict=True):
            benchmark.show(axes, seen[i][1]["samples"][0])
            axes.set(xticks=[], yticks=[])
            axes.set_title(f"{name}, {seen[i][0]}", fontsize=8)
        canvas.draw()
        frames.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    print(f"film        {', '.join(map(str, film(frames, path)))}")


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
