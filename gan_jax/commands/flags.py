"""The flags of commands that open a trained generator, and of those that look at its codes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gan_jax.config import Count, Rate, Seed, Weight
from gan_jax.data.fitting import Fit
from gan_jax.evaluation.features import Name
from gan_jax.evaluation.flags import FeatureFlags
from gan_jax.runs.trained import Trained, open_trained
from gan_jax.sampling import Statistics


@dataclass(frozen=True, kw_only=True)
class TrainedFlags:
    """Which generator of a run is opened, and how."""

    checkpoint: str = "last"
    """The checkpoint to open: last, best, or a step."""
    statistics: Statistics | None = None
    """Batch-norm statistics when sampling; default as in training."""
    raw: bool = False
    """Use the newest weights in place of their moving average."""
    trust: bool = False
    """Also open networks that are no part of gan_jax: their code is imported and run. Only for runs of known origin."""

    def open_generator(self, run: Path) -> Trained:
        """The generator in the run's directory; raises `InputError` as `gan_jax.runs.trained.open_trained`."""
        return open_trained(run, self.checkpoint, self.statistics, averaged=not self.raw, trust=self.trust)


@dataclass(frozen=True, kw_only=True)
class InversionFlags:
    """How pictures are inverted."""

    match: Literal["pixels", "judge", "squeezenet", "squeezenet_torchvision"] = "pixels"
    """What the generator's picture is to match: pixels alone, or also features, of a classifier of the run's data (judge) or
    of SqueezeNet (from --weights)."""
    feature_weight: Weight = 1.0
    """Weight of the distance in features, relative to the features' own norm, beside that in pixels."""
    restarts: Count = 8
    """Number of codes that each picture's search starts from; the best one counts."""
    inversion_steps: Count = 500
    """Number of steps of the search."""
    inversion_rate: Rate = 0.3
    """First step size of the search, which decays to 0."""
    norm: Literal["prior", "typical", "free"] = "prior"
    """Norms of the codes that are searched: as codes of the prior have, exactly their typical one, or any."""
    fit: Fit = "crop"
    """How pictures of another shape are fitted: crop cuts out the centre, pad fills the border, stretch distorts."""


@dataclass(frozen=True, kw_only=True)
class CodeFlags(TrainedFlags, FeatureFlags, InversionFlags):
    """How exemplars are found, and what pictures are compared by."""

    features: Name = "auto"
    """What pictures are compared by: judge (a classifier of the run's data, trained first, in a minute or so), pixels,
    inception or squeezenet (from --weights); auto is judge where the data have labels or attributes."""
    k: Count = 3
    """Number of exemplars that are found by an attribute or taken of a folder."""
    search: Count = 1000
    """Number of samples that are searched for attributes; seed numbers go up to it."""
    seed: Seed = 0
    """Random seed for the noise: number i is sample i of `sample RUN --seed`."""
    label: str | None = None
    """Name of the class that all pictures are asked for, in class-conditional runs; default the first one."""
    caption: str | None = None
    """Text that all pictures are asked for, in runs on captioned pictures; default the first one of the run's data."""
    ref: str = "train"
    """The data whose attributes or classes are read in samples, for runs that do not know theirs."""
    out: Path | None = None
    """Folder for the results; default a folder of the run, named as the command."""
