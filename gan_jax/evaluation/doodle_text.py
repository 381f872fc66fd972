"""What captions say of doodles and what these show: matches of named parts, unseen combinations, variety given the caption."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from gan_jax.data import captions
from gan_jax.data.dataset import Arrays, Dataset
from gan_jax.data.doodles import KINDS, birds, flowers
from gan_jax.data.doodles.drawn import generator_of
from gan_jax.data.doodles.truths import (
    BIRD_COLOURS,
    BIRD_PARTS,
    LARGE,
    PETAL_COLOURS,
    SMALL,
    STAMEN_COLOURS,
)
from gan_jax.evaluation.doodle_heads import HEADS, Choice, Turn, sureness
from gan_jax.evaluation.readers import Read
from gan_jax.evaluation.text_encoder import AMONG_GENERATED, TextEncoder, asked_found
from gan_jax.metrics.diversity import angular_deviation_within, entropy_within, rms_within_classes, std_within

Said = Mapping[str, Any]  # of a caption: a value for each attribute that it names
VALID = 0.05  # the share of real pictures that pass for invalid
VERSION = 3  # of `measure`: what is measured by another is not comparable
_FLAT = 15.0  # degrees: the direction of a smaller tilt cannot be seen


class Told(NamedTuple):
    """A data set of doodles with captions.

    parse:    (caption) -> what it names
    parts:    the coloured parts
    together: two of them, and their colours: some combinations of these are kept out of training
    words:    (readings) -> the attributes read in pictures, in the words of captions
    least:    number of the caption, of a picture's, that names the least
    """

    kind: str
    parse: Callable[[str], Said]
    parts: tuple[str, ...]
    together: tuple[str, str]
    colours: tuple[tuple[str, ...], tuple[str, ...]]
    words: Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]
    least: int


def _words_of_birds(readings: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {part: readings[part] for part in BIRD_PARTS} | {"size": np.where(readings["large"], "large", "small")}


def _words_of_flowers(readings: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    size = np.where(readings["petal_size"] > (SMALL[1] + LARGE[0]) / 2, "large", "small")
    return {name: readings[name] for name in ("petals", "stamens", "petal_count")} | {"size": size}


TOLD: dict[str, Told] = {  # by `Dataset.name`
    "doodle_birds": Told(
        "birds", birds.parse_caption, BIRD_PARTS, ("breast", "wings"), (BIRD_COLOURS, BIRD_COLOURS), _words_of_birds, least=2
    ),
    "doodle_flowers": Told(
        "flowers",
        flowers.parse_caption,
        ("petals", "stamens"),
        ("petals", "stamens"),
        (PETAL_COLOURS, STAMEN_COLOURS),
        _words_of_flowers,
        least=0,
    ),
}


def unseen(name: str) -> frozenset[tuple[str, str]]:
    """The combinations of two colours that are kept out of training: each colour is in as many as the others, if possible.

    Of birds 10 of 100 combinations of breast and wings, of flowers 4 of 31 of petals and stamens.
    """
    first, second = TOLD[name].colours
    pairs = [(a, b) for i, a in enumerate(first) for j, b in enumerate(second) if (i - 3 * j - 1) % max(len(first), 7) == 0]
    return frozenset((a, b) for a, b in pairs if a != b or name == "doodle_birds")


def is_unseen(name: str, said: Said) -> bool:
    """Whether a caption, or a truth as a mapping, names a combination that is kept out of training."""
    return (said.get(TOLD[name].together[0]), said.get(TOLD[name].together[1])) in unseen(name)


def told_of(dataset: Dataset) -> Told | None:
    """What is known of the captions of doodles; None of other data, also of a user's own of such a name."""
    told = TOLD.get(dataset.name)
    if told is None:
        return None
    named = {f"{part}_{colour}" for part, colours in zip(told.together, told.colours, strict=True) for colour in colours}
    return told if named <= set(dataset.attribute_names) else None


def without_unseen(dataset: Dataset) -> Dataset:
    """The doodles without the combinations that are kept out of training, in both splits; other data as they are."""
    if told_of(dataset) is None:
        return dataset
    parts: list[Arrays] = []
    for arrays in (dataset.train, dataset.held_out):
        kept = ~_has_unseen(dataset, arrays) if arrays else None
        parts.append({name: np.asarray(value)[kept] for name, value in arrays.items()})
    left_out = len(dataset) - len(parts[0]["image"])
    note = f"{left_out:,} training pictures of {len(unseen(dataset.name))} combinations of colours are left out, to test these"
    return replace(
        dataset,
        train=parts[0],
        held_out=parts[1],
        notes=(*dataset.notes, note),
        stored_fingerprint=f"{dataset.fingerprint}-seen",
    )


