"""Find directions in the latent space of a run, by principal components or for an attribute, and walk along each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from gan_jax import images
from gan_jax.commands.codes import Codes, enlarged, files_in, open_codes, results, write_codes, write_numbers
from gan_jax.commands.flags import CodeFlags
from gan_jax.config import Count, Rate, Within, command
from gan_jax.directions import LEAST, along, principal_directions, probe_direction
from gan_jax.errors import InputError
from gan_jax.evaluation.attributes import all_hold, parse_wanted

NAMES = ("walks.png", "codes.npz", "directions.json")
_MEASURED = 100  # codes along whose walks an attribute is read


@dataclass(frozen=True)
class Config(CodeFlags):
    """The flags of `directions`."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    pca: Count | None = None
    """Number of principal directions: those along which the features of samples vary most (default 5)."""
    attribute: str | None = None
    """In place of these, the direction towards samples with an attribute, such as glasses or hair=blond."""
    start: str = "0"
    """Where walks begin: numbers of samples, attributes or pictures; with --pca the first of them, with --attribute each."""
    extent: Rate = 4.0
    """How far walks go each way, in standard deviations of one value of a code."""
    columns: Annotated[int, Within(2, 1000)] = 9
    """Number of pictures of a walk."""


@command
def main(config: Config) -> dict[str, Any]:
    """Write walks.png, codes.npz and directions.json; returns arrays and numbers.

    `images` are the walks uint8 (rows, columns, h, w, c), one row a direction, or a starting code with `attribute`; `z` their
    codes; `directions` unit vectors. Raises `InputError` for what cannot be had.
    """
    if config.pca is not None and config.attribute is not None:
        raise InputError("--pca and --attribute: choose one of them")
    codes = open_codes(config.run, config, "directions")
    with results(codes.folder, NAMES, files_in([config.start]), [codes.run]) as out:
        start = codes.prepared({"start": config.start})
        amounts = config.extent * np.linspace(-1, 1, config.columns, dtype=np.float32)
        amounts *= codes.trained.norms.typical / codes.dim**0.5
        if config.attribute is None:
            vectors, numbers = _principal(codes, config.pca or 5)
        else:
            vectors, numbers = _probed(codes, config.attribute, amounts)
        begin = start()[0].z
        begin = begin if config.attribute else np.repeat(begin[:1], len(vectors), axis=0)
        each = np.broadcast_to(vectors, begin.shape)
        z = np.stack([np.asarray(along(code, vector, amounts)) for code, vector in zip(begin, each, strict=True)])
        walks = codes.render(z.reshape(-1, codes.dim)).reshape(*z.shape[:2], *codes.shape)
        images.save(images.grid(enlarged(walks.reshape(-1, *codes.shape)), config.columns), out / "walks.png")
        write_codes(out / "codes.npz", z=z, directions=vectors, amounts=amounts)
        write_numbers(out / "directions.json", codes, {"amounts": amounts.tolist(), **numbers})
    print("written: " + ", ".join(str(out / name) for name in ("walks.png", "codes.npz", "directions.json")))
    return {"images": walks, "z": z, "directions": vectors, **numbers}


def _principal(codes: Codes, k: int) -> tuple[np.ndarray, dict[str, Any]]:
    found = principal_directions(codes.features(codes.pictures), codes.z, k)
    shares = ", ".join(f"{share:.0%}" for share in found.shares)
    print(f"directions  explain {shares} of the variance of the features ({codes.network})")
    return found.vectors, {"shares": found.shares.tolist(), "features": str(codes.network)}


def _probed(codes: Codes, attribute: str, amounts: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """The direction (1, d) of an attribute, how well codes tell it, and the share that shows it at each step of walks."""
    wanted = codes.reader.understood(parse_wanted(attribute))
    shown = all_hold(wanted, codes.readings)
    if not LEAST <= shown.sum() <= len(shown) - LEAST:
        raise InputError(
            f"{shown.sum():,} of {len(shown):,} samples have {attribute}: a direction needs {LEAST} that have it, and {LEAST} "
            "that have it not; raise --search"
        )
    found = probe_direction(codes.z, shown, seed=codes.flags.seed)
    begin = codes.z[:_MEASURED]
    shares = []
    for amount in amounts:
        z = np.stack([np.asarray(along(code, found.vector, amount[None]))[0] for code in begin])
        shares.append(float(all_hold(wanted, codes.reader.read(codes.render(z))).mean()))
    print(
        f"direction   of {attribute}: {found.accuracy:.1%} of held-out codes are told rightly (the commoner answer: "
        f"{found.chance:.1%}); shown by {shares[0]:.0%} at one end of walks, {shares[-1]:.0%} at the other"
    )
    numbers = {"attribute": attribute, "accuracy": found.accuracy, "chance": found.chance, "shares": shares}
    return found.vector[None], numbers | {"read_by": codes.reader.about}
