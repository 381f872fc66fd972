"""Embeddings of captions from a file, made by any encoder."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from gan_jax.data import captions
from gan_jax.data.dataset import Arrays, Dataset
from gan_jax.data.npz_files import headers_of, read_arrays
from gan_jax.errors import InputError
from gan_jax.files import identity, place
from gan_jax.listing import listed

_NAMED = 3  # captions in a message


def with_embeddings(dataset: Dataset, path: Path) -> Dataset:
    """The data with `text` float32 (n, k, d), each caption's embedding in the file, brought to a mean square of 1.

    The file has `caption`, m strings, and `text`, numbers (m, d): in any order, each caption once or more. Captions that the
    data have cut are found by what is left of them. Raises `InputError` for a file that lacks either, whose rows do not belong
    together or differ for one caption, or that lacks a caption of the data.
    """
    known, vectors = _read(place(path), np.asarray(dataset.train["caption"]).shape[-1])
    parts = [_looked_up(arrays, known, vectors, path) if arrays else {} for arrays in (dataset.train, dataset.held_out)]
    stored = identity([dataset.fingerprint, vectors.tobytes(), *sorted(known)])
    return replace(dataset, train=parts[0], held_out=parts[1], stored_fingerprint=stored)


def _read(path: Path, length: int) -> tuple[dict[str, list[int]], np.ndarray]:
    headers = headers_of(path)
    if missing := [name for name in ("caption", "text") if name not in headers]:
        raise InputError(
            f"{path} has no array {missing[0]!r}: it has {', '.join(headers) or 'none'}. Without the captions the order of "
            "embeddings cannot be checked: np.savez(path, caption=texts, text=embeddings)"
        )
    arrays = read_arrays(path, headers, ["caption", "text"])
    texts, vectors = arrays["caption"], arrays["text"]
    if texts.dtype.kind not in "US" or texts.ndim != 1:
        raise InputError(f"{path}: caption must be strings (m,), not {texts.dtype} {texts.shape}")
    if vectors.dtype.kind != "f" or vectors.ndim != 2 or len(vectors) != len(texts) or not vectors.size:
        raise InputError(
            f"{path}: text must be floats ({len(texts)}, d), one row a caption, not {vectors.dtype} {vectors.shape}"
        )
    if not np.isfinite(vectors).all():
        raise InputError(f"{path}: text holds NaN or infinite numbers")
    numbers: dict[str, list[int]] = {}
    for i, row in enumerate(captions.encode([(_text(text),) for text in texts.tolist()], length)[:, 0]):
        numbers.setdefault(captions.decode(row).strip(), []).append(i)
    return numbers, vectors.astype(np.float32)


def _text(text: str | bytes) -> str:
    return text.decode(errors="replace") if isinstance(text, bytes) else text


def _looked_up(arrays: Arrays, known: dict[str, list[int]], vectors: np.ndarray, path: Path) -> Arrays:
    rows = np.asarray(arrays["caption"])
    length = rows.shape[-1]
    unique, inverse = np.unique(rows.reshape(-1, length), axis=0, return_inverse=True)
    texts = [captions.decode(row).strip() for row in unique]
    if missing := [text for text in texts if text not in known]:
        shown = listed([repr(text) for text in missing], _NAMED)
        raise InputError(f"{path} has no embedding of {len(missing):,} of {len(texts):,} captions: {shown}")
    found = vectors[[known[text][0] for text in texts]]
    for text, vector in zip(texts, found, strict=True):
        if not vector.any() or (vectors[known[text]] != vector).any():
            what = "is all zeros" if not vector.any() else f"differs from another of it: captions are read up to {length} bytes"
            raise InputError(f"{path}: the embedding of {text[:100]!r} {what}")
    found /= np.sqrt(np.mean(found**2, axis=1, keepdims=True)) + 1e-6
    return arrays | {"text": found[inverse.reshape(-1)].reshape(*rows.shape[:2], -1)}
