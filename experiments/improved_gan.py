"""Improved GAN (Salimans et al. 2016, arXiv:1606.03498) on CIFAR-10 and ImageNet, every trick a flag; later recipes beside it.

    python -m experiments.improved_gan                                        # the recipe of 2016, at a width for a CPU
    python -m experiments.improved_gan --without minibatch                    # without one of its tricks, beside it
    python -m experiments.improved_gan --table3 --seeds 3                     # the six rows of the paper's Table 3
    python -m experiments.improved_gan --recipes improved dcgan sngan r3gan   # 2016 beside 2018 and 2024, one table
    python -m experiments.improved_gan --recipes released --widths 128 --steps 600000  # the authors' program for CIFAR-10
    python -m experiments.improved_gan --recipes released --data imagenet2012 --image-size 128 --widths 64  # and for ImageNet

`improved` has the tricks of the paper's best row: a discriminator of K + 1 classes that is told the labels, minibatch
discrimination, virtual batch norm, one-sided label smoothing, weight norm, noise and dropout in the discriminator. Feature
matching and historical averaging are flags (--feature-matching 1 --adversarial 0, --historical 0.1). `released` is what the
authors' programs do, which differs from the paper: on CIFAR-10 a saturating cost, three updates of the generator in a round,
batch norm, no smoothing. `dcgan` (2015), `sngan` (2018) and `r3gan` (2024) set networks, cost and optimizer of their papers,
and `gat` (2025) small transformers on patches of pixels, with R3GAN's cost.

Each run lies in --outdir/RECIPE/SEED; run the same command again to continue, or one that names the recipes of several commands
to have them in one table. Written to --outdir: table.md and results.json (scores with standard errors over the seeds, those of
real pictures, images seen, seconds), samples.png (a row a recipe). A run whose samples collapse, or whose metrics are not
finite, is told, and scored as its newest checkpoint is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import optax

from experiments import dcgan
from experiments.improved_report import Played, report
from experiments.stopwatch import stopwatch
from gan_jax import cli, losses, penalties
from gan_jax.augment import scheduled_ada
from gan_jax.config import FREE, Count, CountOrNone, Rate, Share, Weight, checked
from gan_jax.core import Players
from gan_jax.data import Dataset
from gan_jax.errors import InputError, RunError
from gan_jax.evaluation.judge import require_judgeable
from gan_jax.files import place
from gan_jax.latents import LATENTS, LatentName
from gan_jax.layers.head import Minibatch
from gan_jax.losses import Loss
from gan_jax.models import improved
from gan_jax.models.pretrained import read_weights
from gan_jax.objectives import class_gan, image_sampler
from gan_jax.parallel import processes
from gan_jax.runs.run import is_run, require_place, saved_steps
from gan_jax.training import Game, run_experiment
from gan_jax.training.experiment import directory_of, prepare

CONSTANT = 2**31 - 1  # updates in which noise fades: never
TRICKS: dict[str, dict[str, Any]] = {  # what turns each off
    "minibatch": {"minibatch": "none"},
    "virtual_norm": {"gen_norm": "batch"},
    "labels": {"labels": False},
    "label_smoothing": {"label_smoothing": 0.0},
    "feature_matching": {"feature_matching": 0.0, "adversarial": 1.0},
    "historical": {"historical": 0.0},
    "weight_norm": {"weight_norm": False},
    "dropout": {"dropout": 0.0},
    "noise": {"instance_noise": 0.0},
}
_PLAIN = {name: value for off in TRICKS.values() for name, value in off.items()} | {
    "latent": "normal",
    "latent_dim": 64,
    "gen_steps": 1,
    "b1": 0.0,
    "own_networks": False,
}
_RELEASED: dict[int, dict[str, Any]] = {  # by the picture's side
    32: {
        "loss": "minimax",
        "gen_steps": 3,
        "gen_norm": "batch",
        "label_smoothing": 0.0,
        "class_weight": 2.0,  # the program halves the other costs
        "lr": 3e-4,
        "decay": "last_third",
        "batch": 100,
    },
    128: {
        "minibatch": "discrimination_groups",
        "weight_norm": False,
        "dropout": 0.0,
        "instance_noise": 0.1,
        "label_smoothing": 0.25,
        "gen_target": 0.375,
        "lr": 4e-4,
        "latent_dim": 8192,
    },
}
_DCGAN = _PLAIN | {
    "networks": "dcgan",
    "latent": "uniform",
    "latent_dim": 100,
    "disc_norm": "batch",
    "lr": 2e-4,
    "b1": 0.5,
    "b2": 0.999,
}
_SNGAN = {"loss": "hinge", "lr": 2e-4, "b2": 0.9, "disc_steps": 5, "decay": "linear"}
R3GAN = {"loss": "relativistic_paired", "lr": 2e-4, "b2": 0.99}  # and the penalties of `GAMMA`
GAMMA = {32: 0.05, 64: 2.0, 128: 17.0, 256: 150.0}  # by side: CIFAR-10, FFHQ-64, their geometric mean, FFHQ-256
_TRICKY = ("improved", "released")  # recipes that --without is of
_OF_A_RECIPE = ("own_networks", "networks", "label")  # a recipe has its own, whatever the flags say
RECIPES: dict[str, dict[str, Any]] = {  # the flags that each sets, where they are not given
    "improved": {"label": "none"},
    "released": {"label": "none"},  # and those of `_RELEASED`
    "dcgan": _DCGAN,
    "dcgan_minibatch": {**_DCGAN, "minibatch": "discrimination"},
    "sngan": {**_PLAIN, "networks": "sngan", "latent_dim": 128, **_SNGAN},
    "r3gan": {**_PLAIN, "networks": "r3gan", **R3GAN},
    "gat": {**_PLAIN, "networks": "gat", **R3GAN},
}
TABLE3: dict[str, tuple[dict[str, Any], str]] = {  # changes, and the paper's Inception score on CIFAR-10
    "our methods": ({}, "8.09 ± 0.07"),
    "-VBN+BN": (TRICKS["virtual_norm"], "7.54 ± 0.07"),
    "-L+HA": (TRICKS["labels"] | {"historical": 0.1}, "6.86 ± 0.06"),
    "-LS": (TRICKS["label_smoothing"], "6.83 ± 0.06"),
    "-L": (TRICKS["labels"], "4.36 ± 0.04"),
    "-MBF": (TRICKS["minibatch"], "3.87 ± 0.03"),
}

if TYPE_CHECKING:
    RecipeName = TrickName = str
else:  # a command line offers what the tables have
    RecipeName, TrickName = Literal[tuple(RECIPES)], Literal[tuple(TRICKS)]


@dataclass(frozen=True)
class Config(dcgan.Config):
    recipes: tuple[RecipeName, ...] = field(default=("improved",), metadata=FREE)
    """What is trained beside each other: improved, released, and what came before and after it. A flag with another value than
    its default is as given in all of them; what tells classes, --label, in those that can be asked for a class."""
    without: tuple[TrickName, ...] = field(default=(), metadata=FREE)
    """Tricks that are left out of improved and released, in runs of their own."""
    table3: bool = field(default=False, metadata=FREE)
    """Train the six rows of the paper's Table 3, in place of --recipes."""
    seeds: Count = field(default=1, metadata=FREE)
    """Runs of each, of the seeds --seed, --seed + 1, and so on."""
    widths: tuple[Count, ...] = field(default=(), metadata=FREE)
    """Width of each recipe, in their order; default --width of all. The papers': improved 128 (64 at 128x128), dcgan 128, sngan
    256 (64), r3gan 768 (192 at 128x128 is ours); of gat the channels of a token, a multiple of 32."""
    lengths: tuple[Count, ...] = field(default=(), metadata=FREE)
    """Rounds of each recipe, in their order, such that they take equal time; default --steps of all."""
    burn_in: CountOrNone = 0
    """Rounds in which r3gan's penalties fall to a tenth and its learning rate to a quarter, as half a cosine, and Adam's b2
    rises from 0.9 to 0.99 (the paper: 20 of 250 million images); 0 for none of it."""
    burn_in_augment: Share = 0.0
    """Probability of ADA's augmentations that r3gan's --burn-in ends with (the paper on CIFAR-10: 0.55)."""
    own_networks: bool = True
    """Improved GAN's networks in place of --networks; the recipes set this."""
    data: str = "cifar10"
    """The training data; imagenet2012 of tensorflow-datasets, once it is prepared there, with --image-size 128."""
    labels: bool = True
    """Tell the discriminator of the improved recipe the classes: K + 1 of them."""
    class_weight: Weight = 1.0
    """Weight of the cross entropy of classes."""
    weight_norm: bool = True
    """Weight norm in the improved networks at 32x32."""
    dropout: Share = 0.5
    """Dropout in the improved discriminator at 32x32."""
    reference: Count = 64
    """Latents in the reference batch of virtual batch norm."""
    gen_target: Share | None = None
    """What the generator asks D(G(z)) to be, where that is below 1 (ImageNet: 0.375)."""
    minibatch: Minibatch = "discrimination_scaled"
    """Features of the whole minibatch in the discriminator."""
    gen_norm: Literal["batch", "virtual", "none"] = "virtual"
    """Normalisation in the generator."""
    label_smoothing: Share = 0.1
    """One-sided label smoothing: real examples are asked to score this much less than 1."""
    instance_noise: Weight = 0.2
    """Standard deviation of normal noise on all that the discriminator sees."""
    noise_updates: Count = CONSTANT
    """Updates of the discriminator in which the noise falls to 0; default never."""
    latent: LatentName = "uniform"
    """Distribution of the latent code."""
    latent_dim: Count = 100
    """Length of the latent code, without the maps of noise at 128x128."""
    r1: Weight = 0.0
    """Weight of the penalty E ||grad D||^2 / 2 at real examples."""
    lr: Rate = 3e-4
    """Learning rate of both players."""
    b1: Share = 0.5
    """Adam's decay of the mean gradient, for both players."""
    b2: Share = 0.999
    """Adam's decay of the mean squared gradient, for both players."""

    def load(self) -> Dataset:
        """The pictures; what is wrong with their size is told before they are read."""
        if not self.own_networks:
            return super().load()
        improved.side_of(*self.size)
        return super(dcgan.Config, self).load()

    def costs(self) -> Loss:
        """As of any game; the generator's target is told beside it."""
        loss = super().costs()
        return loss if self.gen_target is None else losses.aim_lower(loss, self.gen_target)


