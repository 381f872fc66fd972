"""Runs that go well and runs that do not, to fit the rules of the doctor (`gan_jax.training.doctor`) and to examine them.

    python -m experiments.doctor_runs                 160 runs, 30 minutes on two CPU cores with much other work beside it
    python -m experiments.doctor_runs --quick         30 short runs

Games in the plane (a ring of 8, a grid of 25) and DCGANs on digits are played with good and bad settings: learning rates too
high, too low or unequal, no penalty, the saturating cost, many generator updates a round, few pictures. The settings of a
group and their seeds are one population (`gan_jax.training.train_population`). The outcome of a run is told by its samples
alone (modes covered; digits recognised, classes, copies), never by the doctor's signals. Even seeds fit the rules, odd ones
examine them. runs.json, confusion.txt and signals.png are written to --out, and the last rows of each run, all that a
diagnosis needs, to --fixture.

Examined on 80 runs: 25 of 26 broken runs are told; the other one, a grid with both learning rates at 1e-2, covers 15 of its 25
modes. 4 of 42 healthy runs are called ill, all of them memorising: their discriminators have memorised 40 pictures (`overfit`
1.2 to 1.5) while their samples are still good. All 16 broken runs that are told as "D-slow" have a discriminator with a tenth
of the generator's learning rate or less, or one update to its ten.
"""

import json
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from matplotlib.figure import Figure
from tqdm import tqdm

from gan_jax import cli, core, losses, penalties
from gan_jax.core import Batch, Metrics, Objective, Players, TrainState
from gan_jax.data import Order, Rounds, digits, ring, square_grid
from gan_jax.evaluation.judge import train_judge
from gan_jax.files import whole
from gan_jax.images.convert import to_uint8
from gan_jax.latents import Normal
from gan_jax.metrics.memorised import memorised
from gan_jax.metrics.modes import mode_coverage
from gan_jax.metrics.recognised import class_counts, class_entropy, recognised_share
from gan_jax.models import dcgan, mlp
from gan_jax.objectives import image_gan
from gan_jax.runs.conditions import count
from gan_jax.sampling import draw, sampling_variables
from gan_jax.training import Measure, train_population
from gan_jax.training.callbacks import overfit
from gan_jax.training.doctor import WINDOW, diagnose, signals

INTERVAL = 25  # rounds a row
FACTS = ("game", "loss", "disc_steps", "gen_steps", "few", "lr_gen", "lr_disc", "r1", "seed")
READ = (  # what the doctor's signals are made of
    "step",
    "disc/real",
    "disc/fake",
    "disc/loss",
    "gen/diversity",
    "data/diversity",
    "gen/rms_distance",
    "gen/offset",
    "overfit",
)
MIXTURES = {"ring": ring(sigma=0.05), "grid": square_grid(sigma=0.2)}  # wide enough to be learned in a minute


class Group(NamedTuple):
    """Settings that one program plays: `loss`, steps of each player, and `few` pictures are its own; rates are (gen, disc)."""

    game: str
    loss: str = "non_saturating"
    disc_steps: int = 1
    gen_steps: int = 1
    few: int = 0
    rates: tuple[tuple[float, float], ...] = ((1e-3, 1e-3),)
    r1: tuple[float, ...] = (0.1,)


class Setting(NamedTuple):
    """What varies within a program."""

    lr_gen: float
    lr_disc: float
    r1: float
    seed: int


PLANE = [
    Group("ring", rates=((2e-3, 2e-3), (3e-3, 3e-3), (1e-2, 1e-3)), r1=(0.0, 0.01, 0.1)),
    Group("grid", rates=((3e-3, 3e-3), (2e-3, 4e-3)), r1=(0.0, 0.01)),
    Group("ring", rates=((1e-3, 1e-5), (3e-2, 3e-2), (1e-5, 1e-3)), r1=(0.0,)),
    Group("ring", loss="minimax", rates=((1e-3, 1e-2), (1e-4, 1e-3)), r1=(0.0,)),
    Group("ring", gen_steps=10, rates=((1e-3, 1e-3), (1e-3, 1e-4)), r1=(0.0, 0.1)),
    Group("grid", gen_steps=10, rates=((1e-3, 1e-3),), r1=(0.0,)),
    Group("grid", rates=((1e-3, 1e-4), (1e-2, 1e-2)), r1=(0.0,)),
]
DIGITS = [
    Group("digits", rates=((2e-3, 2e-3), (1e-3, 2e-3), (1e-3, 1e-3)), r1=(0.3, 1.0)),
    Group("digits", rates=((5e-2, 2e-3), (2e-2, 2e-4), (2e-3, 2e-2), (2e-5, 2e-3)), r1=(0.0,)),
    Group("digits", loss="minimax", rates=((2e-4, 2e-3),), r1=(0.0, 1.0)),
    Group("digits", gen_steps=10, rates=((2e-3, 2e-3),), r1=(0.0,)),
    Group("digits", few=40, rates=((2e-3, 2e-3),), r1=(0.0, 1.0)),
]


