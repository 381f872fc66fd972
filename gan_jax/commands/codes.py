"""What `interpolate`, `arithmetic`, `project` and `directions` share: a run's codes, exemplars, and folders of results."""

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import images
from gan_jax.commands import given, reference
from gan_jax.commands.flags import CodeFlags
from gan_jax.commands.reference import Needs
from gan_jax.data import captions
from gan_jax.data.dataset import Dataset
from gan_jax.errors import InputError
from gan_jax.evaluation import attributes
from gan_jax.evaluation.attributes import AttributeReader, Readings, Wanted
from gan_jax.evaluation.features import Network, feature_function
from gan_jax.evaluation.judge import train_judge
from gan_jax.evaluation.readers import READERS
from gan_jax.files import check_apart, whole
from gan_jax.inversion import Features, Inversion, invert
from gan_jax.listing import listed
from gan_jax.parallel import host
from gan_jax.runs.conditions import Rows
from gan_jax.runs.records import write_json
from gan_jax.runs.trained import Trained

_SEED = re.compile(r"(seed:)?-?\d+")
_BOUNDS: dict[str, Callable[[Any], Any]] = {
    "prior": lambda norms: (norms.least, norms.largest),
    "typical": lambda norms: norms.typical,
    "free": lambda norms: None,
}


class Exemplars(NamedTuple):
    """Codes z (k, d), their pictures uint8 (k, h, w, c), the conditions that they were found by, and how they were found."""

    z: np.ndarray
    pictures: np.ndarray
    wanted: tuple[Wanted, ...]
    told: str


