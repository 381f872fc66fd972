"""What named arrays must be, told before anything is computed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.arrays import check_arrays
from gan_jax.data import Order, Rounds
from gan_jax.errors import InputError

PICTURES = np.zeros((5, 4, 4, 3), np.uint8)
LABELS = np.arange(5)

GOOD = {
    "pictures and labels": {"image": PICTURES, "label": LABELS},
    "floats": {"image": PICTURES - np.float32(1), "low": PICTURES.astype(np.float16), "high": PICTURES + jnp.bfloat16(1)},
    "points of this name": {"image": np.full((5, 2), 7.0)},
    "unknown attributes": {"attributes": np.full((5, 2), np.nan)},
    "shapes alone": {"image": jax.ShapeDtypeStruct((2, 4, 4, 3), jnp.float32), "label": jax.ShapeDtypeStruct((2,), jnp.int32)},
    "labels of many kinds": {"label": LABELS.astype(np.uint16)},
}

WRONG = {
    "nothing": ({}, "has no arrays|x has no arrays"),
    "a list": ({"image": [1, 2]}, "x's image is no array but list: convert it with np.asarray"),
    "a number": ({"point": np.float32(1)}, "point is one number"),
    "lengths": ({"image": PICTURES, "label": LABELS[:3]}, r"different lengths, \{'image': 5, 'label': 3\}"),
    "no channels": ({"image": PICTURES[..., 0]}, r"image, uint8 \(5, 4, 4\).*add the axis of channels"),
    "channels first": ({"image": np.zeros((5, 3, 8, 8), np.uint8)}, "transpose"),
    "integers": ({"image": PICTURES.astype(np.int64) + 9}, r"int64 \(5, 4, 4, 3\) from 9 to 9: .*astype\(np.uint8\)"),
    "booleans": ({"high": PICTURES > 0}, "bool.*images are uint8"),
    "floats to 255": ({"image": np.linspace(0, 255, 240).reshape(5, 4, 4, 3)}, "from 0 to 255: .*127.5"),
    "signed floats": ({"low": PICTURES - 1.1}, "from -1.1 to -1.1"),
    "an image with NaN": ({"image": np.where(PICTURES == 0, np.nan, 0)}, "from nan to nan"),
    "points with NaN": ({"point": np.array([[1.0, np.nan]])}, "point, float64 .* holds NaN"),
    "float labels": ({"label": LABELS / 2}, "label, float64 .*from 0 to 2: labels are whole numbers"),
    "negative labels": ({"label": LABELS - 1}, "from -1 to 3: labels are whole numbers from 0 on"),
    "too many labels": ({"label": LABELS * 10**9}, "from 0 to 4e.09: .*below 2.31"),
    "labels with an axis": ({"label": LABELS[:, None]}, r"label\[:, 0\]"),
    "objects": ({"point": np.array([None] * 5)}, r"point, object \(5,\): arrays are of real numbers"),
    "text": ({"point": np.array(["a"] * 5)}, "arrays are of real numbers"),
    "complex numbers": ({"point": np.ones(5, complex)}, "complex128.*arrays are of real numbers"),
    "one-hot labels": ({"label": np.eye(5)}, "argmax"),
}


@pytest.mark.parametrize("kind", GOOD)
def test_what_can_be_played_on(kind: str) -> None:
    check_arrays(GOOD[kind], "x")


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_refused(kind: str) -> None:
    arrays, message = WRONG[kind]
    with pytest.raises(InputError, match=message):
        check_arrays(arrays, "x")


def test_arrays_of_jax() -> None:
    with pytest.raises(InputError, match=r"image, int32 \(5, 4, 4, 3\) from 9 to 9"):
        check_arrays({"image": jnp.asarray(PICTURES.astype(np.int32) + 9)}, "x")
    jax.jit(lambda x: check_arrays({"image": x}, "x"))(jnp.full((5, 4, 4, 3), 9.0))  # values are not known


def test_labels_of_more_classes_than_the_networks_have() -> None:
    check_arrays({"label": LABELS}, "x", classes=5)
    with pytest.raises(InputError, match="from 0 to 4: labels are whole numbers from 0 on and below 4, the number of classes"):
        check_arrays({"label": LABELS}, "x", classes=4)


def test_values_beyond_the_first_rows_are_seen() -> None:
    labels = np.zeros(10_000, int)
    labels[-1] = -1
    with pytest.raises(InputError, match="from -1 to 0"):
        check_arrays({"label": labels}, "x")


def test_rounds_are_checked() -> None:
    with pytest.raises(InputError, match="different lengths"):
        Rounds({"image": PICTURES, "label": LABELS[:3]}, Order(0, 5, 2))
    with pytest.raises(InputError, match=r"order is of 6 examples, and the data have 5: take Order\(seed, 5, batch\)"):
        Rounds({"image": PICTURES}, Order(0, 6, 2))
