"""The end of a run: its film, where everything is, its last scores beside those of real pictures, and whether it failed."""

import math
import shlex
from collections.abc import Mapping
from typing import Any

from gan_jax.errors import RunError
from gan_jax.evaluation.scores import BETTER, wish
from gan_jax.runs.records import Row, is_number, read_rows
from gan_jax.runs.run import Run
from gan_jax.training.doctor import MEANINGS, advice, present
from gan_jax.training.film import make_film
from gan_jax.training.keeper import trial_of


def conclude(run: Run) -> None:
    """Make the film and say where everything is; raises `RunError` if the samples have `collapsed`."""
    films = make_film(run)
    step = max((row["step"] for row in read_rows(run.directory / "metrics.jsonl")), default=0)
    real = run.directory / "real.png"
    beside = f"   (real ones: {real})" if real.exists() else ""
    run.log(f"samples     {run.directory / 'samples' / f'{step:06}.png'}{beside}")
    run.log(f"film        {', '.join(map(str, films)) or 'none'}")
    run.log(f"checkpoint  {run.directory / 'checkpoints' / str(step)}")
    if real.exists():
        named = shlex.quote(str(run.directory))
        run.log(f"more        python -m gan_jax sample {named};  python -m gan_jax evaluate {named}")
    tell_best(run, step)
    scores = _own_scores(run)[-1:]
    for row in scores:
        _tell(run, row)
    now = present(run.directory)
    if now is not None and (state := now.diagnosis.state) != "ok":
        run.log(f"doctor      {state} at the end: {MEANINGS[state]}; try {advice(state, run.flags)}")
        if command := trial_of(run, state):
            run.log(f"            on copies of this run: {command}")
    if scores and (reason := collapsed(scores[0])):
        raise RunError(reason)


def tell_best(run: Run, last: int) -> None:
    """Which of the checkpoints is best by the score that ranks them, where that is not the last."""
    model, kept = run.read_json("model.json") or {}, set(run.saved_steps())
    metric, sign = str(model.get("metric")), -1 if model.get("mode") == "min" else 1
    scored = [row for row in _own_scores(run) if row["step"] in kept and is_number(row.get(metric))]
    scored = [row for row in scored if math.isfinite(row[metric])]
    if scored and (best := max(scored, key=lambda row: sign * row[metric]))["step"] != last:
        run.log(f"best        step {best['step']}, {metric} {best[metric]:.4g}: --checkpoint best in place of the last")


def _own_scores(run: Run) -> list[Row]:
    """Those measured while training, all alike; `evaluate` may have added others."""
    return [row for row in read_rows(run.directory / "eval.jsonl") if row.get("source") == "training"]


def collapsed(scores: Mapping[str, Any]) -> str:
    """Why samples with these scores count as collapsed, or "".

    They do if nearly all are of one class and real pictures in their place are not. Where most real pictures are of one class,
    or what they score is not known, samples of one class are no sign.
    """
    found, real = scores.get("largest_class"), scores.get("largest_class_floor")
    if found is None or real is None or found < 0.99 or real > 0.8:
        return ""
    return f"{found:.1%} of the samples are of one class, of real pictures at most {real:.1%}: the run has collapsed"


def _tell(run: Run, scores: Mapping[str, Any]) -> None:
    """The last scores, a line each, beside those of real pictures."""
    for name, value in scores.items():
        if isinstance(value, int | float) and name != "step" and not name.endswith(("_floor", "_std")):
            floor = scores.get(f"{name}_floor")
            beside = f"   real pictures {floor:.4g}" if floor is not None else ""
            run.log(f"{name:16}{value:8.4g}{beside}" + (f"   {wish(name)}" if name in BETTER else ""))
    if "recognised" in scores and (real := scores.get("recognised_floor", 0)) > 0:
        weak = f"; the judge is sure of {real:.0%} of real pictures only, so that this says little" if real < 0.5 else ""
        run.log(f"recognised {scores['recognised'] / real:.3f} times as often as real ones{weak}")
