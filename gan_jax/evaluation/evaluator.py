"""Scores of samples with their protocol, their standard deviation, and the scores of real pictures as a floor."""

import contextlib
import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gan_jax.data.dataset import Arrays, Dataset, fingerprint
from gan_jax.errors import InputError
from gan_jax.evaluation.features import Network
from gan_jax.evaluation.pictures import NOTHING_ASKED, Asked, Pictures, Rows
from gan_jax.evaluation.readers import READERS, Read, about_reader, can_read, nothing_read
from gan_jax.evaluation.scores import LEAST_HELD_OUT, METRICS, Numbers, Reference, lacking, score
from gan_jax.evaluation.seen import Seen
from gan_jax.files import default_cache, identity, kept
from gan_jax.rows import chunks

MOST_REAL = 50_000  # as many as papers compare with


class Evaluator:
    """Scores samples, `labelled` or not, by `metrics` on the features of `network`, against a split of a dataset.

    A split of more than `most` pictures is represented by a fixed random choice of `most` of them; None takes all. The
    features of the real pictures are kept in the folder `features` of `cache`, by default beside the decoded pictures.
    Raises `InputError` for a dataset without that split, and for `most` below 2.
    """

    def __init__(
        self,
        dataset: Dataset,
        network: Network,
        metrics: Sequence[str],
        split: str = "train",
        labelled: bool = False,
        cache: Path | None = None,
        most: int | None = MOST_REAL,
    ):
        if most is not None and most < 2:
            raise InputError(f"a reference of {most} pictures cannot be compared with: choose 2 or more, or all")
        arrays = {"train": dataset.train, "held_out": dataset.held_out}.get(split)
        if not arrays:
            raise InputError(f"{dataset.name} has no {split} pictures to compare with")
        self.dataset, self.network, self.metrics = dataset, network, tuple(metrics)
        self.split, self.labelled, self.most = split, labelled, most
        self._cache = (cache or default_cache()) / "features"

    @property
    def reference(self) -> Reference:
        """The real pictures with their features, computed or read from the cache at first use."""
        return self._scaled[0]

    @cached_property
    def _scaled(self) -> tuple[Reference, float]:
        """The reference, and the factor that brought its features to a mean square of 1; 1 where their scale is fixed."""
        train = self._pictures(self.split)
        has_held_out = bool(self.dataset.held_out) and self.split == "train"
        held_out = self._pictures("held_out") if has_held_out else train[:0]
        scale = 1.0 if self.network.fixed_scale else _to_mean_square_1(train.features)
        return Reference(train.scaled(scale), held_out.scaled(scale), self.network.logits_of, *self._reader), scale

    def look(self, images: np.ndarray, what: str = "") -> Seen:
        """What the network gives for images (n, h, w, c) uint8, on the scale of the reference's features."""
        return self.network.look(images, what).scaled(self._scaled[1])

    def _pictures(self, split: str) -> Pictures:
        """All pictures of a split, or a fixed random choice of `most` of them."""
        arrays: Arrays = self.dataset.train if split == "train" else self.dataset.held_out
        images: np.ndarray | Rows = arrays["image"]
        asked = {"label": arrays["label"]} if self.labelled and "label" in arrays else {}
        if "caption" in arrays:
            asked["caption"] = arrays["caption"][:, 0]
        choice = ""
        if self.most is not None and len(images) > self.most:
            order = np.random.Generator(np.random.Philox(key=0)).permutation(len(images))
            index = np.sort(order[: self.most])
            images, choice = Rows(arrays["image"], index), f"-{self.most}-chosen"
            asked = {name: rows[index] for name, rows in asked.items()}
        content = self.dataset.fingerprint if split == "train" else _fingerprint(images)
        name = f"{FORMAT}-{split}-{content}-{str(self.network).replace(' ', '-')}{choice}.npz"
        seen = kept(
            self._cache / name,
            read=partial(_read_seen, n=len(images)),
            make=lambda: self.network.look(images, f"{split} pictures"),
            write=_write_seen,
        )
        return Pictures(images, seen, asked)

    @cached_property
    def _reader(self) -> tuple[tuple[str, ...], Read]:
        """The attributes that can be read, and the function that reads them, opened only if a metric needs it."""
        wanted = [METRICS[name].reads for name in self.metrics if METRICS[name].reads]
        if not any(can_read(self.dataset.name, attributes) for attributes in wanted):
            return (), nothing_read
        reader, (height, width) = READERS[self.dataset.name], self.dataset.train["image"].shape[1:3]
        return reader.attributes, reader.open((height, width))

    @property
    def read_by(self) -> str:
        """What reads the attributes, if a metric needs one whose accuracy is known, else ""; it is opened here."""
        return about_reader(self._reader[1])

    def require(self, n: int) -> None:
        """Raises `InputError` if one of the metrics cannot score n samples: to be called before they are drawn."""
        if reasons := lacking(self.metrics, n, self.reference):
            raise InputError("; ".join(reasons.values()))

    def drop_lacking(self, n: int) -> list[str]:
        """Remove the metrics that cannot score n samples; returns the reasons, one line each."""
        reasons = lacking(self.metrics, n, self.reference)
        self.metrics = tuple(name for name in self.metrics if name not in reasons)
        return list(reasons.values())

    def score(self, images: np.ndarray, asked: Asked = NOTHING_ASKED) -> Numbers:
        """The numbers of all metrics for images (n, h, w, c) uint8 of a generator that was `asked` for them, if it was.

        Raises `InputError` for images of another shape than the reference's, and where a metric cannot score them.
        """
        wanted = self.dataset.train["image"].shape[1:]
        if images.shape[1:] != wanted:
            raise InputError(
                f"the samples are {_shape(images.shape[1:])} and the reference {_shape(wanted)} (height, width, channels): "
                "scores would measure that difference; convert both to the same size and channels first"
            )
        seen = self.look(images, "samples" if len(images) >= 5000 else "")
        return score(self.metrics, Pictures(images, seen, asked), self.reference)

    @cached_property
    def floor(self) -> Numbers:
        """The scores of real pictures in place of samples, without the metrics that need more pictures than there are.

        Metrics that compare two sets score a random half of the reference against the other half. The others score half of
        the held-out pictures, with the other half as held-out ones, or half of the reference if there are too few held out.
        """
        numbers: Numbers = {}
        for name in self.metrics:
            kind = METRICS[name].floor
            if kind == "none":
                continue
            fake, real = self._halves if kind == "halves" or self._unseen is None else self._unseen
            with contextlib.suppress(InputError):
                numbers |= score((name,), fake, real)
        return numbers

    @cached_property
    def _halves(self) -> tuple[Pictures, Reference]:
        half, other = _halved(self.reference.train)
        return half, replace(self.reference, train=other)

    @cached_property
    def _unseen(self) -> tuple[Pictures, Reference] | None:
        held_out = self.reference.held_out
        if len(held_out) < 2 * LEAST_HELD_OUT:
            return None
        half, other = _halved(held_out)
        return half, replace(self.reference, held_out=other)

    @property
    def protocol(self) -> dict[str, Any]:
        """Everything that scores depend on, except the samples and their number."""
        half, rest = (len(part) for part in (self._halves[0], self._halves[1].train))
        unseen = f", {len(self._unseen[0])} held-out" if self._unseen else ""
        return {
            **self.network.identity,
            **({} if self.network.fixed_scale else {"scale": "mean square 1 on the reference"}),
            "reference": self.dataset.name,
            "fingerprint": self.dataset.fingerprint,
            "split": self.split,
            "size": _shape(self.dataset.train["image"].shape[1:]),
            "real": len(self.reference.train),
            "held_out": len(self.reference.held_out),
            "floor": f"{half} against {rest}{unseen}",
            **({"read_by": self.read_by} if self.read_by else {}),
            **({"reliability": self._reliability} if "attributes" in self.metrics else {}),
        }

    @property
    def _reliability(self) -> dict[str, dict[str, float | int | None]]:
        """How well the classifier recognises each attribute in held-out pictures; None where that is not known."""
        return {
            name: {key: None if value != value else value for key, value in each._asdict().items()}
            for name, each in self.network.reliability.items()
        }

    def row(self, repeats: Sequence[Numbers], n: int, **protocol: Any) -> dict[str, Any]:
        """A row of eval.jsonl: means and standard deviations over repeats, floors, and the whole protocol.

        FID's floor is measured between halves and rescaled to n samples and the whole reference, as its bias is proportional
        to 1/n + 1/m.
        """
        means = {name: statistics.fmean(numbers[name] for numbers in repeats) for name in repeats[0]}
        deviations = {}
        if len(repeats) > 1:
            deviations = {f"{name}_std": statistics.stdev(numbers[name] for numbers in repeats) for name in repeats[0]}
        floors = {f"{name}_floor": value for name, value in self.floor.items()}
        for metric in self.metrics:
            expected = METRICS[metric].expected(n, self.reference)
            floors |= {f"{name}_floor": value for name, value in expected.items()}
        if "fid_floor" in floors:
            half, rest = len(self._halves[0]), len(self._halves[1].train)
            floors["fid_floor"] *= (1 / n + 1 / (half + rest)) / (1 / half + 1 / rest)
        whole = {**self.protocol, "generated": n, "repeats": len(repeats), **protocol}
        return {**means, **deviations, **floors, "protocol": whole}


