"""Invert pictures: the latent codes of a run whose pictures come nearest to given ones, beside these, and how near."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from jaxtyping import PyTree

from gan_jax import images
from gan_jax.commands import given
from gan_jax.commands.codes import Codes, enlarged, open_codes, results, write_codes, write_numbers
from gan_jax.commands.flags import CodeFlags
from gan_jax.config import Count, command
from gan_jax.errors import InputError
from gan_jax.evaluation.restoration import feature_distance
from gan_jax.models.pretrained import read_weights
from gan_jax.runs.conditions import Rows

NAMES = ("pairs.png", "styles.png", "codes.npz", "project.json")


@dataclass(frozen=True)
class Config(CodeFlags):
    """The flags of `project`."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    pictures: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Picture files, folders of them, or an .npz with an array `image`."""
    n: Count = 16
    """Largest number of pictures."""
    to_caption: tuple[str, ...] = ()
    """In runs on captioned pictures render the codes with these captions too (style transfer, Reed et al. 2016, section 5.3);
    --caption is what the pictures themselves show."""


@command
def main(config: Config) -> dict[str, Any]:
    """Write pairs.png, codes.npz and project.json; returns arrays and numbers.

    `given` are the pictures as fitted, `images` the nearest ones of the generator, uint8, `z` their codes, `psnr` how near
    each is in dB, `losses` those of all restarts (n, restarts). A search that was interrupted goes on where it was kept.
    With `features` squeezenet also `features`, how different each looks from the given one to SqueezeNet (of `weights`).
    With `to_caption` also styles.png and `styles` (n, captions, h, w, c), each picture's code with each of these captions.
    Raises `InputError` for what cannot be had.
    """
    if not config.pictures:
        raise InputError("name picture files, a folder of them, or an .npz")
    codes = open_codes(config.run, config, "project")
    squeezenet = _squeezenet(config)
    asked = [codes.trained.ask(1, caption=text) for text in config.to_caption]  # bad captions are refused before the search
    with results(codes.folder, NAMES, config.pictures, [codes.run]) as out:
        targets, names = given.read_pictures(config.pictures, codes.shape, config.fit, config.n, "--n")
        found = codes.inverted(targets)
        made = images.to_uint8(found.images)
        images.save(_pairs(targets, made), out / "pairs.png")
        styles = _styles(codes, found.z, asked)
        if config.to_caption:
            rows_shown = np.concatenate([targets[:, None], made[:, None], styles], axis=1)  # n columns h w c
            sheet = images.grid(enlarged(rows_shown.reshape(-1, *codes.shape)), rows_shown.shape[1])
            images.save(sheet, out / "styles.png")
        arrays = {"z": found.z, "psnr": found.psnr, "losses": found.losses}
        write_codes(out / "codes.npz", **arrays, **codes.rows(len(found.z)))
        search = {name: getattr(config, name) for name in ("match", "restarts", "inversion_steps", "inversion_rate", "norm")}
        rows = [{"picture": name, "psnr": float(value)} for name, value in zip(names, found.psnr, strict=True)]
        means = {"psnr": float(np.mean(found.psnr))}
        if squeezenet is not None:
            arrays["features"] = feature_distance(squeezenet, made, targets)
            rows = [row | {"features": float(value)} for row, value in zip(rows, arrays["features"], strict=True)]
            means["features"] = float(np.mean(arrays["features"]))
        told = {"to_caption": list(config.to_caption)} if config.to_caption else {}
        numbers = {**search, **told, "pictures": rows, **means}
        write_numbers(out / "project.json", codes, numbers)
    for row in rows:
        features = f", features {row['features']:.3f}" if "features" in row else ""
        print(f"{row['psnr']:6.1f} dB{features}   {row['picture']}")
    print(f"written: {out / 'pairs.png'} (given above, the generator's below), {out / 'codes.npz'}, {out / 'project.json'}")
    if config.to_caption:
        print(f"written: {out / 'styles.png'}: given, the generator's, and with the captions {', '.join(config.to_caption)}")
    return {"given": targets, "images": made, **arrays, **({"styles": styles} if config.to_caption else {})}


def _squeezenet(config: Config) -> PyTree | None:
    """SqueezeNet's variables if it is named; raises `InputError` without weights or for another network's."""
    return read_weights(config.weights, "squeezenet")[0] if config.features == "squeezenet" else None


def _styles(codes: Codes, z: np.ndarray, asked: Sequence[Rows]) -> np.ndarray:
    """The pictures of codes (n, d) as asked for by each of k rows, (n, k, h, w, c)."""
    made = [replace(codes, asked=rows).render(z) for rows in asked]
    return np.stack(made, axis=1) if made else np.empty((len(z), 0, *codes.shape), np.uint8)


def _pairs(targets: np.ndarray, made: np.ndarray, columns: int = 8) -> np.ndarray:
    """The sheet: rows of given pictures, each with the generator's below."""
    rows = []
    for start in range(0, len(targets), columns):
        above, below = targets[start : start + columns], made[start : start + columns]
        blank = np.full((min(columns, len(targets)) - len(above), *targets.shape[1:]), 255, np.uint8)
        rows += [above, blank, below, blank]
    return images.grid(enlarged(np.concatenate(rows)), min(columns, len(targets)))
