"""Play a run on from a checkpoint with other settings, on copies of its state: `fork RUN --at 2000 --set lr=1e-4,5e-5`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from gan_jax.config import Count, command
from gan_jax.errors import InputError
from gan_jax.parallel import host
from gan_jax.runs.fork import changes_of, open_origin
from gan_jax.training.fork import Fork, fork, table


@dataclass(frozen=True)
class Config:
    """The flags of `fork`."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's directory; nothing in it is changed, and it may be training."""
    set: tuple[str, ...] = ()
    """What the copies change, such as lr=1e-4,5e-5 r1=10: one copy for each value, beside one that changes nothing."""
    at: str = "last"
    """The checkpoint to copy: a step, or last."""
    steps: Count = 500
    """Rounds that each copy is played."""
    out: Path | None = None
    """Folder for the copies, each a run of its own, and fork.json; default RUN-fork-STEP."""
    script: str | None = None
    """Module of the experiment that made the run, such as experiments.dcgan; default as the run says."""
    trust: bool = False
    """Also import scripts that are no part of gan_jax's experiments. Only for runs of known origin."""


@command
def main(config: Config) -> Fork:
    """Print which of the changes helped; returns the outcomes. Raises `InputError` for a fork that cannot be."""
    if not config.set:
        raise InputError("say what to try: --set lr=1e-4,5e-5")
    host.keep_compiled()
    origin = open_origin(config.run, config.at, config.script, config.trust)
    changes = changes_of(origin.config, config.set)
    out = config.out or _beside(origin.directory, f"fork-{origin.step}")
    found = fork(origin, changes, config.steps, out)
    print(f"\n{found.steps} rounds from step {found.at} of {origin.directory}:\n{table(found)}")
    for one in found.outcomes:
        print(f"{one.change!s}: {one.directory or 'not finite, nothing is kept'}")
    if not found.helped:
        print("nothing helped: no copy is healthier than the unchanged one, or scores better")
    return found


def _beside(directory: Path, name: str) -> Path:
    """A folder beside that of a run, which may be named as "."."""
    named = directory if directory.name else directory.resolve()
    return named.with_name(f"{directory.resolve().name}-{name}")
