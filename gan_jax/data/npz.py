"""Pictures as arrays in NumPy's .npz files."""

from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.data.source import Example, Source, Split
from gan_jax.errors import InputError


def npz_source(path: Path, held_out: float = 0.05) -> Source:
    """The pictures of a file with `image` (or `images`) uint8 (n, h, w) or (n, h, w, c).

    It may have `label` int (n,) with `class_names`, `attributes` (n, k) with `attribute_names`, and `caption`, strings (n,)
    or (n, k).

    The arrays held_out_image, held_out_label and so on are held out, or else the share `held_out` at the end.
    Raises `InputError` if the file is damaged or its arrays do not belong together.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name.replace("images", "image"): file[name] for name in file.files}
    except Exception as error:  # zipfile and numpy raise a dozen types
        raise InputError(f"{path} is not a complete .npz file of plain arrays: {error}") from error
    splits = {"train": _part(arrays, ""), "held_out": _part(arrays, "held_out_")}
    if "image" not in splits["train"]:
        raise InputError(f"{path} has no array `image`: it has {', '.join(arrays) or 'none'}")
    if not splits["held_out"]:
        n = len(splits["train"]["image"])
        splits = {
            "train": {name: array[: n - round(held_out * n)] for name, array in splits["train"].items()},
            "held_out": {name: array[n - round(held_out * n) :] for name, array in splits["train"].items()},
        }
    splits = {name: part for name, part in splits.items() if part and len(part["image"])}
    for part in splits.values():
        _check(path, part)
    if len(splits.get("train", {"image": ()})["image"]) < 2:
        raise InputError(f"{path} has fewer than 2 pictures to train on: use a few hundred or more")
    if len({tuple(part) for part in splits.values()}) > 1:
        raise InputError(f"{path}: its held_out arrays do not have the same names as the others: {', '.join(arrays)}")
    train, stat = splits["train"], path.stat()
    classes = max(int(part["label"].max()) + 1 for part in splits.values()) if "label" in train else 0
    return Source(
        name=path.stem,
        identity=f"npz {path.resolve()} {stat.st_size} {stat.st_mtime_ns} {held_out}",
        splits={name: Split(len(part["image"]), _reader(part)) for name, part in splits.items()},
        class_names=_names(arrays, "class_names", classes) if "label" in train else (),
        attribute_names=_names(arrays, "attribute_names", train["attributes"].shape[1] if "attributes" in train else 0),
        captioned="caption" in train,
    )


def _part(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    fields = ("image", "label", "attributes", "caption")
    return {field: arrays[prefix + field] for field in fields if prefix + field in arrays}


def _names(arrays: dict[str, np.ndarray], name: str, n: int) -> tuple[str, ...]:
    given = tuple(map(str, arrays[name])) if name in arrays else ()
    exact = len(given) == n or (len(given) > n and name == "class_names")  # classes may have no pictures
    return given if exact else tuple(map(str, range(n)))


def _check(path: Path, part: dict[str, np.ndarray]) -> None:
    image = part["image"]
    if image.dtype != np.uint8 or image.ndim not in (3, 4) or (image.ndim == 4 and image.shape[-1] not in (1, 3, 4)):
        raise InputError(f"{path}: images must be uint8 (n, h, w) or (n, h, w, 1, 3 or 4), not {image.dtype} {image.shape}")
    lengths = {name: len(array) for name, array in part.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"{path}: its arrays have different lengths: {lengths}")
    if "label" in part and (part["label"].ndim != 1 or part["label"].dtype.kind not in "iu" or part["label"].min() < 0):
        raise InputError(f"{path}: labels must be integers from 0 on, one for each picture")
    if "attributes" in part and (part["attributes"].ndim != 2 or part["attributes"].dtype.kind not in "biuf"):
        raise InputError(
            f"{path}: attributes must be numbers (n, k), not {part['attributes'].dtype} {part['attributes'].shape}"
        )


def _reader(part: dict[str, np.ndarray]) -> Any:
    def read(i: int) -> Example:
        return Example(
            image=part["image"][i],
            label=int(part["label"][i]) if "label" in part else None,
            attributes=tuple(map(float, part["attributes"][i])) if "attributes" in part else (),
            captions=tuple(map(str, np.atleast_1d(part["caption"][i]))) if "caption" in part else (),
        )

    return read
