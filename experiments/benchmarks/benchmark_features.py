"""Throughput of the feature extractors for FID, KID and the like, beside PyTorch with the same networks.

    python -m experiments.benchmarks.benchmark_features                # SqueezeNet and Inception
    python -m experiments.benchmarks.benchmark_features --networks squeezenet --squeezenet-batch 128

SqueezeNet is compared with torchvision's, eager and channels-last, whose input is float already; Inception with
torch-fidelity's, from 32x32 uint8 images, resizing included. Weights are random. All contenders alternate within one run.
Rates are medians over the turns, and our speedups medians of the ratios within a turn. --out has the table as JSON. Needs
`pip install torch torchvision torch-fidelity` and an otherwise idle machine: PyTorch's threads wait for each other.
"""

import copy
import importlib.util
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

from experiments.benchmarks.peers import peer
from experiments.benchmarks.turns import alternate, median_ratio, medians, rate
from gan_jax import cli
from gan_jax.errors import InputError
from gan_jax.images.resize import resize
from gan_jax.models.imagenet import inception_input
from gan_jax.models.inception import INPUT_SIZE, InceptionV3
from gan_jax.models.squeezenet import FEATURES_SIZE, SqueezeNet, features

Contender = Callable[[], Any]  # computes the features of one batch and waits for them


@dataclass(frozen=True)
class Config:
    networks: tuple[Literal["squeezenet", "inception"], ...] = ("squeezenet", "inception")
    """Networks to measure."""
    squeezenet_batch: int = 16
    """Images in a batch of SqueezeNet."""
    inception_batch: int = 16
    """Images in a batch of Inception."""
    seconds: float = 3.0
    """Minimum duration of a turn in seconds."""
    turns: int = 7
    """Turns of each contender."""
    out: Path = Path("runs/benchmark_features.json")
    """File of the table, as JSON."""


def main(config: Config) -> None:
    peers = ("torch", "torchvision", "torch_fidelity")
    if missing := [name for name in peers if importlib.util.find_spec(name) is None]:
        raise InputError(f"{', '.join(missing)} missing, which ours is compared with: pip install '.[oracles]'")
    table, device = {}, jax.devices()[0].device_kind
    for network in config.networks:
        batch = config.squeezenet_batch if network == "squeezenet" else config.inception_batch
        contenders = squeezenets(batch) if network == "squeezenet" else inceptions(batch)
        # the first batch of a turn is not timed: the other contenders have displaced this one's weights from the caches
        turns = {name: partial(rate, play, config.seconds, batch, warm_up=1) for name, play in contenders.items()}
        rates = alternate(turns, config.turns)
        table[network] = {
            name: {"images_per_second": images, "ours_times": median_ratio(rates["ours"], rates[name])}
            for name, images in medians(rates).items()
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
            """Keeps the random weights of the initialisation."""

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


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
