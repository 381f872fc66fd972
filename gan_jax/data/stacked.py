"""Stacked digits: three grey pictures of ten classes as the colours of one, 1,000 modes that are known.

"Stacked MNIST" of Metz et al. 2016 (arXiv:1611.02163, section 3.3.1) and Srivastava et al. 2017 (arXiv:1705.07761, section
5.1).
"""

import jax.numpy as jnp
import numpy as np

from gan_jax.data.dataset import Arrays, Dataset, Drawn
from gan_jax.data.variation import Batch, Planned, Shapes, Variation
from gan_jax.errors import InputError
from gan_jax.files import identity

COLOURS = ("red", "green", "blue")
STACKED = {"stacked_mnist": "mnist"}  # by name, the data that are stacked
FIXED, HELD_OUT = 26_000, 10_000  # fixed examples to compare with; papers score 25,600 or 26,000 samples


def stacked() -> Variation:
    """Each example is three grey images, drawn independently, one a colour channel: (b, 3, h, w, 1) to (b, h, w, 3).

    Raises `InputError`, by `Rounds`, for images with colour, or where there are none.
    """

    def plan(generator: np.random.Generator, n: int, shapes: Shapes) -> Planned:
        return {}  # `Rounds` draws the rows

    def finish(batch: Batch, planned: Batch) -> Batch:
        return batch | {"image": jnp.moveaxis(batch["image"][..., 0], 1, -1)}

    def check(shapes: Shapes) -> None:
        if "image" not in shapes or shapes["image"].shape[-1] != 1:
            found = f"images of {shapes['image'].shape[-1]} channels" if "image" in shapes else ", ".join(shapes)
            raise InputError(f"only grey images can be stacked, and here are {found}: load them with one channel")

    return Variation(plan, finish, check, rows=len(COLOURS))


def stack(name: str, grey: Dataset, n: int = FIXED, held_out: int = HELD_OUT, seed: int = 0) -> Dataset:
    """Training examples drawn anew in each round from the grey images of `grey`, three an example.

    `train` and `held_out` are fixed sets of `n` and `held_out` examples, functions of the seed: `image` uint8 (n, h, w, 3), and
    `digits` int32 (n, 3), the classes in the three channels. Held-out examples are made of held-out images.
    """
    held = _fixed(grey.held_out, held_out, [seed, 1]) if grey.held_out else {}
    return Dataset(
        name,
        _fixed(grey.train, n, [seed, 0]),
        held,
        notes=(*grey.notes, f"drawn anew in each round from {len(grey):,} grey pictures, three an example"),
        stored_fingerprint=identity([name, grey.fingerprint, str((n, held_out, seed)), str(grey.train["image"].shape)]),
        drawn=Drawn({"image": grey.train["image"]}, (stacked(),)),
    )


def trimmed(grey: Dataset, border: int) -> Dataset:
    """Without `border` pixels at each side."""

    def trim(arrays: Arrays) -> Arrays:
        return arrays | {"image": arrays["image"][:, border:-border, border:-border]} if arrays else {}

    return Dataset(
        grey.name,
        trim(grey.train),
        trim(grey.held_out),
        grey.class_names,
        notes=grey.notes,
        stored_fingerprint=grey.fingerprint,
    )


def _fixed(grey: Arrays, n: int, key: list[int]) -> Arrays:
    size = len(grey["image"])
    chosen = np.random.Generator(np.random.Philox(key=key)).integers(size, size=(n, len(COLOURS)))
    image = np.empty((n, *grey["image"].shape[1:3], len(COLOURS)), np.uint8)
    for channel in range(len(COLOURS)):
        image[..., channel] = np.asarray(grey["image"])[chosen[:, channel], ..., 0]
    return {"image": image, "digits": np.asarray(grey["label"], np.int32)[chosen]}
