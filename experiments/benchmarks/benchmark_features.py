"""How fast scores' features are made, beside PyTorch with the same networks, all taking turns within one run.

    python -m experiments.benchmarks.benchmark_features                  SqueezeNet and Inception
    python -m experiments.benchmarks.benchmark_features --networks squeezenet --squeezenet-batch 128

SqueezeNet is compared with torchvision's, eager and channels-last, which gets its floats ready made; Inception with
torch-fidelity's, from 32x32 uint8 images on, enlargement and all. Weights are random. Printed are medians of images/s, and of
the ratios to ours within a turn; the table goes to --out as JSON too. Needs `pip install torch torchvision torch-fidelity`,
and a machine that does nothing else: PyTorch's threads wait for each other.
"""

import copy
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.peers import peer
from gan_jax import cli
from gan_jax.images.resize import resize
from gan_jax.models.imagenet import inception_input
from gan_jax.models.inception import INPUT_SIZE, InceptionV3
from gan_jax.models.squeezenet import FEATURES_SIZE, SqueezeNet, features

Contender = Callable[[], Any]  # features of one batch, finished


@dataclass(frozen=True)
class Config:
    networks: tuple[Literal["squeezenet", "inception"], ...] = ("squeezenet", "inception")
    """What to measure."""
    squeezenet_batch: int = 16
    """Images in a batch of SqueezeNet's."""
    inception_batch: int = 16
    """Images in a batch of Inception's."""
    seconds: float = 3.0
    """Length of one turn."""
    turns: int = 7
    """How often each has its turn."""
    out: Path = Path("runs/benchmark_features.json")
    """Where the table goes."""


def main(config: Config) -> None:
    table, device = {}, jax.devices()[0].device_kind
    for network in config.networks:
        batch = config.squeezenet_batch if network == "squeezenet" else config.inception_batch
        contenders = squeezenets(batch) if network == "squeezenet" else inceptions(batch)
        rates = alternate(contenders, batch, config)
        table[network] = {
            name: {
                "images_per_second": statistics.median(rate),
                "ours_times": statistics.median(a / b for a, b in zip(rates["ours"], rate, strict=True)),
            }
            for name, rate in rates.items()
        }
        print(f"\n{network}, batch {batch}, on {device}: images/s, ours is so many times as fast")
        for name, row in table[network].items():
            print(f"  {name:26} {row['images_per_second']:10,.1f} {row['ours_times']:8.2f}")
    config.out.parent.mkdir(parents=True, exist_ok=True)
    config.out.write_text(json.dumps({"device": device, "jax": jax.__version__, "networks": table}, indent=1) + "\n")
    print(f"\nwritten: {config.out}")


def squeezenets(batch: int) -> dict[str, Contender]:
    torch, models = peer("torch"), peer("torchvision.models")
    images = np.random.default_rng(0).integers(0, 256, (batch, FEATURES_SIZE, FEATURES_SIZE, 3), np.uint8)
    variables = jax.jit(SqueezeNet().init)(jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    apply = jax.jit(lambda variables, x: features(variables, x, "torchvision"))
    theirs = models.squeezenet1_1(weights=None).features.eval()

    def contender(memory_format: Any) -> Contender:
        network = copy.deepcopy(theirs).to(memory_format=memory_format)
        planes = torch.from_numpy(images).permute(0, 3, 1, 2).float().contiguous(memory_format=memory_format)
        return torch.inference_mode()(lambda: network(planes).mean((2, 3)))

    return {
        "ours": lambda: apply(variables, images).block_until_ready(),
        "torchvision": contender(torch.contiguous_format),
        "torchvision, channels-last": contender(torch.channels_last),
    }


def inceptions(batch: int) -> dict[str, Contender]:
    torch, module = peer("torch"), peer("torch_fidelity.feature_extractor_inceptionv3")

    class Random(module.FeatureExtractorInceptionV3):
        def load_state_dict(self, *args: Any, **options: Any) -> None:
            """Keeps the first weights."""

    images, model = np.random.default_rng(0).integers(0, 256, (batch, 32, 32, 3), np.uint8), InceptionV3()
    variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, *INPUT_SIZE, 3)))
    apply = jax.jit(lambda variables, x: model.apply(variables, inception_input(resize(x, INPUT_SIZE, "tf1"))))
    with tempfile.NamedTemporaryFile() as file:
        torch.save({}, file.name)
        theirs = Random("random", ["2048", "logits_unbiased"], feature_extractor_weights_path=file.name)
    planes = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    return {
        "ours": lambda: jax.block_until_ready(apply(variables, images)),
        "torch-fidelity": torch.inference_mode()(lambda: theirs(planes)),
    }


def alternate(contenders: dict[str, Contender], batch: int, config: Config) -> dict[str, list[float]]:
    """Images a second of all, taking turns; the first batch of a turn, which warms what the others cooled, does not count."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(config.turns):
        for name, contender in contenders.items():
            contender()
            start, count = time.perf_counter(), 0
            while time.perf_counter() - start < config.seconds:
                contender()
                count += batch
            rates[name].append(count / (time.perf_counter() - start))
    return rates


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
