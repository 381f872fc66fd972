"""PyTorch weight files: reading them, and converting the layers of public networks to ours.

Used by `gan_jax.models.pretrained.convert`, once for each file; the only module of gan_jax that needs PyTorch.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_jax.errors import InputError
from gan_jax.models.vgg import STAGES

Arrays = dict[str, np.ndarray]  # by the path of the parameter in our network


class PublicFile(NamedTuple):
    """A published file; its SHA-256 begins with `sha256`."""

    name: str
    sha256: str
    url: str


class State(dict[str, np.ndarray]):
    """The arrays of a file by name; a missing name raises `InputError`."""

    def __init__(self, path: Path, arrays: Mapping[str, np.ndarray]):
        super().__init__(arrays)
        self.path = path

    def __missing__(self, name: str) -> np.ndarray:
        raise InputError(f"{self.path} has no array {name}: it is of another network")


def read_state(path: Path, file: PublicFile, *, any_hash: bool = False) -> State:
    """The arrays in `path`, a copy of the public `file`, or any file if `any_hash`.

    No code in the file is executed. Raises `InputError` for a file that cannot be read or has another SHA-256, and without
    PyTorch.
    """
    try:
        with path.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}): {file.name} is at {file.url}") from error
    if not (any_hash or found.startswith(file.sha256)):
        raise InputError(
            f"{path} has the SHA-256 {found}, but that of {file.name} begins with {file.sha256}: download it again from "
            f"{file.url}, or allow any hash to use it nevertheless"
        )
    try:
        import torch
    except ImportError as error:
        raise InputError(
            f"{path} is a PyTorch file, and PyTorch is needed to read it: "
            "pip install torch --index-url https://download.pytorch.org/whl/cpu"
        ) from error
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        return State(path, {name: array.numpy() for name, array in loaded.items()})
    except Exception as error:  # pickle, zipfile and torch have a dozen kinds
        raise InputError(f"{path} is not a file of plain PyTorch arrays: {error}") from error


def inception(state: State) -> Arrays:
    """Arrays of `InceptionV3` from the weights of torch-fidelity and pytorch-fid.

    Batch norm, y = (x - mean) / sqrt(var + 0.001) * weight + bias, is folded into the convolution before it.
    """
    arrays = {"fc/kernel": state["fc.weight"].T}
    for layer in [name.removesuffix(".conv.weight") for name in state if name.endswith(".conv.weight")]:
        scale = state[f"{layer}.bn.weight"] / np.sqrt(state[f"{layer}.bn.running_var"].astype(np.float64) + 1e-3)
        kernel = _hwio(state[f"{layer}.conv.weight"]) * scale
        bias = state[f"{layer}.bn.bias"] - state[f"{layer}.bn.running_mean"] * scale
        path = layer.replace(".", "/")
        arrays |= {f"{path}/kernel": kernel.astype(np.float32), f"{path}/bias": bias.astype(np.float32)}
    return arrays


def vgg16(state: State) -> Arrays:
    """Arrays of `VGG(16)` from torchvision's weights."""
    return _convolutions(state, _vgg_places(16))


def vgg19(state: State) -> Arrays:
    """Arrays of `VGG(19)` from torchvision's weights."""
    return _convolutions(state, _vgg_places(19))


def squeezenet(state: State) -> Arrays:
    """Arrays of `SqueezeNet` from torchvision's weights of version 1.1."""
    return _convolutions(state, _SQUEEZENET)


def lpips_alex(state: State, heads: State) -> Arrays:
    """Arrays of `LPIPS("alex")` from torchvision's AlexNet and the linear heads of LPIPS v0.1."""
    return _lpips(_convolutions(state, _ALEXNET), heads, 5)


def lpips_vgg(state: State, heads: State) -> Arrays:
    """Arrays of `LPIPS("vgg")` from torchvision's VGG-16 and the linear heads of LPIPS v0.1."""
    return _lpips(vgg16(state), heads, 5)


def lpips_squeeze(state: State, heads: State) -> Arrays:
    """Arrays of `LPIPS("squeeze")` from torchvision's SqueezeNet 1.1 and the linear heads of LPIPS v0.1."""
    return _lpips(squeezenet(state), heads, 7)


def _lpips(backbone: Arrays, heads: State, count: int) -> Arrays:
    weights = {f"lin{i}": heads[f"lin{i}.model.1.weight"].reshape(-1) for i in range(count)}
    return {f"net/{name}": array for name, array in backbone.items()} | weights


def _convolutions(state: State, places: Mapping[str, str]) -> Arrays:
    """Kernels and biases of the layers in `places`, our names by theirs; other layers are left out."""
    arrays: Arrays = {}
    for theirs, ours in places.items():
        arrays |= {f"{ours}/kernel": _hwio(state[f"{theirs}.weight"]), f"{ours}/bias": state[f"{theirs}.bias"]}
    return arrays


def _hwio(kernel: np.ndarray) -> np.ndarray:
    return kernel.transpose(2, 3, 1, 0)


def _vgg_places(depth: int) -> dict[str, str]:
    places: dict[str, str] = {}
    at = 0
    for stage, layers in enumerate(STAGES[depth], 1):
        places |= {f"features.{at + 2 * i}": f"conv{stage}_{i + 1}" for i in range(layers)}
        at += 2 * layers + 1  # a ReLU after each convolution, a pooling layer after each stage
    return places


_ALEXNET = {f"features.{at}": f"conv{i}" for i, at in enumerate((0, 3, 6, 8, 10), 1)}
_SQUEEZENET = {"features.0": "conv1"} | {
    f"features.{at}.{theirs}": f"fire{i}/{ours}"
    for i, at in enumerate((3, 4, 6, 7, 9, 10, 11, 12), 2)
    for theirs, ours in (("squeeze", "squeeze1x1"), ("expand1x1", "expand1x1"), ("expand3x3", "expand3x3"))
}
