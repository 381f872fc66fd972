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

FEWEST_STEPS, MOST_STEPS = 600, 6000  # by default: two epochs of 180,000 pictures
FEWEST_STEPS_OF_ATTRIBUTES = 2000
NOISE, NOISE_OF_ATTRIBUTES = 0.1, 0.05  # standard deviations
HEAVIEST = 10.0  # weight of a value of an attribute in the loss, at most
ATTRIBUTES = "attributes-2"  # how attributes are learned, in the name of what is kept
CHUNK = 250  # pictures classified at a time

Network = Callable[[PyTree, Array], tuple[Array, Array]]  # (params, images (n, h, w, c)) -> features (n, d), logits (n, k)


class Reliability(NamedTuple):
    """How well a binary attribute is recognised in held-out pictures, of which `shown` have it.

    recall:    the share of these that are recognised, NaN without any
    precision: the share of those taken to have it that do, NaN where none is
    """

    recall: float
    precision: float
    shown: int

    def __str__(self) -> str:
        return f"recall {self.recall:.2f}, precision {self.precision:.2f} of {self.shown}"


class Judge(NamedTuple):
    """A trained classifier: `see(images)` takes images (n, h, w, c), uint8 or floats in [-1, 1].

    Features are the activations of the penultimate layer, scaled to a mean square of 1, which is about that of Inception's
    features (KID's cubic kernel depends on the scale). Logits are of `names`: of classes if `exclusive`, of binary attributes
    otherwise. `accuracy` is the share of correct predictions on held-out pictures, `digest` that of the weights, and
    `reliability` that of each attribute, () for classes.
    `network(params, images)` gives the same features and logits as a pure function, for programs that are compiled.
    """

    see: Callable[[np.ndarray], Seen]
    names: tuple[str, ...]
    exclusive: bool
    accuracy: float
    digest: str
    network: Network
    params: PyTree
    reliability: tuple[Reliability, ...] = ()


def train_judge(
    dataset: Dataset, *, steps: int | None = None, batch: int = 64, seed: int = 0, cache: Path | None = None
) -> Judge:
    """A classifier of `dataset`'s labels, or of its binary attributes if it has no labels.

    A function of the data and the seed: trained for `steps` (default two epochs, but 600 to 6,000 steps, of attributes at least
    2,000) with shifts of up to two pixels and noise of standard deviation 0.1, Adam 1e-3 decaying to 0. Of attributes, pictures
    are mirrored at random too, the noise is 0.05, and the loss of either value is weighted by 1 / (2 share of the value), at
    most 10, so that rare ones are learned; half of the logarithm of the two weights' ratio is taken off the logits again,
    which makes the attributes about as frequent in what is recognised as they are. The parameters are kept in the folder
    `cache` (default: beside the decoded pictures) under the data's fingerprint, and read from there the next time. Raises
    `InputError` for data without labels and binary attributes, or without a held-out part.
    """
    targets, names, exclusive = _targets(dataset)
    model = Classifier(len(names))
    start = jax.jit(partial(model.init, train=False))(jax.random.key(seed), to_float(jnp.asarray(dataset.first(1)["image"])))
    fewest = FEWEST_STEPS if exclusive else FEWEST_STEPS_OF_ATTRIBUTES
    steps = steps or min(max(fewest, len(dataset) // 30), MOST_STEPS)

    def train() -> PyTree:
        with progress.step(f"training a classifier of {dataset.name}"):
            return _train(model, start, dataset, targets(dataset.train), exclusive, steps, batch, seed)

    recipe = "" if exclusive else f"-{ATTRIBUTES}"
    place = (cache or default_cache() / "judges") / f"{dataset.fingerprint}-{steps}-{batch}-{seed}{recipe}.msgpack"
    params = kept(
        place,
        read=lambda path: flax.serialization.from_bytes(start, path.read_bytes()),
        make=train,
        write=lambda path, params: path.write_bytes(flax.serialization.to_bytes(params)),
    )
    offset = None if exclusive else _offset(_weights(targets(dataset.train)))
    network = _scaled(model, params, dataset.train["image"][:1000], offset)
    see = _seer(network, params)
    logits, truth = see(dataset.held_out["image"]).known_logits(), targets(dataset.held_out)
    reliability = () if exclusive else reliabilities(logits, truth)
    return Judge(see, names, exclusive, _accuracy(logits, truth, exclusive), digest(params), network, params, reliability)


def reliabilities(logits: np.ndarray, truth: np.ndarray) -> tuple[Reliability, ...]:
    """Of each binary attribute, from logits and true values (n, k) of held-out pictures."""
    found, shown = logits > 0, truth > 0.5
    right, taken, there = (each.sum(axis=0) for each in (found & shown, found, shown))
    shares = np.full((2, len(there)), np.nan)
    np.divide(right, there, out=shares[0], where=there > 0)
    np.divide(right, taken, out=shares[1], where=taken > 0)
    return tuple(Reliability(float(r), float(p), int(n)) for r, p, n in zip(*shares, there, strict=True))


def digest(params: PyTree) -> str:
    """sha256 over the bytes of all arrays, 16 hexadecimal digits."""
    return identity(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(params))


def require_judgeable(dataset: Dataset) -> None:
    """Raises `InputError` for data that no judge can be trained on."""
    _targets(dataset)


def _targets(dataset: Dataset) -> tuple[Callable[[Arrays], np.ndarray], tuple[str, ...], bool]:
    """A function from a split to labels (n,) or binary attributes (n, k); their names; whether they exclude each other."""
    if not dataset.held_out:
        raise InputError(f"{dataset.name} has no held-out part: nothing can judge its samples")
    if dataset.class_names:
        return lambda arrays: np.asarray(arrays["label"]), dataset.class_names, True
    attributes = np.asarray(dataset.train.get("attributes", np.zeros((1, 0))))
    columns = [i for i in range(attributes.shape[1]) if set(np.unique(attributes[:, i])) == {0.0, 1.0}]
    if not columns:
        message = f"{dataset.name} has no labels and no attributes of 0 and 1: nothing can judge its samples"
        raise InputError(dataset.with_left_out(message))
    names = tuple(dataset.attribute_names[i] for i in columns)
    return lambda arrays: np.asarray(arrays["attributes"])[:, columns], names, False


def _network(model: Classifier, scale: float, offset: Float[np.ndarray, " k"] | None) -> Network:
    def network(params: PyTree, images: Array) -> tuple[Array, Array]:
        logits: Any
        logits, seen = model.apply(params, to_float(images), train=False, mutable=["intermediates"])
        return seen["intermediates"]["features"][0] / scale, logits if offset is None else logits - offset[None]

    return network


def _scaled(model: Classifier, params: PyTree, images: np.ndarray, offset: Float[np.ndarray, " k"] | None) -> Network:
    features = _seer(_network(model, 1.0, offset), params)(images).features
    return _network(model, float(np.sqrt(np.mean(features**2))) + 1e-12, offset)


def _seer(network: Network, params: PyTree) -> Callable[[np.ndarray], Seen]:
    compiled = jax.jit(network)

    def see(images: np.ndarray) -> Seen:
        parts = [compiled(params, jnp.asarray(images[rows])) for rows in chunks(len(images), CHUNK)]
        return joined([Seen(np.asarray(features), np.asarray(logits)) for features, logits in parts])

    return see


def _cost_of_classes(logits: Array, targets: Array) -> Array:
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, targets))


