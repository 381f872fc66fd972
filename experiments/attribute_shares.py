"""How often attributes show among a run's samples, over its rounds, beside the data: the rare ones that a game drops.

    python -m experiments.attribute_shares runs/faces --attributes Eyeglasses Male
    python -m experiments.attribute_shares runs/faces runs/faces-balanced --attributes Eyeglasses --out shares

Read on the sheets of samples that a run keeps (the same noise on all, `--sample-every` rounds apart) by the reader of drawn
pictures or a classifier of the run's data. Writes shares.png (a panel an attribute, a line a run with Wilson intervals, the
share among the real pictures as the same reader sees them) and shares.json to --out, default the folder of the first run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from matplotlib.figure import Figure

from gan_jax import cli, images
from gan_jax.commands.codes import Codes, open_codes, results
from gan_jax.commands.flags import CodeFlags
from gan_jax.config import Count, checked
from gan_jax.errors import InputError
from gan_jax.evaluation.attributes import Wanted, all_hold, parse_wanted
from gan_jax.files import whole
from gan_jax.metrics.intervals import Proportion, proportion
from gan_jax.rows import evenly
from gan_jax.runs.records import write_json
from gan_jax.training.film import sheets_of

Asked = Mapping[str, tuple[Wanted, ...]]
Shares = Mapping[str, Proportion]


@dataclass(frozen=True)
class Config:
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Runs of pictures."""
    attributes: tuple[str, ...]
    """What is counted: 'glasses', '!male', 'hair=blond', or together 'glasses,male'."""
    real: Count = 2000
    """Real pictures that are read, at most."""
    ref: str = "train"
    """The data whose attributes are read, for runs that do not know theirs."""
    out: Path | None = None
    """Folder for the results."""


def main(config: Config) -> dict[str, Any]:
    """Write shares.png and shares.json, and return what the latter has.

    Raises `InputError` for what nothing reads, for runs without sheets, and for a folder that cannot be written.
    """
    config = checked(config)
    if not config.runs:
        raise InputError("name a run or more")
    if not config.attributes:
        raise InputError("--attributes: name one or more, as in 'glasses' or '!male'")
    wanted = {word: parse_wanted(word) for word in config.attributes}
    found: dict[str, Any] = {}
    with results(config.out or config.runs[0], ("shares.png", "shares.json"), (), config.runs) as out:
        for run in config.runs:
            codes = open_codes(run, CodeFlags(ref=config.ref), "shares")
            rounds = shares_over_time(codes, wanted)
            found[str(run)] = {"real": real_shares(codes, wanted, config.real), "rounds": rounds}
        draw(found, config.attributes, out / "shares.png")
        write_json(out / "shares.json", found)
    for name_of_run, of_run in found.items():
        last = max(of_run["rounds"])
        for name in config.attributes:
            real, end = of_run["real"][name], of_run["rounds"][last][name]
            print(f"{name:20} {end} of the samples after {last:,} rounds of {name_of_run}, {real} of the pictures")
    print(f"written: {out / 'shares.png'}, {out / 'shares.json'}")
    return found


def real_shares(codes: Codes, wanted: Asked, most: int) -> Shares:
    """Of the data's pictures, as read."""
    pictures = np.asarray(codes.data.train["image"])
    return _shares(codes, wanted, pictures[evenly(len(pictures), most)])


def shares_over_time(codes: Codes, wanted: Asked) -> dict[int, Shares]:
    """Of the samples on each sheet, by its round; raises `InputError` where there is none, or one that cannot be read."""
    sheets = sheets_of(codes.run)
    if not sheets:
        raise InputError(f"{codes.run} has no sheets of samples: it was trained without --sample-every")
    return {step: _shares(codes, wanted, _pictures(path, codes.shape)) for step, path in sheets}


def _pictures(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """The samples on a sheet; raises `InputError` for another picture."""
    scale = images.enlargement(shape[0])
    try:
        return images.cut(images.read(path, shape[2])[::scale, ::scale], shape[:2])
    except images.UNREADABLE as error:
        raise InputError(f"{path} is no sheet of samples: {error}") from error


def _shares(codes: Codes, wanted: Asked, pictures: np.ndarray) -> Shares:
    understood = {word: codes.reader.understood(each) for word, each in wanted.items()}
    readings = codes.reader.read(pictures)
    return {word: proportion(int(all_hold(each, readings).sum()), len(pictures)) for word, each in understood.items()}


def draw(found: Mapping[str, Any], attributes: tuple[str, ...], path: Path) -> None:
    """A panel an attribute, a line a run."""
    figure = Figure(figsize=(4.2 * len(attributes), 3.2), layout="constrained")
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(attributes))), attributes, strict=True):
        for run, of_run in found.items():
            rounds = sorted(of_run["rounds"])
            shares = np.array([of_run["rounds"][each][name] for each in rounds])
            (line,) = axes.plot(rounds, shares[:, 0], marker="o", markersize=2, label=Path(run).name)
            axes.fill_between(rounds, shares[:, 1], shares[:, 2], color=line.get_color(), alpha=0.15)
            axes.axhline(of_run["real"][name].share, color=line.get_color(), linestyle=":", linewidth=1)
        axes.set(title=name, xlabel="rounds", ylabel="share of samples (dotted: of the data)", ylim=(-0.02, 1.02))
        axes.legend(fontsize=8)
    with whole(path) as unfinished:
        figure.savefig(unfinished, dpi=130)


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
