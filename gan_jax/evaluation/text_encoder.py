"""The text encoder: captions and pictures of a data set in one embedding, trained in minutes and tested on held-out ones."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import flax.linen as nn
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import PyTree

from gan_jax import matching, progress
from gan_jax.data import captions
from gan_jax.data.dataset import Arrays, Dataset, Order
from gan_jax.errors import InputError
from gan_jax.evaluation.judge import digest, disturbed
from gan_jax.files import default_cache, kept
from gan_jax.images.convert import to_float
from gan_jax.metrics.retrieval import most_among, r_precision
from gan_jax.models.reader import Reader
from gan_jax.models.text_encoders import ENCODERS, scaled
from gan_jax.rows import chunks
from gan_jax.supervised import fit

if TYPE_CHECKING:
    MatchingName = str
else:  # a command line offers what the table has
    MatchingName = Literal[tuple(matching.MATCHINGS)]

AMONG = 50  # captions that the right one is found among
AMONG_GENERATED = 100  # of generated pictures: R-precision
EXAMINED = 2000  # held-out pictures, at most
CHUNK = 250  # pictures, or captions, embedded at a time
NOISE = 0.05  # standard deviation, on pictures while training
RECIPE = 2  # how encoders are trained, in the name of what is kept


class TextEncoder(NamedTuple):
    """A trained encoder of captions and its partner for pictures.

    `text` and `picture` are the modules, `params` their parameters by these names; captions are `length` bytes. `retrieval` is
    the share of held-out pictures whose caption is found among `among` (NaN where nothing is held out), `digest` that of the
    weights.
    """

    text: nn.Module
    picture: nn.Module
    params: dict[str, PyTree]
    length: int
    retrieval: float
    among: int
    digest: str

    def embed(self, rows: np.ndarray) -> np.ndarray:
        """Captions uint8 (..., t) as float32 (..., d); equal ones are computed once."""
        unique, inverse = np.unique(rows.reshape(-1, rows.shape[-1]), axis=0, return_inverse=True)
        return self._in_chunks("text", unique)[inverse.reshape(-1)].reshape(*rows.shape[:-1], -1)

    def see(self, images: np.ndarray) -> np.ndarray:
        """Pictures uint8 (n, h, w, c) as float32 (n, d)."""
        return self._in_chunks("picture", images)

    def _in_chunks(self, name: str, rows: Any) -> np.ndarray:
        apply = jax.jit(partial(_APPLY[name], getattr(self, name)))
        parts = [np.asarray(apply(self.params[name], jnp.asarray(rows[part]))) for part in chunks(len(rows), CHUNK)]
        return np.concatenate(parts)


def _see(model: nn.Module, params: PyTree, images: Array) -> Array:
    return scaled(model.apply(params, to_float(images)))  # type: ignore[arg-type]


def _read(model: nn.Module, params: PyTree, rows: Array, key: Array | None = None) -> Any:
    return model.apply(params, rows, key)


_APPLY: dict[str, Callable[..., Any]] = {"text": _read, "picture": _see}


def train_text_encoder(
    dataset: Dataset,
    kind: str = "transformer",
    *,
    dim: int = 128,
    width: int = 96,
    match: str = "contrastive",
    steps: int = 3000,
    batch: int = 64,
    seed: int = 0,
    cache: Path | None = None,
) -> TextEncoder:
    """An encoder of `dataset`'s captions, trained with one of its pictures: a function of the data and the arguments.

    In each of `steps` the batch has one caption of each picture, at random; pictures are shifted by up to two pixels, with
    noise of standard deviation 0.05. The loss is one of `gan_jax.matching.MATCHINGS` on the cosines times a factor that is
    learned, by Adam 1e-3 with a warm-up and a decay to 0. The parameters are kept in the folder `cache` (default: beside the
    decoded pictures) under the data's fingerprint. Raises `InputError` for data without captions, for sides that are no
    multiples of 16, and for names that there are not; `RunError` for a loss that is not finite.
    """
    new = new_text_encoder(dataset, kind, dim=dim, width=width, seed=seed)
    text, picture, start = new.text, new.picture, new.params
    recipe = f"{kind}-{dim}-{width}-{match}-{steps}-{batch}-{seed}-{dataset.train['caption'].shape[-1]}-{RECIPE}"

    def train() -> dict[str, PyTree]:
        with progress.step(f"training a text encoder of {dataset.name}"):
            return _train(text, picture, start, dataset, match, steps, batch, seed)

    params = kept(
        (cache or default_cache() / "text_encoders") / f"{dataset.fingerprint}-{recipe}.msgpack",
        read=lambda path: flax.serialization.from_bytes(start, path.read_bytes()),
        make=train,
        write=lambda path, params: path.write_bytes(flax.serialization.to_bytes(params)),
    )
    encoder = new._replace(params=params, digest=digest(params))
    return examined(encoder, dataset.held_out) if dataset.held_out else encoder


def new_text_encoder(
    dataset: Dataset, kind: str = "transformer", *, dim: int = 128, width: int = 96, seed: int = 0
) -> TextEncoder:
    """The encoder that `train_text_encoder` starts from; raises `InputError` for the same data and names."""
    dataset.require("caption")
    height, width_of_picture = dataset.train["image"].shape[1:3]
    if height % 16 or width_of_picture % 16:
        raise InputError(f"pictures of {height}x{width_of_picture} cannot be matched with captions: sides are multiples of 16")
    known = captions.alphabet(np.asarray(dataset.train["caption"]))
    text, picture = ENCODERS[kind](known, dim=dim, width=width), Reader(dim)
    start = _start(text, picture, dataset, seed)
    return TextEncoder(text, picture, start, dataset.train["caption"].shape[-1], float("nan"), AMONG, digest(start))


def examined(encoder: TextEncoder, arrays: Arrays, among: int = AMONG, seed: int = 0) -> TextEncoder:
    """The encoder with its `retrieval` on these pictures and captions, among as many as there are, at most `among`."""
    rows = np.random.Generator(np.random.Philox(key=seed)).permutation(len(arrays["image"]))[:EXAMINED]
    rows = np.sort(rows)
    own, asked = _asked(arrays, rows, seed)
    among = most_among(fitting(own, asked), np.arange(len(rows)), min(among, len(rows)))  # many captions may fit many pictures
    if among < 2:
        return encoder
    return encoder._replace(retrieval=retrieval(encoder, arrays, rows, among, seed), among=among)


def retrieval(encoder: TextEncoder, arrays: Arrays, rows: np.ndarray, among: int, seed: int = 0) -> float:
    """The share of the pictures in `rows` whose caption, one at random, is found among `among` of these pictures."""
    own, asked = _asked(arrays, rows, seed)
    return asked_found(encoder, np.asarray(arrays["image"][rows]), asked, own, among, seed)


def _asked(arrays: Arrays, rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """All captions of pictures (n, k, t), and one of each at random (n, t)."""
    own = np.asarray(arrays["caption"][rows])
    which = np.random.Generator(np.random.Philox(key=seed)).integers(own.shape[1], size=len(rows))
    return own, own[np.arange(len(rows)), which]


def asked_found(
    encoder: TextEncoder,
    images: np.ndarray,
    asked: np.ndarray,
    captions: np.ndarray,
    among: int = AMONG_GENERATED,
    seed: int = 0,
) -> float:
    """R-precision: the share of images (n, h, w, c) whose caption `asked` (n, t) is nearest among `among` of them all.

    `captions` (n, k, t) are all captions that fit image i: they are not among the others. See
    `gan_jax.metrics.retrieval.r_precision`, also for the errors.
    """
    return r_precision(encoder.see(images), encoder.embed(asked), np.arange(len(images)), fitting(captions, asked), among, seed)


def fitting(captions: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Whether caption j of `asked` (m, t) is one of picture i's `captions` (n, k, t), at (i, j).

    As `gan_jax.matching.fits`, for many pictures at once.
    """
    length = asked.shape[-1]
    _, numbers = np.unique(np.concatenate([captions.reshape(-1, length), asked]), axis=0, return_inverse=True)
    own, others = np.split(numbers.reshape(-1), [captions.shape[0] * captions.shape[1]])
    found = np.zeros((len(captions), len(asked)), bool)
    for column in own.reshape(captions.shape[:2]).T:
        found |= column[:, None] == others[None]
    return found


