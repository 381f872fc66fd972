"""Where the time of a round goes: by kind of operation, by layer and by single operation, from a trace of the running program.

    python -m experiments.benchmarks.profile                                  # DCGAN at 32x32 and 64x64
    python -m experiments.benchmarks.profile --games sngan32 --penalty r1r2 --precision bf16
    python -m experiments.benchmarks.profile --beside runs/profile-before/profile.json  # before and after

`profiled(step, state, batch)` does it for any step of yours. A round is compiled, played until it is warm, and traced; every
operation of the compiled program is told by the scope that it was traced in. Its arithmetic (matrix products and convolutions
as they are computed, an algorithm with fewer multiplications counts fewer) and its bytes, each operand and result once, stand
beside the rates of a large matrix product and of a copy on the same machine, so that it can be seen what is far from either.

Written to --out: profile.json, profile.txt, profile.png.
"""

import dataclasses
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.profiler import ProfileData
from matplotlib.figure import Figure

from experiments.benchmarks.benchmark import copy_turn, matrix_turn
from experiments.benchmarks.benchmark_games import Game, dcgan_game, plane_game, sngan_game
from experiments.benchmarks.hlo import Program
from experiments.tables import markdown
from gan_jax import cli
from gan_jax.config import Count, checked
from gan_jax.core import Batch, Step, TrainState
from gan_jax.errors import InputError
from gan_jax.files import whole
from gan_jax.runs.records import read_json, write_json

KINDS = (  # names, and what is found in the scope of their operations; the first that fits
    ("optimizer", r"/optimizer/"),
    ("moving average", r"/moving_average/"),
    ("noise", r"random|jit\(_(?:normal|uniform|gumbel|randint)|threefry"),
    ("convolutions", r"Conv(Transpose)?_\d+"),
    ("batch norm", r"BatchNorm|LayerNorm|_normalise"),
    ("dense layers", r"Dense_\d+"),
    ("activations", r"relu|tanh|gelu|sigmoid"),
)
LAYER = re.compile(r"(Generator|Discriminator)\)*/(?:.*?/)?((?:Conv|ConvTranspose|ResizeConv|Dense|BatchNorm|LayerNorm)_\d+)")
LARGEST = 25  # single operations in the table


@dataclass(frozen=True)
class Config:
    games: tuple[Literal["dcgan32", "dcgan64", "sngan32", "plane"], ...] = ("dcgan32", "dcgan64")
    """Games to look at, as in experiments.benchmarks.benchmark."""
    width: Count = 64
    """Channels of the DCGANs next to the image."""
    batch: Count = 64
    """Examples in a minibatch of images."""
    penalty: Literal["none", "r1", "r1r2", "wgan_gp"] = "none"
    """Penalties of the DCGANs."""
    precision: Literal["f32", "bf16"] = "f32"
    """Precision of the computation."""
    rounds: Count = 5
    """Rounds that are traced."""
    beside: Path | None = None
    """A profile.json to stand beside: shares of time before and after."""
    out: Path = Path("runs/profile")
    """Folder of tables and plot."""


class Operation(NamedTuple):
    """One operation of the compiled program: what it takes in a round, on average over those traced."""

    name: str
    path: str
    kind: str
    layer: str
    seconds: float
    flops: float
    nbytes: float


def profiled(step: Step, state: TrainState, batch: Batch, rounds: int = 5) -> tuple[list[Operation], float]:
    """The operations of a round, those that take longest first, and the seconds of a round without tracing."""
    compiled = jax.jit(step).lower(state, batch).compile()

    def play() -> float:
        nonlocal state
        start = time.perf_counter()
        for _ in range(rounds):
            state, metrics = compiled(state, batch)
        jax.block_until_ready(metrics)
        return (time.perf_counter() - start) / rounds

    play()
    seconds = play()
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            play()
        traces = sorted(Path(folder).rglob("*.xplane.pb"))
        spent = times(ProfileData.from_file(str(traces[-1])), program := Program(compiled.as_text() or ""))
    return operations(program, spent, rounds), seconds


def times(trace: Any, program: Program) -> dict[str, float]:
    """The seconds that each instruction was at work, without those of instructions that it called, as loops do."""
    spent: dict[str, float] = defaultdict(float)
    for plane in trace.planes:
        for line in plane.lines:
            events = [
                (event.start_ns, event.duration_ns, event.name) for event in line.events if event.name in program.instructions
            ]
            for name, duration in own_times(events):
                spent[name] += duration / 1e9
    return dict(spent)


def own_times(events: Sequence[tuple[float, float, str]]) -> Iterator[tuple[str, float]]:
    """Of events (start, duration, name) of one thread, nested or apart, each name and the time that is its own."""
    open_ones: list[list[Any]] = []  # end, name, own time
    for start, duration, name in sorted(events, key=lambda event: (event[0], -event[1])):
        while open_ones and open_ones[-1][0] <= start:
            _, closed, own = open_ones.pop()
            yield closed, own
        if open_ones:
            open_ones[-1][2] -= duration
        open_ones.append([start + duration, name, duration])
    for _, name, own in reversed(open_ones):
        yield name, own


def operations(program: Program, spent: Mapping[str, float], rounds: int) -> list[Operation]:
    """What is known of each instruction that was at work."""
    found = []
    for name, seconds in spent.items():
        path = program.path(name)
        kind, layer = kind_of(path, program.multiplies(name)), layer_of(path)
        found.append(Operation(name, path, kind, layer, seconds / rounds, program.flops(name), program.nbytes(name)))
    return sorted(found, key=lambda one: -one.seconds)


