"""What is kept of the members of a population: rows of metrics, scores, deaths."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax.core import Metrics
from gan_jax.files import whole
from gan_jax.runs.records import read_rows, rewind
from gan_jax.runs.run import Run
from gan_jax.training.doctor import advice
from gan_jax.training.members import Record
from gan_jax.training.report import Row


class Death(NamedTuple):
    """The round at which a member died, and the metrics that were not finite then; "state" if all were."""

    step: int
    metrics: tuple[str, ...]


class MemberRows:
    """Rows, scores and deaths of members number `first` on, in memory and in a folder of the run for each.

    `settings` are their numbers by name. Rounds are read one dispatch late, while the next one runs.
    """

    def __init__(
        self,
        settings: Sequence[Mapping[str, int | float]],
        first: int,
        *,
        steps: int,
        interval: int,
        run: Run | None,
        show: Callable[[str], None],
    ):
        self.first, self.steps, self.interval, self.show = first, steps, interval, show
        self.rows: list[list[Row]] = [[] for _ in settings]
        self.scores: list[list[Row]] = [[] for _ in settings]
        self.died: dict[int, Death] = {}  # by the member's number
        self._settings, self._run = settings, run
        self._pending: tuple[int, Record] | None = None
        self._records: list[Record] = []

    def go_on(self, directory: Path, step: int) -> None:
        """Read the rows up to `step` and drop those after it; -1 drops all."""
        for i, (rows, scores) in enumerate(zip(self.rows, self.scores, strict=True)):
            folder = directory / self._folder(i)
            rewind(folder, step)
            rows += read_rows(folder / "metrics.jsonl")
            scores += read_rows(folder / "eval.jsonl")
            for row in read_rows(folder / "diagnosis.jsonl"):
                self.died[self.first + i] = Death(row["step"], tuple(row.get("metrics", ["state"])))
        if step >= 0:
            self.show(f"continuing members {self.first} to {self.first + len(self.rows) - 1} from step {step}")

    def add(self, step: int, record: Record) -> None:
        """Take the record of the dispatch that ended at `step`."""
        self.flush()
        self._pending = (step, record)

    def flush(self) -> None:
        """Read the record that was taken last: deaths, and rows at the end of an interval."""
        if self._pending is None:
            return
        (step, pending), self._pending = self._pending, None
        record = jax.device_get(pending)
        self._records.append(record)
        alive = record.alive[-1]
        for i in np.flatnonzero(~alive).tolist():
            if self.first + i not in self.died:
                self._mark(i, step - len(record.alive) + 1, record)
        if step % self.interval == 0 or step == self.steps:
            self._finish_rows(step, alive)

    def _mark(self, i: int, first_round: int, record: Record) -> None:
        at = int(np.argmin(record.alive[:, i]))
        bad = [name for name, value in record.metrics.items() if not np.isfinite(value[at, i])]
        death = Death(first_round + at, tuple(bad or ["state"]))
        self.died[self.first + i] = death
        evidence = f"{', '.join(death.metrics)} was not finite at step {death.step}"
        setting = ", ".join(f"{name} {value:g}" for name, value in self._settings[i].items())
        self.show(f"died        member {self.first + i} ({setting}): {evidence}")
        row = {"step": death.step, "state": "nan", "advice": advice("nan"), "evidence": evidence, "metrics": death.metrics}
        self._write(i, "diagnosis.jsonl", row)

    def _finish_rows(self, step: int, alive: np.ndarray) -> None:
        series = {name: [record.metrics[name] for record in self._records] for name in self._records[0].metrics}
        means = {name: np.concatenate(values).mean(axis=0) for name, values in series.items()}  # members
        self._records = []
        for i in np.flatnonzero(alive).tolist():
            self.rows[i].append({"step": step, **_of_member(means, i)})
            self._write(i, "metrics.jsonl", self.rows[i][-1])

    def score(self, step: int, measured: Metrics) -> None:
        """Keep what was measured of the members that are alive: numbers as rows, arrays of a run in looks/."""
        host = jax.device_get(measured)
        arrays = {name: host.pop(name) for name in list(host) if np.ndim(host[name]) > 1}
        if arrays and self._run:
            with whole(self._run.path(f"looks/{self.first:03}-{step:08}.npz")) as unfinished:
                np.savez(unfinished, **arrays)
        for i, scores in enumerate(self.scores):
            if self.first + i not in self.died:
                scores.append({"step": step, **_of_member(host, i)})
                self._write(i, "eval.jsonl", scores[-1])

    def _folder(self, i: int) -> str:
        return f"members/{self.first + i:03}"

    def _write(self, i: int, name: str, row: Row) -> None:
        if self._run:
            self._run.add_row(f"{self._folder(i)}/{name}", row)


def _of_member(metrics: Mapping[str, Any], i: int) -> Row:
    return {name: float(value[i]) for name, value in metrics.items()}