@dataclass(frozen=True)
class Codes:
    """A run whose latent codes are looked at by a command, which writes to `folder`.

    All its pictures are asked for the same, `asked` (one row).
    """

    run: Path
    flags: CodeFlags
    folder: Path
    trained: Trained
    asked: Rows

    @property
    def dim(self) -> int:
        """The length of the vector z."""
        return int(self.z.shape[1])

    @cached_property
    def z(self) -> np.ndarray:
        """The codes of the samples that are searched, (search, d)."""
        inputs = self.trained.inputs(self.flags.search, self.flags.seed, **self.rows(self.flags.search))
        return np.asarray(inputs["z"])

    @cached_property
    def pictures(self) -> np.ndarray:
        """The samples that are searched, uint8."""
        return self.render(self.z)

    @cached_property
    def readings(self) -> Readings:
        """The attributes of the samples that are searched."""
        return self.reader.read(self.pictures)

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a picture; raises `InputError` where the run makes none."""
        wanted: dict[str, Any] = {**self.rows(1)}
        shape = self.trained.draw(1, **wanted).shape[1:]
        if len(shape) != 3 or shape[2] not in (1, 3, 4):
            raise InputError(f"{self.run} makes points, not pictures: there is nothing to show of its codes")
        return shape[0], shape[1], shape[2]

    @cached_property
    def reader(self) -> AttributeReader:
        """The reader of known truth, or else the classifier of the run's data, which is trained at first use."""
        flags = reference.picture_flags(self.run)
        data = flags.data if flags and self.flags.ref in reference.SPLITS else self.flags.ref
        if data in READERS:
            return attributes.of_known_truth(data, self.shape[:2])
        return attributes.of_judge(train_judge(self.data))

    @cached_property
    def data(self) -> Dataset:
        """The pictures that the run was trained on, or those of `--ref`."""
        needs = Needs((), False, "judge")
        return reference.of_run(self.run, self.flags.ref, needs, lambda: self.shape).taught

    @cached_property
    def network(self) -> Network:
        """The feature extractor; with `auto` pixels where the run's data are not known."""
        if self.flags.features not in ("auto", "judge"):
            return self.flags.open_features(Dataset(str(self.run), {"image": self.pictures[:1]}))
        try:
            return self.flags.open_features(self.data)
        except InputError as error:
            if self.flags.features == "judge":
                raise
            print(f"features    of pixels, since no classifier can be had: {error}")
            return dataclasses.replace(self.flags, features="pixels").open_features(Dataset(str(self.run), {}))

    @property
    def asked_words(self) -> dict[str, str]:
        """The class and the caption that all pictures are asked for, in words, where the run has them."""
        label = {"label": self.trained.classes[int(self.asked["label"][0])]} if self.trained.classes else {}
        return label | ({"caption": captions.decode(self.asked["caption"][0])} if "caption" in self.asked else {})

    def rows(self, n: int) -> Rows:
        """What n pictures are asked by."""
        return {name: np.repeat(row, n, axis=0) for name, row in self.asked.items()}

    def render(self, z: Any) -> np.ndarray:
        """The pictures of codes (n, d), uint8 (n, h, w, c)."""
        codes = np.asarray(z, np.float32)
        return self.trained.render(self.flags.seed, z=codes, **self.rows(len(codes)))

    def features(self, pictures: np.ndarray) -> np.ndarray:
        """(n, m)."""
        return self.network.look(pictures).features

    def exemplars(self, words: Mapping[str, str]) -> list[Exemplars]:
        """What words name, each by what it is for: numbers of samples ("7", "seed:7,12"), attributes ("glasses,!male"), or
        pictures or codes in files.

        Says how they were found. What cannot be had is refused before any picture is inverted. Raises `InputError` for numbers
        beyond those that are searched, for attributes that nothing reads or no sample has, and for files that cannot be read.
        """
        return self.prepared(words)()

    def prepared(self, words: Mapping[str, str]) -> Callable[[], list[Exemplars]]:
        """What gives the `exemplars` of words: they were looked up, and all that is left to do is to invert pictures."""
        waiting = {what: self._named(word, what) for what, word in words.items()}

        def complete() -> list[Exemplars]:
            found = []
            for what, one in waiting.items():
                found.append(one())
                print(f"{what:12}{found[-1].told}", flush=True)
            return found

        return complete

    def _named(self, word: str, what: str) -> Callable[[], Exemplars]:
        """What gives the exemplars that a word names, once it is sure that they can be had."""
        parts = [part.strip() for part in word.split(",") if part.strip()]
        if not parts:
            raise InputError(f"{what} names nothing: give a number of a sample, attributes as in 'glasses,!male', or pictures")
        named = [given.is_file_name(part) for part in parts]
        if all(_SEED.fullmatch(part) for part in parts):
            return self._numbered([int(part.removeprefix("seed:")) for part in parts])
        if all(named):
            return self._of_files(parts)
        if any(named):
            raise InputError(f"{word!r} names files and other things: give either")
        return self._with_attributes(attributes.parse_wanted(word))

    def _numbered(self, numbers: Sequence[int]) -> Callable[[], Exemplars]:
        n = self.flags.search
        if wrong := [number for number in numbers if not 0 <= number < n]:
            raise InputError(f"there is no sample {wrong[0]}: {n:,} are drawn, 0 to {n - 1:,}; raise --search for more")
        return lambda: self._rendered(self.z[list(numbers)], f"{_samples(numbers)} of seed {self.flags.seed}")

    def _with_attributes(self, wanted: Sequence[Wanted]) -> Callable[[], Exemplars]:
        understood = self.reader.understood(wanted)
        chosen = attributes.most_confident(understood, self.readings, self.flags.k)
        words = " and ".join(map(str, understood))
        if not len(chosen):
            there = attributes.values_of(understood, self.readings)
            instead = f" ({listed(there, 10)})" if there else ""
            raise InputError(
                f"none of {self.flags.search:,} samples has {words}: raise --search, or name what they have{instead}"
            )
        fewer = f" ({self.flags.k} were asked for)" if len(chosen) < self.flags.k else ""
        told = f"{_samples(chosen)}{fewer} of {self.flags.search:,}, {words} by {self.reader.about}"
        return partial(Exemplars, self.z[chosen], self.pictures[chosen], understood, told)

    def _of_files(self, paths: Sequence[str]) -> Callable[[], Exemplars]:
        if (z := given.read_codes(paths, self.dim)) is not None:
            return lambda: self._rendered(z, f"{len(z)} code{'s' * (len(z) > 1)} of {listed(paths, 3)}")
        most = max(self.flags.k, len(paths))
        pictures, names = given.read_pictures(paths, self.shape, self.flags.fit, most, "--k")
        return lambda: self._nearest(pictures, names)

    def _rendered(self, z: np.ndarray, told: str) -> Exemplars:
        return Exemplars(z, self.render(z), (), told)

    def _nearest(self, pictures: np.ndarray, names: Sequence[str]) -> Exemplars:
        found = self.inverted(pictures)
        told = f"{len(names)} picture{'s' * (len(names) > 1)} ({listed(names, 3)}), inverted to {_decibels(found.psnr)}"
        return Exemplars(found.z, images.to_uint8(found.images), (), told)

    def inverted(self, pictures: np.ndarray) -> Inversion:
        """The codes nearest to pictures uint8 (n, h, w, c), by the flags; an interrupted search goes on where it was kept.

        Raises `InputError` as `gan_jax.inversion.invert`.
        """
        flags = self.flags
        return invert(
            self.trained.sampler,
            self.trained.variables,
            np.asarray(images.to_float(pictures)),
            jax.random.key(flags.seed),
            conditions={name: jnp.asarray(rows) for name, rows in self.rows(len(pictures)).items()},
            restarts=flags.restarts,
            steps=flags.inversion_steps,
            rate=flags.inversion_rate,
            norms=_BOUNDS[flags.norm](self.trained.norms),
            features=self._matched(),
            feature_weight=flags.feature_weight,
            directory=self.folder / "inversions",
        )

    def _matched(self) -> Features | None:
        flags = self.flags
        if flags.match == "pixels":
            return None
        return feature_function(flags.match, self.data if flags.match == "judge" else None, flags.weights, flags.resize)


