"""What a run's samples get wrong, counted: blobs, classes that are missed, copies, wrong counts, parts in the wrong place.

    python -m experiments.what_gans_get_wrong runs/improved_gan-cifar10/improved/0
    python -m experiments.what_gans_get_wrong runs/faces --n 5000 --sure 0.6
    python -m experiments.what_gans_get_wrong RUN --features squeezenet --weights squeezenet.npz    # the share of blobs

Goodfellow's talk counts about 40 % of the samples of a GAN on CIFAR-10 as blobs. Here a sample is unrecognisable if a
classifier of the run's data is unsure of its class (its confidence, calibrated on held-out pictures by a temperature, is below
--sure), or if it is farther from all training pictures than 99 % of held-out ones are, in the classifier's features. That is
what a classifier says of itself, and it is sure of much that shows nothing. With --features a second one gives its opinion, a
linear classifier on features of SqueezeNet or Inception: how often both agree, beyond chance, over how often they do on real
pictures (Cohen's kappa), is about the share of samples that are recognisable, and the rest are blobs. Of drawn pictures
(doodles) the truth can be read: numbers of eyes, mouths, noses and petals against those of the data, positions and angles
outside the range that the data have, poses that turn about in the mirror.

Every share stands beside that of held-out real pictures, which is what a perfect generator would score, with Wilson's
intervals. Written to --out, default the run's folder `wrong`: table.md, wrong.json, wrong.png (rows: samples that nothing
recognises, those farthest from the data, those nearest to a training picture with that one below each; of drawn pictures wrong
counts, or samples that cannot be read where there are none).
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import tyro

from experiments.tables import markdown
from gan_jax import cli, images
from gan_jax.commands import reference
from gan_jax.commands.flags import TrainedFlags
from gan_jax.commands.reference import Needs
from gan_jax.config import MOST, Count, Seed, Within, checked
from gan_jax.data import Dataset
from gan_jax.data import doodles as doodle_kinds
from gan_jax.errors import InputError
from gan_jax.evaluation.attributes import SURE
from gan_jax.evaluation.doodle_heads import HEADS, Choice, Number, sureness
from gan_jax.evaluation.features import Name
from gan_jax.evaluation.flags import FeatureFlags
from gan_jax.evaluation.readers import READERS, Read
from gan_jax.evaluation.recogniser import Recogniser, long_judge
from gan_jax.evaluation.seen import Seen
from gan_jax.files import check_apart, whole
from gan_jax.metrics.calibration import calibration_error, confidence, temperature
from gan_jax.metrics.intervals import Proportion, proportion
from gan_jax.metrics.memorised import memorised
from gan_jax.metrics.neighbours import nearest
from gan_jax.metrics.prdc import precision_recall
from gan_jax.rows import evenly
from gan_jax.runs.records import write_json

TALK = 0.40  # blobs among the samples of a GAN on CIFAR-10, in the words of the talk
FARTHEST = 0.99  # the quantile of held-out pictures' distances beyond which a sample is far
KINDS = {kind.name: key for key, kind in doodle_kinds.KINDS.items()}
COUNTED = {"eyes": "eyes", "mouths": "mouths", "noses": "noses", "petal_count": "petals"}  # in words
SHOWN = 10  # pictures in a row
LEAST = 20  # real pictures of a class for its recall


@dataclass(frozen=True)
class Config(TrainedFlags, FeatureFlags):
    run: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    features: Name = field(default="auto", kw_only=True)
    """What a second classifier sees: inception or squeezenet (from --weights); auto is none, and blobs are not counted then."""
    n: Count = 2000
    """Number of samples that are examined."""
    seed: Seed = 0
    """Random seed for the noise."""
    sure: Annotated[float, Within(0, 1)] = 0.5
    """Calibrated confidence below which a picture is not recognised."""
    real: Annotated[int, Within(2, MOST)] = 50_000
    """Training pictures that samples are compared with, at most; copies of others are not found."""
    out: Path | None = None
    """Folder for the results; default the folder `wrong` of the run."""

    def recogniser(self, dataset: Dataset) -> Recogniser | None:
        """What counts blobs, if it is asked for; raises `InputError` for features that are no second opinion."""
        if self.features == "auto":
            return None
        if self.features in ("judge", "pixels"):
            raise InputError(
                f"--features {self.features} are no second opinion on what is recognisable: choose squeezenet or inception"
            )
        return Recogniser(dataset, self.open_features(dataset))


class Line(NamedTuple):
    """One thing that can be wrong: its share among samples and among real pictures."""

    name: str
    samples: Proportion
    real: Proportion


def main(config: Config) -> dict[str, Any]:
    """Write the table, the numbers and the picture, and return the numbers.

    Raises `InputError` for what is no run of pictures, and for data whose pictures nothing can recognise or read.
    """
    config = checked(config)
    trained = config.open_generator(config.run)
    shape = trained.draw(1).shape[1:]
    if len(shape) != 3:
        raise InputError(f"{config.run} makes points, not pictures: nothing recognises them")
    dataset = reference.of_run(config.run, "train", Needs((), False, "judge"), lambda: (shape[0], shape[1], shape[2])).taught
    kind = KINDS.get(dataset.name, "")
    if not dataset.held_out or not (dataset.class_names or kind):
        raise InputError(f"{dataset.name} has no labels, or no held-out pictures, and is not drawn: nothing reads its samples")
    out = config.out or config.run / "wrong"
    check_apart(out / "table.md", [config.run / "checkpoints", config.run / "samples"])
    _make(out)
    recogniser = config.recogniser(dataset)
    rows = trained.ask(config.n)
    samples = trained.draw(config.n, seed=config.seed)
    label = np.asarray(rows["label"]) if "label" in trained.sampler.needs and trained.classes == dataset.class_names else None
    found: dict[str, Any] = {"samples": config.n, "step": trained.step, "data": dataset.name}
    sheet: list[np.ndarray] = []
    if dataset.class_names:
        found |= recognition(config, dataset, samples, label, sheet)
    if recogniser:
        share = recogniser.share(samples)
        found |= {"blobs": Proportion(*(1 - x for x in (share.share, share.high, share.low))), "recognised_by": str(recogniser)}
    if kind:
        read = READERS[dataset.name].open(shape[:2])
        found |= doodles(kind, read, samples, _some(dataset.held_out["image"], config.n), sheet)
    return _written(found, sheet, out)


def recognition(
    config: Config, dataset: Dataset, samples: np.ndarray, label: np.ndarray | None, sheet: list[np.ndarray]
) -> dict[str, Any]:
    """What a classifier makes of the samples: unsure, far, recall of each class, copies.

    The temperature is found on one half of the held-out pictures, and all shares of real pictures are of the other half.
    """
    judge = long_judge(dataset)
    train = _some(dataset.train["image"], config.real)
    seen, known = judge.see(samples), judge.see(train)
    pictures, y = np.asarray(dataset.held_out["image"]), np.asarray(dataset.held_out["label"])
    fit, test = (np.sort(half) for half in np.array_split(np.random.default_rng(0).permutation(len(y)), 2))
    held = judge.see(pictures)
    t = temperature(held.known_logits()[fit], y[fit])
    unseen, truth = held.rows(test), y[test]
    sure = confidence(unseen.known_logits(), t)
    far_from = float(np.quantile(nearest(held.rows(fit).features, known.features)[0], FARTHEST))
    blobs = unrecognised(seen, known, t, config.sure, far_from)
    real = unrecognised(unseen, known, t, config.sure, far_from)
    lines = [Line(name, _share(blobs[name]), _share(real[name])) for name in blobs]
    right = unseen.known_logits().argmax(axis=1) == truth
    copies = memorised(seen.features, known.features, unseen.features)
    order = np.argsort(copies.distances)[:SHOWN]
    unsure, distance = np.argsort(confidence(seen.known_logits(), t))[:SHOWN], np.argsort(-copies.distances)[:SHOWN]
    sheet += [samples[unsure], samples[distance], samples[order], train[copies.which[order]]]
    return {
        "lines": lines,
        "temperature": t,
        "calibration_error": calibration_error(sure, right),
        "accuracy": float(right.mean()),
        "classes": by_class(dataset.class_names, seen, unseen, truth, label),
        "memorised": {"share": copies.share, "expected": copies.expected, "among": len(train)},
    }


def unrecognised(seen: Seen, train: Seen, t: float, least: float, far_from: float) -> dict[str, np.ndarray]:
    """Which pictures the classifier is unsure of, which are far from all training pictures, and either; bool (n,) each."""
    unsure = confidence(seen.known_logits(), t) < least
    far = nearest(seen.features, train.features)[0] > far_from
    return {"unrecognisable": unsure | far, "unsure": unsure, "far from the data": far}


def by_class(
    names: Sequence[str], seen: Seen, unseen: Seen, truth: np.ndarray, label: np.ndarray | None
) -> dict[str, dict[str, Any]]:
    """For each class the share of samples taken for it, of how many real ones there are, and recall.

    `recall` is the share of real pictures of the class within the manifold of all samples (Kynkaanniemi et al. 2019,
    arXiv:1904.06991, k = 3), None for fewer than 20 real pictures or samples; `right` the share of samples asked for the
    class that are taken for it.
    """
    taken = seen.known_logits().argmax(axis=1)
    found: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(names):
        own = unseen.features[truth == i]
        enough = min(len(own), len(seen.features)) >= LEAST
        recall = float(precision_recall(own, seen.features).recall) if enough else None
        asked = None if label is None else label == i
        found[name] = {
            "samples": _share(taken == i),
            "real": _share(truth == i),
            "recall": recall,
            "right": _share(taken[asked] == i) if asked is not None and asked.any() else None,
        }
    return found


def doodles(kind: str, read: Read, samples: np.ndarray, real: np.ndarray, sheet: list[np.ndarray]) -> dict[str, Any]:
    """What a reader of drawn pictures finds: numbers of parts, places, poses; the same of real ones as it reads them."""
    readings, truth = read(samples), read(real)
    lines, counts, wrong = [], {}, np.zeros(len(samples), bool)
    for head in HEADS[kind]:
        values, usual = np.asarray(readings[head.name]), np.asarray(truth[head.name])
        if isinstance(head, Choice) and head.name in COUNTED:
            part, read_well = COUNTED[head.name], [each[f"{head.name}_confidence"] >= SURE for each in (readings, truth)]
            sure, known = (x[well] for x, well in zip((values, usual), read_well, strict=True))
            counts[part] = {str(n): {"samples": _share(sure == n), "real": _share(known == n)} for n in head.options}
            counts[part]["read with confidence"] = {"samples": _share(read_well[0]), "real": _share(read_well[1])}
            if rare := [n for n in head.options if np.mean(usual == n) < 1 - FARTHEST]:
                off = np.isin(values, rare)
                lines.append(Line(f"wrong number of {part}", _share(off), _share(np.isin(usual, rare))))
                wrong |= off
        if isinstance(head, Number):
            low, high = np.quantile(usual, [(1 - FARTHEST) / 2, (1 + FARTHEST) / 2])
            outside = [(each < low) | (each > high) for each in (values, usual)]
            lines.append(Line(f"{head.name.replace('_', ' ')} outside of the data's range", *map(_share, outside)))
        if isinstance(head, Number) and head.odd:
            turned = [np.asarray(read(x[:, :, ::-1])[head.name]) for x in (samples, real)]
            apart = [np.abs(a + b) > 2 * head.tolerance for a, b in zip((values, usual), turned, strict=True)]
            lines.append(Line(f"{head.name} that is not turned in the mirror", *map(_share, apart)))
    unread = [sureness(kind, each) < SURE for each in (readings, truth)]
    lines.append(Line("some part cannot be read", *map(_share, unread)))
    order = np.flatnonzero(wrong)[:SHOWN]
    sheet.append(samples[order if len(order) else np.argsort(~unread[0])[:SHOWN]])
    return {"doodles": lines, "counts": counts}


def _written(found: dict[str, Any], sheet: Sequence[np.ndarray], out: Path) -> dict[str, Any]:
    text = _table(found)
    print(f"\n{text}")
    if "blobs" in found:
        print(f"blobs: {found['blobs']} of the samples; the talk says about {TALK:.2f} of a GAN on CIFAR-10")
    try:
        with whole(out / "table.md") as unfinished:
            unfinished.write_text(text + "\n")
        write_json(out / "wrong.json", found)
        picture = np.concatenate([_filled(row) for row in sheet])
        images.save(images.grid(picture, SHOWN), out / "wrong.png", images.enlargement(picture.shape[1]))
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror}; choose another --out") from error
    print(f"written: {', '.join(str(out / name) for name in ('table.md', 'wrong.json', 'wrong.png'))}")
    return found


def _make(out: Path) -> None:
    """The folder for the results; raises `InputError` where nothing can be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror}; choose another --out") from error


