"""The state of the game, named from the metrics of its rounds, with the evidence and what to try."""

import math
import shlex
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax.evaluation.scores import LEAST_HELD_OUT
from gan_jax.runs.records import read_rows

Row = Mapping[str, Any]  # metrics averaged over an interval, see `gan_jax.objectives.image_gan`
WINDOW = 250  # rounds that a diagnosis looks back on
STRETCH = 25  # rounds, at least, that a signal is averaged over before medians and changes are taken
FIRST = 500  # rounds before a game is judged: early metrics vary much
ROWS = WINDOW + 2 * STRETCH  # the last rows that a diagnosis can depend on, each of a round or more

Tries = Callable[[Any], Sequence[Any]]


def _times(*factors: float, first: Sequence[float] = ()) -> Tries:
    """The present value so many times; in place of 0 or none `first`."""

    def tries(now: Any) -> Sequence[Any]:
        return list(first) if not now else [now * factor for factor in factors if isinstance(now, int | float)]

    return tries


def _instead(*values: Any) -> Tries:
    """These values, where the present one is another."""
    return lambda now: [value for value in values if value != now]


class Cure(NamedTuple):
    """Something to try, and the flag (with a value) that does it in experiments that have the flag.

    `tries(present value)` are values to try on copies of the run: only where they leave the kind of its state as it is, and
    none above the present value of the flag `most`.
    """

    text: str
    flag: str = ""
    value: str = ""
    tries: Tries = _instead()
    most: str = ""


_PENALTY = Cure("a gradient penalty, or ten times the present one", "r1", tries=_times(10.0, first=(1.0,)))
_LOWER_RATE = Cure("a lower learning rate", "lr", tries=_times(0.5, 0.2))
_STRONGER = Cure("a stronger penalty", "r1", tries=_times(3.0, 10.0, first=(1.0,)))
_WEAKER = Cure("a weaker penalty", "r1", tries=_times(0.3, 0.1))
_NO_MOMENTUM = Cure("no momentum", "b1", "0", _instead(0.0))
_MORE_DISC = Cure("two updates of the discriminator a round", "disc_steps", "2", _instead(2))
_ONE_GEN = Cure("one update of the generator a round", "gen_steps", "1", _instead(1))
CURES: dict[str, tuple[Cure, ...]] = {
    "ok": (),
    "diverging": (Cure("a much lower learning rate", "lr", tries=_times(0.1, 0.03)), _NO_MOMENTUM, _PENALTY),
    "collapsing": (  # the first three kept nearly all classes in `experiments.mode_collapse --benchmark digits`
        Cure("features of the whole minibatch in the discriminator", "minibatch", "discrimination"),
        Cure("the relativistic cost with R1 and R2", "loss", "relativistic_paired", _instead("relativistic_paired")),
        Cure("batch normalisation in the discriminator too", "disc_norm", "batch"),
        _PENALTY,
        Cure("packed examples", "pack", "2"),
        _ONE_GEN,
    ),
    "D-winning": (
        _PENALTY,
        Cure("spectral normalisation", "spectral_norm"),
        Cure("the non-saturating cost in place of minimax", "loss", "non_saturating", _instead("non_saturating")),
        Cure("label smoothing", "label_smoothing", "0.1", _instead(0.1)),
    ),
    "D-slow": (
        Cure(
            "a higher learning rate for the discriminator, if it is below the generator's",
            "disc_lr",
            tries=_times(10.0, 100.0),
            most="lr",
        ),
        _MORE_DISC,
        _ONE_GEN,
        _WEAKER,
    ),
    "G-winning": (
        Cure("a larger discriminator"),
        _MORE_DISC,
        _WEAKER,
    ),
    "oscillating": (_LOWER_RATE, _STRONGER, _NO_MOMENTUM),
    "memorising": (
        Cure("augmentation", "augment", "diffaugment or ada"),
        Cure("mirrored examples", "mirror", tries=_instead(True)),
        Cure("more examples"),
    ),
    "nan": (_LOWER_RATE, _STRONGER, Cure("computation in float32", "precision", "f32")),
}
MEANINGS = {
    "ok": "nothing is found",
    "diverging": "losses explode",
    "collapsing": "samples vary much less than the data",
    "D-winning": "the discriminator tells nearly every sample, which leaves the generator little to learn from",
    "D-slow": "samples differ plainly from the data, and the discriminator does not tell them",
    "G-winning": "samples lie far from the data, and the discriminator hardly tells them",
    "oscillating": "the players go round in circles",
    "memorising": "the discriminator has memorised its training pictures; samples may still be good",
    "nan": "a value is not finite",
}


def advice(state: str, flags: Collection[str] = ()) -> str:
    """What to try in a state, with the flags that do it as far as the experiment has them (names as in its config.json)."""
    return told(CURES[state], flags)


