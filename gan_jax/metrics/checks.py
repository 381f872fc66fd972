"""Checks that all metrics make of their arrays."""

import numpy as np
from jax import Array

from gan_jax.errors import InputError


def require_features(name: str, least: int, *sets: np.ndarray | Array) -> None:
    """Raises `InputError` unless each set is (n, d) with n of at least `least`, the same d, and finite."""
    shapes = [x.shape for x in sets]
    if any(len(shape) != 2 for shape in shapes) or len({shape[1] for shape in shapes}) != 1:
        raise InputError(f"{name} compares features (n, d) with the same d, not {' and '.join(map(str, shapes))}")
    if min(shape[0] for shape in shapes) < least:
        raise InputError(f"{name} needs at least {least} examples of each, not {min(shape[0] for shape in shapes)}")
    for x in sets:
        bad = int(np.sum(~np.isfinite(np.asarray(x)).all(axis=1)))
        if bad:
            raise InputError(f"{name}: {bad} of {len(x)} examples have features that are not finite; look at the samples")
