"""Mode collapse and its cures over many seeds, on games whose modes are known: how often modes are lost, and what a cure costs.

    python -m experiments.mode_collapse --benchmark ring                      8 Gaussians, PacGAN's networks
    python -m experiments.mode_collapse --benchmark grid --cures plain pac4 --seeds 64
    python -m experiments.mode_collapse --benchmark unrolled --inner gen    # the order of play: G to the end inside
    python -m experiments.mode_collapse --benchmark unrolled --inner disc   # D to the end inside
    python -m experiments.mode_collapse --benchmark digits --cures plain minibatch --seeds 16 --steps 2000

The benchmarks stand in `experiments/collapse_benchmarks.py`. The seeds of a cure are one population
(`gan_jax.training.train_population`); run the same command again to continue. Written to --outdir, of all cures played there:
table.md and results.json (share of seeds that lost a mode with its Wilson interval; modes at the end and visited at any time,
scores, with standard errors; seconds a seed), modes.png (every seed over the rounds), samples.png (the last samples of every
seed), film.webp (the first seed of each cure).
"""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jax
import numpy as np
import optax

from experiments.collapse_benchmarks import BENCHMARKS, Benchmark
from experiments.collapse_report import earlier, live_samples, looks_of, report, visited
from experiments.stopwatch import stopwatch
from experiments.tables import mean_and_error
from gan_jax import cli, core, losses, penalties
from gan_jax.config import Count, Rate, checked
from gan_jax.core import Objective, Players
from gan_jax.errors import InputError
from gan_jax.instance_noise import instance_noise
from gan_jax.layers.head import Minibatch
from gan_jax.losses import Loss
from gan_jax.metrics.intervals import proportion
from gan_jax.objectives import image_gan
from gan_jax.training import Measure, Population, train_population
from gan_jax.training.flags import DECAYS, OPTIMIZERS, inner_loop
from gan_jax.training.live import in_notebook

os.environ.setdefault("NPROC", "16")  # jax < 0.12 on few cores: orthogonal kernels of many members dead-lock XLA's threads


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
    historical: float = 0.0
    optimizer: str = "adam"


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
    "historical": Cure(historical=0.1),
    "instance_noise": Cure(noise=0.1),
    "batch_norm": Cure(norm="batch"),
    "virtual_norm": Cure(norm="virtual"),
    "optimistic": Cure(optimizer="optimistic_adam"),
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
    if not config.cures:
        raise InputError("--cures: name one or more, such as plain")
    benchmark = BENCHMARKS[config.benchmark]()
    if benchmark.real == "point" and (normed := [name for name in config.cures if CURES[name].norm]):
        raise InputError(f"{normed[0]} changes networks of pictures: choose --benchmark digits, flowers or a stacked one")
    order = "" if config.inner == "none" else f"-inner-{config.inner}"
    outdir = config.outdir or Path("runs") / f"collapse-{config.benchmark}{order}"
    found = earlier(outdir, facts_of(config))
    for name in config.cures:
        print(f"\n{name}: {config.seeds} seeds, {config.steps} rounds")
        with stopwatch(outdir / name) as spent:
            population = play(config, benchmark, name, outdir / name)
        found[name] = summary(population, benchmark) | {
            "visited": visited(looks_of(outdir / name)),
            "rounds": max(config.steps, int(population.states.step.max())),
            "seconds_a_seed": spent() / config.seeds,
        }
    found = {name: found[name] for name in CURES if name in found}
    report(found, benchmark, outdir)
    return found


def play(config: Config, benchmark: Benchmark, name: str, directory: Path) -> Population:
    """The population of one cure."""
    cure = CURES[name]
    disc_steps, gen_steps, schedule = order_of_play(config, benchmark)
    make = partial(core.make_step, disc_steps=disc_steps, gen_steps=gen_steps, schedule=schedule)
    one_by_one = benchmark.real == "image" and jax.devices()[0].platform == "cpu"
    return train_population(
        partial(build, config, benchmark, cure),
        [{"seed": seed} for seed in range(config.seeds)],
        benchmark.rounds(cure.pack, core.minibatches_per_round(disc_steps, gen_steps)),
        steps=config.steps,
        log_every=config.every,
        save_every=max(config.every, config.steps // 10 // config.every * config.every),
        make=partial(make, ema=benchmark.ema, unroll=cure.unroll),
        measure=Measure(config.every, benchmark.score, benchmark.scored_with),
        together=config.together or (1 if one_by_one else None),
        directory=directory,
        watch=live_samples(name, benchmark) if in_notebook() else None,
        facts={
            **facts_of(config),
            "cure": name,
            **({"over": config.steps} if cure.noise or benchmark.decay != "constant" else {}),  # what falls over the run
        },
    )


def facts_of(config: Config) -> dict[str, Any]:
    """What tells the game of all cures from others."""
    return {name: getattr(config, name) for name in ("benchmark", "inner", "k", "lr", "disc_lr")}


def build(config: Config, benchmark: Benchmark, cure: Cure, setting: Any) -> tuple[Objective, Players]:
    """The game of a cure."""
    loss, (disc_steps, gen_steps, _) = cure.loss or benchmark.loss, order_of_play(config, benchmark)
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
        augment=instance_noise(cure.noise, config.steps * disc_steps) if cure.noise else None,
        pack=cure.pack,
        feature_matching=cure.feature_matching,
    )
    gen_lr, disc_lr = (config.lr or rate for rate in benchmark.rates)
    return objective, Players(
        gen=optimizer(benchmark, cure, gen_lr, config.steps * gen_steps),
        disc=optimizer(benchmark, cure, config.disc_lr or disc_lr, config.steps * disc_steps),
    )


def order_of_play(config: Config, benchmark: Benchmark) -> tuple[int, int, core.Schedule]:
    """Updates of the discriminator and of the generator in a round, and who moves first."""
    own = 1, benchmark.gen_steps, benchmark.schedule
    return own if config.inner == "none" else inner_loop(config.inner, config.k)


def optimizer(benchmark: Benchmark, cure: Cure, lr: float, updates: int) -> optax.GradientTransformation:
    """The optimizer of either player."""
    eps_root = 1e-16 if cure.unroll else 0.0  # unrolling differentiates the square root of what may be exactly 0
    tx = OPTIMIZERS[cure.optimizer](DECAYS[benchmark.decay](lr, updates), *benchmark.decays, eps_root)
    return optax.chain(penalties.historical_averaging(cure.historical), tx) if cure.historical else tx


def summary(population: Population, benchmark: Benchmark) -> dict[str, Any]:
    """What became of the seeds: those that died count as having lost every mode."""
    last = [scores[-1] if i not in population.died and scores else None for i, scores in enumerate(population.scores)]
    covered = np.array([row["modes"] if row else 0 for row in last])
    lost = int((covered < benchmark.modes).sum())
    alive = [row for row in last if row]
    numbers = {name: np.array([row[name] for row in alive]) for name in benchmark.columns}
    return {
        "seeds": len(last),
        "died": len(population.died),
        "lost": lost,
        "lost_share": list(proportion(lost, len(last))),
        "modes": mean_and_error(covered),
        **{name: _finite_mean(values) for name, values in numbers.items()},
        "finite": {name: int(np.isfinite(values).sum()) for name, values in numbers.items()},
        "curves": [[[row["step"], row["modes"]] for row in scores] for scores in population.scores],
    }


def _finite_mean(values: np.ndarray) -> list[float] | list[None]:
    """Mean and error of what is finite; a reverse KL without a good sample is not."""
    finite = values[np.isfinite(values)]
    return mean_and_error(finite) if len(finite) else [None, None]


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
