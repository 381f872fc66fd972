"""Checks of the named arrays of a batch or of a data set, before anything is computed."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.errors import InputError
from gan_jax.rows import chunks

IMAGES = ("image", "high", "low")
UNKNOWN = ("attributes",)  # may hold NaN where nothing is known
_ROUNDING = 1e-3  # beyond [-1, 1], as resizing and lower precision give
_ROWS = 4096  # examples looked at together: a mapped array may exceed the memory


def check_arrays(arrays: Mapping[str, Any], owner: str, classes: int = 0) -> None:
    """Raises `InputError` unless the arrays of `owner` can be played on.

    All have one length. Images (`image`, `high`, `low`) are (n, h, w, c), uint8 or floats in [-1, 1]; labels whole numbers
    (n,) from 0 on, below `classes` if that is known; others real numbers, floats finite. Of arrays that are traced, or of
    which only the shape is known, values are not looked at.
    """
    if not arrays:
        raise InputError(f"{owner} has no arrays: name them, such as {{'image': x}} or {{'image': x, 'label': y}}")
    lengths = {}
    for name, array in arrays.items():
        if not hasattr(array, "shape") or not hasattr(array, "dtype"):
            raise InputError(f"{owner}'s {name} is no array but {type(array).__name__}: convert it with np.asarray")
        if not array.shape:
            raise InputError(f"{owner}'s {name} is one number: every array has an example a row")
        if not _is_real(array.dtype):
            raise InputError(f"{_told(name, array, owner)}: arrays are of real numbers; leave it out, or convert it")
        lengths[name] = array.shape[0]
    if len(set(lengths.values())) > 1:
        raise InputError(f"{owner}'s arrays have different lengths, {lengths}: every example has a row in each")
    for name, array in arrays.items():
        if name in IMAGES and array.ndim > 2:  # a game may be on points under this name
            _check_image(name, array, owner)
        elif name == "label":
            _check_label(array, owner, classes)
        elif jnp.issubdtype(array.dtype, jnp.floating) and name not in UNKNOWN:
            low, high = _bounds(array)
            if not np.isfinite([low, high]).all():
                raise InputError(f"{_told(name, array, owner)} holds NaN or infinite numbers: leave these examples out")


def _check_image(name: str, array: Any, owner: str) -> None:
    told = _told(name, array, owner)
    if array.ndim != 4:
        cure = "; add the axis of channels, x[..., None]" if array.ndim == 3 else ""
        raise InputError(f"{told}: images are (n, height, width, channels){cure}")
    if array.shape[1] in (1, 3, 4) and array.shape[3] not in (1, 3, 4):
        raise InputError(f"{told}: images are (n, height, width, channels); put the channels last with transpose(0, 2, 3, 1)")
    if array.dtype == np.uint8:
        return
    wanted = "images are uint8, or floats in [-1, 1]"
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise InputError(f"{told}{_range(array)}: {wanted}; of numbers from 0 to 255 take x.astype(np.uint8)")
    low, high = _bounds(array)
    if not (low >= -1 - _ROUNDING and high <= 1 + _ROUNDING):
        raise InputError(f"{told}{_range(array)}: {wanted}; of floats from 0 to 255 take x / 127.5 - 1")


def _check_label(array: Any, owner: str, classes: int) -> None:
    told = _told("label", array, owner)
    if array.ndim != 1:
        cure = "label[:, 0]" if array.ndim == 2 and array.shape[1] == 1 else "of one-hot rows label.argmax(1)"
        raise InputError(f"{told}: labels are one whole number an example, (n,); take {cure}")
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise InputError(f"{told}{_range(array)}: labels are whole numbers from 0 on; take label.astype(np.int32)")
    low, high = _bounds(array)
    top = min(classes or 2**31, 2**31)
    if low < 0 or high >= top:
        most = f"below {classes}, the number of classes of the networks" if classes else "below 2^31"
        raise InputError(f"{told}{_range(array)}: labels are whole numbers from 0 on and {most}")


def _told(name: str, array: Any, owner: str) -> str:
    return f"{owner}'s {name}, {array.dtype} {tuple(array.shape)}"


def _range(array: Any) -> str:
    low, high = _bounds(array)
    return f" from {low:g} to {high:g}" if _is_known(array) and array.dtype != bool else ""


def _is_real(dtype: Any) -> bool:
    return any(jnp.issubdtype(dtype, kind) for kind in (jnp.bool_, jnp.integer, jnp.floating))


def _is_known(array: Any) -> bool:
    return not isinstance(array, jax.core.Tracer | jax.ShapeDtypeStruct) and bool(np.prod(array.shape))


def _bounds(array: Any) -> tuple[float, float]:
    """The smallest and the largest value, NaN if one is; (0, 0) where they are not known."""
    if not _is_known(array) or array.dtype.kind not in "iufbV":
        return 0.0, 0.0
    host = array if isinstance(array, np.ndarray) else np.asarray(array)
    parts = [(float(host[rows].min()), float(host[rows].max())) for rows in chunks(len(host), _ROWS)]
    lows, highs = zip(*parts, strict=True)
    return float(np.min(lows)), float(np.max(highs))
