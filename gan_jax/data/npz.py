"""Pictures as arrays in NumPy's .npz files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.data.npz_files import Arrays, Header, headers_of, read_arrays
from gan_jax.data.source import Example, Source, Split
from gan_jax.data.splitting import SPLITS, attribute_strata, held_out_rows, note_on_held_out
from gan_jax.data.tables import sort_classes
from gan_jax.errors import InputError
from gan_jax.listing import listed

FIELDS = {
    "image": ("image", "images", "x"),
    "label": ("label", "labels", "y"),
    "attributes": ("attributes",),
    "caption": ("caption", "captions"),
}
MOST_CLASSES = 10_000  # beyond that, labels that leave out most numbers are numbered anew
_NAMED = 10  # arrays in a message


def npz_source(path: Path, held_out: float = 0.05, label_column: str | None = None) -> Source:
    """The pictures of a file with `image` (`images`, `x`), numbers (n, h, w) or (n, h, w, c).

    It may have `label` (`labels`, `y`) with `class_names`: whole numbers from 0 on or words, (n,) or (n, 1); `attributes`
    (n, k) with `attribute_names`; and `caption`, strings (n,) or (n, k). `label_column` names another array as the labels.

    Arrays with test, val or held_out in their name, such as x_test or held_out_image, are held out, or else the share
    `held_out` of the others, by class or else by binary attributes. Arrays that are not used are told.
    Raises `InputError` if the file is damaged, its arrays do not belong together or do not fit into the memory.
    """
    headers = headers_of(path)
    parts = _parts(path, headers, label_column)
    extra = [name for name in ("class_names", "attribute_names") if name in headers]
    used = [name for part in parts.values() for name in part.values()] + extra
    arrays = read_arrays(path, headers, used)
    splits = {split: {field: arrays[name] for field, name in part.items()} for split, part in parts.items()}
    splits = {split: part for split, part in splits.items() if len(part["image"])}
    for split, part in splits.items():
        _check(path, part, parts[split])
    if len(splits.get("train", {"image": ()})["image"]) < 2:
        raise InputError(f"{path} has fewer than 2 pictures to train on: use a few hundred or more")
    class_names, notes = _number_classes(path, splits, arrays)
    rows = {name: np.arange(len(part["image"])) for name, part in splits.items()}
    by = "by class"
    if "held_out" not in parts:
        labels = splits["train"].get("label")
        strata = None
        if labels is None and "attributes" in splits["train"]:
            strata = attribute_strata(splits["train"]["attributes"].astype(np.float32), held_out)
            by += " or attributes" * (strata is not None)
        held = held_out_rows(len(rows["train"]), held_out, labels if strata is None else strata)
        notes += note_on_held_out(held_out, labels, len(rows["train"]))
        rows = {"train": np.delete(rows["train"], held), "held_out": np.array(held, int)}
        splits["held_out"] = splits["train"]
    train, stat = splits["train"], path.stat()
    unused = [f"{name} {header}" for name, header in headers.items() if name not in used]
    notes += [f"arrays that are not used: {listed(unused, _NAMED)}"] if unused else []
    place = f"npz {path.resolve()} {held_out}" + f" {label_column}" * (label_column is not None)
    return Source(
        name=path.stem,
        identity=f"{place} {stat.st_size} {stat.st_mtime_ns} {by}",
        splits={name: Split(len(chosen), _reader(splits[name], chosen)) for name, chosen in rows.items() if len(chosen)},
        class_names=class_names,
        attribute_names=_names(arrays, "attribute_names", train["attributes"].shape[1] if "attributes" in train else 0, notes),
        captioned="caption" in train,
        place=place,
        notes=tuple(notes),
    )


def _parts(path: Path, headers: Mapping[str, Header], label_column: str | None) -> dict[str, dict[str, str]]:
    """The arrays of each split by field; raises `InputError` if there are no images, or if the splits differ in fields."""
    fields = FIELDS if label_column is None else FIELDS | {"label": (label_column.lower(),)}
    lower = {name.lower(): name for name in reversed(list(headers))}
    parts: dict[str, dict[str, str]] = {}
    for field, names in fields.items():
        for name in names:
            for word, split in {"": "train", **SPLITS}.items():
                for key in (f"{name}_{word}", f"{word}_{name}") if word else (name,):
                    if key in lower:
                        parts.setdefault(split, {}).setdefault(field, lower[key])
    known = listed(list(headers), _NAMED) or "none"
    if "image" not in parts.get("train", {}):
        raise InputError(f"{path} has no array `image` (or images, x, x_train): it has {known}")
    if label_column is not None and "label" not in parts["train"]:
        raise InputError(f"{path} has no array {label_column!r} for the labels: it has {known}")
    if "held_out" in parts and parts["held_out"].keys() != parts["train"].keys():
        raise InputError(f"{path}: its held_out arrays do not have the same names as the others: {known}")
    return parts


def _number_classes(path: Path, splits: dict[str, Arrays], arrays: Arrays) -> tuple[tuple[str, ...], list[str]]:
    """The names of the classes and notes; the labels in `splits` become int64 (n,) from 0 on."""
    if "label" not in splits["train"]:
        return (), []
    parts = [_flat(part["label"]) for part in splits.values()]
    notes: list[str] = []
    if all(part.dtype.kind in "US" for part in parts):
        parts = [np.array([_text(value) for value in part]) for part in parts]
        names = sort_classes(value for part in parts for value in part.tolist())
        numbers = {name: number for number, name in enumerate(names)}
        parts = [np.array([numbers[value] for value in part.tolist()]) for part in parts]
    elif all(_from_zero(part) for part in parts):
        different = np.unique(np.concatenate(parts))
        classes = int(different[-1]) + 1
        if classes > MOST_CLASSES and classes > 2 * len(different):
            notes.append(f"the labels, {int(different[0])} to {classes - 1}, are numbered anew, in the same order")
            names = tuple(str(int(value)) for value in different)
            parts = [np.searchsorted(different, part) for part in parts]
        else:
            names = _names(arrays, "class_names", classes, notes)
    else:
        one_hot = "; of one-hot labels take label.argmax(1)" if parts[0].ndim == 2 else ""
        raise InputError(f"{path}: labels must be integers from 0 on or words, one for each picture{one_hot}")
    for part, labels in zip(splits.values(), parts, strict=True):
        part["label"] = labels.astype(np.int64)
    return names, notes


def _flat(labels: np.ndarray) -> np.ndarray:
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _from_zero(labels: np.ndarray) -> bool:
    if labels.ndim != 1 or labels.dtype.kind not in "biuf":
        return False
    whole = labels.dtype.kind != "f" or (np.isfinite(labels).all() and (labels == np.rint(labels)).all())
    return bool(whole and labels.min() >= 0)


def _names(arrays: Arrays, name: str, n: int, notes: list[str]) -> tuple[str, ...]:
    given = tuple(map(_text, arrays[name].reshape(-1).tolist())) if name in arrays else ()
    exact = len(given) == n or (len(given) > n and name == "class_names")  # classes may have no pictures
    if given and not exact and n:
        notes.append(f"{name} is not used: it has {len(given):,} names for {n:,}")
    return given if exact else tuple(map(str, range(n)))


def _check(path: Path, part: Arrays, names: dict[str, str]) -> None:
    image, what = part["image"], f"{path}: {names['image']}"
    if image.dtype.kind not in "biuf" or image.ndim not in (3, 4) or (image.ndim == 4 and image.shape[-1] not in (1, 3, 4)):
        hint = ""
        if image.ndim == 4 and image.shape[1] in (1, 3, 4):
            hint = ": put the channels last with transpose(0, 2, 3, 1)"
        elif image.ndim == 2:
            hint = ": reshape the rows to (n, height, width) or (n, height, width, channels)"
        raise InputError(f"{what} must be numbers (n, h, w) or (n, h, w, 1, 3 or 4), not {image.dtype} {image.shape}{hint}")
    if 0 in image.shape[1:]:
        raise InputError(f"{what}, {image.shape}, are pictures without pixels")
    lengths = {names[field]: len(array) if array.ndim else 0 for field, array in part.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"{path}: its arrays have different lengths: {lengths}")
    if "attributes" in part and (part["attributes"].ndim != 2 or part["attributes"].dtype.kind not in "biuf"):
        raise InputError(
            f"{path}: attributes must be numbers (n, k), not {part['attributes'].dtype} {part['attributes'].shape}"
        )


def _reader(part: Arrays, rows: np.ndarray) -> Any:
    def read(i: int) -> Example:
        row = rows[i]
        return Example(
            image=part["image"][row],
            label=int(part["label"][row]) if "label" in part else None,
            attributes=tuple(map(float, part["attributes"][row])) if "attributes" in part else (),
            captions=tuple(map(_text, np.atleast_1d(part["caption"][row]))) if "caption" in part else (),
        )

    return read
