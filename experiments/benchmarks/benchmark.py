"""Training rounds a second beside Flax's own layers and PyTorch, all alternating within one run; populations; scaling.

    python -m experiments.benchmarks.benchmark                                # everything
    python -m experiments.benchmarks.benchmark --quick                        # DCGAN at 32x32 and the plane
    python -m experiments.benchmarks.benchmark --precision bf16               # on a GPU or TPU (PyTorch by AMP)
    python -m experiments.benchmarks.benchmark --parts games --games dcgan64  # one part of it

--quick takes 2 min 34 s on two CPU cores.

PyTorch plays the same rounds with the same architectures (equal numbers of parameters, or the run stops) where it is installed,
in three modes: eager, channels-last, and `torch.compile`. Rates are medians over the turns; ratios are medians of the ratios
within a turn, never of different runs. GFLOP/s count the multiplications and additions of plain products and convolutions, the
same for all contenders: an algorithm that needs fewer may exceed the machine's matrix-product rate, which is measured in
the same turns. results.json, table.txt and the plots are written to --out.
"""

import dataclasses
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache
from tqdm import tqdm

from experiments.benchmarks.benchmark_games import (
    TORCH,
    Contender,
    Game,
    dcgan_game,
    ours,
    plane_game,
    sngan_game,
    stock,
    torch_contender,
)
from experiments.benchmarks.benchmark_report import REPORTS, plot
from experiments.benchmarks.turns import Turn, alternate, median_ratio, medians, rate, seconds_of
from gan_jax import cli, core
from gan_jax.errors import InputError
from gan_jax.layers.head import Minibatch
from gan_jax.parallel.flags import require_precision

Part = Literal["games", "penalties", "cures", "populations", "growth", "compile"]
Name = Literal["dcgan32", "dcgan64", "sngan32", "plane"]
ROUNDS = 10  # rounds of a population in a dispatch


@dataclass(frozen=True)
class Config:
    quick: bool = False
    """The games dcgan32 and plane, and small populations, with short turns: under 3 minutes on two CPU cores."""
    parts: tuple[Part, ...] = ("games", "penalties", "cures", "populations", "growth", "compile")
    """What to measure."""
    games: tuple[Name, ...] = ("dcgan32", "dcgan64", "sngan32", "plane")
    """Games to measure."""
    width: int = 64
    """Channels of the DCGANs next to the image."""
    batch: int = 64
    """Examples in a minibatch of images."""
    precision: Literal["f32", "bf16"] = "f32"
    """Precision of the computation."""
    torch: bool = True
    """Measure PyTorch too where it is installed."""
    compiled: bool = True
    """Measure torch.compile too."""
    seconds: float = 2.0
    """Approximate duration of a turn in seconds; a turn has at most 200 rounds."""
    turns: int = 7
    """Turns of each contender that count."""
    out: Path = Path("runs/benchmark")
    """Folder of tables and plots."""


def main(config: Config) -> None:
    if config.turns < 1 or config.batch < 1 or config.seconds <= 0:
        raise InputError("--turns and --batch must be at least 1, --seconds more than 0")
    device = jax.devices()[0]
    require_precision(config.precision, device)
    if config.quick:
        games = tuple(name for name in config.games if name in ("dcgan32", "plane"))
        parts = tuple(part for part in config.parts if part in ("games", "populations"))
        config = dataclasses.replace(config, games=games, parts=parts, turns=3, seconds=1.0)
    if config.precision == "bf16":  # the plane's networks are float32 only
        config = dataclasses.replace(config, games=tuple(name for name in config.games if name != "plane"))
    if not config.parts or not config.games:
        raise InputError(
            "nothing is left to measure: --quick has the games dcgan32 and plane and the parts games and populations"
        )
    config.out.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {"device": device.device_kind, "platform": device.platform, "jax": jax.__version__}
    measures = {
        "games": lambda: {name: measure_game(game_of(name, config), config, name) for name in config.games},
        "penalties": lambda: measure_penalties(config),
        "cures": lambda: measure_cures(config),
        "populations": lambda: measure_populations(config),
        "growth": lambda: measure_growth(config),
        "compile": lambda: measure_compile(config),
    }
    lines = [f"{device.device_kind}, jax {jax.__version__}, {config.precision}, batch {config.batch}, width {config.width}"]
    for part in config.parts:
        result[part] = measures[part]()
        lines += REPORTS[part](result[part])
        (config.out / "results.json").write_text(json.dumps(result, indent=1) + "\n")
        (config.out / "table.txt").write_text("\n".join(lines) + "\n")
        print("\n".join(REPORTS[part](result[part])), flush=True)
    for path in plot(result, config.out):
        print(f"written: {path}")


