"""Mode collapse in the plane, and its cures, over many seeds: how often a game loses modes, and what that costs.

    python -m experiments.mode_collapse --protocol unrolled --inner gen --k 10     the order of play: G to the end inside
    python -m experiments.mode_collapse --protocol unrolled --inner disc --k 10    D to the end inside
    python -m experiments.mode_collapse --protocol pacgan --data grid              PacGAN's networks and optimizers
    python -m experiments.mode_collapse --cures plain pac2 r1 --seeds 64

The seeds of a cure are one population (`gan_jax.training.train_population`); run the same command again to continue. Written
to --outdir: table.txt and results.json (share of seeds that lost a mode with its Wilson interval, modes, share of samples
within 3 sigma, reverse KL, seconds a seed), modes.png (every seed over the rounds), samples.png (the last samples of every
seed), film.webp (the first seed of each cure).
"""

import json
import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.stats import binomtest

from gan_jax import cli, core, losses, penalties
from gan_jax.config import Count, Rate, checked
from gan_jax.core import Objective, Players
from gan_jax.data import Order, Rounds
from gan_jax.data.mixtures import Mixture, ring, square_grid
from gan_jax.errors import InputError
from gan_jax.files import whole
from gan_jax.images import film
from gan_jax.latents import Normal
from gan_jax.losses import Loss
from gan_jax.metrics.modes import mode_coverage
from gan_jax.models import mlp
from gan_jax.objectives import image_gan
from gan_jax.rows import evenly
from gan_jax.runs.conditions import count
from gan_jax.training import Measure, Population, train_population
from gan_jax.training.flags import inner_loop

os.environ.setdefault("NPROC", "16")  # jax < 0.12 on few cores: orthogonal kernels of many members dead-lock XLA's threads
SAMPLES = 2500  # as VEEGAN and PacGAN count modes in
SHOWN = 400  # of these are kept for pictures
FRAMES = 120


class Cure(NamedTuple):
    """What differs from the plain game."""

    pack: int = 1
    minibatch: Literal["none", "stddev", "discrimination"] = "none"
    unroll: int = 0
    terms: tuple[tuple[float, penalties.Penalty], ...] = ()
    loss: Loss | None = None


CURES = {
    "plain": Cure(),
    "pac2": Cure(pack=2),
    "pac3": Cure(pack=3),
    "pac4": Cure(pack=4),
    "stddev": Cure(minibatch="stddev"),
    "minibatch": Cure(minibatch="discrimination"),
    "unrolled": Cure(unroll=5),
    "r1": Cure(terms=((0.1, penalties.r1),)),
    "relativistic": Cure(terms=((0.1, penalties.r1), (0.1, penalties.r2)), loss=losses.relativistic_paired),
}


if TYPE_CHECKING:
    CureName = str
else:  # a command line offers what the table has
    CureName = Literal[tuple(CURES)]


class Protocol(NamedTuple):
    """Networks, optimizer and cost of a paper's toy game."""

    data: dict[str, Mixture]
    generator: nn.Module
    discriminator: mlp.Discriminator
    latent: Normal
    batch: int
    lr: float
    b1: float
    loss: Loss
    schedule: core.Schedule


PROTOCOLS = {
    # Lin et al. 2018 (arXiv:1712.04086), from the authors' code
    "pacgan": Protocol(
        {"ring": ring(), "grid": square_grid()},
        mlp.Generator(width=400, depth=4, norm="batch", kernels="normal", gain=0.02),
        mlp.Discriminator(width=200, depth=3, activation="maxout", kernels="normal", gain=0.02),
        Normal(2),
        batch=100,
        lr=1e-4,
        b1=0.8,
        loss=losses.non_saturating,
        schedule="simultaneous",
    ),
    # Metz et al. 2016 (arXiv:1611.02163), appendix A
    "unrolled": Protocol(
        {"ring": ring(radius=2.0, sigma=0.02)},
        mlp.Generator(width=128, depth=2, kernels="orthogonal", gain=0.8),
        mlp.Discriminator(width=128, depth=1, scale=4.0, activation="relu", kernels="orthogonal", gain=0.8),
        Normal(256),
        batch=512,
        lr=1e-4,
        b1=0.5,
        loss=losses.minimax,
        schedule="disc_first",
    ),
}


