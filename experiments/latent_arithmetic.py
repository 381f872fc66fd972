"""Arithmetic in the space of latent codes, measured: how often "man with glasses - man + woman" is a woman with glasses.

    python -m experiments.latent_arithmetic                            # trains a DCGAN on drawn faces, 64x64, first
    python -m experiments.latent_arithmetic --run runs/dcgan-doodle_faces                          # of a run that there is
    python -m experiments.latent_arithmetic --data celeba64.zip --balance Eyeglasses,Male --mirror --width 24 \\
        --a Eyeglasses,Male --b '!Eyeglasses,Male' --c '!Eyeglasses,!Male'  # any pictures with a table of attributes
    python -m experiments.latent_arithmetic --data celeb_a --balance Eyeglasses,Male --a ...     # tensorflow-datasets

Radford et al. 2015 (arXiv:1511.06434, section 6.3.2) show one sheet of it. Here --triplets sets of exemplars are drawn among
--search samples that have the attributes, for each number of exemplars to be averaged; a - b + c of their mean codes is
rendered and read by the reader of drawn faces, or else by a classifier of the run's data. A result is right if it has what a
has and b has not, and else what c has; and valid: where it is known what a picture must show, if it shows that (two eyes, one
nose, one mouth, every attribute read with confidence), else if it lies among real pictures in --features (nearer to one of
them than its third neighbour is, as precision has it: Kynkaanniemi et al. 2019, arXiv:1904.06991). Beside it three controls: c
alone, c with a step of the same length in a random direction, and the same arithmetic on the exemplars' pixels. How often does
the mean of exemplars of a show what they show, of codes and of pixels? Then walks between samples: how evenly they move, how
often they leave the set of valid pictures, beside a cross-fade of the two pictures.

Written to latent_arithmetic of the run: table.md and results.json with Wilson intervals, curve.png, results.png (results and
controls of the first triplets), means.png, walks.png; by `python -m gan_jax arithmetic` and `interpolate` the paper's figure
and a film.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int
from tqdm import tqdm

from experiments import dcgan
from experiments.latent_report import draw_curve, draw_strips, tables
from gan_jax import cli
from gan_jax.commands import arithmetic as figure
from gan_jax.commands import interpolate
from gan_jax.commands.arithmetic import in_pixels
from gan_jax.commands.codes import Codes, open_codes, results
from gan_jax.commands.flags import CodeFlags
from gan_jax.config import FREE, Count, Within, checked
from gan_jax.errors import InputError
from gan_jax.evaluation.attributes import AttributeReader, Readings, Wanted, all_hold, confidence_in, parse_wanted, transferred
from gan_jax.evaluation.readers import READERS
from gan_jax.files import whole
from gan_jax.latents import Rescale, arithmetic, lerp, mean_code, rescaled, slerp
from gan_jax.metrics.intervals import proportion
from gan_jax.metrics.prdc import among
from gan_jax.rows import evenly
from gan_jax.runs.records import write_json

NAMES = ("table.md", "results.json", "curve.png", "results.png", "means.png", "walks.png")
RESULT, ALONE = "a - b + c", "c alone"
FRAMES = 33  # of a walk
JUMP = 5.0  # a step so many times as long as the walk's median one
REAL = 2000  # pictures that results are to lie among, at most
SHOWN = 10  # triplets, and frames of a walk, on a sheet
WALKS_SHOWN = 3

Numbers = dict[str, Any]
Pictures = Mapping[str, np.ndarray]  # uint8 (n, h, w, c) by what they are


@dataclass(frozen=True)
class Config(dcgan.Config):
    data: str = "doodle_faces"
    image_size: str = "64"
    upsample: Literal["transpose", "resize"] = "resize"
    decay: Literal["constant", "linear", "cosine"] = "linear"
    steps: int = field(default=10_000, metadata=FREE)
    run: Path | None = field(default=None, metadata=FREE)
    """The run whose codes are reckoned with; without it one is trained with the flags of `experiments.dcgan`."""
    a: str = field(default="glasses,male", metadata=FREE)
    """Attributes of the exemplars of A in A - B + C."""
    b: str = field(default="!glasses,male", metadata=FREE)
    """Attributes of the exemplars of B."""
    c: str = field(default="!glasses,!male", metadata=FREE)
    """Attributes of the exemplars of C."""
    triplets: Count = field(default=500, metadata=FREE)
    """Sets of exemplars for each number of them."""
    averaged: tuple[Count, ...] = field(default=(1, 3, 10, 30, 100), metadata=FREE)
    """Exemplars of each of A, B and C whose codes are averaged."""
    sure: Annotated[float, Within(0, 1)] = field(default=0.9, metadata=FREE)
    """Exemplars have their attributes with at least this confidence."""
    search: Count = field(default=10_000, metadata=FREE)
    """Samples among which exemplars are searched."""
    walks: Count = field(default=200, metadata=FREE)
    """Walks of each kind, each between two samples."""
    ref: str = field(default="train", metadata=FREE)
    """The data whose attributes are read in samples, for a --run that does not know its own."""
    rescale: Rescale | Literal["none"] = field(default="means", metadata=FREE)
    """Bring to the norm that codes have: each mean and the result, the result alone, or nothing (as in the paper)."""


class Task(NamedTuple):
    """The attributes of the exemplars of a, b and c, and what the result is to gain and what to keep of c."""

    exemplars: tuple[tuple[Wanted, ...], ...]
    gained: tuple[Wanted, ...]
    kept: tuple[Wanted, ...]


class Validity(NamedTuple):
    """`of(pictures, readings, features)`, of which the latter two may be None, tells which are valid, bool (n,).

    `about` says how it is told, where it is not known what a picture must show.
    """

    of: Callable[[np.ndarray, Readings | None, np.ndarray | None], np.ndarray]
    about: str


def main(config: Config) -> Numbers | None:
    """Train or open the run, measure, and write tables and pictures; returns what results.json has, None after a dry run.

    Raises `InputError` for attributes that nothing reads or too few samples have, and as `experiments.dcgan`.
    """
    config = checked(config)
    words = (config.a, config.b, config.c)
    if config.run is None and config.data in READERS:  # before a run of hours
        understood(AttributeReader(f"the reader of {config.data}", READERS[config.data].attributes, lambda images: {}), words)
    directory = config.run or dcgan.trained(config)
    if directory is None:
        return None
    flags: dict[str, Any] = {"search": config.search, "seed": config.seed, "ref": config.ref}
    seen: dict[str, Any] = {"features": config.features, "weights": config.weights, "resize": config.resize}
    codes = open_codes(directory, CodeFlags(**flags, **seen), "latent_arithmetic")
    with results(codes.folder, NAMES, (), [codes.run]) as out:
        task = understood(codes.reader, words)
        pools = exemplars(codes, task, config.sure)
        sizes = averaged(config.averaged, min(map(len, pools)))
        validity = validity_of(codes)
        transfers, strips = _transfers(codes, task, pools, sizes, validity, config)
        means, averages = _means(codes, task, pools, sizes, validity, config)
        walks, frames = _walks(codes, validity, config)
        about = (
            f"{codes.reader.about}; {validity.about}{config.triplets} triplets, {config.walks} walks, step {codes.trained.step}"
        )
        told = tables(transfers, means, walks, about)
        print(f"\n{told}")
        with whole(out / "table.md") as unfinished:
            unfinished.write_text(told)
        found = {"about": about, "pools": [len(pool) for pool in pools], "transfers": transfers, "means": means, "walks": walks}
        write_json(out / "results.json", found)
        draw_curve(transfers, out / "curve.png")
        draw_strips(strips, out / "results.png")
        draw_strips(averages, out / "means.png")
        draw_strips(frames, out / "walks.png")
    asked: dict[str, Any] = {"run": directory, **flags, **seen}
    figure.of_codes(
        figure.Config(a=config.a, b=config.b, c=config.c, rescale=config.rescale, **asked), codes, directory / "arithmetic"
    )
    interpolate.of_codes(interpolate.Config(closed=True, **asked), codes, directory / "interpolate")
    return found


def validity_of(codes: Codes) -> Validity:
    """By the reader, where it knows what pictures must show, else by the real pictures that they are to lie among."""
    reader = codes.reader
    if reader.counts:

        def shown(pictures: np.ndarray, readings: Readings | None, _: np.ndarray | None) -> np.ndarray:
            return np.asarray(reader.valid(reader.read(pictures) if readings is None else readings))

        return Validity(shown, "")
    train, held_out = (arrays.get("image", np.zeros(0)) for arrays in (codes.data.train, codes.data.held_out))
    real = codes.features(np.asarray(train[evenly(len(train), REAL)]))

    def near(pictures: np.ndarray, _: Readings | None, features: np.ndarray | None) -> np.ndarray:
        return among(codes.features(pictures) if features is None else features, real)

    told = f"valid if among {len(real):,} real pictures in features of {codes.network}"
    if len(held_out):
        told += f", as {np.mean(near(np.asarray(held_out[evenly(len(held_out), REAL)]), None, None)):.0%} of held-out ones are"
    return Validity(near, f"{told}; ")


def understood(reader: AttributeReader, words: Sequence[str]) -> Task:
    """The task of a - b + c in words; raises `InputError` for attributes that nothing reads, and for nothing to gain."""
    a, b, c = (reader.understood(parse_wanted(word)) for word in words)
    wanted = transferred(a, b, c)
    gained = tuple(each for each in wanted if each not in c)
    if not gained:
        raise InputError(f"a - b + c of {' / '.join(words)} would only keep what c has: there is nothing to measure")
    return Task((a, b, c), gained, tuple(each for each in wanted if each in c))


def exemplars(codes: Codes, task: Task, sure: float) -> list[Int[np.ndarray, " m"]]:
    """The numbers of the samples that may be exemplars of a, b and c: recognised as such, and valid where that is known.

    Raises `InputError` where there is none.
    """
    readings = codes.readings
    valid = codes.reader.valid(readings)
    if valid is not None:
        print(f"valid       {proportion(int(valid.sum()), len(valid))} of {len(valid):,} samples")
    pools = []
    for name, wanted in zip("abc", task.exemplars, strict=True):
        right = all_hold(wanted, readings) & (confidence_in(wanted, readings) >= sure)
        pools.append(np.flatnonzero(right if valid is None else right & valid))
        words = " and ".join(map(str, wanted))
        print(f"{name}           {len(pools[-1]):,} of {len(right):,} samples: {words}", flush=True)
        if not len(pools[-1]):
            raise InputError(
                f"none of {len(right):,} samples has {words} with a confidence of {sure}: raise --search, lower --sure, "
                "or train with --balance, which shows rare pictures more often"
            )
    return pools


def averaged(wanted: Sequence[int], there: int) -> list[int]:
    """The numbers of exemplars that can be averaged, of which `there` are; raises `InputError` where none can."""
    sizes = [k for k in wanted if k <= there]
    if not sizes:
        raise InputError(
            f"--averaged {' '.join(map(str, wanted)) or 'names no number'}: there are {there} exemplars of the rarest kind; "
            "average fewer, or raise --search"
        )
    if left_out := [str(k) for k in wanted if k not in sizes]:
        print(f"left out    means of {', '.join(left_out)}: there are not so many exemplars; raise --search")
    return sizes


def _transfers(
    codes: Codes, task: Task, pools: Sequence[np.ndarray], sizes: Sequence[int], validity: Validity, config: Config
) -> tuple[list[Numbers], list[tuple[str, np.ndarray]]]:
    """A row for each number of exemplars and each kind of result, and the first pictures of each."""
    rows, strips = [], []
    for k in tqdm(sizes, desc="exemplars", leave=False, disable=None):
        chosen = [pool[subsets(len(pool), k, config.triplets, (config.seed, k, i))] for i, pool in enumerate(pools)]
        pictures = transferred_pictures(codes, chosen, config.rescale, config.seed)
        readings = {name: codes.reader.read(each) for name, each in pictures.items()}
        for name, each in pictures.items():
            valid = validity.of(each, readings[name], None)
            found = judged(codes.reader, task, readings[name], readings[ALONE], valid)
            rows.append({"exemplars": k, "result": name} | found)
            strips.append((f"{name}, {k}", each[:SHOWN]))
    return rows, strips


def _means(
    codes: Codes, task: Task, pools: Sequence[np.ndarray], sizes: Sequence[int], validity: Validity, config: Config
) -> tuple[list[Numbers], list[tuple[str, np.ndarray]]]:
    """A row for each number of exemplars of a: how often their mean shows what they show, of codes and of pixels."""
    rows, strips = [], []
    norm = codes.trained.norms.typical if config.rescale == "means" else None
    for k in sizes:
        chosen = pools[0][subsets(len(pools[0]), k, config.triplets, (config.seed, k, 0))]
        of_pixels = [in_pixels(*3 * [codes.pictures[each]])[0][0] for each in chosen]
        z = jax.vmap(lambda x: mean_code(x, norm))(jnp.asarray(codes.z[chosen]))
        for name, pictures in {"codes": codes.render(z), "pixels": np.stack(of_pixels)}.items():
            readings = codes.reader.read(pictures)
            shown, valid = all_hold(task.exemplars[0], readings), validity.of(pictures, readings, None)
            held = {"shown": shown, "valid": valid, "shown and valid": shown & valid}
            shares = {each: proportion(int(found.sum()), len(found)) for each, found in held.items()}
            rows.append({"exemplars": k, "mean of": name} | shares)
            strips.append((f"{name}, {k}", pictures[:SHOWN]))
    return rows, strips


def subsets(n: int, k: int, count: int, seed: tuple[int, ...]) -> Int[np.ndarray, "count k"]:
    """`count` times k different numbers below n."""
    generator = np.random.default_rng(seed)
    return np.stack([generator.choice(n, k, replace=False) for _ in range(count)])


def transferred_pictures(codes: Codes, chosen: Sequence[np.ndarray], rescale: str, seed: int) -> Pictures:
    """The pictures of a - b + c and of its controls, for exemplars (t, k) of each of a, b and c, numbers of samples."""
    norm = None if rescale == "none" else codes.trained.norms.typical
    a, b, c = (jnp.asarray(codes.z[each]) for each in chosen)
    made = combined(a, b, c, jax.random.key(seed), norm, rescale == "means")
    of_pixels = [in_pixels(*(codes.pictures[each] for each in triplet))[1] for triplet in zip(*chosen, strict=True)]
    return {name: codes.render(z) for name, z in made.items()} | {"pixels": np.stack(of_pixels)}


def combined(
    a: Float[Array, "t k d"], b: Float[Array, "t k d"], c: Float[Array, "t k d"], key: Array, norm: float | None, means: bool
) -> dict[str, Float[Array, "t d"]]:
    """The codes of a - b + c, of c alone, and of c with a step as long as a - b in a random direction.

    With a `norm` all are brought to it, and so are the means before if `means`.
    """
    ways: Any = "means" if means else "result"
    of_a, of_b, of_c = (jax.vmap(lambda x: mean_code(x, norm if means else None))(each) for each in (a, b, c))
    lengths = jnp.linalg.norm(of_a - of_b, axis=1, keepdims=True)
    moved = of_c + lengths * rescaled(jax.random.normal(key, of_c.shape), 1.0)
    return {
        RESULT: jax.vmap(lambda a, b, c: arithmetic(a, b, c, norm, ways))(a, b, c),
        ALONE: of_c if norm is None else rescaled(of_c, norm),
        "random direction": moved if norm is None else rescaled(moved, norm),
    }


def judged(reader: AttributeReader, task: Task, readings: Readings, alone: Readings, valid: Bool[np.ndarray, " n"]) -> Numbers:
    """How many results gained and kept what they should, both (right), are valid, and the share of other attributes kept.

    Others are kept if they are read as in the picture of c alone; numbers, such as an angle, are left out.
    """
    n = len(next(iter(readings.values())).values)
    gained, kept = all_hold(task.gained, readings), all_hold(task.kept, readings) if task.kept else np.ones(n, bool)
    held = {"gained": gained, "kept": kept, "right": gained & kept, "valid": valid, "right and valid": gained & kept & valid}
    asked = {each.name for each in (*task.gained, *task.kept)} | reader.counts.keys()
    others = [name for name in reader.names if name not in asked and readings[name].values.dtype.kind != "f"]
    same = [np.mean(readings[name].values == alone[name].values) for name in others]
    shares = {name: proportion(int(each.sum()), n) for name, each in held.items()}
    return {**shares, "others": float(np.mean(same)) if same else None}


def _walks(codes: Codes, validity: Validity, config: Config) -> tuple[list[Numbers], list[tuple[str, np.ndarray]]]:
    """A row for each kind of walk between the same pairs of valid samples, and some of their frames."""
    usable = np.flatnonzero(validity.of(codes.pictures, codes.readings, None))
    if len(usable) < 2:
        raise InputError(f"a walk is between 2 samples, and {len(usable)} of {config.search:,} are valid: raise --search")
    ends = usable[subsets(len(usable), 2, config.walks, (config.seed,))]
    t = jnp.linspace(0.0, 1.0, FRAMES)
    rows, strips = [], []
    for name, frames in _frames(codes, ends, t):
        seen = codes.features(frames)
        rows.append({"walk": name} | paced(seen) | left(validity.of(frames, None, seen)))
        of_walks = frames.reshape(len(ends), FRAMES, *frames.shape[1:])[:WALKS_SHOWN]
        strips += [(f"{name} {i + 1}", each[evenly(FRAMES, SHOWN)]) for i, each in enumerate(of_walks)]
    return rows, strips


def _frames(codes: Codes, ends: Int[np.ndarray, "w 2"], t: Float[Array, " f"]) -> Iterator[tuple[str, np.ndarray]]:
    """The frames of all walks, walk after walk, by slerp, by lerp, and faded from one picture to the other."""
    first, last = jnp.asarray(codes.z[ends[:, 0]]), jnp.asarray(codes.z[ends[:, 1]])
    for name, path in (("slerp", slerp), ("lerp", lerp)):
        z = jax.vmap(path, (0, 0, None))(first, last, t)
        yield name, codes.render(z.reshape(-1, z.shape[-1]))
    x, y = (codes.pictures[each].astype(np.float32)[:, None] for each in ends.T)
    share = np.asarray(t)[None, :, None, None, None]
    faded = np.rint((1 - share) * x + share * y).astype(np.uint8)
    yield "cross-fade of pixels", faded.reshape(-1, *faded.shape[2:])


def paced(features: Float[np.ndarray, "n m"]) -> Numbers:
    """Of walks of `FRAMES` frames each: quartiles of the largest step over the median one, and how many have a jump."""
    of_walks = features.reshape(-1, FRAMES, features.shape[1])
    steps = np.linalg.norm(np.diff(of_walks, axis=1), axis=2)
    ratios = steps.max(axis=1) / np.maximum(np.median(steps, axis=1), 1e-12)
    return {
        "largest over median": np.quantile(ratios, [0.25, 0.5, 0.75]).tolist(),
        "jumps": proportion(int((ratios > JUMP).sum()), len(ratios)),
    }


def left(valid: Bool[np.ndarray, " n"]) -> Numbers:
    """Of walks of `FRAMES` frames each: how many frames between the ends are valid, how many walks have one that is not."""
    between = valid.reshape(-1, FRAMES)[:, 1:-1]
    return {
        "valid frames": proportion(int(between.sum()), between.size),
        "left the valid": proportion(int((~between.all(axis=1)).sum()), len(between)),
    }


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
