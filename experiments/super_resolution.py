"""Super-resolution by SRResNet and SRGAN (Ledig et al. 2016, arXiv:1609.04802), beside bicubic enlargement.

    python -m experiments.super_resolution --data PHOTOS --test Set5_Set14_x4.zip --outdir runs/srresnet
    python -m experiments.super_resolution --stage srgan --init-from runs/srresnet --outdir runs/srgan
        --content vgg22 --content-weights vgg19.npz (and --data, --test as before)
    python -m experiments.super_resolution --stage compare --runs runs/srresnet runs/srgan --test Set5_Set14_x4.zip
    python -m gan_jax upscale runs/srgan my_photo.jpg

Stage srresnet trains the generator on the content loss alone; srgan goes on from its weights against a discriminator. Each is
a run of its own, which the same command continues. Pictures in --data are kept whole, and random windows of them are shrunk by
MATLAB's bicubic `imresize`; PSNR and SSIM are measured on whole pictures of --test, the distance in SqueezeNet's features too
where --weights names it.

A short training on 200 photographs of BSDS500, from the bicubic enlargement on (seed 0; minutes on one CPU core):

    --trunk plain --width 32 --blocks 8 --upsample resize --residual --batch 8 --window 64 --lr 1e-3 --decay cosine --ema 0.99
    --steps 3000

Set5 x4: PSNR on Y 29.44 dB where bicubic has 28.43, SSIM 0.8303 and 0.8111. docs/super_resolution.md has the SRGAN that goes on
from it: 28.92 dB, and 16 % nearer in SqueezeNet's features.

The paper: 1,000,000 rounds of SRResNet with --lr 1e-4 on ImageNet, 200,000 of SRGAN with --content vgg54 --lr 1e-4
--decay tenth. Set5: bicubic 28.43 dB, SRResNet 32.05 dB, SRGAN 29.40 dB.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from experiments import super_resolution_report
from gan_jax import cli
from gan_jax.augment import AUGMENTATIONS
from gan_jax.config import FREE, Count, CountOrNone, Rate, Share, Weight, checked
from gan_jax.core import TrainState
from gan_jax.data.dataset import Dataset
from gan_jax.data.pairs import PairSet, read_pairs
from gan_jax.data.whole import WindowFlags
from gan_jax.errors import InputError
from gan_jax.evaluation.restoration import bicubic, open_measures, score_sets
from gan_jax.images import grid, to_uint8
from gan_jax.models.content import ContentName, content_loss
from gan_jax.models.srgan import Discriminator, Generator, PatchDiscriminator, Trunk
from gan_jax.objectives import superres, superres_gan, superres_sampler
from gan_jax.runs.trained import open_trained
from gan_jax.sampling import Inputs, Statistics, sampling_variables
from gan_jax.training import ExperimentFlags, Game, run_experiment
from gan_jax.upscaling import enlarged, factor_of, margin_for


@dataclass(frozen=True)
class Config(WindowFlags, ExperimentFlags):
    stage: Literal["srresnet", "srgan", "compare"] = "srresnet"
    """srresnet: the content loss alone; srgan: also a discriminator, from the weights of --init-from; compare: the runs
    --runs beside bicubic enlargement, a table and a figure."""
    test: tuple[Path, ...] = field(default=(), metadata=FREE)
    """Test sets, folders or zips of whole pictures, with low ones beside them or without."""
    runs: tuple[Path, ...] = field(default=(), metadata=FREE)
    """Compare: the directories of the runs."""
    content: ContentName = "mse"
    """Content loss: mse, l1, or features of VGG-19 (vgg22, vgg54) or LPIPS' VGG, from --content-weights."""
    content_weights: Path | None = None
    """Weights of the content loss, made by `python -m gan_jax weights convert`; for vgg22 also the normalised VGG-19."""
    pixel: Weight = 0.0
    """Weight of L1 beside a content loss by features, which alone lets fine patterns appear and colours drift (ESRGAN)."""
    tv: Weight = 0.0
    """Weight of the total variation (the paper, with vgg22 and no discriminator: 2e-8)."""
    trunk: Trunk = "batch"
    """Blocks of the generator: batch (the paper's, with batch norm), plain (without, as EDSR), rrdb (dense, as ESRGAN)."""
    width: Count = 64
    """Channels of the generator (the paper: 64)."""
    blocks: CountOrNone = 16
    """Residual blocks of the generator (the paper: 16; ESRGAN: 23)."""
    upsample: Literal["shuffle", "resize"] = "shuffle"
    """Enlarge by pixel shuffles (the paper) or by nearest neighbours and convolutions, without patterns of a grid (ESRGAN)."""
    icnr: bool = False
    """Begin with pixel shuffles that repeat pixels, against checkerboards."""
    residual: bool = False
    """Let the generator add to the bicubic enlargement, at first nothing, as VDSR does: for short trainings."""
    discriminator: Literal["srgan", "patch"] = "srgan"
    """Srgan: the player that judges windows (srgan, the paper's) or the texture at every place (patch, PatchGAN)."""
    disc_width: Count = 64
    """Channels of the discriminator's first layer, doubled three times (the paper: 64)."""
    disc_norm: Literal["batch", "none"] = "batch"
    """Batch norm in the discriminator, of windows."""
    adversarial: Weight = 1e-3
    """Srgan: weight of the generator's adversarial cost."""
    batch: Count = 16
    """Windows in a minibatch."""
    lr: Rate = 1e-4
    """Learning rate of both players."""
    b1: Share = 0.9
    """Adam's decay of the mean gradient."""
    b2: Share = 0.999
    """Adam's decay of the mean squared gradient."""
    ema: Share = 0.0
    """Decay of the moving average of the generator's weights (the paper has none)."""
    statistics: Statistics = field(default="running", metadata=FREE)
    """Batch-norm statistics when enlarging: running averages of training."""
    eval_metrics: str = field(default="none", metadata=FREE)
    """Scores of windows as pictures, none by default: pictures of --test are measured whole."""