def told(cures: Sequence[Cure], flags: Collection[str] = ()) -> str:
    """The cures in words, each with the flag that does it, if the experiment has that flag."""
    words = []
    for cure in cures:
        given = " ".join(filter(None, [f"--{cure.flag.replace('_', '-')}", cure.value]))
        words.append(f"{cure.text} ({given})" if cure.flag in flags else cure.text)
    return ", or ".join(words)


def trial(state: str, config: Mapping[str, Any], run: object, saved: Sequence[int]) -> str:
    """The command that tries the cures of a state on copies of the run, from its newest checkpoint; "" where there is none.

    `config` has the run's flags with their values, `saved` are the steps of its checkpoints.
    """
    changes = []
    for cure in CURES[state]:
        values = cure.tries(config[cure.flag]) if cure.flag in config else []
        values = [value for value in values if not cure.most or value <= config[cure.most]]
        if values:
            changes.append(f"{cure.flag}={','.join(_short(value) for value in values)}")
    if not changes or not saved:
        return ""
    return f"python -m gan_jax fork {shlex.quote(str(run))} --at {saved[-1]} --set {' '.join(changes)} --steps {2 * WINDOW}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _narrow(s: Mapping[str, float]) -> bool:
    """Whether fakes vary much less than reals."""
    return min(s.get("rms_distance", 1.0), s.get("pixels", 1.0)) < 0.45


def _far(s: Mapping[str, float]) -> bool:
    """Whether the fakes' mean lies far from the reals'."""
    return s.get("offset", 0.0) > 0.55


RULES: dict[str, Callable[[dict[str, float]], bool]] = {
    "diverging": lambda s: abs(s.get("disc_loss", 0.0)) > 100,
    "D-slow": lambda s: s.get("gap", 1.0) < 0.02 and (_narrow(s) or _far(s)),  # plain differences, and D does not tell them
    "D-winning": lambda s: s.get("gap", 0.0) > 0.65,
    "collapsing": _narrow,
    "memorising": lambda s: s.get("overfit", 0.0) > 0.5,
    "oscillating": lambda s: s.get("swing", 0.0) > 0.015 and s.get("offset", 0.0) > 0.4,
    "G-winning": lambda s: _far(s) and s.get("gap", 1.0) < 0.15,
}
LEAST_STRETCHES = 3  # that a diagnosis needs, however long they are
SIGNALS = {
    "gap": "D(x) - D(G(z))",
    "rms_distance": "how far fakes lie from their mean in the discriminator's features, over how far reals do",
    "pixels": "the same of the examples themselves",
    "offset": "how far the fakes' mean feature is from the reals', over the reals' rms distance",
    "disc_loss": "the discriminator's loss",
    "swing": "how much D(G(z)) changes from one stretch of rounds to the next",
    "overfit": "how far D's answer to held-out pictures has moved from that to training ones towards that to fakes",
}


FORMER_NAMES = {"gen/spread": "gen/rms_distance", "gen/gap": "gen/offset"}  # in runs made before these names


class Diagnosis(NamedTuple):
    """One of the states that `CURES` names, and the signals that it was told from."""

    state: str
    evidence: dict[str, float]


def signals(rows: Sequence[Row]) -> dict[str, float]:
    """`SIGNALS` of the last `WINDOW` rounds, medians over stretches of them, without those whose metrics are missing.

    Rows of fewer than `STRETCH` rounds are averaged until they are as many, so that the noise of minibatches does not depend
    on how often metrics are kept; of longer rows there are `LEAST_STRETCHES` at least. A row's rounds are those since the
    `step` of the row before; rows without `step` are of `STRETCH` rounds.

    `overfit` is r_v of Karras et al. 2020 (arXiv:2006.06676, eq. 1), on D(x) instead of logits.
    """
    last = _stretches(rows) if rows else []
    found = {
        "gap": _median(last, lambda row: row["disc/real"] - row["disc/fake"]),
        "rms_distance": _median(last, lambda row: row["gen/rms_distance"]),
        "pixels": _median(last, lambda row: row["gen/diversity"] / max(row["data/diversity"], 1e-12)),
        "offset": _median(last, lambda row: row["gen/offset"]),
        "disc_loss": _median(last, lambda row: row["disc/loss"]),
        "swing": _swing([row["disc/fake"] for row in last if "disc/fake" in row]),
        "overfit": _median([row for row in rows if "overfit" in row][-1:], lambda row: row["overfit"]),
    }
    return {name: value for name, value in found.items() if value is not None}


