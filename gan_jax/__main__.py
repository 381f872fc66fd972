"""All that is done from a command line: `gan_jax run dcgan`, `data check PATH`, `sample RUN`, `evaluate RUN`, ..."""

import difflib
import sys
from typing import Any

from gan_jax import cli, scripts
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
    run,
    sample,
    upscale,
    weights,
)
from gan_jax.errors import InputError

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
    "run": (run.main, run.Config),
    "sample": (sample.main, sample.Config),
    "upscale": (upscale.main, upscale.Config),
    "weights": (weights.main, weights.Config),
}


def main() -> None:
    """The program: ends the process. What follows the name of an experiment is for that alone."""
    words = sys.argv[1:]
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        sys.exit(cli.guarded(lambda: _unknown(words[0])))
    if len(words) > 1 and words[0] == "run" and not words[1].startswith("-"):
        sys.exit(cli.guarded(lambda: scripts.start(words[1], words[2:])))
    cli.run_subcommand(COMMANDS, __doc__ or "")


def _unknown(word: str) -> None:
    near = difflib.get_close_matches(word, COMMANDS, n=1)
    raise InputError(f"there is no command {word[:80]!r}: " + (f"the nearest is {near[0]}" if near else "--help lists them"))


if __name__ == "__main__":
    main()
