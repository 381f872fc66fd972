"""The 1,797 handwritten digits that come with scikit-learn: real data without a download.

Test part of UCI's "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak 1998): scans of 43 writers, reduced to
8x8 pixels with values 0 to 16.
"""

import numpy as np
from PIL import Image

from gan_jax.data.dataset import Dataset
from gan_jax.data.source import Example, Source, Split

HELD_OUT = 360


def digits(size: int | tuple[int, int] = 32) -> Dataset:
    """The digits in memory, enlarged bicubically to `size`: 1,437 to train on and 360 held out, by a fixed shuffle."""
    source = digits_source((size, size) if isinstance(size, int) else size)
    arrays = {}
    for name, split in source.splits.items():
        examples = [split.read(i) for i in range(split.size)]
        images = np.stack([np.asarray(example.image) for example in examples])[..., None]
        arrays[name] = {"image": images, "label": np.array([example.label for example in examples], np.int32)}
    return Dataset(source.name, arrays["train"], arrays["held_out"], class_names=source.class_names)


def digits_source(size: tuple[int, int]) -> Source:
    """The digits as a `Source` at `size` (height, width); a size that is not square is padded with black."""
    from sklearn.datasets import load_digits  # takes 0.5 s

    data = load_digits()
    order = np.random.Generator(np.random.Philox(key=0)).permutation(len(data.target))

    def split(chosen: np.ndarray) -> Split:
        return Split(len(chosen), lambda i: Example(_enlarge(data.images[chosen[i]], size), label=int(data.target[chosen[i]])))

    return Source(
        name="digits",
        identity=f"digits of scikit-learn, drawn at {size}",
        splits={"train": split(order[HELD_OUT:]), "held_out": split(order[:HELD_OUT])},
        class_names=tuple("0123456789"),
    )


def _enlarge(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image (8, 8) with values 0 to 16 as uint8 (height, width)."""
    side = min(size)
    picture = Image.fromarray(image.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
    square = np.clip(np.rint(np.asarray(picture) * (255 / 16)), 0, 255).astype(np.uint8)
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    return np.pad(square, ((top, size[0] - side - top), (left, size[1] - side - left)))
