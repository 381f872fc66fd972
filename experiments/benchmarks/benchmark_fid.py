"""Time to compute the FID of 50,000 x 2,048 features: ours, torch-fidelity's and SciPy's, alternating within one run.

    python -m experiments.benchmarks.benchmark_fid

Features are correlated and non-negative, as behind a ReLU. Each implementation computes mean and covariance of the generated
set and the distance; those of the reference are precomputed, as in any evaluation. torch-fidelity is measured where it is
installed (`pip install torch torch-fidelity`). Printed are medians over the turns, medians of the ratios to ours within a turn,
and each implementation's FID.
"""

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import numpy as np
import scipy.linalg

from experiments.benchmarks.peers import peer
from experiments.benchmarks.turns import alternate, median_ratio, medians, seconds_of
from gan_jax import cli
from gan_jax.metrics.frechet import frechet_distance, moments


@dataclass(frozen=True)
class Config:
    n: int = 50_000
    """Rows of each set of features."""
    d: int = 2048
    """Features of a row."""
    turns: int = 3
    """Turns of each implementation."""
    out: Path = Path("runs/benchmark_fid.json")
    """File of the table, as JSON."""


def main(config: Config) -> None:
    real, fake = (features(config.n, config.d, seed) for seed in (0, 1))
    implementations: dict[str, Callable[[], float]] = {"ours": ours(real, fake), "scipy's sqrtm": with_scipy(real, fake)}
    if importlib.util.find_spec("torch_fidelity"):
        implementations["torch-fidelity"] = with_torch_fidelity(real, fake)
    fids: dict[str, float] = {}

    def compute(name: str) -> None:
        fids[name] = implementations[name]()

    seconds = alternate({name: partial(seconds_of, partial(compute, name)) for name in implementations}, config.turns, "turns")
    device = jax.devices()[0].device_kind
    print(f"{config.n:,} x {config.d:,} features on {device}: seconds, times ours, FID")
    table = {}
    for name, median in medians(seconds).items():
        ratio = median_ratio(seconds[name], seconds["ours"])
        table[name] = {"seconds": median, "times_ours": ratio, "fid": fids[name]}
        print(f"  {name:16} {median:8.2f} {ratio:8.2f}   {fids[name]:.9g}")
    config.out.parent.mkdir(parents=True, exist_ok=True)
    config.out.write_text(json.dumps({"device": device, "jax": jax.__version__, "ways": table}, indent=1) + "\n")
    print(f"written: {config.out}")


def features(n: int, d: int, seed: int) -> np.ndarray:
    """Float32 features (n, d) of a random linear layer with noise and a ReLU; the seed also shifts their mean."""
    layer = np.random.default_rng(100).standard_normal((256, d), np.float32) / 16
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((n, 256), np.float32) @ layer + 0.3 * generator.standard_normal((n, d), np.float32)
    return np.maximum(x + 0.05 * seed, 0)


def ours(real: np.ndarray, fake: np.ndarray) -> Callable[[], float]:
    reference = moments(real)
    return lambda: frechet_distance(reference, moments(fake))


def with_scipy(real: np.ndarray, fake: np.ndarray) -> Callable[[], float]:
    """As in the code of Heusel et al. (2017): `scipy.linalg.sqrtm` of the product of the covariances."""

    def statistics_of(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = x.astype(np.float64)
        return x.mean(axis=0), np.cov(x, rowvar=False)

    mean, covariance = statistics_of(real)

    def distance() -> float:
        other_mean, other = statistics_of(fake)
        root = scipy.linalg.sqrtm(covariance @ other)
        return float(np.sum((mean - other_mean) ** 2) + np.trace(covariance) + np.trace(other) - 2 * np.trace(root.real))

    return distance


def with_torch_fidelity(real: np.ndarray, fake: np.ndarray) -> Callable[[], float]:
    torch, fid = peer("torch"), peer("torch_fidelity.metric_fid")
    reference, other = fid.fid_features_to_statistics(torch.from_numpy(real)), torch.from_numpy(fake)

    def distance() -> float:
        found = fid.fid_statistics_to_metric(reference, fid.fid_features_to_statistics(other), verbose=False)
        return float(found["frechet_inception_distance"])

    return distance


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
