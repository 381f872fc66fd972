"""Inspect data before training: `data check PATH` reports, `data preview PATH` shows what the networks will see.

`data cache list` shows the decoded pictures that are kept, `data cache clear` removes them.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from gan_jax import images
from gan_jax.augment import AUGMENTATIONS, AugmentName
from gan_jax.config import Seed, Within, command
from gan_jax.data import Order, PictureFlags, Rounds, VariationFlags
from gan_jax.data.check import Report, check
from gan_jax.data.ranges import parse_range
from gan_jax.data.store import Store
from gan_jax.errors import InputError
from gan_jax.files import check_apart, exists, place
from gan_jax.rows import evenly

LARGEST_SHEET = 1 << 28  # bytes of pictures on a preview; it has fewer columns rather


@dataclass(frozen=True)
class Config(VariationFlags, PictureFlags):
    """The flags of `data`."""

    action: Annotated[Literal["check", "preview", "cache"], tyro.conf.Positional] = "check"
    """check: counts, sizes, kinds, duplicates, unreadable files, recommended settings. preview: pictures as trained on.
    cache: the kept pictures, features and classifiers."""
    path: Annotated[str | None, tyro.conf.Positional] = None
    """The data, as for --data. Of cache: list or clear."""
    image_size: str = "64"
    """Height and width of the pictures, such as 64 or 64x96."""
    augment: AugmentName = "none"
    """Preview: what the discriminator sees in place of the pictures."""
    strength: Annotated[float, Within(0, 1)] = 0.6
    """Preview: the probability p of ADA's transformations, which training finds by itself."""
    seed: Seed = 0
    """Preview: random seed for the variations."""
    out: Path | None = None
    """The sheet to write; default real.png for check, preview.png for preview, or real-2.png where that is not ours."""


@command
def main(config: Config) -> Report | np.ndarray | str:
    """Print the report and write its sheet, write the preview, or list or clear the cache.

    Returns the report, the preview (h, w, c), or the list. Raises `InputError` for data that cannot be used, and for a sheet
    that would lie on or in the data.
    """
    if config.action == "cache":
        listed = cache(config.path or "list")
        print(listed)
        return listed
    if config.path is not None:
        config = replace(config, data=config.path)
    out = _place(config)
    if config.action == "check":
        report = check(config.source(), config.size, config.fit, parse_range(config.range))
        print(report)
        sheet = images.grid(report.pictures)
        result: Report | np.ndarray = report
    else:
        result = sheet = preview(config)
    if out is None:
        print("no sheet is written, since it would lie in the data: name a place with --out")
    else:
        _write(sheet, out, config.size)
    return result


def cache(action: str) -> str:
    """What the cache holds, a line each, or what was removed from it; raises `InputError` for another action."""
    store = Store()
    if action not in ("list", "clear"):
        raise InputError(f"data cache {action[:100]}: choose list or clear")
    kept = store.clear() if action == "clear" else store.entries()
    total = sum(entry.nbytes for entry in kept)
    lines = [f"{entry.nbytes / 1e6:12,.1f} MB  {entry.path.name}  {entry.about}".rstrip() for entry in kept]
    return "\n".join([*lines, f"{total / 1e6:12,.1f} MB {'removed from' if action == 'clear' else 'in'} {store.folder}"])


def _place(config: Config) -> Path | None:
    """Where the sheet goes, and nowhere if the default is in the data; raises `InputError` for such an --out."""
    out = config.out or images.default_place(Path("real.png" if config.action == "check" else "preview.png"))
    inputs = [config.data] if exists(place(config.data)) else []
    try:
        check_apart(out, inputs)
    except InputError:
        if config.out is not None:
            raise
        return None
    return out


def preview(config: Config, columns: int = 12) -> np.ndarray:
    """A sheet: a row of pictures as they are prepared, three as rounds bring them, and three as the discriminator sees them."""
    dataset = config.load()
    rows_shown = 7 if config.augment != "none" else 4
    fitting = LARGEST_SHEET // (rows_shown * dataset.train["image"][0].nbytes)
    columns = max(1, min(columns, len(dataset), fitting))
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
