"""Start an experiment, in the repository or installed: `run dcgan --data mnist`; `run` alone lists them."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from gan_jax import scripts
from gan_jax.config import command
from gan_jax.errors import InputError


@dataclass(frozen=True)
class Config:
    """The flags of `run`; those of the experiment follow its name."""

    name: Annotated[str | None, tyro.conf.Positional] = None
    """The experiment, such as dcgan; default a list of them. `run NAME --help` shows its flags."""


@command
def main(config: Config) -> dict[str, str]:
    """List the experiments; returns them. Raises `InputError` for a name, which is started by `scripts.start` in its place."""
    if config.name is not None:
        raise InputError(f"an experiment is a program of its own: gan_jax run {config.name}, or gan_jax.scripts.start")
    found = scripts.names()
    print("\n".join(f"{name:32}{about}" for name, about in found.items()))
    return found
