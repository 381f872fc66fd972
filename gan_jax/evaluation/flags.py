"""The flags that choose a feature extractor, the same while training and afterwards."""

from dataclasses import dataclass, field
from pathlib import Path

from gan_jax.config import FREE
from gan_jax.data.dataset import Dataset
from gan_jax.evaluation.features import Name, Network, Resize, open_network


@dataclass(frozen=True, kw_only=True)
class FeatureFlags:
    """What scores are computed on."""

    features: Name = field(default="auto", metadata=FREE)
    """Feature extractor for scores: inception or squeezenet (from --weights), judge (a classifier of the data, trained
    first, in a minute or so), or pixels; auto is judge where the data have labels or attributes."""
    weights: Path | None = field(default=None, metadata=FREE)
    """Weights of inception or squeezenet, made by `python -m gan_jax weights convert`."""
    resize: Resize = field(default="clean", metadata=FREE)
    """How pictures are enlarged for inception or squeezenet: clean, tf1 (as in most papers) or pytorch."""

    def open_features(self, dataset: Dataset) -> Network:
        """The extractor for pictures like the dataset's; raises `InputError` for missing or wrong weights."""
        return open_network(self.features, dataset, self.weights, self.resize)