def _has_unseen(dataset: Dataset, arrays: Arrays) -> np.ndarray:
    told, attributes = TOLD[dataset.name], np.asarray(arrays["attributes"])
    names = list(dataset.attribute_names)
    found = np.zeros(len(attributes), bool)
    for pair in unseen(dataset.name):
        columns = [names.index(f"{part}_{colour}") for part, colour in zip(told.together, pair, strict=True)]
        found |= (attributes[:, columns] == 1).all(axis=1)
    return found


class Asked(NamedTuple):
    """Captions (n), what each names, and all captions of the picture that each was written of."""

    captions: tuple[str, ...]
    said: tuple[Said, ...]
    all: tuple[tuple[str, ...], ...]


def asked(name: str, n: int, combinations: bool, seed: int = 0, which: int | None = None) -> Asked:
    """n captions of pictures that are in no data set: of `combinations` kept out of training, or of all others.

    Each is one of a picture's, at random, or number `which`.
    """
    told, kind = TOLD[name], KINDS[TOLD[name].kind]
    chosen: list[tuple[str, Said, tuple[str, ...]]] = []
    number = 0
    while len(chosen) < n:
        generator = generator_of(seed, "held_out", _AHEAD + number)
        number += 1
        truth = kind.sample(generator)
        if is_unseen(name, truth._asdict()) == combinations:
            texts = kind.captions(truth)
            text = texts[generator.integers(len(texts)) if which is None else which]
            chosen.append((text, told.parse(text), texts))
    return Asked(*(tuple(column) for column in zip(*chosen, strict=True)))


_AHEAD = 10_000_000  # numbers of held-out pictures beyond those of any data set