def game_of(name: Name, config: Config, **changes: Any) -> Game:
    dtype = jnp.bfloat16 if config.precision == "bf16" else jnp.float32
    if name == "plane":
        return plane_game(**changes)
    if name == "sngan32":
        return sngan_game(**{"batch": config.batch, "dtype": dtype, **changes})
    return dcgan_game(int(name[5:]), **{"width": config.width, "batch": config.batch, "dtype": dtype, **changes})


def contenders(game: Game, config: Config, name: str) -> dict[str, Contender]:
    """All implementations of the game, compiled and warm."""
    makers: dict[str, Callable[[], Contender]] = {
        "ours": lambda: ours(game),
        "ours, scanned": lambda: ours(game, scanned=True),
        "flax's layers": lambda: stock(game),
    }
    device = "cuda" if jax.devices()[0].platform == "gpu" else "cpu"
    if config.torch and TORCH and jax.devices()[0].platform in ("cpu", "gpu"):
        for mode in ("eager", "channels_last", *(["compile"] if config.compiled else [])):
            maker = lambda mode=mode: torch_contender(game, mode, device, config.precision == "bf16")  # noqa: E731
            makers[f"PyTorch, {mode}"] = maker
    return {label: make() for label, make in tqdm(makers.items(), desc=f"{name}: compiling", leave=False)}


def measure_game(game: Game, config: Config, name: str) -> dict[str, Any]:
    """Rates of all contenders and of the machine's matrix product and copy, alternating."""
    taking_part = contenders(game, config, name)
    examples, flops = game.batch * game.disc_steps, game.operations()
    dtype = jnp.bfloat16 if config.precision == "bf16" else jnp.float32
    turns = {label: turn_of(contender, config.seconds) for label, contender in taking_part.items()}
    machine = {"matrix product": matrix_turn(dtype, config.seconds / 4), "copy": copy_turn(config.seconds / 4)}
    rates = measure_rates(turns | machine, config.turns, name)
    typical = medians(rates)
    best_torch = max((label for label in turns if "PyTorch" in label), key=lambda label: typical[label], default=None)
    rows = {}
    for label, contender in taking_part.items():
        rounds = typical[label]
        row = {
            "rounds_per_second": rounds,
            "examples_per_second": rounds * examples,
            "gflops": rounds * flops / 1e9,
            "share_of_matrix_rate": median_ratio(rates[label], rates["matrix product"]) * flops,
            "first_round_seconds": contender.first,
        }
        if contender.analysis:
            row["peak_bytes"] = contender.analysis.peak
        if label.startswith("ours"):
            row["times_flax"] = median_ratio(rates[label], rates["flax's layers"])
            if best_torch:
                row["times_torch"] = median_ratio(rates[label], rates[best_torch])
        rows[label] = row
    return {
        "gflop_a_round": flops / 1e9,
        "matrix_gflops": typical["matrix product"] / 1e9,
        "copy_gbytes": typical["copy"] / 1e9,
        "best_torch": best_torch,
        "rows": rows,
    }


def measure_rates(turns: dict[str, Turn], times: int, name: str) -> dict[str, list[float]]:
    """Rates of all contenders. The first turn of each does not count: it compiles and allocates."""
    return alternate(turns, times, f"{name}: turns", warm_up=1)


def turn_of(contender: Contender, seconds: float) -> Turn:
    """Rounds a second over as many rounds as fit into `seconds`, at most 200.

    One untimed round comes before several: the other contenders have displaced this one's data from the caches.
    """
    contender.play(1)
    one_round = seconds_of(partial(contender.play, 1))
    n = max(1, min(200, round(seconds / (one_round + 1e-6))))

    def turn() -> float:
        if n > 1:
            contender.play(1)
        return n / seconds_of(partial(contender.play, n))

    return turn


def matrix_turn(dtype: Any, seconds: float) -> Turn:
    """Floating-point operations a second of a large matrix product."""
    n = 8192 if jax.devices()[0].platform != "cpu" else 2048
    x = jnp.ones((n, n), dtype)
    multiply = jax.jit(lambda x: x @ x * (1 / n))
    return _repeated(lambda: multiply(x), 2 * n**3, seconds)


def copy_turn(seconds: float) -> Turn:
    """Bytes read and written a second of an array larger than the caches."""
    x = jnp.ones(2**26, jnp.float32)
    move = jax.jit(lambda x: x + 1)
    return _repeated(lambda: move(x), 2 * x.nbytes, seconds)


def _repeated(call: Callable[[], Any], work: float, seconds: float) -> Turn:
    return partial(rate, lambda: jax.block_until_ready(call()), seconds, work, warm_up=1)


