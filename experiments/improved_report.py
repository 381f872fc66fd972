"""What became of the runs of `experiments.improved_gan`: scores over the seeds, a table, a sheet."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.tables import markdown, mean_and_error
from gan_jax import images
from gan_jax.data import Dataset
from gan_jax.errors import InputError
from gan_jax.evaluation.evaluator import Evaluator
from gan_jax.evaluation.features import Network, network_of
from gan_jax.evaluation.recogniser import Recogniser, long_judge
from gan_jax.evaluation.scores import BETTER
from gan_jax.files import whole
from gan_jax.runs import open_trained

COLUMNS = {
    "kid": "{:.4f}",
    "is": "{:.2f}",
    "recall": "{:.3f}",
    "recognised": "{:.3f}",
    "recognisable": "{:.2f}",
    "diversity": "{:.3f}",
}
_BETTER = BETTER | {"recognisable": "higher"}
SHOWN = 10  # samples of a recipe


class Played(NamedTuple):
    """A run: its directory, the seconds that it took, the real images that it saw, and why it failed if it did."""

    directory: Path
    seconds: float
    images: int
    fault: str = ""


def report(
    found: Mapping[str, Sequence[Played]],
    dataset: Dataset,
    network: Network,
    n: int,
    seed: int,
    outdir: Path,
    paper: Mapping[str, str],
) -> dict[str, Any]:
    """Score n samples of each run, and write table.md, results.json and samples.png; returns what results.json has.

    `paper` has the Inception scores that a paper prints for the rows, if any.
    """
    evaluators = _evaluators(dataset, network, n)
    recogniser = _recogniser(dataset, network)
    rows, sheet = {}, []
    for name, runs in found.items():
        each = []
        for run in runs:
            samples = open_trained(run.directory).draw(n, seed=seed)
            numbers = {key: value for evaluator in evaluators for key, value in evaluator.score(samples).items()}
            each.append(numbers | ({"recognisable": recogniser.share(samples).share} if recogniser else {}))
            if run is runs[0]:
                sheet.append(samples[:SHOWN])
        scores = {key: mean_and_error(np.array([numbers[key] for numbers in each])) for key in each[0]}
        kept = [run._asdict() | {"directory": str(run.directory)} for run in runs]
        seconds = float(np.mean([run.seconds for run in runs]))
        images_seen = max(run.images for run in runs)
        rows[name] = {"scores": scores, "images": images_seen, "seconds": seconds, "seeds": len(runs), "runs": kept}
    floor = {key: value for evaluator in evaluators for key, value in evaluator.floor.items()}
    floor |= {"recognisable": 1.0} if recogniser else {}
    results = {"recipes": rows, "real": floor, "protocols": [evaluator.protocol for evaluator in evaluators]}
    sources = [*map(source, evaluators), *([f"recognisable by {recogniser}"] if recogniser else [])]
    faults = [f"{run.directory}: {run.fault}" for runs in found.values() for run in runs if run.fault]
    told = "\n\n".join([table(rows, floor, paper), "; ".join(sources), *faults])
    print(f"\n{told}")
    for path, text in ((outdir / "table.md", told), (outdir / "results.json", json.dumps(results))):
        with whole(path) as unfinished:
            unfinished.write_text(text + "\n")
    pictures = np.concatenate(sheet)
    images.save(images.grid(pictures, len(sheet[0])), outdir / "samples.png", images.enlargement(pictures.shape[1]))
    print(f"written: {', '.join(str(outdir / name) for name in ('table.md', 'results.json', 'samples.png'))}")
    return results


def _evaluators(dataset: Dataset, network: Network, n: int) -> list[Evaluator]:
    """KID and recall by the features that are asked for; Inception score and what is recognised by a classifier of the data.

    That classifier is trained for longer than the one that scores a run beside its training: after a minute it is hardly sure
    of real pictures.
    """

    def by(network: Network, *metrics: str) -> Evaluator:
        evaluator = Evaluator(dataset, network, metrics)
        for reason in evaluator.drop_lacking(n):
            print(f"left out    {reason}")
        return evaluator

    if network.logits_of == "classes":
        return [by(network_of(long_judge(dataset)), "kid", "prdc", "is", "recognised", "diversity")]
    found = [by(network, "kid", "prdc", *(["is"] if network.logits_of else []), "diversity")]
    if dataset.class_names and dataset.held_out:
        found.append(by(network_of(long_judge(dataset)), *([] if network.logits_of else ["is"]), "recognised"))
    return found


def _recogniser(dataset: Dataset, network: Network) -> Recogniser | None:
    """What tells how much is recognisable, where the features are of a network that was trained elsewhere."""
    if (
        not dataset.class_names
        or not dataset.held_out
        or network.logits_of == "classes"
        or network.identity["features"] == "pixels"
    ):
        return None
    try:
        return Recogniser(dataset, network)
    except InputError as error:
        print(f"left out    recognisable: {error}")
        return None


def source(evaluator: Evaluator) -> str:
    """What scores are computed by, in words: an Inception score of another classifier than Inception is on another scale."""
    return f"{', '.join(name for name in COLUMNS if name in evaluator.floor)} by {evaluator.protocol.get('features')}"


def table(rows: Mapping[str, Any], floor: Mapping[str, float], paper: Mapping[str, str]) -> str:
    """A row a recipe: mean ± standard error over the seeds, beside what a paper prints; the last row is real pictures."""
    first = next(iter(rows.values()))["scores"]
    columns = {name: form for name, form in COLUMNS.items() if name in first}
    lines = [["", *(f"{name} ({_BETTER[name]})" for name in columns), *(["paper's IS"] if paper else []), "images seen", "s"]]
    for name, row in rows.items():
        known = slice(None if row["seeds"] > 1 else 1)  # one run has no spread
        scores = [" ± ".join(form.format(x) for x in row["scores"][key][known]) for key, form in columns.items()]
        printed = [paper[name]] if paper else []
        lines.append([name, *scores, *printed, f"{row['images']:,}", f"{row['seconds']:.0f}"])
    real = [form.format(floor[key]) if key in floor else "" for key, form in columns.items()]
    lines.append(["real", *real, *(["11.24 ± 0.12"] if paper else []), "", ""])
    return markdown(lines)
