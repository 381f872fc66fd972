"""Your own pictures: a folder in, a film of their learning out.

    python -m experiments.own_pictures --data FOLDER                 # a folder or a zip of pictures, 300 to 5,000 of them
    python -m experiments.own_pictures --data FOLDER --minutes 60    # as long as you have
    python -m experiments.own_pictures --data FOLDER --stop-when plateau
    python -m experiments.own_pictures --data FOLDER --image-size 128 --width 32   # what is given is not chosen
    python -m experiments.own_pictures --data FOLDER --image-size 128 --dry-run    # how long, and how much memory
    python -m gan_jax film RUN;  python -m gan_jax report RUN        # any time, also while it trains

The pictures are checked, the settings of a DCGAN are chosen by their number and size, each with its reason, and the time that
it will take is measured before it starts: on a CPU 80 minutes at most where nothing else is asked for. The doctor watches, the
best checkpoint by KID is kept, and the film video/progress.mp4 (a WebP without the extra `video`) shows what the same noise
becomes. Ctrl-C leaves a film too; the same command goes on.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax

from experiments import dcgan
from experiments.improved_gan import GAMMA, R3GAN
from gan_jax import cli
from gan_jax.augment import AugmentName
from gan_jax.config import Count, Rate, Seed, Share, Weight, checked, read
from gan_jax.data import PictureFlags
from gan_jax.data.check import check
from gan_jax.data.fitting import Fit
from gan_jax.data.ranges import parse_range
from gan_jax.data.report import Report, best_batch, best_fit, reach
from gan_jax.data.source import Source
from gan_jax.errors import InputError
from gan_jax.evaluation.flags import FeatureFlags
from gan_jax.evaluation.scores import LEAST_HELD_OUT
from gan_jax.layers.head import Minibatch
from gan_jax.losses import LossName
from gan_jax.runs import Run
from gan_jax.runs.records import read_json
from gan_jax.runs.run import saved_steps
from gan_jax.training import run_experiment
from gan_jax.training.experiment import directory_of
from gan_jax.training.schedule import LEAST, OFTEN, SCORES, Cost, Schedule, fitted, measure, schedule
from gan_jax.training.trainer import Feed

LEAST_BATCH = 8
FEWEST = 100  # the smallest set of Zhao et al. 2020 (arXiv:2006.10738): pictures of one class
SHOWN = 500_000  # pictures that are shown in all where nothing says how long,
PATIENCE = 80 * 60.0  # or so many as a CPU shows in these seconds
FEW = 300  # pictures of which some can be held out
PENALTY = 0.0002  # times pixels / batch is the weight of R1, in StyleGAN2-ADA's program (Karras et al. 2020)


@dataclass(frozen=True, kw_only=True)
class TuningFlags:
    """What the doctor and errors advise, where DCGAN has it; what is not given is as the preset or DCGAN has it."""

    lr: Rate | None = None
    """Learning rate of both players."""
    disc_lr: Rate | None = None
    """Learning rate of the discriminator."""
    b1: Share | None = None
    """Adam's decay of the mean gradient, for both players."""
    loss: LossName | None = None
    """Loss function of the two players."""
    label_smoothing: Share | None = None
    """One-sided label smoothing: real examples are asked to score this much less than 1."""
    pack: Count | None = None
    """Examples that the discriminator judges together, against mode collapse."""
    minibatch: Minibatch | None = None
    """Features of the whole minibatch in the discriminator, against mode collapse."""
    disc_norm: Literal["batch", "none"] | None = None
    """Normalisation in the discriminator."""
    spectral_norm: bool | None = None
    """Divide the kernels of the discriminator by their largest singular value."""
    disc_steps: Count | None = None
    """Updates of the discriminator in a round."""
    gen_steps: Count | None = None
    """Updates of the generator in a round."""
    accumulate: Count | None = None
    """Parts of a minibatch whose gradients are averaged, to save memory."""
    precision: Literal["f32", "bf16"] | None = None
    """Type of the computation."""
    feed: Feed | None = None
    """Where the data lie while training: on the device, or on the host."""