@dataclass(frozen=True)
class Config:
    protocol: Literal["pacgan", "unrolled"] = "pacgan"
    """Whose networks, optimizers and cost are played."""
    data: Literal["ring", "grid"] = "ring"
    """A ring of 8 Gaussians, or (of PacGAN's protocol) a grid of 25."""
    cures: tuple[CureName, ...] = ("plain", "pac2", "minibatch", "unrolled", "r1", "relativistic")
    """What is played beside each other: the plain game and what is said to keep it from losing modes."""
    seeds: Count = 10
    """Runs of each."""
    steps: Count = 20_000
    """Rounds of each run (PacGAN: 400,000; Unrolled GAN: 25,000)."""
    every: Count = 500
    """Rounds between counts of the modes."""
    inner: Literal["none", "disc", "gen"] = "none"
    """Order of play: the player that makes --k updates before each one of the other; none for one each, as in the papers."""
    k: Count = 10
    """Updates of the --inner player in a round."""
    lr: Rate | None = None
    """Learning rate of both players; default the protocol's."""
    together: Count | None = None
    """Seeds that are trained in one program at a time; default all."""
    outdir: Path | None = None
    """Directory; default runs/collapse-PROTOCOL-DATA."""


def main(config: Config) -> dict[str, dict[str, Any]]:
    """Train every cure's seeds, and write and return what became of them; raises `InputError` for what does not fit."""
    config = checked(config)
    protocol = PROTOCOLS[config.protocol]
    if config.data not in protocol.data:
        raise InputError(f"--data {config.data}: the protocol {config.protocol} has {', '.join(protocol.data)}")
    mixture = protocol.data[config.data]
    outdir = config.outdir or Path("runs") / f"collapse-{config.protocol}-{config.data}"
    found: dict[str, dict[str, Any]] = {}
    for name in config.cures:
        print(f"\n{name}: {config.seeds} seeds, {config.steps} rounds")
        begun = time.perf_counter()
        population = play(config, protocol, mixture, name, outdir / name)
        seconds = time.perf_counter() - begun
        found[name] = summary(population, len(mixture.means)) | {"seconds_a_seed": seconds / config.seeds}
    report(found, outdir)
    looks = {name: looks_of(outdir / name) for name in config.cures}
    draw_curves(found, len(mixture.means), outdir / "modes.png")
    draw_samples(looks, mixture, config.seeds, outdir / "samples.png")
    make_film(looks, mixture, outdir / "film")
    return found