def kind_of(path: str, multiplies: bool) -> str:
    """What an operation of this scope is for; of convolutions the products apart from what brings data in order."""
    kind = next((name for name, pattern in KINDS if re.search(pattern, path)), "other")
    return kind if kind != "convolutions" else f"convolutions: {'products' if multiplies else 'transforms'}"


def layer_of(path: str) -> str:
    """Player, layer and direction, such as "Generator ConvTranspose_1 backward"; "" outside of layers."""
    found = LAYER.search(path)
    return f"{found.group(1)} {found.group(2)} {'backward' if 'transpose(' in path else 'forward'}" if found else ""


def grouped(found: Sequence[Operation], by: str) -> dict[str, Operation]:
    """Sums over the operations of each kind or layer, the longest first."""
    sums: dict[str, Operation] = {}
    for one in found:
        key = getattr(one, by)
        before = sums.get(key, Operation(key, "", one.kind, one.layer, 0.0, 0.0, 0.0))
        sums[key] = before._replace(
            seconds=before.seconds + one.seconds, flops=before.flops + one.flops, nbytes=before.nbytes + one.nbytes
        )
    return dict(sorted(sums.items(), key=lambda item: -item[1].seconds))


def main(config: Config) -> dict[str, Any]:
    """Write what each game's round consists of, and return what profile.json has; raises `InputError` for no such `beside`."""
    config = checked(config)
    if config.beside and not config.beside.is_file():
        raise InputError(f"there is no {config.beside} to stand beside: name the profile.json of an earlier call")
    dtype = jnp.bfloat16 if config.precision == "bf16" else jnp.float32
    found: dict[str, Any] = {"rates": {"matrix": matrix_turn(dtype, 1.0)(), "copy": copy_turn(1.0)()}, "games": {}}
    before = read_json(config.beside) if config.beside else None
    told = [f"matrix product {found['rates']['matrix'] / 1e9:,.0f} GFLOP/s, copy {found['rates']['copy'] / 1e9:,.1f} GB/s"]
    for name in config.games:
        game = game_of(config, name, dtype)
        _, step, _ = game.build()
        each, seconds = profiled(step, game.state(), jax.device_put(game.data()), config.rounds)
        known = {"seconds": seconds, "batch": game.batch, "operations": [one._asdict() for one in each]}
        found["games"][name] = known
        told.append(tables(name, each, seconds, game.batch, (before or {}).get("games", {}).get(name)))
    text = "\n\n".join(told)
    print(text)
    write_json(config.out / "profile.json", found)
    with whole(config.out / "profile.txt") as unfinished:
        unfinished.write_text(text + "\n")
    plot(found["games"], config.out / "profile.png")
    return found


def game_of(config: Config, name: str, dtype: Any) -> Game:
    """The game of this name."""
    if name == "plane":
        return plane_game(batch=4 * config.batch)
    if name == "sngan32":
        return dataclasses.replace(sngan_game(config.batch, dtype), penalty=config.penalty)
    return dcgan_game(int(name.removeprefix("dcgan")), config.width, config.batch, dtype, config.penalty)


def tables(name: str, found: Sequence[Operation], seconds: float, batch: int, before: Any = None) -> str:
    """What a round consists of, by kind, by layer and by single operation."""
    total = sum(one.seconds for one in found)
    head = f"{name}: {1e3 * seconds:,.1f} ms a round, {batch / seconds:,.0f} examples/s; operations {1e3 * total:,.1f} ms"
    old: dict[str, Operation] = {}
    if before:
        old = grouped([Operation(**one) for one in before["operations"]], "kind")
        head += f"; before: {1e3 * before['seconds']:,.1f} ms"
    kinds = [["kind", "ms", "share", "GFLOP/s", "GB/s", *(["ms before"] if before else [])]]
    for key, one in grouped(found, "kind").items():
        kinds.append([key, *_row(one, total), *([f"{1e3 * old[key].seconds:.2f}" if key in old else ""] if before else [])])
    layers = [["layer", "ms", "share", "GFLOP/s", "GB/s"]]
    layers += [[key, *_row(one, total)] for key, one in grouped(found, "layer").items() if key]
    single = [["operation", "ms", "share", "GFLOP/s", "GB/s", "traced in"]]
    single += [[one.name, *_row(one, total), one.path] for one in found[:LARGEST]]
    return "\n\n".join([head, *map(markdown, (kinds, layers, single))])


def _row(one: Operation, total: float) -> list[str]:
    per = 1 / max(one.seconds, 1e-12) / 1e9
    return [
        f"{1e3 * one.seconds:.2f}",
        f"{one.seconds / total:.1%}",
        f"{one.flops * per:,.0f}" if one.flops else "",
        f"{one.nbytes * per:,.1f}",
    ]


def plot(games: Mapping[str, Any], path: Path) -> None:
    """A bar a game, of the milliseconds that each kind takes."""
    figure = Figure(figsize=(9, 1.2 + 0.7 * len(games)), layout="constrained")
    axes = figure.subplots()
    names = sorted({one["kind"] for game in games.values() for one in game["operations"]})
    left = [0.0] * len(games)
    for kind in names:
        spent = [1e3 * sum(one["seconds"] for one in game["operations"] if one["kind"] == kind) for game in games.values()]
        axes.barh(list(games), spent, left=left, label=kind)
        left = [a + b for a, b in zip(left, spent, strict=True)]
    axes.set_xlabel("ms a round")
    axes.legend(fontsize=7, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    with whole(path) as unfinished:
        figure.savefig(unfinished, dpi=130)


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