def tests(config: Config) -> list[PairSet]:
    """The test sets; says what was cut of them."""
    sets = [one for path in config.test for one in read_pairs(path, config.factor, config.colours)]
    for line in (note for one in sets for note in one.notes):
        print(f"note        {line}")
    return sets


def build(config: Config, dataset: Dataset) -> Game:
    """The game on these pictures."""
    if config.pack > 1 or config.feature_matching:
        raise InputError("--pack and --feature-matching are for games on noise: leave them out")
    generator = Generator(
        config.factor,
        config.colours,
        config.width,
        config.blocks,
        config.trunk,
        upsample=config.upsample,
        icnr=config.icnr,
        bicubic=config.residual,
        dtype=config.dtype,
    )
    loss = content_loss(config.content, config.content_weights, config.pixel)
    objective = superres(generator, loss, config.tv)
    if config.stage == "srgan":
        discriminator: Any = Discriminator(config.disc_width, config.disc_norm, config.dtype)
        if config.discriminator == "patch":
            discriminator = PatchDiscriminator(config.disc_width, config.dtype)
        objective = superres_gan(
            generator,
            discriminator,
            loss,
            config.costs(),
            adversarial=config.adversarial,
            tv=config.tv,
            penalties=config.penalties(),
            augment=AUGMENTATIONS[config.augment],
        )
    sets = tests(config)
    return Game(
        objective,
        config.optimizers(config.steps),
        sampler=partial(superres_sampler, generator),
        vary=config.variations(),
        show=partial(beside_bicubic, config.factor),
        shown=16,
        measure=measured(config, sets, generator) if sets else None,
        best=(f"{sets[0].name.lower()}/psnr_y", "max") if sets and config.stage == "srresnet" else None,
        facts={"reach": generator.reach},
    )


def measured(config: Config, sets: list[PairSet], generator: Generator) -> Callable[[TrainState], dict[str, float]]:
    """The scores of a state on the test sets, whole pictures."""
    sampler, measures = superres_sampler(generator), open_measures(config.factor, config.weights)

    def measure(state: TrainState) -> dict[str, float]:
        restore = partial(enlarged, sampler, sampling_variables(state), margin=margin_for(generator.reach), finish=to_uint8)
        return score_sets(restore, sets, measures)

    return measure


def beside_bicubic(factor: int, samples: np.ndarray, inputs: Inputs, state: TrainState) -> np.ndarray:
    """Pairs of the bicubic enlargement and the generator's."""
    rough = np.stack([bicubic(factor)(low) for low in np.asarray(inputs["low"])])
    pairs = np.stack([rough, to_uint8(samples)], axis=1).reshape(-1, *samples.shape[1:])
    return grid(pairs, columns=8)


def compare(config: Config) -> dict[str, Any]:
    """The runs beside bicubic enlargement; writes to --outdir, default runs/super-resolution."""
    if not config.runs:
        raise InputError("name the runs to compare: --runs runs/srresnet runs/srgan")
    methods = {"bicubic": bicubic(config.factor)}
    for name, run in zip(distinct(config.runs), config.runs, strict=True):
        trained = open_trained(run)
        if (found := factor_of(trained.sampler, trained.variables, config.colours)) != config.factor:
            raise InputError(f"{run} enlarges {found} times: give --factor {found}, and runs of one factor")
        methods[name] = trained.upscale
    out = config.outdir or Path("runs") / "super-resolution"
    measures = open_measures(config.factor, config.weights)
    return super_resolution_report.compare(methods, tests(config), measures, out, config.factor)


def distinct(runs: Sequence[Path]) -> list[str]:
    """A name for each run, as much of the end of its path as no other has; raises `InputError` for one that is named twice."""
    parts = [run.resolve().parts for run in runs]
    if len(set(parts)) < len(parts):
        raise InputError("--runs names a run twice: name each once")
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(each[-length:]) for each in parts]
        if len({*names, "bicubic"}) == len(names) + 1:
            break
    return names


def main(config: Config) -> Any:
    """Train a stage, or compare; returns the run, or the means by set and method."""
    config = checked(config)
    if config.stage == "compare":
        return compare(config)
    if config.stage == "srgan" and config.init_from is None:
        raise InputError("--stage srgan goes on from an SRResNet: name its run with --init-from")
    return run_experiment(build, config.stage, config)


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