def main(config: Config) -> dict[str, Any]:
    """Train what is asked for, and write and return what became of it; {} after a dry run.

    Raises `InputError` for what does not fit, before anything is trained, and `RunError` if no run has left a checkpoint.
    """
    config = checked(config)
    plan = planned(config)
    dataset = next(iter(plan.values())).load()
    outdir = place(directory_of(config, "improved_gan", dataset.name))
    for each in plan.values() if len(plan) > 1 else ():
        prepare(build, each, each.load())  # what cannot be played is told before another is trained for hours
    if not any(map(is_run, outdir.glob("*/*"))):  # of whichever recipe and seed
        require_place(outdir)
    if not config.dry_run:  # these too
        if config.features in ("inception", "squeezenet", "squeezenet_torchvision"):
            read_weights(config.weights, config.features)
        elif config.features == "judge":
            require_judgeable(dataset)
    found: dict[str, list[Played]] = {}
    failed: RunError | None = None
    for name, each in plan.items():
        for seed in range(config.seed, config.seed + config.seeds):
            directory, fault = outdir / _folder(name) / str(seed), ""
            print(f"\n{name}, seed {seed}", flush=True)
            with stopwatch(directory) as spent:
                try:
                    run_experiment(build, "improved_gan", replace(each, outdir=directory, seed=seed))
                except RunError as error:
                    failed, fault = error, str(error)
                    print(f"failed      {fault}\n            the others go on", flush=True)
            if not config.dry_run and processes.is_first() and (steps := saved_steps(directory)):
                found.setdefault(name, []).append(Played(directory, spent(), seen(each, steps[-1]), fault))
    if failed and not found:
        raise failed
    if not found:
        return {}
    paper = {name: printed for name, (_, printed) in TABLE3.items()} if config.table3 else {}
    return report(found, dataset, config.open_features(dataset), config.eval_n, config.seed, outdir, paper)


