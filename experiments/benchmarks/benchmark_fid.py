"""How long 50,000 x 2,048 features take to become an FID: ours, torch-fidelity's and scipy's, taking turns within one run.

    python -m experiments.benchmarks.benchmark_fid

Features are those of random networks' kind: correlated and not negative. Each way makes mean and covariance of the generated
set (the reference's are known, as in any evaluation) and the distance. Needs `pip install torch torch-fidelity` for
torch-fidelity's. Printed are medians over the turns, the FID that each gives, and the ratio to ours within a turn.
"""

import importlib.util
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import scipy.linalg
from tqdm import tqdm

from experiments.benchmarks.peers import peer
from gan_jax import cli
from gan_jax.metrics.frechet import frechet_distance, moments


@dataclass(frozen=True)
class Config:
    n: int = 50_000
    """Examples of each set."""
    d: int = 2048
    """Features of an example."""
    turns: int = 3
    """How often each way has its turn."""
    out: Path = Path("runs/benchmark_fid.json")
    """Where the table goes."""


def main(config: Config) -> None:
    real, fake = (features(config.n, config.d, seed) for seed in (0, 1))
    ways: dict[str, Callable[[], float]] = {"ours": ours(real, fake), "scipy's sqrtm": with_scipy(real, fake)}
    if importlib.util.find_spec("torch_fidelity"):
        ways["torch-fidelity"] = with_torch_fidelity(real, fake)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found = {}
    for _ in tqdm(range(config.turns), desc="turns", leave=False):
        for name, way in ways.items():
            start = time.perf_counter()
            found[name] = way()
            seconds[name].append(time.perf_counter() - start)
    device = jax.devices()[0].device_kind
    print(f"{config.n:,} x {config.d:,} features on {device}: seconds, times ours, FID")
    table = {}
    for name, took in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(took, seconds["ours"], strict=True))
        table[name] = {"seconds": statistics.median(took), "times_ours": ratio, "fid": found[name]}
        print(f"  {name:16} {statistics.median(took):8.2f} {ratio:8.2f}   {found[name]:.9g}")
    config.out.parent.mkdir(parents=True, exist_ok=True)
    config.out.write_text(json.dumps({"device": device, "jax": jax.__version__, "ways": table}, indent=1) + "\n")
    print(f"written: {config.out}")


def features(n: int, d: int, seed: int) -> np.ndarray:
    """A layer of random weights on random codes, as float32."""
    layer = np.random.default_rng(100).standard_normal((256, d), np.float32) / 16
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((n, 256), np.float32) @ layer + 0.3 * generator.standard_normal((n, d), np.float32)
    return np.maximum(x + 0.05 * seed, 0)


def ours(real: np.ndarray, fake: np.ndarray) -> Callable[[], float]:
    reference = moments(real)
    return lambda: frechet_distance(reference, moments(fake))


def with_scipy(real: np.ndarray, fake: np.ndarray) -> Callable[[], float]:
    """As the code of Heusel et al. does it."""

    def statistics_of(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = x.astype(np.float64)
        return x.mean(axis=0), np.cov(x, rowvar=False)

    mean, covariance = statistics_of(real)

    def way() -> float:
        other_mean, other = statistics_of(fake)
        root = scipy.linalg.sqrtm(covariance @ other)
        return float(np.sum((mean - other_mean) ** 2) + np.trace(covariance) + np.trace(other) - 2 * np.trace(root.real))

    return way


def with_torch_fidelity(real: np.ndarray, fake: np.ndarray) -> Callable[[], float]:
    torch, fid = peer("torch"), peer("torch_fidelity.metric_fid")
    reference, other = fid.fid_features_to_statistics(torch.from_numpy(real)), torch.from_numpy(fake)

    def way() -> float:
        found = fid.fid_statistics_to_metric(reference, fid.fid_features_to_statistics(other), verbose=False)
        return float(found["frechet_inception_distance"])

    return way


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