@dataclass(frozen=True, kw_only=True)
class Config(TuningFlags, FeatureFlags):
    data: str
    """A folder, a zip or an .npz of pictures."""
    outdir: Path | None = None
    """Directory of the run; default runs/own_pictures-NAME."""
    minutes: Rate | None = None
    """Train as long as this, from the start of the command; a run that is continued is trained so long again."""
    stop_when: Literal["never", "plateau"] = "never"
    """Stop before the end when KID improves by little, as far as its trend tells."""
    recipe: Literal["dcgan", "r3gan"] = "dcgan"
    """DCGAN's networks, or R3GAN's with its cost."""
    force: bool = False
    """Train on very few pictures all the same."""
    image_size: str | None = None
    """Height and width, such as 64 or 128."""
    width: Count | None = None
    """Channels next to the image."""
    fit: Fit | None = None
    """How pictures of another shape are fitted: crop, pad or stretch."""
    channels: Literal["auto", 1, 3, 4] | None = None
    """1 grey, 3 colours, 4 with transparency."""
    range: str | None = None
    """Of pictures of more than 8 bits the values that become black and white, such as --range=0,4095."""
    held_out: Share | None = None
    """Share of the pictures that are kept from training, to see whether the discriminator memorises."""
    limit: Count | None = None
    """Number of pictures to use, at random but always the same."""
    augment: AugmentName | None = None
    """What is altered of all that the discriminator sees."""
    mirror: bool | None = None
    """Show the pictures also mirrored left to right."""
    r1: Weight | None = None
    """Weight of the penalty on the discriminator's slope."""
    batch: Count | None = None
    """Pictures in a minibatch."""
    steps: Count | None = None
    """Rounds of play."""
    seed: Seed = 0
    """Random seed for weights, noise and order."""
    dry_run: bool = False
    """Only say how long it takes, which is measured by some rounds, and how much memory."""

    @property
    def pictures(self) -> PictureFlags:
        """The flags of the data, those of the preset as usual."""
        named = {each.name: getattr(self, each.name, None) for each in fields(PictureFlags)}
        return PictureFlags(**{"image_size": "64"} | {name: value for name, value in named.items() if value is not None})


class Choice(NamedTuple):
    """A setting and why it is so."""

    name: str
    value: Any
    reason: str


def spared(source: Source) -> Choice | None:
    """The share of pictures that is held out; None where they lie in two parts already."""
    total = sum(split.size for split in source.splits.values())
    if "held_out" not in source.splits:
        return None
    if source.splits["train"].size < FEW:
        return Choice("held_out", 0.0, f"it takes {LEAST_HELD_OUT} to show memorising, and of so few none is spared")
    share = max(PictureFlags.held_out, math.ceil(1e3 * LEAST_HELD_OUT / total) / 1e3)
    return Choice("held_out", share, f"{LEAST_HELD_OUT} or more show whether the discriminator memorises")