def planned(config: Config) -> dict[str, Config]:
    """The configuration of each recipe by its name; raises `InputError` for flags that do not fit the recipes."""
    names = tuple(TABLE3) if config.table3 else config.recipes
    if not names:
        raise InputError("--recipes: name one or more")
    if len(set(names)) < len(names):
        raise InputError("--recipes: name each once; --seeds says how many runs there are of each")
    for flag, numbers in (("--widths", config.widths), ("--lengths", config.lengths)):
        if numbers and len(numbers) != len(names):
            raise InputError(f"{flag} has {len(numbers)} numbers for {len(names)} recipes: give one each")
    off, plan = {flag: value for trick in config.without for flag, value in TRICKS[trick].items()}, {}
    tricky = [name for name in names if name in _TRICKY]
    if config.without and (config.table3 or not tricky):
        reason = "each row of --table3 has its own" if config.table3 else f"{', '.join(names)} has no such tricks"
        raise InputError(f"--without leaves tricks out of {' and '.join(_TRICKY)}: {reason}")
    if config.burn_in and "r3gan" not in names:
        raise InputError("--burn-in is of r3gan: name it among --recipes")
    if config.burn_in_augment and not config.burn_in:
        raise InputError("--burn-in-augment is what --burn-in ends with: say how long, such as --burn-in 10000")

    for i, name in enumerate(names):
        changes = TABLE3[name][0] if config.table3 else RECIPES[name]
        if name == "released":
            changes = changes | _RELEASED[improved.side_of(*config.size)]
        if name in ("r3gan", "gat"):
            changes = changes | dict.fromkeys(("r1", "r2"), GAMMA.get(config.size[0], GAMMA[32]))
        own = {flag for flag in changes if config.table3 or flag in _OF_A_RECIPE or not _given(config, flag)}
        changes = {flag: value for flag, value in changes.items() if flag in own}
        if config.without and name in _TRICKY:
            changes, name = changes | off, f"{name} without {' '.join(config.without)}"
        width = config.widths[i] if config.widths else config.width
        steps = config.lengths[i] if config.lengths else config.steps
        plan[name] = checked(replace(config, **changes, width=width, steps=steps))
    return plan


