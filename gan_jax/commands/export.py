"""Write a run's generator to one file that opens without gan_jax, on CPUs, GPUs and TPUs: `export RUN`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from gan_jax.commands.flags import TrainedFlags
from gan_jax.config import Count, command
from gan_jax.errors import InputError
from gan_jax.files import check_apart
from gan_jax.runs.export import write_exported


@dataclass(frozen=True)
class Config(TrainedFlags):
    """The flags of `export`."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    licence: str = "not stated"
    """What the card says of the licence of the weights and of the data."""
    batch: Count | None = None
    """Fixed number of samples a call, for own networks that cannot be traced for any number; default any."""
    out: Path | None = None
    """The file to write, a zip; default RUN/export/NAME.zip."""


@command
def main(config: Config) -> dict[str, Any]:
    """Write the file; returns its card.

    Raises `InputError` for what is no run that can be sampled, for networks that cannot be exported, and where the file cannot
    be written.
    """
    run = config.run
    out = config.out or run / "export" / f"{run.resolve().name}.zip"
    check_apart(out, [run / "checkpoints", run / "samples"])
    trained = config.open_generator(run)
    try:
        card = write_exported(trained, out, config.licence, config.batch)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}; choose another --out") from error
    inputs = ", ".join(f"{name} ({', '.join(map(str, each['shape']))})" for name, each in card["inputs"].items())
    print(f"step {trained.step}, takes {inputs}: {out}, {out.stat().st_size / 1e6:,.1f} MB")
    print("it opens with jax, flatbuffers and numpy alone: by the load.py inside, as the README.md inside says")
    return card