def open_codes(run: Path, flags: CodeFlags, name: str) -> Codes:
    """The codes of a run, for the command `name`.

    Its statistics are settled once, so that a picture does not depend on those beside it. Raises `InputError` for what is no
    run, and for one without latent codes or whose samples are no pictures.
    """
    host.keep_compiled()
    if flags.statistics == "batch":
        raise InputError("--statistics batch: a picture would depend on those beside it; choose standing or running")
    trained = flags.open_generator(run)
    if trained.statistics == "batch":
        print("statistics  settled once, not those of each batch: a picture does not depend on those beside it")
        trained = dataclasses.replace(flags, statistics="standing").open_generator(run)
    words = {name: word for name, word in (("label", flags.label), ("caption", flags.caption)) if word is not None}
    rows = trained.ask(1, **words)
    asked = {name: rows[name] for name in trained.sampler.needs}
    codes = Codes(run, flags, flags.out or run / name, trained, asked)
    if "label" in codes.asked_words and flags.label is None:
        print(f"asked for   class {codes.asked_words['label']!r}: choose another one by --label")
    if "caption" in codes.asked_words and flags.caption is None:
        print(f"asked for   {codes.asked_words['caption']!r}: choose another caption by --caption")
    _ = trained.norms, codes.shape  # they raise where there are no codes or no pictures
    return codes


def files_in(words: Sequence[str]) -> list[str]:
    """The files and folders among what exemplars are named by."""
    parts = [part.strip() for word in words for part in word.split(",")]
    return [part for part in parts if given.is_file_name(part)]


@contextlib.contextmanager
def results(out: Path, names: Sequence[str], inputs: Iterable[Path | str], runs: Iterable[Path]) -> Iterator[Path]:
    """The folder `out` for results that are files of these names, which is made.

    Raises `InputError` where it cannot be written, where it is, or lies in, one of the `inputs` or the runs' checkpoints or
    sheets, and where one of the files is an input.
    """
    known = [*inputs, *(run / folder for run in runs for folder in ("checkpoints", "samples"))]
    for name in names:
        check_apart(out / name, known)
    new = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)  # before what takes minutes
        yield out
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror}; choose another --out") from error
    finally:
        with contextlib.suppress(OSError):  # it holds something
            if new:
                out.rmdir()


def write_codes(path: Path, **arrays: Any) -> None:
    """An .npz of these arrays; it appears whole or not at all."""
    with whole(path) as unfinished:
        np.savez(unfinished, **arrays)


def write_numbers(path: Path, codes: Codes, numbers: dict[str, Any]) -> None:
    """The JSON of a command: its measurements, and what they are of."""
    trained, flags = codes.trained, codes.flags
    about = {
        "step": trained.step,
        "generator_weights": "averaged" if trained.averaged else "newest",
        "statistics": trained.statistics,
        "seed": flags.seed,
        **codes.asked_words,
    }
    write_json(path, {**about, **numbers})


def enlarged(pictures: np.ndarray) -> np.ndarray:
    """Small pictures (n, h, w, c) with their pixels repeated, so that they can be seen."""
    scale = images.enlargement(pictures.shape[1])
    return pictures.repeat(scale, axis=1).repeat(scale, axis=2)


def _samples(numbers: Sequence[int] | np.ndarray) -> str:
    named = listed([str(number) for number in numbers], 10)
    return f"sample{'s' * (len(numbers) > 1)} {named}"


def _decibels(psnr: np.ndarray) -> str:
    return f"a PSNR of {psnr.min():.1f} to {psnr.max():.1f} dB" if len(psnr) > 1 else f"a PSNR of {psnr[0]:.1f} dB"