def _given(config: Config, flag: str) -> bool:
    """Whether a flag has another value than its default."""
    return bool(getattr(config, flag) != getattr(Config(), flag))


def seen(config: Config, steps: int) -> int:
    """The real images that the discriminator is shown in so many rounds."""
    return steps * config.batch * config.order_of_play[0]


def build(config: Config, dataset: Dataset) -> Game:
    """The game on this data set."""
    if not config.own_networks:
        game = dcgan.build(config, dataset)
        return _burnt_in(config, dataset, game) if config.networks == "r3gan" and config.burn_in else game
    if config.label != "none":
        raise InputError("--label is of networks that make pictures of a class: these are told classes by --labels")
    classes = 0
    if config.labels:
        dataset.require("label")
        classes = len(dataset.class_names)
        if classes < 2:
            raise InputError(
                f"{dataset.name} has one class, and a discriminator of K + 1 classes needs 2 or more: use --without labels"
            )
    if config.gen_norm == "virtual" and config.reference > len(dataset):
        raise InputError(
            f"a reference batch of {config.reference} is larger than the data, {len(dataset)} pictures: lower --reference"
        )
    generator, discriminator = networks(config, dataset.train["image"].shape[-1], classes)
    latent = LATENTS[config.latent](config.latent_dim + generator.noise_dim)
    return Game(
        class_gan(generator, discriminator, latent=latent, classes=classes, class_weight=config.class_weight, **config.parts()),
        config.optimizers(config.steps),
        sampler=partial(image_sampler, generator, latent),
        vary=config.variations(),
        strata=config.strata(dataset),
    )


def networks(config: Config, channels: int, classes: int) -> tuple[improved.Generator, improved.Discriminator]:
    """The generator and a discriminator of 3/4 of its width at 32x32, of the same at 128x128, as in the programs.

    At 128x128 the last class has a logit of its own.
    """
    large = improved.side_of(*config.size) == 128
    generator = improved.Generator(
        config.size,
        channels,
        config.width,
        norm=config.gen_norm,
        weight_norm=config.weight_norm and not large,
        reference=config.reference,
        dtype=config.dtype,
    )
    discriminator = improved.Discriminator(
        classes + 1 if large and classes else classes,
        config.width if large else max(3 * config.width // 4, 1),
        weight_norm=config.weight_norm,
        dropout=0.0 if large else config.dropout,
        minibatch=config.minibatch,
        dtype=config.dtype,
    )
    return generator, discriminator


def _burnt_in(config: Config, dataset: Dataset, game: Game) -> Game:
    """R3GAN's game with the schedules of its burn-in; raises `InputError` for flags that these take the place of."""
    updates = config.burn_in
    replaced = ["lazy", "disc_lr", "disc_b1", "disc_b2", "decay", "clip", "historical", "optimizer"]
    replaced += ["augment"] if config.burn_in_augment else []
    ignored = [name for name in replaced if _given(config, name)] + ["b2"] * (config.b2 != R3GAN["b2"])
    if ignored:
        flags = ", ".join("--" + name.replace("_", "-") for name in ignored)
        raise InputError(f"{flags}: --burn-in has schedules of its own in their place: leave out either")

    def cosine(start: float, end: float) -> Callable[[Any], Any]:
        fall = optax.cosine_decay_schedule(start - end, updates)
        return lambda count: fall(count) + end

    adam = optax.inject_hyperparams(optax.adam)
    tx = adam(learning_rate=cosine(config.lr, config.lr / 4), b1=config.b1, b2=cosine(0.9, 0.99))
    terms = [
        penalties.Term(cosine(weight, weight / 10), penalty)
        for weight, penalty in ((config.r1, penalties.r1), (config.r2, penalties.r2))
        if weight
    ]
    parts = {**config.parts(), "penalties": terms}
    if config.burn_in_augment:
        parts["augment"] = scheduled_ada(config.burn_in_augment, updates)
    return replace(game, objective=dcgan.objective(config, dataset, parts), tx=Players(gen=tx, disc=tx))


def _folder(name: str) -> str:
    return name.replace(" ", "_")


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
