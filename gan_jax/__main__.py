"""What is done with a finished run: `python -m gan_jax sample RUN`."""

from typing import Any

from gan_jax import cli
from gan_jax.commands import sample

COMMANDS: dict[str, Any] = {"sample": (sample.main, sample.Config)}


if __name__ == "__main__":
    cli.run_subcommand(COMMANDS, __doc__ or "")
