"""The metrics of a set of samples by name: what each computes and what it needs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal, NamedTuple

import numpy as np

from gan_jax.data import captions
from gan_jax.data.stacked import COLOURS
from gan_jax.errors import InputError
from gan_jax.evaluation.doodle_text import TOLD, matches
from gan_jax.evaluation.pictures import Pictures
from gan_jax.evaluation.readers import COUNTS, Read, counts_right, nothing_read, readable_in
from gan_jax.evaluation.seen import LogitsOf
from gan_jax.metrics.birthday import birthday
from gan_jax.metrics.diversity import rms_distance
from gan_jax.metrics.frechet import Moments, frechet_bias, frechet_distance, moments
from gan_jax.metrics.inception_score import inception_score
from gan_jax.metrics.kid import kernel_distance
from gan_jax.metrics.memorised import memorised
from gan_jax.metrics.modes import StackedCoverage, stacked_coverage, stacked_floor
from gan_jax.metrics.prdc import density_coverage, precision_recall
from gan_jax.metrics.recognised import class_counts, class_entropy, largest_class, recognised_share
from gan_jax.metrics.similarity import ms_ssim_within_classes

LEAST_HELD_OUT = 50  # pictures needed to tell memorised samples from new ones
PRECISION_NEIGHBOURS, DENSITY_NEIGHBOURS = 3, 5  # as in the papers
FACE_COUNTS = COUNTS["faces"]


@dataclass(frozen=True)
class Reference:
    """The real pictures that samples are compared with.

    `held_out` (perhaps none) were not trained on. `logits_of` says what logits are of. `read` gives the attributes named in
    `readable` of pictures like them.
    """

    train: Pictures
    held_out: Pictures
    logits_of: LogitsOf | None = None
    readable: tuple[str, ...] = ()
    read: Read = nothing_read

    @cached_property
    def moments(self) -> Moments:
        """Of the features of `train`, computed once."""
        return moments(self.train.features)

    @cached_property
    def rms_distance(self) -> float:
        """Of the features of `train`, computed once."""
        return rms_distance(self.train.features)

    @cached_property
    def readings(self) -> Mapping[str, np.ndarray]:
        """The attributes read in `train`, once."""
        return self.read(np.asarray(self.train.images))


Better = Literal["higher", "lower", "as real"]
Numbers = dict[str, float]


class Metric(NamedTuple):
    """`compute(samples, reference)` gives the numbers named in `better`, which are defined in `gan_jax.metrics`.

    It needs `least` samples and as many real pictures. `lacks(n, reference)` is another reason why n samples cannot be scored,
    or "". `reads` are the attributes that must be readable in the pictures. `floor` is the set of real pictures scored in place
    of samples: one of two random "halves" of the reference, half of the "held_out" pictures, or none. `expected(n, reference)`
    gives the numbers of n real pictures where these are known without scoring any.
    """

    better: dict[str, Better]
    compute: Callable[[Pictures, Reference], Numbers]
    lacks: Callable[[int, Reference], str] = lambda n, real: ""
    floor: Literal["halves", "held_out", "none"] = "held_out"
    reads: tuple[str, ...] = ()
    least: int = 2
    expected: Callable[[int, Reference], Numbers] = lambda n, real: {}


def _fid(fake: Pictures, real: Reference) -> Numbers:
    return {"fid": frechet_distance(real.moments, moments(fake.features))}


def _fid_lacks(n: int, real: Reference) -> str:
    d, m = real.train.features.shape[1], len(real.train)
    if min(n, m) > d:
        return ""
    cure = "" if m <= d else f", or ask for more than {d} samples"
    return (
        f"fid on {d} features needs more than {d} examples of each, and there are {n} samples and {m} real pictures: their "
        f"covariance is singular, and even samples as good as real ones would score about "
        f"{frechet_bias(real.moments, n):.3g}. Measure kid, which has no such bias{cure}"
    )


def _kid(fake: Pictures, real: Reference) -> Numbers:
    size = min(1000, len(fake), len(real.train))
    return {"kid": kernel_distance(real.train.features, fake.features, size=size).mean}


def _inception_score(fake: Pictures, real: Reference) -> Numbers:
    return {"is": inception_score(fake.seen.known_logits(), splits=min(10, len(fake) // 2)).mean}


def _prdc(fake: Pictures, real: Reference) -> Numbers:
    ones, others = real.train.features, fake.features
    return {
        **precision_recall(ones, others, PRECISION_NEIGHBOURS)._asdict(),
        **density_coverage(ones, others, DENSITY_NEIGHBOURS)._asdict(),
    }


def _memorised(fake: Pictures, real: Reference) -> Numbers:
    return {"memorised": memorised(fake.features, real.train.features, real.held_out.features).share}


def _memorised_lacks(n: int, real: Reference) -> str:
    found = len(real.held_out)
    if found >= LEAST_HELD_OUT:
        return ""
    return (
        f"memorised needs {LEAST_HELD_OUT} held-out pictures or more, to measure how near to training pictures new ones are, "
        f"and there are {found}: compare with the train split of data that have them"
    )


def _diversity(fake: Pictures, real: Reference) -> Numbers:
    return {"diversity": rms_distance(fake.features) / real.rms_distance}


def _diversity_lacks(n: int, real: Reference) -> str:
    return "" if real.rms_distance > 0 else "diversity needs real pictures that differ, and all features are equal"


def _birthday(fake: Pictures, real: Reference) -> Numbers:
    found = birthday(fake.features, real.train.features)
    return {"support": found.support, "duplicates": float(found.pairs)}  # without duplicates support is a lower bound


def _ms_ssim(fake: Pictures, real: Reference) -> Numbers:
    labels = np.asarray(fake.asked.get("label", np.zeros(len(fake), np.int32)))
    classes, counts = np.unique(labels, return_counts=True)
    paired = np.isin(labels, classes[counts > 1])
    if not paired.any():
        raise InputError(f"ms_ssim compares pictures of one class, and {len(fake)} pictures are of {len(classes)} classes")
    return {"ms_ssim": float(np.mean(list(ms_ssim_within_classes(np.asarray(fake.images)[paired], labels[paired]).values())))}


def _ms_ssim_lacks(n: int, real: Reference) -> str:
    h, w = real.train.images.shape[1:3]
    return "" if min(h, w) >= 16 else f"ms_ssim halves pictures four times: {h}x{w} are too small"


def _recognised(fake: Pictures, real: Reference) -> Numbers:
    logits = fake.seen.known_logits()
    counts = class_counts(logits)
    numbers = {
        "recognised": float(recognised_share(logits)),
        "classes": float(np.sum(np.asarray(counts) > 0)),
        "class_entropy": float(class_entropy(counts)),
        "largest_class": float(largest_class(counts)),
    }
    if "label" not in fake.asked:
        return numbers
    return numbers | {"label_accuracy": float(np.mean(logits.argmax(axis=-1) == fake.asked["label"]))}


def _attributes(fake: Pictures, real: Reference) -> Numbers:
    """The mean absolute difference between the frequencies of attributes and the real ones."""
    frequencies = [np.mean(each.seen.known_logits() > 0, axis=0) for each in (fake, real.train)]
    return {"attribute_error": float(np.mean(np.abs(frequencies[0] - frequencies[1])))}


def _counting(fake: Pictures, real: Reference) -> Numbers:
    """The shares of faces with two eyes, with one mouth, with one nose, and with all of these."""
    readings = real.read(np.asarray(fake.images))
    shares = {f"{name}_right": float(np.mean(readings[name] == number)) for name, number in FACE_COUNTS.items()}
    return shares | {"counts_right": float(np.mean(counts_right(readings, FACE_COUNTS)))}


def _stacked(fake: Pictures, real: Reference) -> Numbers:
    """Modes of stacked digits, and the divergence of their frequencies from uniform ones and from those of the data."""
    digits = _digits(real.read(np.asarray(fake.images)))
    return _stacked_numbers(stacked_coverage(digits, _digit_frequencies(real)))


def _stacked_expected(n: int, real: Reference) -> Numbers:
    return _stacked_numbers(stacked_floor(n, _digit_frequencies(real)))


def _stacked_numbers(found: StackedCoverage) -> Numbers:
    return {f"stacked_{name}": value for name, value in found._asdict().items()}


def _digits(readings: Mapping[str, np.ndarray]) -> np.ndarray:
    """(n, 3)."""
    return np.stack([readings[colour] for colour in COLOURS], axis=-1)


def _digit_frequencies(real: Reference) -> np.ndarray:
    """(3, 10), as read in the real pictures: what the reader mistakes is in the samples too."""
    digits = _digits(real.readings)
    return np.stack([np.bincount(channel, minlength=10) / len(digits) for channel in digits.T])


def _match(name: str, fake: Pictures, real: Reference) -> Numbers:
    """The share of the coloured parts that captions name that have this colour; nothing of pictures asked by no caption."""
    if "caption" not in fake.asked:
        return {}
    said = [TOLD[name].parse(captions.decode(row)) for row in fake.asked["caption"]]
    return {"match": matches(name, real.read(np.asarray(fake.images)), said)["match"]}


def _unreadable(name: str, real: Reference) -> str:
    """Why the attributes that a metric reads cannot be read, or nothing."""
    reads = METRICS[name].reads
    if set(reads) <= set(real.readable):
        return ""
    return f"{name} reads {', '.join(reads)} in pictures, which can be done in those of {', '.join(readable_in(reads))} only"


def _needs_logits(name: str, *of: LogitsOf) -> Callable[[int, Reference], str]:
    where = {"classes": "data with labels", "attributes": "data with attributes", "imagenet": "features of inception"}

    def lacks(n: int, real: Reference) -> str:
        if real.logits_of in of:
            return ""
        return f"{name} needs a classifier: " + " or ".join(
            where[each] + " and features of the judge" * (each != "imagenet") for each in of
        )

    return lacks


METRICS: dict[str, Metric] = {
    "fid": Metric({"fid": "lower"}, _fid, _fid_lacks, "halves"),
    "kid": Metric({"kid": "lower"}, _kid, floor="halves"),
    "is": Metric({"is": "higher"}, _inception_score, _needs_logits("is", "classes", "imagenet")),
    "prdc": Metric(
        {"precision": "higher", "recall": "higher", "density": "as real", "coverage": "higher"},
        _prdc,
        floor="halves",
        least=DENSITY_NEIGHBOURS + 1,
    ),
    "memorised": Metric({"memorised": "as real"}, _memorised, _memorised_lacks),
    "diversity": Metric({"diversity": "as real"}, _diversity, _diversity_lacks),
    "birthday": Metric({"support": "higher", "duplicates": "lower"}, _birthday, floor="none"),
    "ms_ssim": Metric({"ms_ssim": "as real"}, _ms_ssim, _ms_ssim_lacks),
    "recognised": Metric(
        {
            "recognised": "higher",
            "classes": "higher",
            "class_entropy": "as real",
            "largest_class": "as real",
            "label_accuracy": "higher",
        },
        _recognised,
        _needs_logits("recognised", "classes"),
        least=1,
    ),
    "counting": Metric(
        {f"{name}_right": "higher" for name in (*FACE_COUNTS, "counts")}, _counting, reads=tuple(FACE_COUNTS), least=1
    ),
    "stacked": Metric(
        {"stacked_kl": "lower", "stacked_modes": "higher", "stacked_kl_data": "lower"},
        _stacked,
        floor="none",
        reads=COLOURS,
        least=1,
        expected=_stacked_expected,
    ),
    "attributes": Metric({"attribute_error": "lower"}, _attributes, _needs_logits("attributes", "attributes"), "halves"),
    **{
        f"match_{told.kind}": Metric({"match": "higher"}, partial(_match, name), reads=told.parts, least=1)
        for name, told in TOLD.items()
    },
}
BETTER: dict[str, Better] = {name: better for metric in METRICS.values() for name, better in metric.better.items()}


def wish(name: str) -> str:
    """The direction in which a number is better, in words."""
    return "best equal to real" if BETTER[name] == "as real" else f"{BETTER[name]} is better"


def _too_few(name: str, n: int, real: Reference) -> str:
    least, found = METRICS[name].least, len(real.train)
    if min(n, found) >= least:
        return ""
    return f"{name} needs {least} samples and {least} real pictures or more, and there are {n} and {found}"


def lacking(metrics: Sequence[str], n: int, real: Reference) -> dict[str, str]:
    """The metrics that cannot score n samples, each with the reason."""
    reasons = {name: _too_few(name, n, real) or METRICS[name].lacks(n, real) or _unreadable(name, real) for name in metrics}
    return {name: reason for name, reason in reasons.items() if reason}


def score(metrics: Sequence[str], fake: Pictures, real: Reference) -> Numbers:
    """All numbers of the named metrics; raises `InputError` if one of them is `lacking` something."""
    reasons = lacking(metrics, len(fake), real)
    if reasons:
        raise InputError("; ".join(reasons.values()))
    numbers: Numbers = {}
    for name in metrics:
        numbers |= METRICS[name].compute(fake, real)
    return numbers