def embedded(dataset: Dataset, encoder: TextEncoder) -> Dataset:
    """The data with `text` float32 (n, k, d), the embeddings of their captions; they keep their fingerprint."""
    parts = [{**arrays, "text": encoder.embed(np.asarray(arrays["caption"]))} if arrays else {} for arrays in _splits(dataset)]
    return replace(dataset, train=parts[0], held_out=parts[1], stored_fingerprint=dataset.fingerprint)


def with_empty_embeddings(dataset: Dataset, dim: int) -> Dataset:
    """As `embedded`, with zeros in place of embeddings of this length: for what needs shapes alone."""

    def zeros(arrays: Arrays) -> Arrays:
        shape = (*arrays["caption"].shape[:2], dim)
        return {**arrays, "text": np.broadcast_to(np.float32(0), shape)}

    parts = [zeros(arrays) if arrays else {} for arrays in _splits(dataset)]
    return replace(dataset, train=parts[0], held_out=parts[1], stored_fingerprint=dataset.fingerprint)


def captioned(dataset: Dataset, longest: int) -> Dataset:
    """The pictures that have captions, these of at most `longest` bytes and as long in both splits; notes say what is not.

    Raises `InputError` for data without captions.
    """
    dataset.require("caption")
    length = min(longest, max(arrays["caption"].shape[-1] for arrays in _splits(dataset) if arrays))
    notes, parts = list(dataset.notes), []
    for name, arrays in zip(("training", "held-out"), _splits(dataset), strict=True):
        if not arrays:
            parts.append(arrays)
            continue
        rows = np.asarray(arrays["caption"])
        cut = captions.padded(rows, length)
        there = cut.any(axis=(1, 2))
        if not there.all():
            notes.append(f"{int((~there).sum()):,} {name} pictures have no caption and are left out")
        if rows.shape[-1] > length and (longer := int(rows[..., length:].any(axis=-1).sum())):
            notes.append(f"{longer:,} captions of {name} pictures are longer than {length} bytes and are cut")
        kept = {key: value if there.all() else np.asarray(value)[there] for key, value in arrays.items()}
        parts.append(kept | {"caption": cut[there]})
    if not len(parts[0]["image"]):
        raise InputError(f"no training picture of {dataset.name} has a caption")
    left = len(parts[0]["image"]) < len(dataset)
    stored = dataset.fingerprint + "-captioned" * left
    return replace(dataset, train=parts[0], held_out=parts[1], notes=tuple(notes), stored_fingerprint=stored)


