"""A judge of samples: a small classifier of the real data, trained in seconds and checked on held-out examples."""

from collections.abc import Callable
from pathlib import Path

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float, PyTree

from gan_jax.data.dataset import Arrays, Dataset, Order
from gan_jax.errors import InputError
from gan_jax.images import to_float
from gan_jax.metrics.recognised import class_counts, class_entropy, recognised_share
from gan_jax.models.classifier import Classifier

Judge = Callable[[np.ndarray], Float[Array, "n k"]]  # images (n, h, w, c), uint8 or [-1, 1], to logits


def train_judge(
    dataset: Dataset, *, steps: int | None = None, batch: int = 64, seed: int = 0, cache: Path | None = None
) -> tuple[Judge, float]:
    """A classifier of `dataset` and its accuracy on the held-out images; a function of the data and the seed.

    Trained for `steps` (default 600, or two epochs of large data) with shifts of up to two pixels and noise of standard
    deviation 0.1, Adam 1e-3 decaying to 0. With `cache` its parameters are kept in that file, and read from there the next
    time. Raises `InputError` for data without labels or without a held-out part.
    """
    if not dataset.class_names or not dataset.held_out:
        raise InputError(f"{dataset.name} has no labels or no held-out part: nothing can judge its samples")
    model = Classifier(len(dataset.class_names))
    params = model.init(jax.random.key(seed), to_float(jnp.asarray(dataset.first(1)["image"])), train=False)
    if cache and cache.exists():
        params = flax.serialization.from_bytes(params, cache.read_bytes())
    else:
        params = _train(model, params, dataset, steps or max(600, len(dataset) // 30), batch, seed)
    if cache and not cache.exists():
        unfinished = cache.with_name(f".{cache.name}")
        unfinished.write_bytes(flax.serialization.to_bytes(params))
        unfinished.replace(cache)
    apply = jax.jit(lambda params, x: model.apply(params, to_float(x), train=False))

    def judge(images: np.ndarray) -> Float[Array, "n k"]:
        return jnp.concatenate([apply(params, jnp.asarray(images[i : i + 500])) for i in range(0, len(images), 500)])

    return judge, accuracy(judge, dataset.held_out)


def _train(model: Classifier, params: PyTree, dataset: Dataset, steps: int, batch: int, seed: int) -> PyTree:
    tx = optax.adam(optax.cosine_decay_schedule(1e-3, steps))
    key = jax.random.key(seed)

    @jax.jit
    def update(params: PyTree, opt_state: PyTree, images: Array, labels: Array, key: Array) -> tuple[PyTree, PyTree]:
        def cost(params: PyTree) -> Array:
            logits = model.apply(params, _disturb(key_images, to_float(images)), train=True, key=key_dropout)
            return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))

        key_images, key_dropout = jax.random.split(key)
        change, opt_state = tx.update(jax.grad(cost)(params), opt_state, params)
        return optax.apply_updates(params, change), opt_state

    order, opt_state = Order(seed, len(dataset), min(batch, len(dataset))), tx.init(params)
    for step in range(steps):
        chosen = order(step)
        images, labels = dataset.train["image"][chosen], dataset.train["label"][chosen]
        params, opt_state = update(params, opt_state, images, labels, jax.random.fold_in(key, step))
    return params


def accuracy(judge: Judge, examples: Arrays) -> float:
    return float(jnp.mean(jnp.argmax(judge(examples["image"]), axis=-1) == examples["label"]))


def recognition(judge: Judge, samples: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """How samples are recognised, beside real held-out images.

    `recognised` and `real_recognised`: the shares with a confidence over 0.9; `recognised_ratio`: of one to the other;
    `classes`: how many classes the samples show; `class_entropy`: of their frequencies, as a share of the largest.
    """
    logits = judge(samples)
    counts = class_counts(logits)
    recognised, real_recognised = float(recognised_share(logits)), float(recognised_share(judge(real)))
    return {
        "recognised": recognised,
        "real_recognised": real_recognised,
        "recognised_ratio": recognised / max(real_recognised, 1e-9),
        "classes": int(jnp.sum(counts > 0)),
        "class_entropy": float(class_entropy(counts)),
    }


def _disturb(key: Array, images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Shift each image by up to two pixels each way, edges repeated, and add noise."""
    key_shift, key_noise = jax.random.split(key)
    padded = jnp.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    shifts = jax.random.randint(key_shift, (len(images), 2), 0, 5)
    crop = jax.vmap(lambda x, s: jax.lax.dynamic_slice(x, (s[0], s[1], 0), images.shape[1:]))
    return crop(padded, shifts) + 0.1 * jax.random.normal(key_noise, images.shape)
