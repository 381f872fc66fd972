"""What is done before and after training: `python -m gan_jax data check PATH`, `python -m gan_jax sample RUN`."""

from typing import Any

from gan_jax import cli
from gan_jax.commands import data, sample

COMMANDS: dict[str, Any] = {"data": (data.main, data.Config), "sample": (sample.main, sample.Config)}


if __name__ == "__main__":
    cli.run_subcommand(COMMANDS, __doc__ or "")