def drawn_for(name: str, text: str, n: int, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """n real pictures that a caption fits: as the data would be, of this caption alone."""
    told, kind = TOLD[name], KINDS[TOLD[name].kind]
    said, number = told.parse(text), 0
    pictures: list[np.ndarray] = []
    while len(pictures) < n:
        truth = kind.sample(generator_of(seed, "held_out", 2 * _AHEAD + number))
        number += 1
        truth = truth._replace(**{part: said[part] for part in told.parts if part in said})
        if said.items() <= _all_said(told, kind.captions(truth)).items():
            pictures.append(kind.draw(truth, size))
    return np.stack(pictures)


def _all_said(told: Told, texts: Sequence[str]) -> dict[str, Any]:
    return {name: value for text in texts for name, value in told.parse(text).items()}


def matches(name: str, readings: Mapping[str, np.ndarray], said: Sequence[Said]) -> dict[str, float]:
    """The shares of pictures in which an attribute that their caption names is read: of each, and `match`, of all colours.

    An attribute that no caption names is left out.
    """
    words = TOLD[name].words(readings)
    right = {key: [values[i] == one[key] for i, one in enumerate(said) if key in one] for key, values in words.items()}
    coloured = [hit for part in TOLD[name].parts for hit in right[part]]
    return {"match": float(np.mean(coloured))} | {f"match_{key}": float(np.mean(hits)) for key, hits in right.items() if hits}


def variety(name: str, readings: Mapping[str, np.ndarray], groups: np.ndarray, said: Sequence[Said]) -> dict[str, float]:
    """How much attributes vary among pictures of one caption, the mean over captions; `groups` (n,) numbers these.

    Entropy in nats of choices that no caption names, standard deviation of numbers, angular deviation of angles: 0 of an
    angle that no picture shows.
    """
    named = {key for one in said for key in one} | {"large" for one in said if "size" in one}
    found = {}
    for head in HEADS[TOLD[name].kind]:
        values = readings[head.name]
        if isinstance(head, Choice):
            if head.name not in named:
                found[head.name] = entropy_within(values, groups)
        elif isinstance(head, Turn):
            visible = readings["tilt"] >= _FLAT if head.name == "tilt_direction" else np.ones(len(values), bool)
            period = 360 / (readings[head.by] if head.by else head.times[0])
            turns = values / period
            found[head.name] = angular_deviation_within(turns[visible], groups[visible]) if visible.any() else 0.0
        else:
            found[head.name] = std_within(values.astype(np.float64), groups)
    return found


class Plan(NamedTuple):
    """How much is measured: captions for matches, seen and unseen combinations each, and captions times samples for variety."""

    matches: int = 500
    captions: int = 16
    samples: int = 64


USUAL = Plan()
Draw = Callable[[Sequence[str], int], np.ndarray]  # captions, seed -> a picture for each, uint8 (n, h, w, c)


def measure(
    name: str,
    draw: Draw,
    read: Read,
    real: np.ndarray,
    encoder: TextEncoder | None = None,
    plan: Plan = USUAL,
    seed: int = 0,
) -> dict[str, float]:
    """Everything that is measured of a generator of doodles that is asked by captions, by the reader of known truth.

    match, match_unseen: named colours that are there, in captions of seen and of unseen combinations; `match_ATTRIBUTE`
    match_chance:        the same of the first against shuffled captions; match_real: of real pictures drawn for them
    r_precision:         by `encoder`, if given, best another than the generator's own; r_precision_real, of real pictures
    valid:               the share whose least certain reading is surer than that of 5 % of `real` pictures (n, h, w, c)
    variety_ATTRIBUTE:   given a caption (the one of a picture's that names the least), over the data's
    variety_pixels:      the same of the rms distance in pixels between samples of one caption
    feature_distance:    the same in what `encoder` makes of pictures
    diversity, least_diverse: the mean over attributes and pixels, each at most 1, and the smallest
    """
    size = real.shape[1:3]
    seen, new = (asked(name, plan.matches, combinations, seed) for combinations in (False, True))
    pictures = draw(seen.captions, seed)
    made, made_new = read(pictures), read(draw(new.captions, seed))
    turned = [*seen.said[1:], seen.said[0]]
    genuine = np.concatenate([drawn_for(name, text, 1, size, seed + i) for i, text in enumerate(seen.captions)])
    true = read(genuine)
    limit = np.quantile(sureness(TOLD[name].kind, read(real)), VALID)
    given = asked(name, plan.captions, False, seed + 1, TOLD[name].least)
    groups = np.repeat(np.arange(plan.captions), plan.samples)
    fakes = draw([given.captions[i] for i in groups], seed + 1)
    reals = np.concatenate([drawn_for(name, text, plan.samples, size, seed) for text in given.captions])
    ours, theirs = (_varied(name, images, read(images), groups, given.said) for images in (fakes, reals))
    ratios = {f"variety_{key}": ours[key] / theirs[key] for key in ours}
    precision = {}
    if encoder is not None:
        rows, all_rows = (_rows(each, encoder.length) for each in ([(text,) for text in seen.captions], seen.all))
        for key, images in (("r_precision", pictures), ("r_precision_real", genuine)):
            precision[key] = asked_found(encoder, images, rows[:, 0], all_rows, min(AMONG_GENERATED, plan.matches // 2), seed)
        near, apart = (_within(encoder.see(images), groups) for images in (fakes, reals))
        precision["feature_distance"] = near / apart
    return {
        **matches(name, made, seen.said),
        **precision,
        "match_unseen": matches(name, made_new, new.said)["match"],
        "match_chance": matches(name, made, turned)["match"],
        "match_real": matches(name, true, seen.said)["match"],
        "valid": float(np.mean(sureness(TOLD[name].kind, made) > limit)),
        "diversity": float(np.mean(np.minimum(list(ratios.values()), 1))),
        "least_diverse": min(ratios.values()),
        **ratios,
    }


def _varied(name: str, images: np.ndarray, readings: Any, groups: np.ndarray, said: Sequence[Said]) -> dict[str, float]:
    pixels = (images.reshape(len(images), -1) / 255).astype(np.float32)
    return variety(name, readings, groups, said) | {"pixels": _within(pixels, groups)}


def _within(features: np.ndarray, groups: np.ndarray) -> float:
    """The rms distance to the mean of the group."""
    return float(rms_within_classes(jnp.asarray(features), jnp.asarray(groups), int(groups.max()) + 1))


def _rows(texts: Sequence[Sequence[str]], length: int) -> np.ndarray:
    return captions.padded(captions.encode(texts, length), length)