@dataclass(frozen=True)
class Config:
    seeds: int = 4
    """Seeds of each setting; the even ones fit the rules, the odd ones examine them."""
    rounds: int = 1500
    """Rounds of each run."""
    together: int = 16
    """Runs in the plane that one program plays at a time (digits: one by one on a CPU)."""
    games: tuple[Literal["ring", "grid", "digits"], ...] = ("ring", "grid", "digits")
    """Which games are played."""
    quick: bool = False
    """Two seeds, 100 rounds, two groups."""
    out: Path = Path("runs/doctor")
    """Where everything goes."""
    fixture: Path | None = None
    """Also write what the diagnosis of each run needs to this file (JSON)."""


class Table(NamedTuple):
    """What a game needs: networks, data, and how its samples are judged."""

    networks: tuple[Any, Any]
    latent: Normal
    data: dict[str, np.ndarray]
    held_out: dict[str, np.ndarray]
    batch: int


def main(config: Config) -> None:
    config.out.mkdir(parents=True, exist_ok=True)
    groups = [group for group in (PLANE[:1] + DIGITS[:1] if config.quick else PLANE + DIGITS) if group.game in config.games]
    seeds, rounds = (2, 100) if config.quick else (config.seeds, config.rounds)
    runs: list[dict[str, Any]] = []
    for group in tqdm(groups, desc="groups"):
        runs += play_group(group, seeds, rounds, config.together)
        _write(config.out / "runs.json", json.dumps(runs) + "\n")
    report(runs, config.out)
    if config.fixture:
        write_fixture(runs, config.fixture)


def play_group(group: Group, seeds: int, rounds: int, together: int) -> list[dict[str, Any]]:
    """Rows of metrics, and what became of it, for every setting and seed."""
    table = table_of(group)
    settings = [Setting(*lr, r1, seed) for lr in group.rates for r1 in group.r1 for seed in range(seeds)]
    one_by_one = group.game == "digits" and jax.devices()[0].platform == "cpu"
    order = Order(0, len(next(iter(table.data.values()))), table.batch)  # of which each run uses its own seed's
    found = train_population(
        partial(build, group, table),
        settings,
        Rounds(table.data, order, core.minibatches_per_round(group.disc_steps, group.gen_steps)),
        steps=rounds,
        log_every=INTERVAL,
        save_every=rounds,
        make=partial(core.make_step, disc_steps=group.disc_steps, gen_steps=group.gen_steps, ema=0.99),
        measure=Measure(INTERVAL, overfit_now, (table.data, table.held_out)),
        together=1 if one_by_one else together,
        show=lambda line: None,
    )
    sampler = build(group, table, settings[0])[0].sampler  # of no setting's own
    runs = []
    for i, setting in enumerate(settings):
        rows = [row | score for row, score in zip(found.rows[i], found.scores[i], strict=True)]
        if i in found.died:
            died, became = found.died[i].metrics, {"became": "broken"}
        else:
            variables = sampling_variables(found.state(i))
            samples, _ = draw(sampler, variables, count(1000), jax.random.key(setting.seed), statistics="batch")
            died, became = (), outcome(group.game, table, samples)
        runs.append({**group._asdict(), **setting._asdict(), "rows": rows, "died": died, "outcome": became})
    return runs


def build(group: Group, table: Table, setting: Setting) -> tuple[Objective, Players]:
    """Objective and optimizers of a setting."""
    objective = image_gan(
        *table.networks,
        losses.LOSSES[group.loss],
        table.latent,
        penalties=((setting.r1, penalties.r1),),
        real="point" if "point" in table.data else "image",
    )
    adam = partial(optax.adam, b1=0.0, b2=0.99)
    return objective, Players(gen=adam(setting.lr_gen), disc=adam(setting.lr_disc))


def table_of(group: Group) -> Table:
    if group.game == "digits":
        dataset = digits(16)
        train = {"image": dataset.train["image"][: group.few or None]}
        small = dcgan.Generator(size=(16, 16), channels=1, width=8), dcgan.Discriminator(width=8, norm="none")
        return Table(small, Normal(32), train, {"image": dataset.held_out["image"]}, batch=32)
    mixture = MIXTURES[group.game]
    scale = float(np.abs(mixture.means).max())
    networks = mlp.Generator(width=64, scale=scale), mlp.Discriminator(width=64, scale=scale)
    train, held_out = ({"point": mixture.dataset(20_000, seed=seed).train["point"]} for seed in (1, 2))
    return Table(networks, Normal(8), train, held_out, batch=128)


def overfit_now(objective: Objective, state: TrainState, data: tuple[Batch, Batch], key: Array) -> Metrics:
    """`overfit` on 128 training and 128 held-out examples drawn at random."""
    key_train, key_held, key_play = jax.random.split(key, 3)
    train, held_out = data

    def some(arrays: Batch, key: Array) -> Batch:
        chosen = jax.random.randint(key, (128,), 0, len(next(iter(arrays.values()))))
        return {name: value[chosen] for name, value in arrays.items()}

    return {"overfit": overfit(objective, state, some(train, key_train), some(held_out, key_held), key_play)}