def _splits(dataset: Dataset) -> tuple[Arrays, Arrays]:
    return dataset.train, dataset.held_out


def _start(text: nn.Module, picture: nn.Module, dataset: Dataset, seed: int) -> dict[str, PyTree]:
    first, key = dataset.first(1), jax.random.key(seed)
    return {
        "text": jax.jit(text.init)(key, jnp.asarray(first["caption"][:, 0])),
        "picture": jax.jit(picture.init)(key, to_float(jnp.asarray(first["image"]))),
    }


def _train(
    text: nn.Module,
    picture: nn.Module,
    start: dict[str, PyTree],
    dataset: Dataset,
    match: str,
    steps: int,
    batch: int,
    seed: int,
) -> dict[str, PyTree]:
    images, rows = dataset.train["image"], np.asarray(dataset.train["caption"])
    order = Order(seed, len(images), min(batch, len(images)))
    generator = np.random.Generator(np.random.Philox(key=seed))

    def load(step: int) -> tuple[np.ndarray, ...]:
        chosen = order(step)
        own = rows[chosen]
        return images[chosen], own[np.arange(len(own)), generator.integers(own.shape[1], size=len(own))], own

    def loss(params: PyTree, batch: tuple[Array, ...], key: Array) -> Array:
        images, shown, own = batch
        key_images, key_text = jax.random.split(key)
        x = disturbed(key_images, to_float(images), NOISE)
        seen, read = picture.apply(params["picture"], x), text.apply(params["text"], shown, key_text)
        logits = matching.similarity(seen, read) * jnp.exp(params["factor"])  # type: ignore[arg-type]
        return matching.MATCHINGS[match](logits, matching.fits(own, shown[:, None]))

    tx = optax.adam(optax.warmup_cosine_decay_schedule(0.0, 1e-3, max(1, steps // 20), steps + 1))
    begin = {**start, "factor": jnp.asarray(np.log(1 / 0.07), jnp.float32)}
    params = fit(loss, begin, tx, load, steps, jax.random.key(seed), what=f"text encoder of {dataset.name}")
    return {name: params[name] for name in start}
