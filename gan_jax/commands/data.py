"""Inspect data before training: `data check PATH` reports, `data preview PATH` shows what the networks will see."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from gan_jax import images
from gan_jax.augment import AUGMENTATIONS, AugmentName
from gan_jax.data import Order, PictureFlags, Rounds, VariationFlags
from gan_jax.data.check import check
from gan_jax.data.load import open_source
from gan_jax.errors import InputError
from gan_jax.rows import evenly


@dataclass(frozen=True)
class Config(VariationFlags, PictureFlags):
    """The flags of `data`."""

    action: Annotated[Literal["check", "preview"], tyro.conf.Positional] = "check"
    """check: counts, sizes, kinds, duplicates, unreadable files, recommended settings. preview: pictures as trained on."""
    path: Annotated[str | None, tyro.conf.Positional] = None
    """The data, as for --data."""
    image_size: str = "64"
    """Height and width of the pictures, such as 64 or 64x96."""
    augment: AugmentName = "none"
    """Preview: what the discriminator sees in place of the pictures."""
    strength: float = 0.6
    """Preview: the probability p of ADA's transformations, which training finds by itself."""
    seed: int = 0
    """Preview: random seed for the variations."""
    out: Path | None = None
    """The sheet to write; default real.png for check, preview.png for preview."""


def main(config: Config) -> None:
    """Print the report and write its sheet, or write the preview; raises `InputError` for data that cannot be used."""
    if config.path is not None:
        config = replace(config, data=config.path)
    if config.action == "check":
        source = open_source(config.data, config.size, split=config.split, held_out=config.held_out, limit=config.limit)
        report = check(source, config.size, config.fit)
        print(report)
        _write(images.grid(report.pictures), config.out or Path("real.png"), config.size)
    else:
        _write(preview(config), config.out or Path("preview.png"), config.size)


def preview(config: Config, columns: int = 12) -> np.ndarray:
    """A sheet: a row of pictures as they are prepared, three as rounds bring them, and three as the discriminator sees them."""
    dataset = config.load()
    columns = min(columns, len(dataset))
    arrays = {"image": dataset.train["image"][evenly(len(dataset), columns)]}
    rounds = Rounds(arrays, Order(config.seed, columns, columns), vary=config.variations())
    rows = [arrays["image"]]
    for step in range(3):
        drawn = rounds.finish({name: jnp.asarray(value) for name, value in rounds.load(step).items()})["image"]
        rows.append(np.asarray(drawn)[np.argsort(rounds.plan(step)["index"])])
    if config.augment != "none":
        rows += [_augmented(arrays["image"], config, jax.random.key(config.seed + row)) for row in range(3)]
    return images.grid(np.concatenate(rows), columns)


def _augmented(pictures: np.ndarray, config: Config, key: jax.Array) -> np.ndarray:
    augment = AUGMENTATIONS[config.augment]
    state = augment.init()
    if "p" in state:
        state = state | {"p": jnp.float32(config.strength)}
    return images.to_uint8(augment.apply(images.to_float(pictures), key, state))


def _write(sheet: np.ndarray, path: Path, size: tuple[int, int]) -> None:
    try:
        images.save(sheet, path, scale=images.enlargement(size[0]))
    except (OSError, KeyError) as error:
        raise InputError(f"cannot write {path}: {error}; choose another --out, ending in .png") from error
    print(f"written: {path}")
