"""The flags that experiments share, beside those on pictures (`gan_jax.data`) and devices (`gan_jax.parallel`)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax
import optax

from gan_jax import core, losses, penalties
from gan_jax.augment import AUGMENTATIONS, AugmentName
from gan_jax.config import FREE, Count, CountOrNone, Rate, Seed, Share, Weight
from gan_jax.core import Objective, Players, Schedule, Step
from gan_jax.data.dataset import Dataset
from gan_jax.errors import InputError
from gan_jax.evaluation.flags import FeatureFlags
from gan_jax.instance_noise import chained, instance_noise
from gan_jax.losses import Loss, LossName
from gan_jax.parallel.flags import DeviceFlags
from gan_jax.sampling import Statistics
from gan_jax.training.trainer import Feed

Number = float | jax.Array  # arrays in a population, whose members differ in it
LearningRate = Number | optax.Schedule
OPTIMIZERS: dict[str, Callable[[LearningRate, Number, Number, float], optax.GradientTransformation]] = {
    # (learning rate, b1, b2, eps_root)
    "adam": lambda rate, b1, b2, eps_root: optax.adam(rate, b1=b1, b2=b2, eps_root=eps_root),
    "rmsprop": lambda rate, b1, b2, eps_root: optax.rmsprop(rate, decay=b2),
    "sgd": lambda rate, b1, b2, eps_root: optax.sgd(rate),
    # twice the present step minus the last one (Daskalakis et al. 2017, arXiv:1711.00141, eq. 4 and algorithm 1)
    "optimistic_adam": lambda rate, b1, b2, eps_root: optax.optimistic_adam_v2(
        rate, b1=b1, b2=b2, eps_root=eps_root, nesterov=False
    ),
    "optimistic_sgd": lambda rate, b1, b2, eps_root: optax.optimistic_gradient_descent(rate),
}
DECAYS: dict[str, Callable[[Number, int], LearningRate]] = {  # learning rate, updates of the run
    "constant": lambda lr, updates: lr,
    "linear": lambda lr, updates: optax.linear_schedule(lr, 0.0, updates),
    "cosine": optax.cosine_decay_schedule,
    "last_third": lambda lr, updates: optax.linear_schedule(lr, 0.0, -(-updates // 3), updates - -(-updates // 3)),
    "tenth": lambda lr, updates: optax.piecewise_constant_schedule(lr, {max(updates // 2, 1): 0.1}),  # SRGAN's
}

if TYPE_CHECKING:
    OptimizerName = DecayName = str
else:  # a command line offers what the tables have
    OptimizerName, DecayName = Literal[tuple(OPTIMIZERS)], Literal[tuple(DECAYS)]


@dataclass(frozen=True)
class RunFlags(FeatureFlags):
    """The flags of a run: directory, length, sampling, and the intervals of logging, scores and checkpoints."""

    outdir: Path | None = field(default=None, metadata=FREE)
    """Directory of the run; default runs/EXPERIMENT-DATA."""
    steps: Count = field(default=3000, metadata=FREE)
    """Rounds of play to train for in all; may grow when a run is continued."""
    batch: Count = 64
    """Examples in a minibatch."""
    seed: Seed = 0
    """Random seed for weights, noise and data order."""
    feed: Feed = field(default="auto", metadata=FREE)
    """Where the data lie while training: on the device if there is room, or on the host."""
    statistics: Statistics = field(default="standing", metadata=FREE)
    """Batch-norm statistics when sampling: running averages of training, those of each batch of samples, or standing ones,
    re-estimated for the averaged weights."""
    init_from: Path | None = field(default=None, metadata=FREE)
    """Begin with the weights of the run in this directory (to continue a run, repeat its command instead)."""
    log_every: Count = field(default=50, metadata=FREE)
    """Rounds between lines of metrics."""
    sample_every: Count = field(default=100, metadata=FREE)
    """Rounds between sheets of samples, the frames of the film."""
    eval_every: Count = field(default=1000, metadata=FREE)
    """Rounds between scores of samples; the checkpoint that is best by the first of them is kept."""
    eval_metrics: str = field(default="auto", metadata=FREE)
    """Scores, see `python -m gan_jax evaluate --help`: auto is kid,recognised where there are labels, and kid elsewhere,
    with the match of what captions name where that can be read; none for none."""
    eval_n: Count = field(default=1000, metadata=FREE)
    """Number of samples to score."""
    save_every: Count = field(default=500, metadata=FREE)
    """Rounds between checkpoints."""
    stop_when: Literal["never", "plateau"] = field(default="never", metadata=FREE)
    """Stop before --steps: plateau is when the score that ranks checkpoints improves by little, as far as its trend tells."""


@dataclass(frozen=True)
class GameFlags:
    """The flags of the game: costs, penalties, optimizers, who moves when."""

    loss: LossName = "non_saturating"
    """Loss function of the two players."""
    label_smoothing: Share = 0.0
    """One-sided label smoothing: real examples are asked to score this much less than 1."""
    r1: Weight = 0.0
    """Weight of the penalty E ||grad D||^2 / 2 at real examples."""
    r2: Weight = 0.0
    """Weight of the same penalty at generated examples."""
    wgan_gp: Weight = 0.0
    """Weight of the penalty E (||grad D|| - 1)^2 between real and generated examples (the paper: 10)."""
    dragan: Weight = 0.0
    """Weight of the penalty E (||grad D|| - 1)^2 around real examples (the paper: 10)."""
    lazy: Count = 1
    """Apply penalties at every n-th update of the discriminator, n times as strong."""
    clip: Weight = 0.0
    """Keep every weight of the discriminator within this distance of 0 after each update (WGAN: 0.01)."""
    augment: AugmentName = "none"
    """Alter what the discriminator sees, real or generated, so that it does not memorise few examples."""
    instance_noise: Weight = 0.0
    """Standard deviation, at first, of normal noise on all that the discriminator sees."""
    noise_updates: Count = 10_000
    """Updates of the discriminator in which --instance-noise falls to 0, linearly."""
    pack: Count = 1
    """Examples that the discriminator judges together, as one (PacGAN), against mode collapse."""
    feature_matching: Weight = 0.0
    """Weight of the generator's cost ||E f(x) - E f(G(z))||^2, where f are features of the discriminator."""
    adversarial: Weight = 1.0
    """Weight of the generator's usual cost; 0 leaves feature matching alone, as in its paper."""
    historical: Weight = 0.0
    """Weight of the cost ||theta - mean theta||^2 of either player, the mean over all updates (historical averaging)."""
    optimizer: OptimizerName = "adam"
    """Optimizer of both players."""
    lr: Rate = 2e-3
    """Learning rate of both players."""
    disc_lr: Rate | None = None
    """Learning rate of the discriminator; default that of both."""
    b1: Share = 0.0
    """Adam's decay of the mean gradient, for both players (only Adam has it)."""
    disc_b1: Share | None = None
    """Adam's decay of the mean gradient for the discriminator; default that of both."""
    b2: Share = 0.99
    """Adam's decay of the mean squared gradient (also RMSProp's), for both players."""
    disc_b2: Share | None = None
    """Adam's decay of the mean squared gradient for the discriminator; default that of both."""
    decay: DecayName = "constant"
    """Learning rates over the run: constant, or falling to 0 at the last round, linearly, as a cosine or in the last third, or
    to a tenth in the middle of the run."""
    disc_steps: Count = 1
    """Updates of the discriminator in a round, each on a new minibatch."""
    gen_steps: Count = 1
    """Updates of the generator in a round."""
    schedule: Schedule = "disc_first"
    """Who moves first in a round."""
    inner: Literal["none", "disc", "gen"] = "none"
    """Order of play: the player that makes --k updates, each on a new minibatch, before each update of the other. disc: the
    min over G of the max over D, the generator answers a good discriminator; gen: the max over D of the min over G. In place
    of --disc-steps, --gen-steps and --schedule."""
    k: Count = 10
    """Updates of the --inner player in a round."""
    unroll: CountOrNone = 0
    """Let the generator answer the discriminator as it would be after so many more updates (unrolled GAN), which leave its
    statistics as they are: spectral norm divides by the singular values of the update before."""
    accumulate: Count = 1
    """Parts of a minibatch whose gradients are averaged, to save memory."""
    ema: Share = 0.998
    """Decay of the moving average of the generator's weights, with warm-up."""

    @property
    def bounded(self) -> bool:
        """Whether the discriminator's own layers bound its slope; experiments with spectral normalisation say so."""
        return False

    @property
    def order_of_play(self) -> tuple[int, int, Schedule]:
        """Updates of the discriminator and of the generator in a round, and who moves first.

        Raises `InputError` where `inner` is given beside what it stands for.
        """
        if self.inner == "none":
            return self.disc_steps, self.gen_steps, self.schedule
        if (self.disc_steps, self.gen_steps, self.schedule) != (1, 1, "disc_first"):
            raise InputError(
                f"--inner {self.inner} --k {self.k} says who moves when: leave out --disc-steps, --gen-steps and --schedule"
            )
        return inner_loop(self.inner, self.k)

    @property
    def minibatches(self) -> int:
        """Minibatches that a round needs."""
        disc_steps, gen_steps, _ = self.order_of_play
        return core.minibatches_per_round(disc_steps, gen_steps)

    @property
    def fixed(self) -> tuple[str, ...]:
        """What may not differ when this run is continued: its length, where learning rates depend on it."""
        return () if self.decay == "constant" else ("steps",)

    def costs(self) -> Loss:
        """The loss; raises `InputError` for smoothing where there are no targets, and for a Wasserstein loss without bound."""
        if self.loss == "wasserstein" and not (max(self.wgan_gp, self.dragan, self.clip) > 0 or self.bounded):
            raise InputError(
                "--loss wasserstein needs a discriminator whose slope is bounded: add --wgan-gp 10, --clip 0.01, or spectral "
                "normalisation"
            )
        loss = losses.LOSSES[self.loss]
        return losses.smooth_labels(loss, 1 - self.label_smoothing) if self.label_smoothing else loss

    def penalties(self) -> list[penalties.Term]:
        """The penalties that have a weight, or may have one: where it is an argument of a compiled program."""
        weighted = ((getattr(self, name), penalty) for name, penalty in penalties.PENALTIES.items())
        return penalties.terms([(weight, penalty, self.lazy) for weight, penalty in weighted if is_traced(weight) or weight])

    def parts(self) -> dict[str, Any]:
        """What `image_gan` takes of these flags: loss, penalties, augment, pack, the generator's weights.

        Raises `InputError` where nothing is left of the generator's cost.
        """
        if not (self.adversarial or self.feature_matching):
            raise InputError("--adversarial 0 leaves the generator without a cost: give --feature-matching a weight")
        augment = AUGMENTATIONS[self.augment]
        if self.instance_noise:
            noise = instance_noise(self.instance_noise, self.noise_updates)
            augment = noise if self.augment == "none" else chained(augment, noise)
        return {
            "loss": self.costs(),
            "penalties": self.penalties(),
            "augment": augment,
            "pack": self.pack,
            "feature_matching": self.feature_matching,
            "adversarial": self.adversarial,
        }

    def optimizers(self, steps: int) -> Players:
        """The two optimizers of a run of `steps` rounds."""
        disc_steps, gen_steps, _ = self.order_of_play
        gen = self._optimizer(self.lr, self.b1, self.b2, steps * gen_steps)
        disc = self._optimizer(
            self.lr if self.disc_lr is None else self.disc_lr,
            self.b1 if self.disc_b1 is None else self.disc_b1,
            self.b2 if self.disc_b2 is None else self.disc_b2,
            steps * disc_steps,
        )
        return Players(gen=gen, disc=optax.chain(disc, penalties.clip_weights(self.clip)) if self.clip else disc)

    def _optimizer(self, lr: Number, b1: Number, b2: Number, updates: int) -> optax.GradientTransformation:
        rate = DECAYS[self.decay](lr, max(updates, 1))
        eps_root = 1e-16 if self.unroll else 0.0  # unrolling differentiates the square root of what may be exactly 0
        tx = OPTIMIZERS[self.optimizer](rate, b1, b2, eps_root)
        return optax.chain(penalties.historical_averaging(self.historical), tx) if self.historical else tx

    def step(self, objective: Objective, tx: Players) -> Step:
        """One round of the game with these flags."""
        disc_steps, gen_steps, schedule = self.order_of_play
        return core.make_step(
            objective,
            tx,
            disc_steps=disc_steps,
            gen_steps=gen_steps,
            schedule=schedule,
            accumulate=self.accumulate,
            unroll=self.unroll,
            ema=self.ema,
        )


def is_traced(value: Any) -> bool:
    """Whether it is a number that differs between the members of a population."""
    return isinstance(value, jax.core.Tracer)


def inner_loop(inner: Literal["disc", "gen"], k: int) -> tuple[int, int, Schedule]:
    """Updates of the discriminator and of the generator in a round, and who moves first, where one of them makes k first.

    "disc" comes near min_G max_D, "gen" near max_D min_G (Goodfellow 2016, arXiv:1701.00160, section 5.1.1).
    """
    return (k, 1, "disc_first") if inner == "disc" else (1, k, "gen_first")


@dataclass(frozen=True)
class ExperimentFlags(DeviceFlags, GameFlags, RunFlags):
    """What `run_experiment` needs to know; an experiment adds flags of its own, and says what it is trained on."""

    def load(self) -> Dataset:
        """The data set, such as `PictureFlags` gives one."""
        raise NotImplementedError