def measure_penalties(config: Config) -> dict[str, Any]:
    """Rates of DCGAN-32 with gradient penalties; the discriminator has no batch norm."""
    quiet = dataclasses.replace(config, compiled=False)
    return {
        penalty: measure_game(game_of("dcgan32", config, penalty=penalty), quiet, penalty)
        for penalty in ("r1", "r1r2", "wgan_gp")
    }


def measure_cures(config: Config) -> dict[str, Any]:
    """What cures of mode collapse cost, in rounds of plain DCGAN-32 (a pack is of two examples, a round of as many packs)."""
    plain = game_of("dcgan32", config)
    minibatch: tuple[Minibatch, ...] = ("stddev", "discrimination", "discrimination_scaled", "discrimination_groups")
    games = {
        "plain": plain,
        **{kind: dataclasses.replace(plain, discriminator=plain.discriminator.clone(minibatch=kind)) for kind in minibatch},
        "pack 2": dataclasses.replace(plain, batch=2 * plain.batch, pack=2),
        "two D-steps": dataclasses.replace(plain, disc_steps=2),
        **{f"unroll {k}": dataclasses.replace(plain, unroll=k) for k in (1, 5)},
    }
    turns = {
        name: turn_of(ours(game), config.seconds) for name, game in tqdm(games.items(), desc="cures: compiling", leave=False)
    }
    rates = measure_rates(turns, config.turns, "cures")
    return {
        name: {"rounds_per_second": rounds, "times_plain": 1 / median_ratio(rates[name], rates["plain"])}
        for name, rounds in medians(rates).items()
    }


def measure_populations(config: Config) -> dict[str, Any]:
    """Runs x rounds a second of populations of the plane's game, by the number of runs in one program."""
    game = plane_game(width=128)
    objective, step, tx = game.build()
    batch = jax.device_put(game.data())
    turns = {}
    for n in (1, 8, 64) if config.quick else (1, 8, 64, 512):
        keys = jax.random.split(jax.random.key(0), n)
        states = jax.jit(jax.vmap(lambda key: core.init_state(objective, tx, key, batch)))(keys)
        turns[n] = turn_of(Contender(_population(jax.vmap(step, in_axes=(0, None)), states, batch), 0.0), config.seconds)
    rates = measure_rates({str(n): turn for n, turn in turns.items()}, config.turns, "populations")
    return {
        n: {
            "runs_times_rounds": int(n) * ROUNDS * dispatches,
            "times_one": int(n) * median_ratio(rates[n], rates["1"]),
        }
        for n, dispatches in medians(rates).items()
    }


def _population(step: core.Step, states: Any, batch: Any) -> Callable[[int], None]:
    """A function that plays n dispatches of `ROUNDS` rounds and waits for them."""
    many = jax.jit(lambda s: jax.lax.scan(lambda s, _: step(s, batch), s, length=ROUNDS), donate_argnums=0)

    def play(n: int) -> None:
        nonlocal states
        for _ in range(n):
            states, metrics = many(states)
        jax.block_until_ready(metrics)

    return play


def measure_growth(config: Config) -> dict[str, Any]:
    """Seconds a round of DCGAN-32 by batch size and by width, and the slopes of log seconds over log size."""
    found: dict[str, Any] = {}
    for name, values in {"batch": (16, 32, 64, 128, 256, 512), "width": (32, 64, 128, 256)}.items():
        turns = {}
        for value in tqdm(values, desc=f"{name}: compiling", leave=False):
            turns[str(value)] = turn_of(ours(game_of("dcgan32", config, **{name: value})), config.seconds)
        rates = measure_rates(turns, max(3, config.turns // 2), name)
        seconds = {value: 1 / rounds for value, rounds in medians(rates).items()}
        slope = float(np.polyfit(np.log([float(v) for v in seconds]), np.log(list(seconds.values())), 1)[0])
        found[name] = {"seconds": seconds, "slope": slope}
    return found


def measure_compile(config: Config) -> dict[str, Any]:
    """Seconds to trace and compile a step, with an empty persistent cache and from the cache."""
    before = jax.config.values["jax_compilation_cache_dir"]
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        jax.config.update("jax_compilation_cache_dir", folder)
        compilation_cache.reset_cache()
        for name in config.games:
            game = game_of(name, config)
            compile_game = partial(compile_step, game, game.state(), game.data())
            jax.clear_caches()
            cold = seconds_of(compile_game)
            jax.clear_caches()
            found[name] = {"cold": cold, "warm": seconds_of(compile_game)}
        jax.config.update("jax_compilation_cache_dir", before)
        compilation_cache.reset_cache()
    return found


def compile_step(game: Game, state: core.TrainState, batch: core.Batch) -> None:
    jax.jit(game.build()[1], donate_argnums=0).lower(state, batch).compile()


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
