"""Metrics of all rounds: checked, averaged over intervals, shown."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from gan_jax.core import Metrics
from gan_jax.errors import NotFinite

Row = dict[str, Any]  # numbers by name


class Report:
    """Metrics of all rounds: checked, averaged over `interval` rounds, shown and handed to `write(step, row)`.

    On a terminal a progress bar, elsewhere a line an interval. Metrics are read one dispatch late, while the next one runs.
    `images` is the number of real examples in a round; `health(step, row)` gives the last column, which is what `last` says.
    """

    def __init__(
        self,
        *,
        start: int,
        steps: int,
        interval: int,
        images: int,
        write: Callable[[int, Row], None],
        show: Callable[[str], None],
        health: Callable[[int, Row], str] = lambda step, row: "",
        last: str = "",
        silent: bool = False,
    ):
        self.start, self.steps, self.interval, self.images = start, steps, interval, images
        self._write, self._show, self._health, self._last, self._silent = write, show, health, last, silent
        self._pending: tuple[int, Metrics] | None = None
        self._rows: list[dict[str, np.ndarray]] = []
        self._clock, self._clock_step, self._between = time.perf_counter(), start, 0.0
        self._explained = False

    def __enter__(self) -> "Report":
        terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=self.steps, initial=self.start, unit="step", disable=self._silent or not terminal, dynamic_ncols=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def begin(self, step: int, metrics: Metrics) -> None:
        """As `add`, of the first dispatch, which was compiled: rounds are timed after it, if any are left to the interval."""
        self.add(step, metrics)
        if step % self.interval and step != self.steps:
            jax.block_until_ready(metrics)
            self._clock, self._clock_step = time.perf_counter(), step

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Time spent inside does not count as time of the rounds."""
        start = time.perf_counter()
        yield
        self._between += time.perf_counter() - start

    def add(self, step: int, metrics: Metrics) -> None:
        """Take the metrics of the dispatch that ended at `step`, with a leading axis of rounds."""
        self.flush()
        self._pending = (step, metrics)

    def end(self, step: int) -> None:
        """Finish the row of a run that ends here, before `steps`; all metrics so far are flushed."""
        if self._rows:
            self._finish_row(step)

    def flush(self) -> None:
        """Wait for the latest metrics; raises `RunError` if one is not finite."""
        if self._pending is None:
            return
        (step, metrics), self._pending = self._pending, None
        host = {name: np.asarray(value, np.float32) for name, value in jax.device_get(metrics).items()}
        rounds = len(next(iter(host.values())))
        _check_finite(host, first=step - rounds + 1)
        self._rows.append(host)
        self._bar.update(rounds)
        if step % self.interval == 0 or step == self.steps:
            self._finish_row(step)

    def _finish_row(self, step: int) -> None:
        row = {name: float(np.concatenate([r[name] for r in self._rows]).mean()) for name in self._rows[0]}
        now, rounds = time.perf_counter(), max(step - self._clock_step, 1)
        seconds = (now - self._clock) / rounds
        rate = self.images * rounds / (now - self._clock - self._between)
        self._rows, self._clock, self._clock_step, self._between = [], now, step, 0.0
        word = self._health(step, row)
        line = status_line(step, self.steps, rate, (self.steps - step) * seconds, row, word)
        self._write(step, {**row, "images_per_second": rate})
        if self._bar.disable:
            if not self._explained and (told := explained(row, self._last)):
                self._show(f"columns     {told}")
            self._explained = True
            self._show(line)
        else:
            self._bar.set_description_str(line.split("|", 3)[-1].strip())


def _check_finite(metrics: dict[str, np.ndarray], first: int) -> None:
    bad = {name: int(np.argmin(np.isfinite(value))) for name, value in metrics.items() if not np.isfinite(value).all()}
    if bad:
        round_ = min(bad.values())
        names = ", ".join(sorted(name for name, i in bad.items() if i == round_))
        message = f"{names} was not finite at step {first + round_}; try a lower learning rate or a stronger penalty"
        raise NotFinite(message, first + round_)


def status_line(step: int, steps: int, rate: float, seconds_left: float, row: Row, health: str) -> str:
    """Step, images/s, time left, those of `COLUMNS` that the row has, and the state of the game."""
    left = f"{int(seconds_left) // 3600}:{int(seconds_left) // 60 % 60:02}:{int(seconds_left) % 60:02}"
    parts = [f"step {step}/{steps} {100 * step // steps}%", f"{rate:.0f} img/s", f"left {left}"]
    parts += [column for column in (_column(names, row) for names, _ in COLUMNS) if column]
    return " | ".join([*parts, *([health] if health else [])])


COLUMNS = (  # metrics side by side, what they are called, and what they are
    ({"disc/loss": "D", "gen/loss": "G"}, "what the players pay"),
    ({"disc/real": "D(x)", "disc/fake": "D(G(z))"}, "how real D takes real and generated examples for"),
    ({"gen/diversity": "div", "data/diversity": "of"}, "diversity of the samples, and of the data"),
)


def explained(row: Row, last: str) -> str:
    """What the columns of the status line are that this row has, and the last one, in words."""
    told = [f"{', '.join(names.values())}: {meaning}" for names, meaning in COLUMNS if names.keys() <= row.keys()]
    return "; ".join([*told, *([f"the last: {last}"] if last else [])])


def _column(names: dict[str, str], row: Row) -> str:
    return " ".join(f"{short} {row[name]:.2f}" for name, short in names.items() if name in row)