def preset(report: Report, config: Config, cpu: bool) -> Iterator[Choice]:
    """The settings for these pictures, without those that `config` gives."""
    n = report.splits.get("train", 0)
    covered = reach(report, (64, 64))
    size = config.image_size or ("64" if covered > 0.5 else "32")
    batch = config.batch or max(best_batch(n), min(n, LEAST_BATCH))
    pixels = math.prod(replace(config.pictures, image_size=size).size)
    longer = "; 128 is sharper and takes four times as long" if reach(report, (128, 128)) > 0.5 else ""
    yield Choice("image_size", size, f"{covered:.0%} of the pictures have 64x64 pixels or more{longer}")
    yield Choice("fit", best_fit(report), "see the recommended settings above")
    tenth = "batch norm needs so many" if batch == LEAST_BATCH > n / 10 else f"at most a tenth of {n:,} pictures"
    yield Choice("batch", batch, tenth if batch < 64 else "the usual size")
    few = "few pictures are memorised by the discriminator otherwise (Zhao et al. 2020)"
    yield Choice("augment", "diffaugment" if n < 50_000 else "none", few if n < 50_000 else f"{n:,} pictures are enough")
    yield Choice("mirror", n < 10_000, "it doubles the pictures; --mirror False if they hold text, or left and right differ")
    yield Choice("width", 24 if cpu else 64, "for a CPU" if cpu else "for an accelerator")
    yield from _r3gan(replace(config.pictures, image_size=size).size[0]) if config.recipe == "r3gan" else _dcgan(pixels, batch)
    network = "squeezenet" if config.weights else "pixels"
    yield Choice("features", network, "scores of pictures of any kind; a better judge: --features squeezenet --weights FILE")
    if sum(report.splits.values()) < FEWEST:
        yield Choice("eval_metrics", "none", f"a score needs {FEWEST} pictures or more")
    else:
        yield Choice("eval_metrics", "kid", "it needs no classes")
    if config.minutes is None:
        most = f", or as many as this CPU shows in {PATIENCE / 60:.0f} min" if cpu else ""
        yield Choice("steps", max(SHOWN // batch // 10, 1) * 10, f"{SHOWN:,} pictures are shown{most}; --minutes decides it")


def _dcgan(pixels: int, batch: int) -> Iterator[Choice]:
    yield Choice("upsample", "resize", "transposed convolutions leave a fine checkerboard")
    yield Choice("lr", 1e-3, "usual here")
    yield Choice("r1", float(f"{PENALTY * pixels / batch:.2g}"), "0.0002 x pixels / batch, StyleGAN2-ADA's rule")


def _r3gan(side: int) -> Iterator[Choice]:
    for name, value in {"networks": "r3gan", **R3GAN}.items():
        yield Choice(name, value, "R3GAN's")
    gamma = GAMMA.get(side, GAMMA[64])
    yield Choice("r1", gamma, "R3GAN's for this size")
    yield Choice("r2", gamma, "R3GAN's for this size")


def chosen(report: Report, config: Config, spare: Choice | None = None) -> dcgan.Config:
    """DCGAN's flags: those given, `spare`, and the preset for the others, which is told."""
    given = {name: value for name, value in vars(config).items() if value is not None and value != "auto"}
    if spare is not None:
        print(f"preset      held_out {spare.value}: {spare.reason}")
    for choice in preset(report, config, jax.default_backend() == "cpu"):
        why = "as given" if choice.name in given else choice.reason
        given.setdefault(choice.name, choice.value)
        print(f"preset      {choice.name} {given[choice.name]}: {why}")
    return read(dcgan.Config, given)


def main(config: Config) -> Run | None:
    began = time.perf_counter()
    config = checked(config)
    if config.minutes is not None and config.steps is not None:
        raise InputError("--minutes and --steps both say how long: give one of them")
    source, spare = config.pictures.source(), None
    if config.held_out is None and (spare := spared(source)) is not None:
        config = replace(config, held_out=spare.value)
        source = config.pictures.source()
    report = check(source, config.pictures.size, config.pictures.fit, parse_range(config.range))
    print(report)
    require_enough(report, config.force)
    flags = chosen(report, config, spare)
    outdir = directory_of(flags, "own_pictures", source.name)
    if not config.dry_run:
        Run(outdir, flags, flags.load().fingerprint).close()  # a directory that is of no use is refused before the wait
    plan = planned(config, flags, outdir, began)
    require_same(config, source)
    run = run_experiment(dcgan.build, "own_pictures", replace(flags, outdir=outdir, **plan._asdict()))
    try:
        require_same(config, source)
    except InputError:
        print("note        the data have changed since: this run was trained on the pictures as they were at its start")
    return run


def planned(config: Config, flags: dcgan.Config, outdir: Path, began: float) -> Schedule:
    """How long the run is, and its intervals: as begun, as long as was asked for, or as patience lasts; told."""
    before = 0 if config.dry_run else max(saved_steps(outdir), default=0)
    begun = read_json(outdir / "config.json") or {}
    if before and config.minutes is None and config.steps is None and all(name in begun for name in Schedule._fields):
        return Schedule(**{name: int(begun[name]) for name in Schedule._fields})
    limit = math.inf if config.minutes is None else 60 * config.minutes
    cost = measure(dcgan.build, flags, math.inf if config.dry_run else limit, time.perf_counter() - began)
    spent = time.perf_counter() - began
    scores = OFTEN if config.stop_when == "plateau" else SCORES
    plan, why = schedule(flags.steps, scores=scores), ""
    if config.minutes is not None:
        plan = _within(cost, limit, spent, scores, config.dry_run)
    elif config.steps is None and jax.default_backend() == "cpu" and cost.of(plan) > PATIENCE:
        plan, why = fitted(cost, PATIENCE, most=scores), "; more by --minutes or --steps"
    left = plan.steps if config.minutes is not None else max(plan.steps - before, 0)
    print(f"time        {told(cost, plan._replace(steps=left))}{why}", flush=True)
    return plan._replace(steps=plan.steps + before * (config.minutes is not None))


def _within(cost: Cost, seconds: float, spent: float, scores: int, dry_run: bool) -> Schedule:
    """The longest run within the time; a dry run says why there is none, and goes on with the shortest."""
    try:
        return fitted(cost, seconds, spent, scores)
    except InputError as error:
        if not dry_run:
            raise
        print(f"note        {error}")
        return schedule(LEAST, scores=scores)


def require_same(config: Config, source: Source) -> None:
    """Raises `InputError` where the pictures are others than those that were checked."""
    try:
        same = config.pictures.source().identity == source.identity
    except InputError:
        same = False
    if not same:
        raise InputError(f"{config.data} has changed since it was checked: start again when nothing is written there any more")


def require_enough(report: Report, force: bool) -> None:
    """Raises `InputError` for very few pictures, unless these are wanted all the same."""
    n = sum(report.splits.values())
    if n < FEWEST:
        expect = f"{n} pictures: the generator will show these again, with small changes, and invent none"
        if not force:
            raise InputError(f"{expect}. Collect {FEWEST} or more of one kind, or go on with --force")
        print(f"note        {expect}")


def told(cost: Cost, plan: Schedule) -> str:
    """What the run takes, in words."""
    minutes = cost._replace(start=0.0).of(plan) / 60
    lasting = f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"
    return (
        f"{plan.steps:,} rounds of {cost.round:.2g} s, scores every {plan.eval_every:,} ({cost.score:.2g} s), sheets every "
        f"{plan.sample_every} ({cost.sheet:.2g} s): about {lasting}"
    )


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
