"""Pretrained weights: .npz files of arrays named by their path, such as fire2/expand3x3/kernel.

gan_jax ships no weights. `NETWORKS` lists the public files of each network, and `convert` makes an .npz of them, once.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import PyTree

from gan_jax.errors import InputError
from gan_jax.files import check_apart, exists, identity, whole
from gan_jax.models import torch_files
from gan_jax.models.inception import InceptionV3
from gan_jax.models.lpips import LPIPS
from gan_jax.models.squeezenet import SqueezeNet
from gan_jax.models.torch_files import Arrays, PublicFile
from gan_jax.models.vgg import VGG

_OTHER_ENDS = {"w": "kernel", "b": "bias"}  # last parts of names in other libraries' files


class Network(NamedTuple):
    """A network, the shapes of its inputs, the public files of its weights, and their conversion to our arrays."""

    module: nn.Module
    inputs: tuple[tuple[int, ...], ...]
    files: tuple[PublicFile, ...] = ()
    arrays: Callable[..., Arrays] = dict

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of its parameters, by name."""
        inputs = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in self.inputs]
        variables = jax.eval_shape(self.module.init, jax.random.key(0), *inputs)
        return {name: leaf.shape for name, leaf in flatten_dict(variables["params"], sep="/").items()}


def read_weights(path: Path | None, network: str) -> tuple[PyTree, str]:
    """The variables of one of `NETWORKS`, from an .npz file, and their `digest`.

    Raises `InputError` for an unknown network, without a file (None: none was named) with the place to get it from, and for a
    damaged file or one of another network, naming the wrong array.
    """
    known = find_network(network)
    if path is None:
        raise InputError(f"{network} needs its weights. {how_to_get(network, Path(f'{network}.npz'))}")
    if not path.exists():
        raise InputError(f"there is no {path}. {how_to_get(network, path)}")
    if not path.is_file():  # a pipe would be waited for
        raise InputError(f"{path} is no regular file. {how_to_get(network, path)}")
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {_our_name(name): file[name] for name in file.files}
    except Exception as error:  # zipfile and numpy have a dozen kinds
        raise InputError(f"{path} is not a whole .npz file of plain arrays ({error}). {how_to_get(network, path)}") from error
    _check(arrays, known, f"{path} does not hold the weights of {network}")
    nested = unflatten_dict({name: jnp.asarray(array, jnp.float32) for name, array in arrays.items()}, sep="/")
    return {"params": nested}, digest(arrays)


def digest(arrays: Mapping[str, Any]) -> str:
    """SHA-256 over names, shapes and float32 bytes, sorted by name: 16 hexadecimal digits. `arrays` may be nested."""
    flat = flatten_dict(arrays.get("params", arrays), sep="/")
    named = ((name, np.asarray(flat[name], np.float32)) for name in sorted(flat))
    return identity(part for name, array in named for part in (f"{name} {array.shape}\n", array.tobytes()))


def convert(sources: Sequence[Path], network: str, out: Path, *, any_hash: bool = False) -> str:
    """Write the .npz of one of `NETWORKS` from its public files, in their order there; returns its `digest`.

    `out` appears whole or not at all. Raises `InputError` without PyTorch, for files whose SHA-256 is not the known one
    (unless `any_hash`), for files of other networks, and if `out` cannot be written or is one of the sources.
    """
    known = find_network(network)
    if len(sources) != len(known.files):
        wanted = ", ".join(file.name for file in known.files) or "none is known"
        raise InputError(f"{network} is made of {len(known.files)} files ({wanted}), not of {len(sources)}")
    check_apart(out, sources)
    if others := [source for source in sources if exists(source) and not source.is_file()]:
        raise InputError(f"{others[0]} is no regular file: give the public file as downloaded")
    states = [
        torch_files.read_state(source, file, any_hash=any_hash) for source, file in zip(sources, known.files, strict=True)
    ]
    arrays: dict[str, Any] = known.arrays(*states)
    _check(arrays, known, f"{', '.join(map(str, sources))} cannot become {network}")
    try:
        with whole(out) as unfinished, unfinished.open("wb") as file:
            np.savez(file, **arrays)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}; choose another file") from error
    return digest(arrays)


