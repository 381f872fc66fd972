"""What is done before and after training: `python -m gan_jax data check PATH`, `sample RUN`, `evaluate RUN`, ..."""

from typing import Any

from gan_jax import cli
from gan_jax.commands import compare, data, doctor, evaluate, sample, weights

COMMANDS: dict[str, Any] = {
    "compare": (compare.main, compare.Config),
    "data": (data.main, data.Config),
    "doctor": (doctor.main, doctor.Config),
    "evaluate": (evaluate.main, evaluate.Config),
    "sample": (sample.main, sample.Config),
    "weights": (weights.main, weights.Config),
}


if __name__ == "__main__":
    cli.run_subcommand(COMMANDS, __doc__ or "")
