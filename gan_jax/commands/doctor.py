"""What state the game of a run is in, and was: `doctor RUN`, while it trains or afterwards."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from gan_jax.config import command
from gan_jax.errors import InputError
from gan_jax.runs.records import read_json
from gan_jax.runs.run import require_there, saved_steps
from gan_jax.training.doctor import ROWS, SIGNALS, Diagnosis, advice, diagnose, present, trial


@dataclass(frozen=True)
class Config:
    """The flags of `doctor`."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""


@command
def main(config: Config) -> Diagnosis:
    """Print every change of state, the present one with its evidence, and what to try; returns the present one.

    Raises `InputError` for a directory without metrics.
    """
    require_there(config.run)
    now = present(config.run)
    if now is None:
        raise InputError(f"{config.run} has no metrics to read: is it a run's directory?")
    before = ""
    for i, row in enumerate(now.rows):
        state = diagnose(now.rows[max(0, i - ROWS) : i + 1]).state
        if state != before:
            print(f"step {row['step']:>8}  {state}")
        before = state
    last = now.diagnosis
    print(f"\nat the end: {now}")
    for name, value in last.evidence.items():
        print(f"  {name:10} {value:8.3f}   {SIGNALS.get(name, '')}")
    for note in now.notes:
        print(note)
    flags = read_json(config.run / "config.json") or {}
    if cure := advice(last.state, flags):
        print(f"\nworth trying: {cure}")
    known = "script" in (read_json(config.run / "model.json") or {})
    if known and (copies := trial(last.state, flags, config.run, saved_steps(config.run))):
        print(f"on copies of this run: {copies}")
    return last
