"""Captions for pictures that have none: sentences made of their attributes, or of the names of their classes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from gan_jax.data import captions
from gan_jax.data.dataset import Arrays, Dataset
from gan_jax.errors import InputError

Say = Literal["auto", "captions", "attributes", "classes"]
PHRASINGS = 3
_ARRAYS: dict[Say, str] = {"captions": "caption", "attributes": "attributes", "classes": "label"}
_KINDS = {"male": ("man", "woman"), "female": ("woman", "man")}  # an attribute, and what 1 and 0 say of who is shown
_ADJECTIVES = {"young", "old", "bald", "chubby", "attractive", "blurry", "happy", "sad", "tall", "small", "large", "big"}
_WITHOUT_ARTICLE = {"hair", "skin", "makeup", "lipstick"}


def sentence(attributes: Mapping[str, float | int], phrasing: int = 0, kind: str = "picture") -> str:
    """What attributes of 0 and 1 say, such as "a smiling young man with black hair wearing a necktie".

    Attributes at 1 are named, in their order: wearing_X after "wearing", adjectives and words in -ing before the noun, others
    after "with". `male` and `female` choose the noun, `kind` where neither is known; no_X says X where it is 0. Other values
    than 0 and 1, NaN among them, say nothing. `phrasing` is below `PHRASINGS`: a phrase, a sentence, a list.
    """
    noun, adjectives, having, wearing = kind, [], [], []
    for name, value in attributes.items():
        words = re.sub(r"[_\W]+", " ", name).strip().lower().split()
        if value not in (0, 1) or not words:
            continue
        if words[0] == "no" and len(words) > 1:
            words, value = words[1:], 1 - value
        if len(words) == 1 and words[0] in _KINDS:
            noun = _KINDS[words[0]][0 if value else 1]
        elif value and len(words) == 1 and (words[0] in _ADJECTIVES or words[0].endswith("ing")):
            adjectives.append(words[0])
        elif value and words[0] == "wearing" and len(words) > 1:
            wearing.append(_with_article(words[1:]))
        elif value:
            having.append(_with_article(words))
    if phrasing == 2:
        return ", ".join([" ".join([*adjectives, noun]), *having, *wearing])
    if phrasing == 1:
        said = [*_part("is", adjectives), *_part("has", having), *_part("wears", wearing)]
        return f"this {noun} {_joined(said)}" if said else f"this is {_with_article([noun])}"
    return " ".join([_with_article([*adjectives, noun]), *_part("with", having), *_part("wearing", wearing)])


def of_class(name: str, phrasing: int = 0) -> str:
    """A sentence with the name of a class, such as "a picture of a passion flower"; `phrasing` is below `PHRASINGS`.

    A number before a dot is left out, and underscores are spaces: 001.Black_footed_Albatross.
    """
    words = re.sub(r"^[0-9]+\.", "", name).replace("_", " ").split() or [name or "picture"]
    named = _with_article(words)
    return (named, f"a picture of {named}", f"this is {named}")[phrasing]


def _with_article(words: Sequence[str]) -> str:
    text, last = " ".join(words), words[-1].lower()
    plural = last.endswith("s") and not last.endswith(("ss", "us", "is"))
    if plural or last in _WITHOUT_ARTICLE:
        return text
    return f"{'an' if text[0].lower() in 'aeiou' else 'a'} {text}"


def _part(verb: str, words: Sequence[str]) -> list[str]:
    return [f"{verb} {_joined(words)}"] if words else []


def _joined(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def with_captions(dataset: Dataset, say: Say = "auto") -> Dataset:
    """The data with `caption`: their own, or `PHRASINGS` sentences made of attributes or of the classes' names.

    `auto` takes the first of captions, attributes and classes that there are. Made ones are told, and part of the
    fingerprint. Raises `InputError` for data without what is asked for, or without attributes of 0 and 1.
    """
    if say == "auto":
        there = [source for source, array in _ARRAYS.items() if array in dataset.train]
        say = there[0] if there else "captions"
    dataset.require(_ARRAYS[say])
    if say == "captions":
        return dataset
    made = _of_attributes if say == "attributes" else _of_classes
    parts = [arrays | {"caption": made(dataset, arrays)} if arrays else {} for arrays in (dataset.train, dataset.held_out)]
    example = captions.decode(parts[0]["caption"][0, 0])
    return replace(
        dataset,
        train=parts[0],
        held_out=parts[1],
        notes=(*dataset.notes, f"captions are made of the pictures' {say}, such as {example!r}"),
        stored_fingerprint=f"{dataset.fingerprint}-of-{say}",
    )


def _of_attributes(dataset: Dataset, arrays: Arrays) -> np.ndarray:
    values = np.asarray(arrays["attributes"])
    binary = [i for i, column in enumerate(np.asarray(dataset.train["attributes"]).T) if _is_binary(column)]
    if not binary:
        raise InputError(f"{dataset.name} has no attributes of 0 and 1 that a sentence could be made of")
    names = [dataset.attribute_names[i] for i in binary]
    unique, rows = np.unique(values[:, binary], axis=0, return_inverse=True)
    said = [dict(zip(names, row, strict=True)) for row in unique.tolist()]
    return captions.encode([[sentence(one, phrasing) for phrasing in range(PHRASINGS)] for one in said])[rows.reshape(-1)]


def _is_binary(column: np.ndarray) -> bool:
    known = column[~np.isnan(column)]
    return bool(len(known)) and bool(np.isin(known, (0, 1)).all())


def _of_classes(dataset: Dataset, arrays: Arrays) -> np.ndarray:
    texts = [[of_class(name, phrasing) for phrasing in range(PHRASINGS)] for name in dataset.class_names]
    return captions.encode(texts)[np.asarray(arrays["label"])]
