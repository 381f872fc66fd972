"""Scikit-learn's 1,797 handwritten digits, which come with the package: real data without a network.

Test part of UCI's "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak 1998): scans of 43 writers, counted down to
8x8 with values 0 to 16.
"""

import numpy as np
from PIL import Image

from gan_jax.data.dataset import Dataset

HELD_OUT = 360


def digits(size: int = 32) -> Dataset:
    """The digits, bicubically enlarged to (size, size, 1): 1,437 to train on, 360 held out by a fixed shuffle."""
    from sklearn.datasets import load_digits  # 0.5 s

    data = load_digits()
    images = np.stack([_enlarge(image, size) for image in data.images])[..., None]
    labels = data.target.astype(np.int32)
    order = np.random.Generator(np.random.Philox(key=0)).permutation(len(labels))
    train, held_out = order[HELD_OUT:], order[:HELD_OUT]
    return Dataset(
        name="digits",
        train={"image": images[train], "label": labels[train]},
        held_out={"image": images[held_out], "label": labels[held_out]},
        class_names=tuple("0123456789"),
    )


def _enlarge(image: np.ndarray, size: int) -> np.ndarray:
    """(8, 8) with values 0 to 16 to (size, size) uint8."""
    picture = Image.fromarray(image.astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC)
    return np.clip(np.rint(np.asarray(picture) * (255 / 16)), 0, 255).astype(np.uint8)