def play(config: Config, protocol: Protocol, mixture: Mixture, name: str, directory: Path) -> Population:
    """The population of one cure."""
    cure = CURES[name]
    order_of_play = (1, 1, protocol.schedule) if config.inner == "none" else inner_loop(config.inner, config.k)
    disc_steps, gen_steps, schedule = order_of_play
    make = partial(core.make_step, disc_steps=disc_steps, gen_steps=gen_steps, schedule=schedule)
    order = Order(0, 100_000, protocol.batch * cure.pack)  # a batch of packs, as in PacGAN
    points = mixture.dataset().train["point"]
    facts = {"protocol": config.protocol, "data": config.data, "cure": name, "inner": config.inner, "k": config.k}
    return train_population(
        partial(build, config, protocol, cure),
        [{"seed": seed} for seed in range(config.seeds)],
        Rounds({"point": points}, order, core.minibatches_per_round(disc_steps, gen_steps)),
        steps=config.steps,
        log_every=config.every,
        save_every=max(config.every, config.steps // 10 // config.every * config.every),
        make=partial(make, ema=0.0, unroll=cure.unroll),
        measure=Measure(config.every, partial(coverage, mixture.sigma), jnp.asarray(mixture.means, jnp.float32)),
        together=config.together,
        directory=directory,
        facts={**facts, "lr": config.lr},
    )


def build(config: Config, protocol: Protocol, cure: Cure, setting: Any) -> tuple[Objective, Players]:
    """The game of a cure."""
    discriminator = protocol.discriminator.clone(minibatch=cure.minibatch)
    objective = image_gan(
        protocol.generator,
        discriminator,
        cure.loss or protocol.loss,
        protocol.latent,
        penalties=cure.terms,
        real="point",
        pack=cure.pack,
    )
    adam = partial(optax.adam, config.lr or protocol.lr, b1=protocol.b1)
    return objective, Players(gen=adam(), disc=adam(eps_root=1e-16 if cure.unroll else 0.0))


def coverage(
    sigma: float, objective: Objective, state: core.TrainState, means: jax.Array, key: jax.Array
) -> dict[str, jax.Array]:
    """Modes in `SAMPLES` samples of fixed latents, which modes these are, and some of the samples."""
    sampler = objective.sampler
    inputs = sampler.inputs(jax.random.key(1), count(SAMPLES))
    points, _ = sampler.sample(state.gen.variables, inputs, key, False)
    found = mode_coverage(points, means, sigma)
    squared = jnp.sum((points[:, None] - means[None]) ** 2, axis=-1)
    covered = jnp.any((squared <= (3 * sigma) ** 2) & (squared == squared.min(axis=1, keepdims=True)), axis=0)
    return {**found._asdict(), "deviation": jnp.std(points), "covered": covered, "points": points[:SHOWN]}


def summary(population: Population, modes: int) -> dict[str, Any]:
    """What became of the seeds: those that died count as having lost every mode."""
    last = [scores[-1] if i not in population.died and scores else None for i, scores in enumerate(population.scores)]
    covered = np.array([row["modes"] if row else 0 for row in last])
    lost = int((covered < modes).sum())
    interval = binomtest(lost, len(last)).proportion_ci(method="wilson")
    alive = [row for row in last if row]
    numbers = {name: np.array([row[name] for row in alive]) for name in ("high_quality", "reverse_kl", "deviation")}
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


def report(found: dict[str, dict[str, Any]], outdir: Path) -> None:
    """The table, printed and written, and the numbers as JSON."""
    lines = [f"{'':14}{'lost a mode':>24}{'modes':>16}{'% within 3 sigma':>18}{'reverse KL':>18}{'s a seed':>10}"]
    for name, row in found.items():
        share, low, high = row["lost_share"]
        quality = " ± ".join(f"{100 * x:.1f}" for x in row["high_quality"])
        lines.append(
            f"{name:14}{f'{share:.2f} [{low:.2f}, {high:.2f}]':>24}{'{:.1f} ± {:.1f}'.format(*row['modes']):>16}"
            f"{quality:>18}{'{:.3f} ± {:.3f}'.format(*row['reverse_kl']):>18}{row['seconds_a_seed']:>10.1f}"
        )
    print("\n" + "\n".join(lines))
    with whole(outdir / "table.txt") as unfinished:
        unfinished.write_text("\n".join(lines) + "\n")
    with whole(outdir / "results.json") as unfinished:
        unfinished.write_text(json.dumps(found) + "\n")


def looks_of(directory: Path) -> list[tuple[int, dict[str, np.ndarray]]]:
    """(round, arrays of all members) in the order of the rounds."""
    parts: dict[int, dict[int, dict[str, np.ndarray]]] = {}
    for path in sorted((directory / "looks").glob("*.npz")):
        first, step = map(int, path.stem.split("-"))
        with np.load(path) as file:
            parts.setdefault(step, {})[first] = dict(file)
    return [
        (step, {name: np.concatenate([chunks[first][name] for first in sorted(chunks)]) for name in ("covered", "points")})
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


def draw_samples(looks: dict[str, list], mixture: Mixture, seeds: int, path: Path) -> None:
    """The last samples: a row a cure, a column a seed."""
    columns = min(seeds, 10)
    figure = Figure(figsize=(1.5 * columns, 1.6 * len(looks)), layout="constrained")
    panels = figure.subplots(len(looks), columns, squeeze=False)
    for row, (name, seen) in zip(panels, looks.items(), strict=True):
        for i, axes in enumerate(row):
            _scatter(axes, seen[-1][1]["points"][i], mixture)
        row[0].set_ylabel(name)
    with whole(path) as unfinished:
        figure.savefig(unfinished, dpi=110)


def _scatter(axes: Any, points: np.ndarray, mixture: Mixture) -> None:
    reach = 1.4 * float(np.abs(mixture.means).max())
    axes.scatter(*mixture.means.T, s=40, facecolors="none", edgecolors="tab:orange", linewidths=0.8)
    axes.scatter(*np.clip(points, -reach, reach).T, s=1.5, color="black", alpha=0.6)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[], aspect="equal")


def make_film(looks: dict[str, list], mixture: Mixture, path: Path) -> None:
    """The first seed of each cure, side by side."""
    shortest = min(len(seen) for seen in looks.values())
    frames = []
    for i in evenly(shortest, min(FRAMES, shortest)):
        figure = Figure(figsize=(2.2 * len(looks), 2.5), dpi=90, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        for axes, (name, seen) in zip(np.atleast_1d(figure.subplots(1, len(looks))), looks.items(), strict=True):
            _scatter(axes, seen[i][1]["points"][0], mixture)
            axes.set_title(f"{name}, {seen[i][0]}", fontsize=8)
        canvas.draw()
        frames.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    print(f"film        {', '.join(map(str, film(frames, path)))}")


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
