"""Feature extractors for FID, KID and the like, by name, each with a digest of its weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import PyTree
from tqdm import tqdm

from gan_jax.data.dataset import Dataset
from gan_jax.errors import InputError
from gan_jax.evaluation.judge import Judge, Reliability, train_judge
from gan_jax.evaluation.pictures import Rows
from gan_jax.evaluation.seen import LogitsOf, Seen, joined
from gan_jax.images.convert import to_rgb
from gan_jax.images.resize import resize
from gan_jax.models import squeezenet
from gan_jax.models.imagenet import inception_input
from gan_jax.models.inception import INPUT_SIZE, InceptionV3
from gan_jax.models.pretrained import read_weights
from gan_jax.rows import chunks

Name = Literal["auto", "inception", "squeezenet", "squeezenet_torchvision", "judge", "pixels"]
Resize = Literal["clean", "tf1", "pytorch"]
LOADED = 1024  # pictures read at a time
CHUNKS = {"cpu": 16, "other": 128}  # pictures in a batch of a large network: on a CPU its feature maps should fit the cache


@dataclass(frozen=True)
class Network:
    """A feature extractor: `see(images)` takes uint8 images (n, h, w, c), c of 1, 3 or 4.

    `identity` is its part of the protocol: equal identities give comparable features. `logits_of` says what its logits are
    of, None if it has none. KID's cubic kernel depends on the scale of features: `Evaluator` brings them to a mean square of 1
    on the reference, unless they have a `fixed_scale`, as those of FID's Inception have by custom. `reliability` says how well
    each attribute is recognised, where logits are of attributes.
    """

    identity: Mapping[str, Any]
    see: Callable[[np.ndarray], Seen]
    logits_of: LogitsOf | None = None
    fixed_scale: bool = False
    reliability: Mapping[str, Reliability] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join(map(str, self.identity.values()))

    def look(self, images: np.ndarray | Rows, what: str = "") -> Seen:
        """`see` for many images, read a chunk at a time, with a progress bar named `what` if it is given."""
        bar = tqdm(chunks(len(images), LOADED), desc=what, leave=False, disable=None if what else True)
        return joined([self.see(np.asarray(images[rows])) for rows in bar])


def open_network(name: Name, dataset: Dataset, weights: Path | None = None, resize: Resize = "clean") -> Network:
    """A feature extractor for pictures like the dataset's.

    inception: the Inception-v3 of FID, 2,048 features and 1,008 logits, from `weights`; `resize` is the method of resizing
    pictures to 299x299 (the choice moves FID by points: Parmar et al. 2022, arXiv:2104.11222).
    squeezenet: SqueezeNet 1.1 with its authors' weights, squeezenet_torchvision with torchvision's, 512 features, from
    `weights`; `resize` is the method of enlarging smaller pictures.
    judge: a small classifier trained on the dataset, 128 features.
    pixels: the picture resized to 16x16, for data without a suitable network.
    auto: judge if the data have labels or attributes and a held-out part, pixels otherwise.

    Raises `InputError` for missing or wrong weights, and for a dataset that a judge cannot be trained on.
    """
    if name == "auto":
        name = "judge" if (dataset.class_names or dataset.attribute_names) and dataset.held_out else "pixels"
    if name == "judge":
        return network_of(train_judge(dataset))
    if name == "pixels":
        return Network({"features": "pixels"}, _pixels)
    variables, digest = read_weights(weights, name)
    forward = _inception if name == "inception" else partial(_squeezenet, _LAYOUTS[name])
    identity = {"features": name, "weights": digest, "resize": resize}
    see = _in_chunks(lambda v, x: forward(v, x, resize), variables)
    if name == "inception":
        return Network(identity, see, "imagenet", fixed_scale=True)
    return Network(identity, see)


def network_of(judge: Judge) -> Network:
    """A judge as a feature extractor."""
    logits_of: LogitsOf = "classes" if judge.exclusive else "attributes"
    reliability = dict(zip(judge.names, judge.reliability, strict=True)) if judge.reliability else {}
    identity = {"features": "judge", "weights": judge.digest}
    return Network(identity, judge.see, logits_of, fixed_scale=True, reliability=reliability)  # scaled already


def feature_function(
    name: Literal["squeezenet", "squeezenet_torchvision", "judge"],
    dataset: Dataset | None = None,
    weights: Path | None = None,
    resize: Resize = "clean",
) -> Callable[[Array], Array]:
    """The features (n, d) of images (n, h, w, c) in [-1, 1] as a function that can be differentiated, such as for a loss.

    As `open_network` has them; a judge is of `dataset`. Raises `InputError` for missing or wrong weights, and without data.
    """
    if name == "judge":
        if dataset is None:
            raise InputError("a judge is trained on data: name them")
        judge = train_judge(dataset)
        return lambda images: judge.network(judge.params, images)[0]
    variables, _ = read_weights(weights, name)
    return lambda images: _squeezenet(_LAYOUTS[name], variables, to_rgb((images + 1) * 127.5), resize)[0]


def _pixels(images: np.ndarray) -> Seen:
    shape = (len(images), 16, 16, images.shape[-1])
    x = jax.image.resize(jnp.asarray(images, jnp.float32), shape, "linear", antialias=True)
    return Seen(np.asarray(x.reshape(len(images), -1)) / 255)


def _inception(variables: PyTree, images: Array, how: Resize) -> tuple[Array, Array]:
    features: Any = InceptionV3().apply(variables, inception_input(resize(images, INPUT_SIZE, how)))
    return features.pool3, features.logits


def _squeezenet(layout: squeezenet.Layout, variables: PyTree, images: Array, how: Resize) -> tuple[Array]:
    size = (max(n, squeezenet.FEATURES_SIZE) for n in images.shape[1:3])
    return (squeezenet.features(variables, resize(images, tuple(size), how), layout),)


_LAYOUTS: dict[str, squeezenet.Layout] = {"squeezenet": "caffe", "squeezenet_torchvision": "torchvision"}


def _in_chunks(forward: Callable[[PyTree, Array], tuple[Array, ...]], variables: PyTree) -> Callable[[np.ndarray], Seen]:
    """`forward` on RGB images in chunks of equal size, the last one padded, so that it is compiled once."""
    compiled = jax.jit(lambda v, x: forward(v, to_rgb(x)))
    size = CHUNKS["cpu" if jax.default_backend() == "cpu" else "other"]

    def see(images: np.ndarray) -> Seen:
        parts = []
        for rows in chunks(len(images), size):
            chunk = images[rows]
            full = np.concatenate([chunk, np.repeat(chunk[-1:], size - len(chunk), axis=0)])
            parts.append(Seen(*(np.asarray(x)[: len(chunk)] for x in compiled(variables, full))))
        return joined(parts)

    return see
