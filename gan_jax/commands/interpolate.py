"""Walk through latent codes of a run: a film, a strip of frames, the codes, and how far the picture moves in each step."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import tyro

from gan_jax import images
from gan_jax.commands.codes import Codes, enlarged, files_in, open_codes, results, write_codes, write_numbers
from gan_jax.commands.flags import CodeFlags
from gan_jax.config import MOST, Within, command
from gan_jax.data.captions import decode
from gan_jax.errors import InputError
from gan_jax.latents import Walk, mean_code, walk
from gan_jax.rows import evenly
from gan_jax.runs.between import between_classes

_STOPS = 6  # by default
_SHOWN = 12  # frames on the strip


NAMES = ("strip.png", "walk.webp", "walk.mp4", "codes.npz", "interpolate.json")


class _Walk(NamedTuple):
    """Frames uint8 (n, h, w, c), or (stops, n, h, w, c) from class to class; the arrays of codes.npz; what was asked for."""

    frames: np.ndarray
    arrays: dict[str, np.ndarray]
    asked: dict[str, Any]


@dataclass(frozen=True)
class Config(CodeFlags):
    """The flags of `interpolate`."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    through: tuple[str, ...] = tuple(map(str, range(_STOPS)))
    """The stops of the walk: numbers of samples (7), attributes ('glasses,!male'), or pictures (face.png, pics/), which are
    inverted first. Several exemplars of a stop (3,7,12) are averaged."""
    walk: Walk = "slerp"
    """Path between the codes of the stops: lerp is straight, slerp follows the sphere, spline is smooth at the stops too."""
    frames: Annotated[int, Within(2, MOST)] = 120
    """Number of frames."""
    to_label: str | None = None
    """In class-conditional runs walk from the class --label to this one, at each of the stops, a row each."""
    closed: bool = False
    """Go back to the first stop, so that the film has no seam."""
    to_caption: str | None = None
    """In runs on captioned pictures walk from --caption to this one, straight between their embeddings, at each of the stops,
    a row each."""
    seconds: Annotated[float, Within(0, 3600, open_least=True)] = 8.0
    """How long the film is; its last frame stands for a second more, unless it is closed."""


@command
def main(config: Config) -> dict[str, Any]:
    """Write walk.webp (and mp4), strip.png, codes.npz and interpolate.json; returns arrays and numbers.

    `images` are the frames uint8 (n, h, w, c), `z` their codes, `stops` those of the stops, `steps` the distances from frame to
    frame in features. From class to class or caption to caption `images` are (stops, n, h, w, c), `z` the codes of the stops,
    `steps` a row for each, and `text` the embeddings of the captions. Raises `InputError` for what cannot be had.
    """
    _require_walk(config)
    return of_codes(config, open_codes(config.run, config, "interpolate"))


def _require_walk(config: Config) -> None:
    between = [f"--to-{name}" for name in ("label", "caption") if getattr(config, f"to_{name}") is not None]
    if len(between) > 1:
        raise InputError(f"{' and '.join(between)}: choose one of them")
    if between and config.closed:
        raise InputError(f"--closed is for walks through stops, and {between[0]} ends at another place: leave it out")
    if len(config.through) < (1 if between else 2):
        raise InputError(f"--through: name {'a stop' if between else '2 stops'} or more")


def of_codes(config: Config, codes: Codes, out: Path | None = None) -> dict[str, Any]:
    """What `main` does, for a run that is open already; results go to `out`, default the folder of the codes."""
    with results(out or codes.folder, NAMES, files_in(config.through), [codes.run]) as folder:
        network = codes.network  # what it lacks is told before pictures are inverted
        made = _walk_of(config, codes)
        told = {**made.asked, **_measured(codes, made.frames, config.closed), "features": str(network)}
        files = [*_shown(config, made.frames, folder), folder / "codes.npz", folder / "interpolate.json"]
        write_codes(folder / "codes.npz", **made.arrays)
        write_numbers(folder / "interpolate.json", codes, told)
    ratio = told["largest_over_median"]
    step = f"by {told['median']:.3g} in the median, at most by {ratio:.2f} times that"
    print(f"a step      moves the features ({codes.network}) {step}")
    print(f"written: {', '.join(map(str, files))}")
    return {"images": made.frames, **made.arrays, **told}


