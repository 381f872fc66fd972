"""Walk through latent codes of a run: a film, a strip of frames, the codes, and how far the picture moves in each step."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

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


@dataclass(frozen=True)
class Config(CodeFlags):
    """The flags of `interpolate`."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    through: tuple[str, ...] = tuple(map(str, range(_STOPS)))
    """The stops of the walk: numbers of samples (7), attributes ('glasses,!male'), or pictures (face.png, pics/), which are
    inverted first. Several exemplars of a stop (3,7,12) are averaged."""
    walk: Walk = "slerp"
    """Path between codes: lerp is straight, slerp follows the sphere, spline is smooth at the stops too."""
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
    """How long the film is."""


@command
def main(config: Config) -> dict[str, Any]:
    """Write walk.webp (and mp4), strip.png, codes.npz and interpolate.json; returns arrays and numbers.

    `images` are the frames uint8, `z` their codes, `stops` those of the stops, `steps` the distances from frame to frame in
    features. Raises `InputError` for what cannot be had.
    """
    if len(config.through) < 2:
        raise InputError("--through: name 2 stops or more")
    codes = open_codes(config.run, config, "interpolate")
    if config.to_caption is not None:
        return _between_captions(config, codes, config.to_caption)
    with results(codes, files_in(config.through)) as out:
        if config.to_label is not None:
            return _between(config, codes, out)
        codes.trained.require_room(config.frames)
        found = [codes.exemplars(word, f"stop {i}") for i, word in enumerate(config.through, 1)]
        stops = np.stack([_stop(each.z, codes.trained.norms.typical) for each in found])
        z = np.asarray(walk(stops, config.frames, config.walk, config.closed))
        frames = codes.render(z)
        numbers = _measured(codes.features(frames), config.closed) | {"features": str(codes.network)}
        seen = enlarged(frames)
        strip = images.grid(seen[evenly(len(seen), _SHOWN)], min(len(seen), _SHOWN))
        images.save(strip, out / "strip.png")
        files = [out / "strip.png", *images.film(list(seen), out / "walk.webp", config.seconds)]
        write_codes(out / "codes.npz", z=z, stops=stops, **codes.rows(len(z)))
        write_numbers(out / "interpolate.json", codes, {"walk": config.walk, "through": list(config.through), **numbers})
    ratio = numbers["largest_over_median"]
    print(f"a step      moves the picture by {numbers['median']:.3g} (median), at most by {ratio:.2f} times that")
    print(f"written: {', '.join(map(str, [*files, out / 'codes.npz', out / 'interpolate.json']))}")
    return {"images": frames, "z": z, "stops": stops, **numbers}


def _between(config: Config, codes: Codes, out: Path) -> dict[str, Any]:
    """From one class to another at the codes of the stops: `images` (stops, frames, h, w, c), a row each on the strip."""
    first, last = (int(codes.trained.ask(1, label=name)["label"][0]) for name in (_label(config, codes), config.to_label))
    found = [codes.exemplars(word, f"stop {i}") for i, word in enumerate(config.through, 1)]
    z = np.stack([_stop(each.z, codes.trained.norms.typical) for each in found])
    label = np.full(len(z), first, np.int32)
    codes.trained.require_room(config.frames * len(z))
    shares = np.linspace(0, 1, config.frames)
    moments = [between_classes(codes.trained, first, last, float(t)).render(z=z, label=label) for t in shares]
    frames = np.stack(moments, axis=1)  # stops frames h w c
    files = _write_rows(config, codes, out, frames)
    write_codes(out / "codes.npz", z=z, label=label)
    told = {"from": codes.trained.classes[first], "to": codes.trained.classes[last], "through": list(config.through)}
    write_numbers(out / "interpolate.json", codes, told)
    print(f"written: {', '.join(map(str, [*files, out / 'codes.npz', out / 'interpolate.json']))}")
    return {"images": frames, "z": z, "shares": shares, **told}


def _label(config: Config, codes: Codes) -> str:
    """The class to begin with; raises `InputError` for a run without classes."""
    if not codes.trained.classes:
        raise InputError(f"--to-label: {config.run} was trained without classes")
    return codes.trained.classes[0] if config.label is None else config.label


def _stop(z: np.ndarray, norm: float) -> np.ndarray:
    """A single code as it is, the mean of several at the norm that codes have."""
    return np.asarray(z[0] if len(z) == 1 else mean_code(z, norm))


def _measured(features: np.ndarray, closed: bool) -> dict[str, Any]:
    """Distances of successive frames, their median and largest; one that is many times the median is a jump."""
    following = np.roll(features, -1, axis=0) if closed else features[1:]
    steps = np.linalg.norm(following - features[: len(following)], axis=1)
    median, largest = float(np.median(steps)), float(steps.max())
    ratio = largest / median if median > 0 else float(largest > 0)
    return {"steps": steps.tolist(), "median": median, "largest": largest, "largest_over_median": ratio}


def _between_captions(config: Config, codes: Codes, last: str) -> dict[str, Any]:
    """From one caption to another at the codes of the stops: `images` (stops, frames, h, w, c), `text` the two embeddings."""
    trained = codes.trained
    text = np.concatenate([trained.embed(1, **codes.asked), trained.embed(1, caption=last)])
    with results(codes, files_in(config.through)) as out:
        found = [codes.exemplars(word, f"stop {i}") for i, word in enumerate(config.through, 1)]
        z = np.stack([_stop(each.z, trained.norms.typical) for each in found])
        trained.require_room(config.frames * len(z))
        shares = np.linspace(0, 1, config.frames, dtype=np.float32)
        mixed = [np.tile((1 - t) * text[0] + t * text[1], (len(z), 1)) for t in shares]
        frames = np.stack([trained.render(config.seed, z=z, text=each) for each in mixed], axis=1)  # stops frames h w c
        told = {"from": decode(codes.asked["caption"][0]), "to": last, "through": list(config.through)}
        files = _write_rows(config, codes, out, frames)
        write_codes(out / "codes.npz", z=z, text=text)
        write_numbers(out / "interpolate.json", codes, told)
    print(f"written: {', '.join(map(str, [*files, out / 'codes.npz', out / 'interpolate.json']))}")
    return {"images": frames, "z": z, "text": text, "shares": shares, **told}


def _write_rows(config: Config, codes: Codes, out: Path, frames: np.ndarray) -> list[Path]:
    """The strip, a row of moments for each stop, and the film of all stops (stops, frames, h, w, c) at once."""
    chosen = evenly(frames.shape[1], _SHOWN)
    images.save(images.grid(enlarged(frames[:, chosen].reshape(-1, *codes.shape)), len(chosen)), out / "strip.png")
    moments = [images.grid(enlarged(frames[:, i])) for i in range(frames.shape[1])]
    return [out / "strip.png", *images.film(moments, out / "walk.webp", config.seconds)]