def find_network(name: str) -> Network:
    """The row of `NETWORKS` of this name; raises `InputError` if there is none."""
    if name not in NETWORKS:
        raise InputError(f"there is no network {name!r}: choose one of {', '.join(NETWORKS)}")
    return NETWORKS[name]


def how_to_get(network: str, out: Path) -> str:
    """Where to download the weights of a network, and the command that converts them to `out`."""
    files = NETWORKS[network].files
    if not files:
        return f"No public file of {network} is known that could be converted: provide an .npz with its arrays by name"
    heads = "".join(f" --heads {file.name}" for file in files[1:])
    return (
        f"Download {' and '.join(file.url for file in files)}, then run\n"
        f"  python -m gan_jax weights convert {files[0].name}{heads} --network {network} --out {out}"
    )


def _our_name(name: str) -> str:
    *layer, end = name.split("/")
    return "/".join([*layer, _OTHER_ENDS.get(end, end)])


def _check(arrays: Arrays, network: Network, complaint: str) -> None:
    shapes = network.shapes()
    for name, shape in shapes.items():
        if name not in arrays:
            raise InputError(f"{complaint}: it has no array {name}")
        array = arrays[name]
        if array.shape != shape or array.dtype.kind != "f":
            raise InputError(f"{complaint}: {name} is {array.dtype} {array.shape}, where floats {shape} are wanted")
        if not np.isfinite(array).all():
            raise InputError(f"{complaint}: not all numbers in {name} are finite")
    if more := sorted(arrays.keys() - shapes.keys()):
        raise InputError(f"{complaint}: {more[0]} is not of this network")


def _torchvision(name: str, sha256: str) -> PublicFile:
    return PublicFile(name, sha256, f"https://download.pytorch.org/models/{name}")


def _heads(net: str, sha256: str) -> PublicFile:
    address = "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1"
    return PublicFile(f"{net}.pth", sha256, f"{address}/{net}.pth")


_IMAGE = (1, 64, 64, 3)
_INCEPTION = PublicFile(
    "weights-inception-2015-12-05-6726825d.pth",
    "6726825d",
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
)
_ALEXNET = _torchvision("alexnet-owt-7be5be79.pth", "7be5be79")
_SQUEEZENET = _torchvision("squeezenet1_1-b8a52dc0.pth", "b8a52dc0")
_VGG16 = _torchvision("vgg16-397923af.pth", "397923af")
_VGG19 = _torchvision("vgg19-dcbb9e9d.pth", "dcbb9e9d")
NETWORKS = {
    "inception": Network(InceptionV3(), ((1, 299, 299, 3),), (_INCEPTION,), torch_files.inception),
    "squeezenet": Network(SqueezeNet("caffe"), (_IMAGE,)),
    "squeezenet_torchvision": Network(SqueezeNet("torchvision"), (_IMAGE,), (_SQUEEZENET,), torch_files.squeezenet),
    "vgg16": Network(VGG(16, ("relu5_3",)), (_IMAGE,), (_VGG16,), torch_files.vgg16),
    "vgg19": Network(VGG(19, ("relu5_4",)), (_IMAGE,), (_VGG19,), torch_files.vgg19),
    "vgg19_normalised": Network(VGG(19, ("relu3_1",), normalised=True), (_IMAGE,)),
    "lpips_alex": Network(LPIPS("alex"), (_IMAGE, _IMAGE), (_ALEXNET, _heads("alex", "df73285e")), torch_files.lpips_alex),
    "lpips_vgg": Network(LPIPS("vgg"), (_IMAGE, _IMAGE), (_VGG16, _heads("vgg", "a78928a0")), torch_files.lpips_vgg),
    "lpips_squeeze": Network(
        LPIPS("squeeze"), (_IMAGE, _IMAGE), (_SQUEEZENET, _heads("squeeze", "4a5350f2")), torch_files.lpips_squeeze
    ),
}