def outcome(game: str, table: Table, samples: np.ndarray) -> dict[str, Any]:
    """What became of a run, by its 1,000 samples alone: "healthy", "broken", or "between", and the numbers that say so."""
    if game == "digits":
        return _outcome_digits(table, samples)
    mixture = MIXTURES[game]
    found = mode_coverage(jnp.asarray(samples), jnp.asarray(mixture.means, jnp.float32), mixture.sigma)
    modes, quality = int(found.modes) / len(mixture.means), float(found.high_quality)
    healthy, broken = modes >= 0.9 and quality >= 0.5, modes <= 0.6 or quality < 0.25
    return {"became": _word(healthy, broken), "modes": modes, "high_quality": quality}


def _outcome_digits(table: Table, samples: np.ndarray) -> dict[str, Any]:
    judge = train_judge(digits(16))
    pictures = to_uint8(samples)
    logits = judge.see(pictures).known_logits()
    recognised, entropy = float(recognised_share(logits)), float(class_entropy(class_counts(logits)))
    fake, train, held_out = (x.reshape(len(x), -1) / 255 for x in (pictures, table.data["image"], table.held_out["image"]))
    copies = memorised(fake, train, held_out).share
    healthy = recognised >= 0.5 and entropy >= 0.9 and copies < 0.3
    broken = recognised < 0.2 or entropy < 0.7 or copies > 0.5
    return {"became": _word(healthy, broken), "recognised": recognised, "class_entropy": entropy, "copies": copies}


def _word(healthy: bool, broken: bool) -> str:
    return "healthy" if healthy else "broken" if broken else "between"


def report(runs: list[dict[str, Any]], out: Path) -> None:
    """Print and write the confusion tables of even and of odd seeds, and plot the signals of all."""
    lines = []
    for name, chosen in (("taught by", 0), ("examined on", 1)):
        part = [run for run in runs if run["seed"] % 2 == chosen]
        lines += [f"\n{name} {len(part)} runs", *confusion(part)]
    _write(out / "confusion.txt", "\n".join(lines) + "\n")
    print("\n".join(lines))
    plot(runs, out / "signals.png")


def seen(run: dict[str, Any]) -> list[dict[str, float]]:
    """The rows that the doctor sees; those of a run that died end with the metrics that were not finite."""
    return [*run["rows"], *([dict.fromkeys(run["died"], math.nan)] if run["died"] else [])]


def write_fixture(runs: list[dict[str, Any]], path: Path) -> None:
    """The last rows of each run with the metrics that the doctor's signals are made of, to 4 significant digits."""
    kept = []
    for run in runs:
        rows = {name: [_rounded(row[name]) for row in run["rows"][-WINDOW // INTERVAL :]] for name in READ}
        facts = {name: run[name] for name in FACTS}
        kept.append({**facts, "became": run["outcome"]["became"], "died": run["died"], "rows": rows})
    _write(path, "[\n" + ",\n".join(json.dumps(run) for run in kept) + "\n]\n")


def _write(path: Path, text: str) -> None:
    with whole(path) as unfinished:
        unfinished.write_text(text)


def _rounded(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.4g}")


def read_fixture(path: Path) -> list[dict[str, Any]]:
    """Runs as `confusion` takes them, with the last rows only."""
    runs = json.loads(path.read_text())
    for run in runs:
        columns = run["rows"]
        run["rows"] = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        run["outcome"] = {"became": run.pop("became")}
    return runs


def confusion(runs: list[dict[str, Any]]) -> list[str]:
    """Rows: what became of a run; columns: what the doctor says of its end."""
    said = [(run["outcome"]["became"], diagnose(seen(run)).state) for run in runs]
    states = sorted({state for _, state in said})
    lines = [f"{'':10}" + "".join(f"{state:>13}" for state in states)]
    for became in ("healthy", "between", "broken"):
        lines.append(f"{became:10}" + "".join(f"{said.count((became, state)):13}" for state in states))
    broken, healthy = ([state for became, state in said if became == kind] for kind in ("broken", "healthy"))
    hits, alarms = sum(state != "ok" for state in broken), sum(state != "ok" for state in healthy)
    return [*lines, f"hits {hits} of {len(broken)} broken runs, false alarms {alarms} of {len(healthy)} healthy ones"]


def plot(runs: list[dict[str, Any]], path: Path) -> None:
    """Each signal at the end of every run: healthy, between, broken."""
    found = [(run["outcome"]["became"], signals(seen(run))) for run in runs]
    names = sorted({name for _, each in found for name in each})
    figure = Figure(figsize=(2.2 * len(names), 3), layout="constrained")
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        for i, (became, colour) in enumerate((("healthy", "tab:green"), ("between", "tab:grey"), ("broken", "tab:red"))):
            values = [each[name] for kind, each in found if kind == became and name in each and math.isfinite(each[name])]
            axes.plot(i + np.linspace(-0.3, 0.3, len(values)), sorted(values), ".", color=colour)
        axes.set(title=name, xticks=[0, 1, 2], xticklabels=["healthy", "between", "broken"])
        axes.tick_params(axis="x", rotation=45)
    with whole(path) as unfinished:
        figure.savefig(unfinished, dpi=110)


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
