"""What every objective does with a discriminator: show it examples, and say what it makes of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from jax import Array
from jaxtyping import Float, PyTree

from gan_jax import batch_axis
from gan_jax.augment import Augment
from gan_jax.core import GUESTS, Metrics, Variables, split_variables
from gan_jax.errors import InputError
from gan_jax.images.convert import to_float
from gan_jax.losses import Loss
from gan_jax.objectives.networks import Network, total_sown


class Judged(NamedTuple):
    """Examples as a discriminator judged them.

    x:         the examples (b, ...) in [-1, 1], before augmentation
    logits:    (b,), or (b/m,) if m of them are packed; of patches, those of an example one after the other
    features:  what it sowed as "features" in "intermediates", at whatever depth: a row for each logit; None if it sowed none
    loss:      the sum of the scalars that it sowed in "losses"
    variables: the discriminator's, with the new statistics
    """

    x: Float[Array, "b ..."]
    logits: Float[Array, " n"]
    features: Float[Array, "n f"] | None
    loss: Float[Array, ""]
    variables: Variables


def judges_in_one_batch(discriminator: Any, terms: Sequence[Any]) -> bool:
    """Whether it compares real with generated examples in one batch; raises `InputError` if penalties are on it then."""
    joint = getattr(discriminator, "minibatch", "") == "discrimination_groups"
    if joint and terms:
        raise InputError(
            "a discriminator that judges real and generated examples in one batch has no slope at one kind alone, which "
            "penalties are on: choose another minibatch feature, or no penalty"
        )
    return joint


@dataclass(frozen=True)
class Critic:
    """A discriminator and what stands before it: (x, *conditions) -> logits.

    network: takes (x, *conditions); conditions are whatever else it judges by, such as labels, text or a low picture
    augment: what it sees passes this first; its state, if any, is the discriminator's collection "augment"
    pack:    m > 1 shows it m consecutive examples at once, side by side along their channels: PacGAN (Lin et al. 2018,
             arXiv:1712.04086)
    joint:   real and generated examples pass it in one batch, [real; generated], so that it can compare the two groups

    Raises `InputError` for `pack` below 1, for conditions on packed examples, and where a batch cannot be packed.
    """

    network: Network
    augment: Augment | None = None
    pack: int = 1
    joint: bool = False

    def __post_init__(self) -> None:
        if self.pack < 1:
            raise InputError(f"pack is the number of examples that are judged together, at least 1, not {self.pack}")

    def init(self, key: Array, x: Array | np.ndarray, *conditions: PyTree) -> Variables:
        """The discriminator's first variables, with the state of the augmentation."""
        shown = self.packed(to_float(x)), *self._allowed(conditions)
        variables = self.network.start(key, *(_joined(shown, shown) if self.joint else shown))
        state = self.augment.init() if self.augment else {}
        return {**variables, "augment": state} if state else variables

    def show(self, variables: Variables, x: Array | np.ndarray, *conditions: PyTree, key: Array) -> Judged:
        """Let it judge real or generated examples in training mode; `key` is the augmentation's."""
        x = to_float(x)
        logits, new, sown = self._forward(variables, self._altered(variables, x, key), *self._allowed(conditions))
        return Judged(x, logits, _features(sown.get("intermediates", {})), total_sown(sown), {**variables, **new})

    def show_both(
        self,
        variables: Variables,
        real: Array | np.ndarray,
        fake: Array,
        *conditions: PyTree,
        of_fakes: tuple[PyTree, ...] | None = None,
        keys: tuple[Array, Array],
        keep: bool = True,
    ) -> tuple[Judged, Judged]:
        """Let it judge real and generated examples: one kind after the other, or in one batch if `joint`.

        Both are judged by the same conditions unless those `of_fakes` are given. `keys` are the augmentation's for either kind.
        Real ones come first, and the fakes see the statistics that they leave unless `keep` is False. In one batch the loss
        that was sown is that of the reals, not counted twice.
        """
        others = conditions if of_fakes is None else of_fakes
        if not self.joint:
            reals = self.show(variables, real, *conditions, key=keys[0])
            return reals, self.show(reals.variables if keep else variables, fake, *others, key=keys[1])
        both = to_float(real), to_float(fake)
        shown = jnp.concatenate([self._altered(variables, x, key) for x, key in zip(both, keys, strict=True)])
        logits, new, sown = self._forward(variables, shown, *_joined(self._allowed(conditions), others))
        features, loss, half = _features(sown.get("intermediates", {})), total_sown(sown), len(logits) // 2
        parts = [None if features is None else features[rows] for rows in (slice(half), slice(half, None))]
        after = {**variables, **new}
        return (
            Judged(both[0], logits[:half], parts[0], loss, after),
            Judged(both[1], logits[half:], parts[1], jnp.zeros_like(loss), after),
        )

    def _altered(self, variables: Variables, x: Array, key: Array) -> Array:
        """Augmented, then packed."""
        return self.packed(self.augment.apply(x, key, variables.get("augment", {})) if self.augment else x)

    def _forward(self, variables: Variables, *shown: PyTree) -> tuple[Array, Variables, Variables]:
        known = {name: value for name, value in variables.items() if name not in GUESTS}
        return self.network.forward(known, *shown, train=True)

    def at(self, variables: Variables, *conditions: PyTree, key: Array) -> Callable[[Array], Array]:
        """The critic of `gan_jax.penalties`: packed examples to logits (n,), so that norms are those of whole packs.

        Of a discriminator that judges patches, the mean over those of an example.
        """

        def judge(packed: Array) -> Array:
            logits = self.show(variables, self._unpacked(packed), *conditions, key=key).logits
            return jnp.mean(logits.reshape(len(packed), -1), axis=1)

        return judge

    def new_stats(self, real: Judged, fake: Judged) -> tuple[PyTree, Metrics]:
        """The discriminator's new statistics after both kinds were shown, real ones first; `augment/p`, `augment/r` of ADA."""
        variables = fake.variables
        if self.augment is None or "augment" not in variables:
            return split_variables(variables)[1], {}
        each = jnp.mean(real.logits.reshape(len(real.x) // self.pack, -1), axis=1)
        logits = jnp.repeat(each, self.pack)  # one for each example, as their number counts
        state = self.augment.update(variables["augment"], logits)
        numbers = {f"augment/{name}": state[name] for name in ("p", "r") if name in state}
        return split_variables({**variables, "augment": state})[1], numbers

    def packed(self, x: Float[Array, "b ..."]) -> Float[Array, "n ..."]:
        """m consecutive examples side by side along the last axis: (b, h, w, c) to (b/m, h, w, m*c), (b, d) to (b/m, m*d).

        Raises `InputError` for a batch that is no multiple of m.
        """
        m = self.pack
        if m == 1:
            return x
        if len(x) % m:
            raise InputError(f"{len(x)} examples cannot be packed by {m}: choose a batch that is a multiple of {m}")
        apart = x.reshape(len(x) // m, m, *x.shape[1:])
        beside = jnp.moveaxis(apart, 1, -2)  # b/m h w m c
        return beside.reshape(*beside.shape[:-2], -1)

    def _unpacked(self, packed: Float[Array, "n ..."]) -> Float[Array, "b ..."]:
        if self.pack == 1:
            return packed
        beside = packed.reshape(*packed.shape[:-1], self.pack, -1)  # b/m h w m c
        apart = jnp.moveaxis(beside, -2, 1)
        return apart.reshape(-1, *apart.shape[2:])

    def _allowed(self, conditions: tuple[PyTree, ...]) -> tuple[PyTree, ...]:
        if conditions and self.pack > 1:
            raise InputError(
                f"a discriminator that is conditioned, on labels say, cannot judge packs of {self.pack}: the rows of a random "
                "batch that would share a pack have different conditions. Use pack=1"
            )
        return conditions


def _joined(real: PyTree, fake: PyTree) -> PyTree:
    """What belongs to real examples, then what belongs to the generated ones, in one batch."""
    return jax.tree.map(lambda x, y: jnp.concatenate([x, y]), real, fake)


def require_alike(name: str, real: Array | np.ndarray, fake: Array | jax.ShapeDtypeStruct) -> None:
    """Raises `InputError` unless real and generated examples have one shape."""
    if real.shape[1:] != fake.shape[1:]:
        missing = len(real.shape) == len(fake.shape) - 1
        cure = "add the axis of channels, x[..., None]" if missing else "choose networks of that size, or other data"
        raise InputError(
            f"the batch's {name} is {real.shape[1:]} an example, and the generator makes {fake.shape[1:]}: {cure} "
            "(pictures are height, width, channels)"
        )


def feature_matching(real: Judged, fake: Judged) -> Float[Array, ""]:
    """||E f(x) - E f(G(z))||_2^2 with f what the discriminator sowed as "features", the means over the whole batch.

    The generator's cost of Salimans et al. 2016 (arXiv:1606.03498, section 3.1), in place of its usual one or beside it.
    Raises `InputError` for a discriminator that sows no features.
    """
    if real.features is None or fake.features is None:
        raise InputError(
            'feature matching needs a discriminator that sows "features": self.sow("intermediates", "features", h)'
        )
    means = (batch_axis.mean(jnp.mean(x.astype(jnp.float32), axis=0)) for x in (real.features, fake.features))
    return jnp.sum((next(means) - next(means)) ** 2)


def generator_cost(
    loss: Loss, real: Judged, fake: Judged, matching: Any = 0.0, adversarial: Any = 1.0
) -> tuple[Float[Array, ""], Metrics]:
    """`adversarial` times the loss's cost of the generator, and `matching` times `feature_matching`, which is a metric then.

    Weights may be traced; one of the number 0 leaves feature matching out.
    """
    value = adversarial * loss.gen(real.logits, fake.logits)
    if isinstance(matching, int | float) and not matching:
        return value, {}
    matched = feature_matching(real, fake)
    return value + matching * matched, {"gen/feature_matching": matched}


def game_metrics(real: Judged, fake: Judged) -> Metrics:
    """The signals of a game that `gan_jax.training.doctor` reads.

    disc/real, disc/fake:           the mean D(x) and D(G(z)), as probabilities
    data/diversity, gen/diversity:  the rms distance of an example to the batch's mean
    gen/rms_distance, gen/offset:   in the discriminator's features, if it sows them, the same of fakes, and the distance of
                                    the fakes' mean to the reals'; both over the rms distance of the reals
    """
    return {
        "disc/real": jnp.mean(jax.nn.sigmoid(real.logits)),
        "disc/fake": jnp.mean(jax.nn.sigmoid(fake.logits)),
        "data/diversity": _rms_distance(real.x),
        "gen/diversity": _rms_distance(fake.x),
        **_compared(real.features, fake.features),
    }


def _compared(real: Array | None, fake: Array | None) -> Metrics:
    """Fakes against reals in the discriminator's features."""
    if real is None or fake is None:
        return {}
    real, fake = (jax.lax.stop_gradient(x).astype(jnp.float32) for x in (real, fake))
    scale = _rms_distance(real) + 1e-12
    offset = batch_axis.mean(jnp.mean(real, axis=0)) - batch_axis.mean(jnp.mean(fake, axis=0))
    return {"gen/rms_distance": _rms_distance(fake) / scale, "gen/offset": jnp.sqrt(jnp.sum(offset**2)) / scale}


def _rms_distance(x: Float[Array, "b ..."]) -> Float[Array, ""]:
    """The root mean square distance of an example to the mean of the whole batch."""
    mean = batch_axis.mean(jnp.mean(x, axis=0))
    return jnp.sqrt(jnp.sum(batch_axis.mean(jnp.mean(jnp.square(x - mean[None]), axis=0))))


def _features(intermediates: dict[str, Any]) -> Float[Array, "n f"] | None:
    """What modules sowed as "features", at whatever depth, as rows side by side."""
    found = [x for path, sown in flatten_dict(intermediates).items() if path[-1] == "features" for x in sown]
    return jnp.concatenate([x.reshape(len(x), -1) for x in found], axis=-1) if found else None
