"""The flags of commands that open a trained generator."""

from dataclasses import dataclass
from pathlib import Path

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
