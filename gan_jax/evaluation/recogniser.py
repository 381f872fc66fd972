"""The share of samples that two classifiers of different kinds recognise."""

from pathlib import Path

import numpy as np

from gan_jax.data.dataset import Dataset
from gan_jax.errors import InputError
from gan_jax.evaluation.features import Network
from gan_jax.evaluation.judge import FEWEST_STEPS, Judge, train_judge
from gan_jax.evaluation.probe import probed
from gan_jax.metrics.agreement import agreement_table, kappa, recognisable
from gan_jax.metrics.intervals import Proportion

EPOCHS, BATCH, MOST_STEPS = 12, 64, 10_000  # of the judge, which knows 0.65 of held-out CIFAR-10 then, and 0.51 by its default


def long_judge(dataset: Dataset, cache: Path | None = None) -> Judge:
    """The judge after 12 epochs, but 600 to 10,000 steps; raises `InputError` as `train_judge`."""
    steps = min(max(FEWEST_STEPS, EPOCHS * len(dataset) // BATCH), MOST_STEPS)
    return train_judge(dataset, steps=steps, batch=BATCH, cache=cache)


class Recogniser:
    """A judge on pixels and a linear probe on the features of a network that was trained elsewhere.

    `agreement` is their Cohen's kappa on held-out pictures. Raises `InputError` for data without classes or held-out pictures,
    and where the two agree no more often than by chance.
    """

    def __init__(self, dataset: Dataset, network: Network, cache: Path | None = None):
        self._probe, self._judge = probed(network, dataset, cache), long_judge(dataset, cache)
        self._classes = len(dataset.class_names)
        self._real = self._table(np.asarray(dataset.held_out["image"]))
        self.agreement = float(kappa(self._real))
        if self.agreement <= 0:
            raise InputError(f"two classifiers of {dataset.name} agree by chance only: they cannot tell what is recognisable")

    def share(self, images: np.ndarray) -> Proportion:
        """Of images (n, h, w, c) uint8, as `gan_jax.metrics.agreement.recognisable` estimates it."""
        return recognisable(self._table(images), self._real)

    def __str__(self) -> str:
        return f"a judge and a linear classifier on {self._probe.identity['features']}'s features (kappa {self.agreement:.2f})"

    def _table(self, images: np.ndarray) -> np.ndarray:
        first = self._judge.see(images).known_logits().argmax(axis=1)
        second = self._probe.look(images, "samples").known_logits().argmax(axis=1)
        return agreement_table(first, second, self._classes)
