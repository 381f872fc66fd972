"""The judge: a small classifier of the real data, trained in seconds and tested on held-out pictures."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float, PyTree

from gan_jax import progress
from gan_jax.data.dataset import Arrays, Dataset, Order
from gan_jax.errors import InputError
from gan_jax.evaluation.seen import Seen, joined
from gan_jax.files import default_cache, identity, kept
from gan_jax.images.convert import to_float
from gan_jax.models.classifier import Classifier
from gan_jax.rows import chunks
from gan_jax.supervised import fit

MOST_STEPS = 6000  # by default: two epochs of 180,000 pictures
CHUNK = 250  # pictures classified at a time

Network = Callable[[PyTree, Array], tuple[Array, Array]]  # (params, images (n, h, w, c)) -> features (n, d), logits (n, k)


class Judge(NamedTuple):
    """A trained classifier: `see(images)` takes images (n, h, w, c), uint8 or floats in [-1, 1].

    Features are the activations of the penultimate layer, scaled to a mean square of 1, which is about that of Inception's
    features (KID's cubic kernel depends on the scale). Logits are of `names`: of classes if `exclusive`, of binary attributes
    otherwise. `accuracy` is the share of correct predictions on held-out pictures, `digest` that of the weights.
    `network(params, images)` gives the same features and logits as a pure function, for programs that are compiled.
    """

    see: Callable[[np.ndarray], Seen]
    names: tuple[str, ...]
    exclusive: bool
    accuracy: float
    digest: str
    network: Network
    params: PyTree


def train_judge(
    dataset: Dataset, *, steps: int | None = None, batch: int = 64, seed: int = 0, cache: Path | None = None
) -> Judge:
    """A classifier of `dataset`'s labels, or of its binary attributes if it has no labels.

    A function of the data and the seed: trained for `steps` (default two epochs, but 600 to 6,000 steps) with shifts of up to
    two pixels and noise of standard deviation 0.1, Adam 1e-3 decaying to 0. Its parameters are kept in the folder `cache`
    (default: beside the decoded pictures) under the data's fingerprint, and read from there the next time. Raises
    `InputError` for data without labels and binary attributes, or without a held-out part.
    """
    targets, names, exclusive = _targets(dataset)
    model = Classifier(len(names))
    start = jax.jit(partial(model.init, train=False))(jax.random.key(seed), to_float(jnp.asarray(dataset.first(1)["image"])))
    steps = steps or min(max(600, len(dataset) // 30), MOST_STEPS)

    def train() -> PyTree:
        with progress.step(f"training a classifier of {dataset.name}"):
            return _train(model, start, dataset, targets(dataset.train), exclusive, steps, batch, seed)

    place = (cache or default_cache() / "judges") / f"{dataset.fingerprint}-{steps}-{batch}-{seed}.msgpack"
    params = kept(
        place,
        read=lambda path: flax.serialization.from_bytes(start, path.read_bytes()),
        make=train,
        write=lambda path, params: path.write_bytes(flax.serialization.to_bytes(params)),
    )
    network = _scaled(model, params, dataset.train["image"][:1000])
    see = _seer(network, params)
    accuracy = _accuracy(see, dataset.held_out["image"], targets(dataset.held_out), exclusive)
    return Judge(see, names, exclusive, accuracy, digest(params), network, params)


def digest(params: PyTree) -> str:
    """sha256 over the bytes of all arrays, 16 hexadecimal digits."""
    return identity(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(params))


def _targets(dataset: Dataset) -> tuple[Callable[[Arrays], np.ndarray], tuple[str, ...], bool]:
    """A function from a split to labels (n,) or binary attributes (n, k); their names; whether they exclude each other."""
    if not dataset.held_out:
        raise InputError(f"{dataset.name} has no held-out part: nothing can judge its samples")
    if dataset.class_names:
        return lambda arrays: np.asarray(arrays["label"]), dataset.class_names, True
    attributes = np.asarray(dataset.train.get("attributes", np.zeros((1, 0))))
    columns = [i for i in range(attributes.shape[1]) if set(np.unique(attributes[:, i])) == {0.0, 1.0}]
    if not columns:
        raise InputError(f"{dataset.name} has no labels and no attributes of 0 and 1: nothing can judge its samples")
    names = tuple(dataset.attribute_names[i] for i in columns)
    return lambda arrays: np.asarray(arrays["attributes"])[:, columns], names, False


def _network(model: Classifier, scale: float) -> Network:
    def network(params: PyTree, images: Array) -> tuple[Array, Array]:
        logits: Any
        logits, seen = model.apply(params, to_float(images), train=False, mutable=["intermediates"])
        return seen["intermediates"]["features"][0] / scale, logits

    return network


def _scaled(model: Classifier, params: PyTree, images: np.ndarray) -> Network:
    features = _seer(_network(model, 1.0), params)(images).features
    return _network(model, float(np.sqrt(np.mean(features**2))) + 1e-12)


def _seer(network: Network, params: PyTree) -> Callable[[np.ndarray], Seen]:
    compiled = jax.jit(network)

    def see(images: np.ndarray) -> Seen:
        parts = [compiled(params, jnp.asarray(images[rows])) for rows in chunks(len(images), CHUNK)]
        return joined([Seen(np.asarray(features), np.asarray(logits)) for features, logits in parts])

    return see


def _cost(logits: Array, targets: Array, exclusive: bool) -> Array:
    if exclusive:
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, targets))
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, targets))


def _accuracy(see: Callable[[np.ndarray], Seen], images: np.ndarray, targets: np.ndarray, exclusive: bool) -> float:
    logits = see(images).known_logits()
    return float(np.mean(logits.argmax(axis=-1) == targets if exclusive else (logits > 0) == targets))


def _train(
    model: Classifier,
    params: PyTree,
    dataset: Dataset,
    targets: np.ndarray,
    exclusive: bool,
    steps: int,
    batch: int,
    seed: int,
) -> PyTree:
    order = Order(seed, len(dataset), min(batch, len(dataset)))

    def load(step: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = order(step)
        return dataset.train["image"][chosen], targets[chosen]

    def loss(params: PyTree, batch: tuple[Array, Array], key: Array) -> Array:
        images, targets = batch
        key_images, key_dropout = jax.random.split(key)
        logits: Any = model.apply(params, _disturb(key_images, to_float(images)), train=True, key=key_dropout)
        return _cost(logits, targets, exclusive)

    tx = optax.adam(optax.cosine_decay_schedule(1e-3, steps))
    return fit(loss, params, tx, load, steps, jax.random.key(seed), what=f"classifier of {dataset.name}")


def _disturb(key: Array, images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Images shifted by up to two pixels along each axis, edges repeated, with added noise."""
    key_shift, key_noise = jax.random.split(key)
    padded = jnp.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    shifts = jax.random.randint(key_shift, (len(images), 2), 0, 5)
    crop = jax.vmap(lambda x, s: jax.lax.dynamic_slice(x, (s[0], s[1], 0), images.shape[1:]))
    return crop(padded, shifts) + 0.1 * jax.random.normal(key_noise, images.shape)
