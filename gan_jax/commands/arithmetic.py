"""Arithmetic on latent codes of a run: A - B + C on averages of exemplars, the paper's figure, and pixels as the control."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import numpy as np
import tyro

from gan_jax import images
from gan_jax.commands.codes import (
    Codes,
    Exemplars,
    enlarged,
    files_in,
    open_codes,
    results,
    write_codes,
    write_numbers,
)
from gan_jax.commands.flags import CodeFlags
from gan_jax.config import Weight, command
from gan_jax.evaluation.attributes import Wanted, all_hold, holds, transferred
from gan_jax.latents import arithmetic, mean_code, ring

NAMES = ("figure.png", "codes.npz", "arithmetic.json")
_SIDE = 3  # of the square of results
_SHOWN = 5  # exemplars of a column
_GAP = 16  # pixels between parts of the figure


@dataclass(frozen=True)
class Config(CodeFlags):
    """The flags of `arithmetic`."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    a: str
    """Exemplars of A in A - B + C: numbers of samples (7 or 3,7,12), attributes ('glasses,male'), or pictures (pics/)."""
    b: str
    """Exemplars of B, such as '!glasses,male'."""
    c: str
    """Exemplars of C, such as '!glasses,!male'."""
    ring: Weight = 0.25
    """Neighbours of the result: uniform noise of up to so much is added to each of its values."""
    rescale: Literal["means", "result", "none"] = "means"
    """Bring to the norm that codes have: each mean and the result, the result alone, or nothing (as in the paper)."""


@command
def main(config: Config) -> dict[str, Any]:
    """Write figure.png, codes.npz and arithmetic.json; returns arrays and numbers.

    `images` are the nine results uint8, the middle one of A - B + C itself, `z` their codes; `means` the pictures of the three
    means; `control` the same arithmetic on the exemplars' pixels. Where A, B and C were found by attributes, `wanted` has what
    the result should show, and the shares that do. Raises `InputError` for what cannot be had.
    """
    return of_codes(config, open_codes(config.run, config, "arithmetic"))


def of_codes(config: Config, codes: Codes, folder: Path | None = None) -> dict[str, Any]:
    """What `main` does, for a run that is open already; results go to `folder`, default that of the codes."""
    words = (config.a, config.b, config.c)
    norm = codes.trained.norms.typical
    with results(folder or codes.folder, NAMES, files_in(words), [codes.run]) as out:
        found = codes.exemplars(dict(zip("ABC", words, strict=True)))
        a, b, c = exemplars = [each.z for each in found]
        kept = None if config.rescale == "none" else norm
        code = arithmetic(a, b, c, kept, "result" if config.rescale == "result" else "means")
        z = np.asarray(ring(jax.random.key(config.seed), code, _SIDE**2, config.ring))
        means = np.stack([mean_code(each, norm if config.rescale == "means" else None) for each in exemplars])
        made = codes.render(np.concatenate([z, means]))
        squares, middles = made[: _SIDE**2], made[_SIDE**2 :]
        pixels, control = in_pixels(*(each.pictures for each in found))
        numbers = _measured(codes, found, squares, control) | _norms(exemplars, code, norm)
        images.save(figure([each.pictures for each in found], middles, squares, pixels, control), out / "figure.png")
        write_codes(out / "codes.npz", z=z, means=means, **dict(zip("abc", exemplars, strict=True)))
        asked = dict(zip("abc", words, strict=True)) | {"rescale": config.rescale, "ring": config.ring}
        write_numbers(out / "arithmetic.json", codes, {**asked, **numbers})
    for name, share in numbers.get("wanted", {}).items():
        print(f"{name:12}{share:.0%} of {_SIDE**2} results, {numbers['wanted_in_pixels'][name]:.0%} of the control in pixels")
    print("written: " + ", ".join(str(out / name) for name in ("figure.png", "codes.npz", "arithmetic.json")))
    return {"images": squares, "z": z, "means": middles, "control": control, **numbers}


def in_pixels(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The means of three sets of pictures uint8 (k, h, w, c), and a - b + c of these, cut off at black and white."""
    means = [each.mean(axis=0, dtype=np.float32) for each in (a, b, c)]
    return _bytes(np.stack(means)), _bytes(means[0] - means[1] + means[2])


def _bytes(pixels: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _norms(exemplars: Sequence[np.ndarray], code: Any, typical: float) -> dict[str, Any]:
    """Norms of the plain means, of the result, and of codes of the prior."""
    plain = {name: float(np.linalg.norm(z.mean(axis=0))) for name, z in zip("abc", exemplars, strict=True)}
    return {
        "exemplars": [len(z) for z in exemplars],
        "norm": {**plain, "result": float(np.linalg.norm(code)), "prior": typical},
    }


def _measured(codes: Codes, found: Sequence[Exemplars], squares: np.ndarray, control: np.ndarray) -> dict[str, Any]:
    """The shares of the results, and of the control, that show what they should; nothing where that is not known."""
    if not all(each.wanted for each in found):
        return {}
    a, b, c = (each.wanted for each in found)
    wanted = transferred(a, b, c)
    return {
        "wanted": _shares(codes, wanted, squares),
        "wanted_in_pixels": _shares(codes, wanted, control[None]),
        "read_by": codes.reader.about,
    }


def _shares(codes: Codes, wanted: Sequence[Wanted], pictures: np.ndarray) -> dict[str, float]:
    readings = codes.reader.read(pictures)
    shares = {str(each): float(holds(each, readings).mean()) for each in wanted}
    return shares | {"all": float(all_hold(wanted, readings).mean())}


def figure(
    columns: Sequence[np.ndarray], means: np.ndarray, squares: np.ndarray, pixels: np.ndarray, control: np.ndarray
) -> np.ndarray:
    """The sheet, uint8: columns of exemplars with the pictures of their means below; the square of results; and the control.

    Of the control: the means of the exemplars' pixels, and below them what A - B + C of these is (as figure 7 of Radford et
    al. 2015, arXiv:1511.06434).
    """
    rows = min(max(map(len, columns)), _SHOWN)
    blank = np.full_like(control, 255)
    above = [column[i] if i < len(column) else blank for i in range(rows) for column in columns]
    exemplars = images.grid(enlarged(np.stack(above)), 3)
    below = images.grid(enlarged(means), 3)
    sheets = [
        np.concatenate([_padded(exemplars, len(exemplars) + _GAP, 0), below]),
        images.grid(enlarged(squares), _SIDE),
        images.grid(enlarged(np.stack([*pixels, blank, control, blank])), 3),
    ]
    height = max(sheet.shape[0] for sheet in sheets)
    return np.concatenate([_padded(sheet, height) for sheet in sheets], axis=1)


def _padded(sheet: np.ndarray, height: int, gap: int = _GAP) -> np.ndarray:
    return np.pad(sheet, ((0, height - sheet.shape[0]), (0, gap), (0, 0)), constant_values=255)
