"""The real pictures that samples are compared with: a run's own, with its split, or any others, whole where possible."""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax import config
from gan_jax.data.archives import ARCHIVES
from gan_jax.data.dataset import Dataset
from gan_jax.data.load import DRAWN, PictureFlags, load, open_source
from gan_jax.data.pictures import facts
from gan_jax.data.stacked import STACKED
from gan_jax.errors import InputError
from gan_jax.evaluation.captioned import CaptionFlags
from gan_jax.evaluation.features import Name
from gan_jax.files import exists, place
from gan_jax.runs.records import read_json

SPLITS = ("train", "held_out")  # of a run's own data


class Needs(NamedTuple):
    """What scores are asked for: `metrics`, those that can be had if `auto`, on these features."""

    metrics: Sequence[str]
    auto: bool
    features: Name

    @property
    def memorised(self) -> bool:
        """Whether held-out pictures must not be compared with."""
        return "memorised" in self.metrics and not self.auto

    def judge(self, dataset: Dataset) -> bool:
        """Whether a classifier is trained on the data, which is tested on held-out pictures."""
        labelled = bool(dataset.class_names or dataset.attribute_names)
        return self.features == "judge" or (self.features == "auto" and labelled)


class Compared(NamedTuple):
    """The `split` of `dataset` that samples are compared with, and the data that a classifier is `taught` on.

    `apart`: the held-out pictures are none of those that samples are compared with.
    """

    dataset: Dataset
    split: str
    taught: Dataset
    apart: bool = True

    def told(self, most: int | None) -> str:
        """How many pictures are compared with, of how many, and why others are not."""
        arrays = self.dataset.train if self.split == "train" else self.dataset.held_out
        total = len(arrays["image"]) if arrays else 0
        drawn = f"a random {most:,} of " if most and most < total else ""
        others = len(self.dataset.held_out.get("image", ())) if self.split == "train" else len(self.dataset.train["image"])
        rest = "all that there are"
        if others:
            rest = f"{others:,} others are {'held out' if self.split == 'train' else 'for training'}"
        if not self.apart:
            rest = f"all that there are; {others:,} of them test the classifier and did not teach it"
        return f"compared    with {drawn}{total:,} pictures of {self.dataset.name}; {rest}"


def of_pictures(samples: Path, given: Dataset, ref: str, needs: Needs) -> Compared:
    """What given samples are compared with, in their form; raises `InputError` for a split, smaller pictures or no data."""
    if ref in SPLITS:
        raise InputError(f"{samples} is no run, whose data would be known: name what to compare with by --ref")
    height, width, channels = given.train["image"].shape[1:]
    print(f"reference   {ref} as {height}x{width}x{channels}, the samples' form", flush=True)
    return _other(ref, (height, width), needs, channels=channels)


def of_run(run: Path, ref: str, needs: Needs, shape: Callable[[], tuple[int, int, int]]) -> Compared:
    """What a run's samples, of this `shape`, are compared with: its own data, divided as in training, or others.

    Raises `InputError` for a run that does not say what pictures it was trained on, for such that are gone, and for pictures
    smaller than the samples.
    """
    flags = picture_flags(run)
    if ref in SPLITS:
        if flags is None:
            raise InputError(f"{run} does not say what pictures it was trained on: name them by --ref")
        dataset = own_data(run, flags)
        return Compared(dataset, ref, dataset)
    if flags and (own := _own_elsewhere(run, flags, ref)):
        return Compared(own, "train", own)
    height, width, channels = shape()
    return _other(ref, (height, width), needs, fit=flags.fit if flags else "crop", channels=channels)


def picture_flags(run: Path) -> PictureFlags | None:
    """The flags on pictures in a run's config.json, captioned ones where it has these; None for a run of other flags.

    Raises `InputError` for a damaged file.
    """
    path = run / "config.json"
    known = read_json(path) or {}
    if not {"data", "image_size"} <= known.keys():
        return None
    try:
        return config.read(CaptionFlags if {"longest", "unseen"} <= known.keys() else PictureFlags, known)
    except InputError as error:
        raise InputError(f"{path} is damaged: the flags of its data have other values than there are ({error})") from error


def own_data(run: Path, flags: PictureFlags) -> Dataset:
    """The data that a run was trained on, where its flags say, seen from the present folder or from that of the training.

    Data that have changed since are told. Raises `InputError` where they are gone.
    """
    env = read_json(run / "env.json") or {}
    known, begun_in = env.get("data"), env.get("folder")
    places = [flags.data]
    if isinstance(begun_in, str) and exists(there := Path(begun_in) / Path(flags.data)):
        places.append(str(there))
    found: list[Dataset] = []
    for data in dict.fromkeys(places):
        try:
            found.append(dataclasses.replace(flags, data=data).load())
        except InputError as error:
            reason = error
            continue
        if found[-1].fingerprint == known:
            return found[-1]
    if not found:
        raise InputError(f"the pictures that {run} was trained on are gone: name them by --ref, where they are now ({reason})")
    if isinstance(known, str):
        print(
            f"reference   {flags.data} has changed since {run} was trained (fingerprint {found[0].fingerprint}, then {known}): "
            "these scores are beside the pictures of now",
            flush=True,
        )
    return found[0]


def _own_elsewhere(run: Path, flags: PictureFlags, ref: str) -> Dataset | None:
    """The run's own data, divided as in training, if `ref` names them: by the same place, or by the place they moved to."""
    asked, here = place(ref), None
    with contextlib.suppress(InputError):  # what no file here can be called
        here = place(flags.data)
    here = here if here and exists(here) else None
    moved = dataclasses.replace(flags, data=ref)
    if ref == flags.data or (here and exists(asked) and asked.samefile(here)):
        return moved.load()
    named = flags.data in {"digits", *DRAWN, *ARCHIVES, *STACKED} or flags.data.startswith("lsun/")
    if named or here or not exists(asked):
        return None
    dataset = moved.load()
    return dataset if dataset.fingerprint == (read_json(run / "env.json") or {}).get("data") else None


def _other(data: str, size: tuple[int, int], needs: Needs, **form: Any) -> Compared:
    """Data with a split of their own by that; others whole, or without a held-out part where a score needs one."""
    if exists(place(data)):
        height, width = facts(open_source(data, size).splits["train"].read(0).image)[:2]
        if height < size[0] or width < size[1]:
            raise InputError(
                f"the pictures of {data} are {height}x{width}, the samples {size[0]}x{size[1]}: enlarged pictures are no "
                "reference; choose larger ones"
            )
    whole = load(data, size, held_out=0.0, **form)
    if whole.held_out or not (needs.memorised or needs.judge(whole)):
        return Compared(whole, "train", whole)
    divided = load(data, size, **form)
    if needs.memorised or not divided.held_out:
        return Compared(divided, "train", divided)
    return Compared(dataclasses.replace(whole, held_out=divided.held_out), "train", divided, apart=False)
