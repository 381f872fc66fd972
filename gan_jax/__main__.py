"""What is done before and after training: `python -m gan_jax data check PATH`, `sample RUN`, `evaluate RUN`, ..."""

from typing import Any

from gan_jax import cli
from gan_jax.commands import (
    arithmetic,
    compare,
    data,
    directions,
    doctor,
    evaluate,
    export,
    film,
    fork,
    hub,
    interpolate,
    project,
    report,
    sample,
    upscale,
    weights,
)

COMMANDS: dict[str, Any] = {
    "arithmetic": (arithmetic.main, arithmetic.Config),
    "compare": (compare.main, compare.Config),
    "data": (data.main, data.Config),
    "directions": (directions.main, directions.Config),
    "doctor": (doctor.main, doctor.Config),
    "evaluate": (evaluate.main, evaluate.Config),
    "export": (export.main, export.Config),
    "film": (film.main, film.Config),
    "fork": (fork.main, fork.Config),
    "hub": (hub.main, hub.Config),
    "interpolate": (interpolate.main, interpolate.Config),
    "project": (project.main, project.Config),
    "report": (report.main, report.Config),
    "sample": (sample.main, sample.Config),
    "upscale": (upscale.main, upscale.Config),
    "weights": (weights.main, weights.Config),
}


if __name__ == "__main__":
    cli.run_subcommand(COMMANDS, __doc__ or "")
