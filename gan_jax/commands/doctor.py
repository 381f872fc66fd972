"""What state the game of a run is in, and was: `doctor RUN`, while it trains or afterwards."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from gan_jax.config import command
from gan_jax.errors import InputError
from gan_jax.evaluation.scores import LEAST_HELD_OUT
from gan_jax.runs.records import read_json, read_rows
from gan_jax.runs.run import saved_steps
from gan_jax.training.doctor import FIRST, MEANINGS, ROWS, SIGNALS, Diagnosis, advice, diagnose, trial, with_scores

UNSEEN = (
    "memorising was not looked for: it needs scores while training (--eval-metrics, --eval-every) and "
    f"{LEAST_HELD_OUT} held-out examples or more"
)


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
    rows = with_scores(read_rows(config.run / "metrics.jsonl"), read_rows(config.run / "eval.jsonl"))
    stopped = [row for row in read_rows(config.run / "diagnosis.jsonl") if row["state"] == "nan"]
    if not rows and not stopped:
        raise InputError(f"{config.run} has no metrics to read: is it a run's directory?")
    flags = read_json(config.run / "config.json") or {}
    known = "script" in (read_json(config.run / "model.json") or {})
    saved = saved_steps(config.run) if known else []
    before = ""
    for i, row in enumerate(rows):
        state = diagnose(rows[max(0, i - ROWS) : i + 1]).state
        if state != before:
            print(f"step {row['step']:>8}  {state}")
        before = state
    if stopped:
        print(f"step {stopped[-1]['step']:>8}  nan: {stopped[-1]['evidence']}\n\ntry {advice('nan', flags)}")
        _tell_trial(trial("nan", flags, config.run, saved))
        return Diagnosis("nan", {})
    last = diagnose(rows[-ROWS - 1 :])
    print(f"\nat the end: {last.state}, {MEANINGS[last.state]}")
    for name, value in last.evidence.items():
        print(f"  {name:10} {value:8.3f}   {SIGNALS.get(name, '')}")
    if last.state == "ok" and rows[-1]["step"] < FIRST:
        print(f"a game is judged from round {FIRST} on")
    if "overfit" not in last.evidence:
        print(UNSEEN)
    if cure := advice(last.state, flags):
        print(f"\nworth trying: {cure}")
        _tell_trial(trial(last.state, flags, config.run, saved))
    return last


def _tell_trial(command: str) -> None:
    if command:
        print(f"on copies of this run: {command}")