def _walk_of(config: Config, codes: Codes) -> _Walk:
    if config.to_label is not None:
        return _between_classes(config, codes, config.to_label)
    if config.to_caption is not None:
        return _between_captions(config, codes, config.to_caption)
    codes.trained.require_room(config.frames)
    stops = _stops(config, codes)
    z = np.asarray(walk(stops, config.frames, config.walk, config.closed))
    arrays = {"z": z, "stops": stops, **codes.rows(len(z))}
    return _Walk(codes.render(z), arrays, {"walk": config.walk, "through": list(config.through)})


def _between_classes(config: Config, codes: Codes, last: str) -> _Walk:
    """From one class to another at the codes of the stops."""
    trained = codes.trained
    if not trained.classes:
        raise InputError(f"--to-label: {config.run} was trained without classes")
    ends = [int(codes.asked["label"][0]), int(trained.ask(1, label=last)["label"][0])]
    trained.require_room(config.frames * len(config.through))
    z = _stops(config, codes)
    label = np.full(len(z), ends[0], np.int32)
    shares = np.linspace(0, 1, config.frames)
    moments = [between_classes(trained, ends[0], ends[1], float(t)).render(z=z, label=label) for t in shares]
    told = {"from": trained.classes[ends[0]], "to": trained.classes[ends[1]], "through": list(config.through)}
    return _Walk(np.stack(moments, axis=1), {"z": z, "label": label, "shares": shares}, told)


def _between_captions(config: Config, codes: Codes, last: str) -> _Walk:
    """From one caption to another at the codes of the stops."""
    trained = codes.trained
    text = np.concatenate([trained.embed(1, **codes.asked), trained.embed(1, caption=last)])
    trained.require_room(config.frames * len(config.through))
    z = _stops(config, codes)
    shares = np.linspace(0, 1, config.frames, dtype=np.float32)
    mixed = [np.tile((1 - t) * text[0] + t * text[1], (len(z), 1)) for t in shares]
    moments = [trained.render(config.seed, z=z, text=each) for each in mixed]
    told = {"from": decode(codes.asked["caption"][0]), "to": last, "through": list(config.through)}
    return _Walk(np.stack(moments, axis=1), {"z": z, "text": text, "shares": shares}, told)


def _stops(config: Config, codes: Codes) -> np.ndarray:
    """The codes of the stops (k, d): a single code as it is, the mean of several at the norm that codes have."""
    found = codes.exemplars({f"stop {i}": word for i, word in enumerate(config.through, 1)})
    norm = codes.trained.norms.typical
    return np.stack([np.asarray(each.z[0] if len(each.z) == 1 else mean_code(each.z, norm)) for each in found])


def _measured(codes: Codes, frames: np.ndarray, closed: bool) -> dict[str, Any]:
    """Distances of successive frames (n, h, w, c) or (rows, n, h, w, c) in features, their median and largest.

    One that is many times the median is a jump.
    """
    features = codes.features(frames.reshape(-1, *codes.shape)).reshape(*frames.shape[:-3], -1)
    following = np.roll(features, -1, axis=-2)
    steps = np.linalg.norm(following - features, axis=-1)  # the last one closes the walk
    steps = steps if closed else steps[..., :-1]
    median, largest = float(np.median(steps)), float(steps.max())
    ratio = largest / median if median > 0 else float(largest > 0)
    return {"steps": steps.tolist(), "median": median, "largest": largest, "largest_over_median": ratio}


def _shown(config: Config, frames: np.ndarray, folder: Path) -> list[Path]:
    """The strip, a row of moments for each row of frames, and the film, of all rows at once; the files."""
    rows = frames[None] if frames.ndim == 4 else frames
    chosen = evenly(rows.shape[1], _SHOWN)
    strip = rows[:, chosen].reshape(-1, *rows.shape[2:])
    images.save(images.grid(enlarged(strip), len(chosen)), folder / "strip.png")
    moments = [enlarged(rows[:, i]) for i in range(rows.shape[1])]
    pictures = [moment[0] if len(rows) == 1 else images.grid(moment) for moment in moments]
    rest = 0.0 if config.closed else 1.0
    return [folder / "strip.png", *images.film(pictures, folder / "walk.webp", config.seconds, rest=rest)]