FORMAT = 1  # of the cached features; features of other formats are computed again
COMPARABLE = (  # entries of the protocol that must be equal for scores to be ranked
    *("features", "weights", "resize", "scale", "fingerprint", "split", "size", "real", "held_out", "generated"),
    *("generator_weights", "statistics"),
)


def _to_mean_square_1(features: np.ndarray) -> float:
    """The factor; 1 for features that are all 0 or not finite."""
    total = sum(float(np.sum(np.square(features[rows], dtype=np.float64))) for rows in chunks(len(features), 4096))
    return math.sqrt(features.size / total) if 0 < total < math.inf else 1.0


def _halved(pictures: Pictures) -> tuple[Pictures, Pictures]:
    order = np.random.Generator(np.random.Philox(key=0)).permutation(len(pictures))
    return pictures[np.sort(order[: len(order) // 2])], pictures[np.sort(order[len(order) // 2 :])]


def _fingerprint(images: np.ndarray | Rows) -> str:
    """Of an array the fingerprint of `gan_jax.data`; of rows a digest of these, without reading the others."""
    if isinstance(images, np.ndarray):
        return fingerprint({"image": images})
    return identity([str(images.shape), *(images[rows].tobytes() for rows in chunks(len(images), 1024))])


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def parse_metrics(text: str) -> tuple[str, ...]:
    """The metrics named in "fid,kid", or none of "none"; raises `InputError` for an unknown one."""
    names = () if text.strip() == "none" else tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise InputError(f"there is no metric {', '.join(unknown)}: choose of {', '.join(METRICS)}")
    return names


def best_by(metrics: Sequence[str]) -> tuple[str | None, Literal["max", "min"]]:
    """The score that ranks checkpoints, the first number of the first metric, and whether its largest or smallest is best.

    None without metrics. Raises `InputError` for a score that is best when it equals that of real pictures, since it ranks
    neither way.
    """
    if not metrics:
        return None, "max"
    name, better = next(iter(METRICS[metrics[0]].better.items()))
    if better == "as real":
        raise InputError(
            f"no checkpoint is best by {name} alone, which should equal that of real pictures: name kid or fid first"
        )
    return name, "max" if better == "higher" else "min"


def _read_seen(path: Path, n: int) -> Seen:
    """Raises `ValueError` for a file that is not of n pictures."""
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        seen = Seen(file["features"], file.get("logits"))
    if len(seen.features) != n:
        raise ValueError(f"{path} has features of {len(seen.features)} pictures, not of {n}")
    return seen


def _write_seen(path: Path, seen: Seen) -> None:
    np.savez(path, **{name: array for name, array in seen._asdict().items() if array is not None})
