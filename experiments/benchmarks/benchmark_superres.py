"""SRResNet's training step and its enlargement of pictures beside the same network in PyTorch, alternating within one run.

    python -m experiments.benchmarks.benchmark_superres               # the paper's network, batches of 16 windows of 96x96
    python -m experiments.benchmarks.benchmark_superres --width 32 --blocks 8

Forms of convolutions are timed in training, as for any run on one CPU device. Rates are medians over the turns, ratios medians
of the ratios within a turn. PyTorch has two contenders: its default layout and channels-last. results.json and table.txt are
written to --out.
"""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

from experiments.benchmarks.superres_torch import SRResNet, make_enlarge, make_step
from experiments.benchmarks.turns import Turn, alternate, median_ratio, medians, rate
from gan_jax import cli, core
from gan_jax.core import Players
from gan_jax.errors import InputError
from gan_jax.models.content import mse
from gan_jax.models.srgan import Generator
from gan_jax.objectives import superres
from gan_jax.parallel import jit_step
from gan_jax.training.convolutions import measured_step

LAYOUTS = {"pytorch": torch.contiguous_format, "pytorch channels-last": torch.channels_last}


@dataclass(frozen=True)
class Config:
    width: int = 64
    """Channels."""
    blocks: int = 16
    """Residual blocks."""
    batch: int = 16
    """Windows in a minibatch."""
    window: int = 96
    """Side of the high windows in pixels."""
    picture: int = 128
    """Side of the low picture that is enlarged."""
    seconds: float = 2.0
    """Least duration of a turn."""
    turns: int = 7
    """Turns of each contender that count."""
    out: Path = Path("runs/benchmark_superres")
    """Folder of the table."""


def main(config: Config) -> dict[str, Any]:
    """Measure, print and write the table; returns the rates and ratios."""
    if min(config.width, config.blocks, config.batch, config.turns) < 1 or config.window % 4:
        raise InputError("widths, blocks, batches and turns are at least 1, and --window a multiple of 4")
    generator = Generator(width=config.width, blocks=config.blocks)
    noise = np.random.default_rng(0)
    low = noise.uniform(-1, 1, (config.batch, config.window // 4, config.window // 4, 3)).astype(np.float32)
    high = noise.uniform(-1, 1, (config.batch, config.window, config.window, 3)).astype(np.float32)
    picture = noise.uniform(-1, 1, (1, config.picture, config.picture, 3)).astype(np.float32)
    result = {
        "training": _measured(config, _training(config, generator, low, high), config.batch),
        "enlarging": _measured(config, _enlarging(config, generator, picture), 1),
    }
    lines = [f"SRResNet x4, {config.width} channels, {config.blocks} blocks, {jax.devices()[0].device_kind}, images/s"]
    for part, found in result.items():
        ratios = ", ".join(f"{value:.2f} times {name}" for name, value in found["ratios"].items())
        lines.append(f"{part:10} " + ", ".join(f"{name} {value:.2f}" for name, value in found["rates"].items()))
        lines.append(f"{'':10} ours is {ratios}")
    print("\n".join(lines))
    config.out.mkdir(parents=True, exist_ok=True)
    (config.out / "results.json").write_text(json.dumps(result, indent=1))
    (config.out / "table.txt").write_text("\n".join(lines) + "\n")
    return result


def _measured(config: Config, plays: dict[str, Any], images: int) -> dict[str, Any]:
    turns: dict[str, Turn] = {name: partial(rate, play, config.seconds, images, warm_up=1) for name, play in plays.items()}
    found = alternate(turns, config.turns, "turns", warm_up=1)
    ratios = {name: median_ratio(found["ours"], values) for name, values in found.items() if name != "ours"}
    return {"rates": medians(found), "ratios": ratios}


def _training(config: Config, generator: Generator, low: np.ndarray, high: np.ndarray) -> dict[str, Any]:
    objective = superres(generator, mse)
    tx = Players(gen=optax.adam(1e-4), disc=optax.adam(1e-4))
    batch = {"low": jnp.asarray(low), "high": jnp.asarray(high)}
    state = core.init_state(objective, tx, jax.random.key(0), batch)
    step = jit_step(measured_step(core.make_step(objective, tx, ema=0.0)))
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.gen.params))

    def ours() -> None:
        nonlocal state
        state, metrics = step(state, batch)
        jax.block_until_ready(metrics)

    plays: dict[str, Any] = {"ours": ours}
    for name, layout in LAYOUTS.items():
        network = _network(config, parameters, layout)
        plays[name] = make_step(network, *(_tensor(x, layout) for x in (low, high)))
    return plays


def _enlarging(config: Config, generator: Generator, picture: np.ndarray) -> dict[str, Any]:
    low = jnp.asarray(picture)
    variables = jax.jit(partial(generator.init, train=False))(jax.random.key(0), low)
    enlarge = jax.jit(partial(generator.apply, train=False))
    parameters = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    plays: dict[str, Any] = {"ours": lambda: jax.block_until_ready(enlarge(variables, low))}
    for name, layout in LAYOUTS.items():
        plays[name] = make_enlarge(_network(config, parameters, layout), _tensor(picture, layout))
    return plays


def _network(config: Config, parameters: int, layout: torch.memory_format) -> torch.nn.Module:
    network = SRResNet(4, config.width, config.blocks)
    if (found := sum(p.numel() for p in network.parameters())) != parameters:
        raise InputError(f"PyTorch's network has {found:,} parameters, ours {parameters:,}")
    return network.to(memory_format=layout)  # type: ignore[call-overload,no-any-return]


def _tensor(x: np.ndarray, layout: torch.memory_format) -> torch.Tensor:
    return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=layout)


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
