"""Pretrained weights: `weights list` says where to get them, `weights convert FILE` makes an .npz of a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from gan_jax.config import command
from gan_jax.errors import InputError
from gan_jax.models.pretrained import NETWORKS, convert


@dataclass(frozen=True)
class Config:
    """The flags of `weights`."""

    action: Annotated[Literal["list", "convert"], tyro.conf.Positional] = "list"
    """list: the networks, their public files and where they are. convert: an .npz from such a file, with PyTorch."""
    file: Annotated[Path | None, tyro.conf.Positional] = None
    """Convert: the public file, as downloaded."""
    network: str | None = None
    """Convert: which network it is, one of the list."""
    heads: Path | None = None
    """Convert: the second file of an LPIPS, its linear weights."""
    out: Path | None = None
    """Convert: the file to write; default NETWORK.npz."""
    any_hash: bool = False
    """Convert: also a file whose SHA-256 is not that of the public one."""


@command
def main(config: Config) -> str:
    """Print the list, or write the .npz; returns the list, or the identity of the weights.

    Raises `InputError` for files that cannot be used.
    """
    if config.action == "list":
        print(listing())
        return listing()
    if config.file is None or config.network is None:
        raise InputError("convert needs a file and --network, one of: " + ", ".join(NETWORKS))
    out = config.out or Path(f"{config.network}.npz")
    sources = [config.file] if config.heads is None else [config.file, config.heads]
    digest = convert(sources, config.network, out, any_hash=config.any_hash)
    print(f"written: {out}, weights {digest}")
    return digest


def listing() -> str:
    """A line per network, and one per file of it."""
    lines = []
    for name, network in NETWORKS.items():
        lines.append(name if network.files else f"{name}: no public file of PyTorch; an .npz with its arrays by name")
        lines += [f"  {file.url}  (SHA-256 {file.sha256}...)" for file in network.files]
    return "\n".join(lines)