def _table(found: Mapping[str, Any]) -> str:
    lines = [["", "samples", "real"]]
    lines += [[line.name, str(line.samples), str(line.real)] for line in (*found.get("lines", ()), *found.get("doodles", ()))]
    parts = [markdown(lines)]
    if "memorised" in found:
        near = found["memorised"]
        compared = f"\n\nnearer to one of {near['among']:,} training pictures than 95 % of held-out ones are: "
        parts[0] += f"{compared}{near['share']:.3f}, expected {near['expected']:.3f}"
        error = f"classifier right on {found['accuracy']:.3f} of held-out pictures, temperature {found['temperature']:.2f}"
        parts[0] += f"\n{error}, calibration error {found['calibration_error']:.3f}"
        if "blobs" in found:
            parts[0] += f"\nblobs, by {found['recognised_by']}: {found['blobs']}"
        rows = [["class", "samples", "real", "recall", "right of those asked for"]]
        for name, each in found["classes"].items():
            recall = "" if each["recall"] is None else f"{each['recall']:.2f}"
            rows.append([name, str(each["samples"]), str(each["real"]), recall, str(each["right"] or "")])
        parts.append(markdown(rows))
    for name, each in found.get("counts", {}).items():
        rows = [[name, "samples", "real"]]
        rows += [[n, str(shares["samples"]), str(shares["real"])] for n, shares in each.items()]
        parts.append(markdown(rows))
    return "\n\n".join(parts)


def _filled(row: np.ndarray) -> np.ndarray:
    """A row of the sheet, white where pictures are missing."""
    missing = np.full((SHOWN - len(row), *row.shape[1:]), 255, np.uint8)
    return np.concatenate([row, missing])


def _share(which: np.ndarray) -> Proportion:
    return proportion(int(np.sum(which)), len(which))


def _some(pictures: np.ndarray, most: int) -> np.ndarray:
    return np.asarray(pictures[evenly(len(pictures), min(most, len(pictures)))])


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