def _cost_of_attributes(logits: Array, targets: Array, weights: Float[np.ndarray, "2 k"]) -> Array:
    """The mean cross entropy, `weights` those of the values 0 and 1."""
    weighted = jnp.where(targets > 0.5, weights[1][None], weights[0][None])
    return jnp.mean(weighted * optax.sigmoid_binary_cross_entropy(logits, targets))


def _weights(targets: np.ndarray) -> Float[np.ndarray, "2 k"]:
    """Of the values 0 and 1 of each attribute (n, k): inverse to their frequency, 1 where both are as frequent."""
    share = targets.mean(axis=0, dtype=np.float64)
    return np.minimum(0.5 / np.stack([1 - share, share]), HEAVIEST).astype(np.float32)


def _offset(weights: Float[np.ndarray, "2 k"]) -> Float[np.ndarray, " k"]:
    """log sqrt(w_1 / w_0): by the whole logarithm too few rare attributes are recognised, without it too many."""
    return 0.5 * np.log(weights[1] / weights[0])


def _accuracy(logits: np.ndarray, targets: np.ndarray, exclusive: bool) -> float:
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
    cost = _cost_of_classes if exclusive else partial(_cost_of_attributes, weights=_weights(targets))

    def load(step: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = order(step)
        return dataset.train["image"][chosen], targets[chosen]

    def loss(params: PyTree, batch: tuple[Array, Array], key: Array) -> Array:
        images, targets = batch
        key_images, key_dropout = jax.random.split(key)
        x = to_float(images) if exclusive else _mirrored(jax.random.fold_in(key, 2), to_float(images))
        logits: Any = model.apply(
            params, disturbed(key_images, x, NOISE if exclusive else NOISE_OF_ATTRIBUTES), train=True, key=key_dropout
        )
        return cost(logits, targets)

    tx = optax.adam(optax.cosine_decay_schedule(1e-3, steps))
    return fit(loss, params, tx, load, steps, jax.random.key(seed), what=f"classifier of {dataset.name}")


def _mirrored(key: Array, images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Half of the images, at random, mirrored left to right."""
    turned = jax.random.bernoulli(key, shape=(len(images), 1, 1, 1))
    return jnp.where(turned, images[:, :, ::-1], images)


def disturbed(key: Array, images: Float[Array, "b h w c"], noise: float) -> Float[Array, "b h w c"]:
    """Images shifted by up to two pixels along each axis, edges repeated, with added noise."""
    key_shift, key_noise = jax.random.split(key)
    padded = jnp.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    shifts = jax.random.randint(key_shift, (len(images), 2), 0, 5)
    crop = jax.vmap(lambda x, s: jax.lax.dynamic_slice(x, (s[0], s[1], 0), images.shape[1:]))
    return crop(padded, shifts) + noise * jax.random.normal(key_noise, images.shape)