def diagnose(rows: Sequence[Row]) -> Diagnosis:
    """The state that the last rows show, the first of `RULES` that holds.

    No state is reported before round `FIRST`, but "diverging" from `LEAST_STRETCHES` stretches on, and "nan" at once. The
    thresholds were fitted on the even seeds of `experiments.doctor_runs` and examined on its odd ones. Two are set by hand:
    that of "diverging", as no window of those runs exceeds 8.7, and the gap of "D-slow", as no healthy run is narrow or far.
    They are for costs on logits, whose D(x) is a probability: under the Wasserstein cost gap and swing say little, and a loss
    over 100 may be sound. A discriminator is slow where it rates fakes like reals, or above them, though these differ plainly:
    one that learns as fast as the generator would tell them apart.
    """
    if not rows:
        return Diagnosis("ok", {})
    bad = [name for name, value in rows[-1].items() if isinstance(value, float) and not math.isfinite(value)]
    if bad:
        return Diagnosis("nan", dict.fromkeys(bad, math.nan))
    found, last = signals(rows), _step(rows, len(rows) - 1)
    enough = len(_stretches(rows)) >= LEAST_STRETCHES
    for state, is_so in RULES.items():
        old_enough = last >= (LEAST_STRETCHES * STRETCH if state == "diverging" else FIRST)
        if enough and old_enough and is_so(found):
            return Diagnosis(state, found)
    return Diagnosis("ok", found)


def _step(rows: Sequence[Row], i: int) -> int:
    """The round that row i ends at; before the first row as many rounds are assumed as before the second."""
    if i < 0:
        return max(2 * _step(rows, 0) - _step(rows, 1), 0) if len(rows) > 1 else 0
    return int(rows[i].get("step", (i + 1) * STRETCH))


def _stretches(rows: Sequence[Row]) -> list[Row]:
    """Means over stretches of `STRETCH` rounds or more: those of the last `WINDOW` rounds, or `LEAST_STRETCHES`."""
    found: list[Row] = []
    newest, end = _step(rows, len(rows) - 1), len(rows)
    while end > 0:
        first = end - 1
        while first > 0 and _step(rows, end - 1) - _step(rows, first - 1) < STRETCH:
            first -= 1
        if len(found) >= LEAST_STRETCHES and newest - _step(rows, first - 1) > WINDOW:
            break
        found.insert(0, _mean(rows[first:end]))
        end = first
    return found


def _mean(rows: Sequence[Row]) -> Row:
    """Means of the numbers that all rows have; rows kept at one interval are of as many rounds."""
    if len(rows) == 1:
        return rows[0]
    names = [name for name in rows[0] if all(isinstance(row.get(name), int | float) for row in rows)]
    return {name: statistics.fmean(row[name] for row in rows) for name in names}


def with_scores(rows: Sequence[Row], scores: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows of metrics by their present names, each with the newest `overfit` that was known when it was made.

    That is what was measured before its step; the last row has what was measured at its own step too.
    """
    rows = [{FORMER_NAMES.get(name, name): value for name, value in row.items()} for row in rows]
    measured = [score for score in scores if "overfit" in score]
    joined = []
    for i, row in enumerate(rows):
        end = row["step"] + (i == len(rows) - 1)
        known = [score["overfit"] for score in measured if score["step"] < end]
        joined.append({**row, **({"overfit": known[-1]} if known else {})})
    return joined


UNSEEN = (
    "memorising was not looked for: it needs scores while training (--eval-metrics, --eval-every) and "
    f"{LEAST_HELD_OUT} held-out examples or more"
)


class Present(NamedTuple):
    """How a run's game stands: the rows so far, their diagnosis, how it ended if by a number that is not finite, caveats."""

    rows: list[dict[str, Any]]
    diagnosis: Diagnosis
    ended: str
    notes: list[str]

    def __str__(self) -> str:
        """The state in words."""
        if self.diagnosis.state == "ok" and not self.judged:
            return f"too early to tell: a game is judged from round {FIRST} on"
        return f"{self.diagnosis.state}, {self.ended or MEANINGS[self.diagnosis.state]}"

    @property
    def judged(self) -> bool:
        """Whether the run is old enough for a diagnosis."""
        return bool(self.rows) and self.rows[-1]["step"] >= FIRST


def present(run: Path) -> Present | None:
    """How the game of the run in a directory stands, while it trains or afterwards; None before its first row of metrics."""
    rows = with_scores(read_rows(run / "metrics.jsonl"), read_rows(run / "eval.jsonl"))
    stopped = [row for row in read_rows(run / "diagnosis.jsonl") if row["state"] == "nan"]
    if stopped:
        return Present(rows, Diagnosis("nan", {}), str(stopped[-1]["evidence"]), [])
    if not rows:
        return None
    last = diagnose(rows[-ROWS - 1 :])
    return Present(rows, last, "", [UNSEEN] * ("overfit" not in last.evidence))


def _median(rows: Sequence[Row], value: Any) -> float | None:
    found = []
    for row in rows:
        try:
            found.append(float(value(row)))
        except KeyError:
            continue
    return statistics.median(found) if found else None


def _swing(values: Sequence[float]) -> float | None:
    """The mean change from one stretch to the next."""
    return statistics.fmean(abs(b - a) for a, b in pairwise(values)) if len(values) > 2 else None
