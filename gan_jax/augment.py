"""Augmentations of all images that a discriminator sees, real and generated, for training on small data sets.

They are pure functions of the key, independent for each example, and affine in the image, so that first and second
derivatives (of gradient penalties) pass through. An `Augment` is the interface; the strength of ADA is its state.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

from gan_jax import batch_axis
from gan_jax.errors import InputError
from gan_jax.images.sample import bilinear, shifted

Images = Float[Array, "b h w c"]
Amount = Float[Array, " b"]  # one number for each example
State = dict[str, Array]


class Augment(NamedTuple):
    """An augmentation and its state.

    init:   () -> state, arrays that are kept from step to step; {} for an augmentation without state
    apply:  (x, key, state) -> x
    update: (state, real_logits) -> state, after a minibatch, from the logits of its augmented real images
    """

    init: Callable[[], State]
    apply: Callable[[Images, Array, State], Images]
    update: Callable[[State, Array], State]


def _stateless(apply: Callable[[Images, Array], Images]) -> Augment:
    return Augment(lambda: {}, lambda x, key, state: apply(x, key), lambda state, real_logits: state)


def _each(amount: Amount) -> Float[Array, "b 1 1 1"]:
    return amount.reshape(-1, 1, 1, 1)


def _uniform(key: Array, numbers: int, b: int, minval: float = 0.0) -> Float[Array, "numbers b"]:
    """Numbers from U(minval, 1), `numbers` for each of b examples."""
    return batch_axis.draw(lambda n: jax.random.uniform(key, (numbers, n), minval=minval), b, axis=1)


def _on_colours(change: Callable[[Images], Images], x: Images) -> Images:
    """Apply `change` to all channels but the alpha channel of images with 2 or 4 channels."""
    n = {2: 1, 4: 3}.get(x.shape[-1], x.shape[-1])
    return change(x) if n == x.shape[-1] else jnp.concatenate([change(x[..., :n]), x[..., n:]], axis=-1)


def _grey(x: Images) -> Images:
    """The mean of the channels, in each channel: a sum of rolled arrays, since XLA reduces short axes slowly."""
    return sum((jnp.roll(x, i, axis=-1) for i in range(1, x.shape[-1])), start=x) / x.shape[-1]


def diff_augment(x: Images, key: Array, policy: Sequence[str] = ("color", "translation", "cutout")) -> Images:
    """Differentiable augmentation (Zhao et al. 2020, arXiv:2006.10738, section 4), images in [-1, 1], as in the authors' code.

    color: brightness x + U(-0.5, 0.5); saturation, the distance to the mean of the pixel times U(0, 2); contrast, the distance
    to the mean of the image times U(0.5, 1.5). translation: by up to 1/8 of each side, padded with zeros. cutout: a box of half
    the sides at a random centre is set to 0. Lengths are rounded to whole pixels, halves up. The parts are applied in the order
    of `policy`. Values may leave [-1, 1].

    Differs: color does not change the alpha channel of images with 2 or 4 channels. Raises `InputError` for an unknown part.
    """
    if unknown := set(policy) - set(DIFF_AUGMENT):
        raise InputError(f"a policy of DiffAugment holds {', '.join(DIFF_AUGMENT)}, not {', '.join(sorted(unknown))}")
    y = x
    for part, key_part in zip(policy, jax.random.split(key, max(len(policy), 1)), strict=False):
        y = DIFF_AUGMENT[part](y, key_part)
    return y.astype(x.dtype)


def _color(x: Images, key: Array) -> Images:
    brightness, saturation, contrast = map(_each, _uniform(key, 3, len(x)))

    def change(x: Images) -> Images:
        mean, grey = jnp.mean(x, axis=(1, 2, 3), keepdims=True), _grey(x)
        saturated = grey - mean + 2 * saturation * (x - grey)  # minus the mean, which saturation does not change
        return mean + (brightness - 0.5) + (contrast + 0.5) * saturated

    return _on_colours(change, x)


def _translation(x: Images, key: Array) -> Images:
    b, h, w, _ = x.shape
    reach = _rounded(h / 8), _rounded(w / 8)
    places = 2 * jnp.array([reach]) + 1
    corner = jnp.floor(_uniform(key, 2, b).T * places).astype(jnp.int32)
    return shifted(x, corner, reach, "constant")


def _rounded(length: float) -> int:
    """The nearest whole number of pixels, halves up, as int(size * ratio + 0.5) in the authors' code."""
    return math.floor(length + 0.5)


def _cutout(x: Images, key: Array) -> Images:
    b, h, w, _ = x.shape
    centre = _uniform(key, 2, b)[..., None]
    rows, columns = _segment(centre[0], h), _segment(centre[1], w)
    return jnp.where((rows[:, :, None] & columns[:, None, :])[..., None], 0, x)


def _segment(centre: Float[Array, "b 1"], n: int) -> Bool[Array, "b n"]:
    """Which of n positions lie in a segment of half of them around a centre in [0, 1)."""
    size = _rounded(n / 2)
    first = jnp.floor(centre * (n + 1 - size % 2)) - size // 2  # an even segment is centred between two pixels: n + 1 ways
    at = jnp.arange(n)[None]
    return (at >= first) & (at < first + size)


DIFF_AUGMENT: dict[str, Callable[[Images, Array], Images]] = {
    "color": _color,
    "translation": _translation,
    "cutout": _cutout,
}


class Geometry(NamedTuple):
    """Geometric transformations, in this order; 0 is the identity. Lengths are shares of the image's side."""

    flip: Amount  # 1 mirrors left to right
    turn: Amount  # quarter turns, a whole number
    shift_x: Amount  # rounded to whole pixels
    shift_y: Amount
    scale: Amount  # log2
    pre: Amount  # rotation before `stretch`, radians
    stretch: Amount  # log2 of the width; the height is divided by the same
    post: Amount
    move_x: Amount
    move_y: Amount


class Colour(NamedTuple):
    """Colour transformations, in this order; 0 is the identity."""

    brightness: Amount
    contrast: Amount  # log2
    luma: Amount  # 1 inverts the luma and keeps hue and saturation
    hue: Amount  # radians around the grey axis
    saturation: Amount  # log2


def ada_augment(x: Images, key: Array, p: Float[Array, ""] | float) -> Images:
    """The pipeline "bgc" of ADA (Karras et al. 2020, arXiv:2006.06676, appendix B), images in [-1, 1], each part with
    probability p in [0, 1] for each example.

    Geometry: flip; quarter turns; whole-pixel shift, U(-1/8, 1/8) of a side; scale 2^N(0, 0.2^2); rotation U(-pi, pi); stretch
    2^N(0, 0.2^2); the second rotation; shift N(0, (1/8)^2). Each rotation has probability 1 - sqrt(1 - p), one of them p.
    Colour: brightness N(0, 0.2^2); contrast 2^N(0, 0.5^2); luma flip; hue U(-pi, pi); saturation 2^N(0, 1).

    Differs: one bilinear sampling, reflected at the borders any number of times, where the paper samples between two wavelet
    filters (sym6) and reflects once, so that rotated images are a little softer here. Only half turns of images that are not
    square. The alpha channel of images with 2 or 4 channels keeps its values. Raises `InputError` for more channels.
    """
    b, h, w, c = x.shape
    if c > 4:
        raise InputError(f"ADA changes colours of images with 1 to 4 channels, not {c}")
    key_geometry, key_colour = jax.random.split(key)
    coloured = _on_colours(partial(recolour, colour=draw_colour(key_colour, p, b)), x)  # the two commute; this order is faster
    return warp(coloured, draw_geometry(key_geometry, p, b, square=h == w)).astype(x.dtype)


def draw_geometry(key: Array, p: Float[Array, ""] | float, b: int, square: bool = True) -> Geometry:
    """Amounts for b examples, each 0 with probability 1 - p; see `ada_augment` for the distributions."""
    coins, u, n = _draw(key, b, coins=8, uniforms=6, normals=4)
    chance = jnp.full((8, 1), p).at[jnp.array([4, 6])].set(1 - jnp.sqrt(1 - p))  # one of two rotations has probability p
    flip, turn, shift, scale, pre, stretch, post, move = jnp.where(coins < chance, 1.0, 0.0)
    return Geometry(
        flip=flip * jnp.floor(2 * u[0]),
        turn=turn * (jnp.floor(4 * u[1]) if square else 2 * jnp.floor(2 * u[1])),
        shift_x=shift * (2 * u[2] - 1) / 8,
        shift_y=shift * (2 * u[3] - 1) / 8,
        scale=scale * 0.2 * n[0],
        pre=pre * (2 * u[4] - 1) * jnp.pi,
        stretch=stretch * 0.2 * n[1],
        post=post * (2 * u[5] - 1) * jnp.pi,
        move_x=move * n[2] / 8,
        move_y=move * n[3] / 8,
    )


def draw_colour(key: Array, p: Float[Array, ""] | float, b: int) -> Colour:
    """Amounts for b examples, each 0 with probability 1 - p; see `ada_augment` for the distributions."""
    coins, u, n = _draw(key, b, coins=5, uniforms=2, normals=3)
    brightness, contrast, luma, hue, saturation = jnp.where(coins < p, 1.0, 0.0)
    return Colour(
        brightness=brightness * 0.2 * n[0],
        contrast=contrast * 0.5 * n[1],
        luma=luma * jnp.floor(2 * u[0]),
        hue=hue * (2 * u[1] - 1) * jnp.pi,
        saturation=saturation * n[2],
    )


def _draw(key: Array, b: int, coins: int, uniforms: int, normals: int) -> tuple[Array, Array, Array]:
    """Samples of U(0, 1), U(0, 1) and N(0, 1), of shape (count, b): one call, since each takes XLA half a second to compile."""
    u = _uniform(key, coins + uniforms + normals, b, minval=2**-24)  # erf_inv is infinite at the end of its range
    normal = 2**0.5 * jax.lax.erf_inv(2 * u[coins + uniforms :] - 1)
    return u[:coins], u[coins : coins + uniforms], normal


def warp(x: Images, geometry: Geometry) -> Images:
    """Images transformed by `geometry`, sampled bilinearly, reflected about the centres of the outermost pixels."""
    _, h, w, _ = x.shape
    row, column = _sources(geometry, h, w)
    return jax.vmap(bilinear)(x, _reflected(row, h), _reflected(column, w))


def _sources(geometry: Geometry, h: int, w: int) -> tuple[Float[Array, "b h w"], Float[Array, "b h w"]]:
    """Source row and column of each pixel of the result: the transformations inverted, from last to first, about the centre."""
    g = Geometry(*(amount.reshape(-1, 1, 1) for amount in geometry))
    x = jnp.arange(w)[None, None, :] - (w - 1) / 2 - w * g.move_x
    y = jnp.arange(h)[None, :, None] - (h - 1) / 2 - h * g.move_y
    x, y = _rotate(x, y, jnp.cos(g.post), jnp.sin(g.post))
    x, y = x * jnp.exp2(-g.stretch), y * jnp.exp2(g.stretch)
    x, y = _rotate(x, y, jnp.cos(g.pre), jnp.sin(g.pre))
    x, y = x * jnp.exp2(-g.scale) - jnp.round(w * g.shift_x), y * jnp.exp2(-g.scale) - jnp.round(h * g.shift_y)
    angle = g.turn * jnp.pi / 2
    x, y = _rotate(
        x, y, jnp.round(jnp.cos(angle)), jnp.round(jnp.sin(angle))
    )  # exactly 0 and 1: quarter turns do not interpolate
    return y + (h - 1) / 2, x * (1 - 2 * g.flip) + (w - 1) / 2


def _rotate(x: Array, y: Array, cos: Array, sin: Array) -> tuple[Array, Array]:
    return cos * x - sin * y, sin * x + cos * y


def _reflected(place: Array, n: int) -> Array:
    """Positions reflected into [0, n - 1], up to rounding."""
    return jnp.abs(jnp.mod(place + (n - 1), max(2 * (n - 1), 1)) - (n - 1))


def recolour(x: Images, colour: Colour) -> Images:
    """Colour matrices applied to images of 1 or 3 channels.

    The paper's matrices share the grey axis v = (1, 1, 1) / sqrt(3). Their product multiplies along v by the contrast c and the
    luma flip f = 1 or -1, and across it by c, by the saturation s and by a rotation by the hue t,
    c (s cos(t) I + (f - s cos(t)) v v^T + s sin(t) [v]_x), so it is circulant: a weighted sum of the rolled channels.
    """
    brightness, contrast, luma, hue, saturation = map(_each, colour)
    c, s = jnp.exp2(contrast), jnp.exp2(saturation)
    along, across, turned = c * (1 - 2 * luma - s * jnp.cos(hue)) / 3, c * s * jnp.cos(hue), c * s * jnp.sin(hue) / 3**0.5
    y = x + brightness
    previous, following = jnp.roll(y, 1, axis=-1), jnp.roll(y, -1, axis=-1)
    return (across + along) * y + (along + turned) * previous + (along - turned) * following


def ada_update(
    state: State, real_logits: Float[Array, " b"], target: float = 0.6, images: int = 500_000, every: int = 4
) -> State:
    """At every `every`-th minibatch, p += sign(r_t - target) every b / images, r_t = E sign(D(x)) over those minibatches.

    D(x) are logits of augmented real images; r_t is 0 without overfitting and 1 if the discriminator has memorised
    its examples (Karras et al. 2020, eq. 1 and section 3). `images` is the number of images in which p goes from 0 to 1.
    State: `p`; `r`, the last r_t; `signs` and `batches`, sums since then. Differs: p stays in [0, 1], the paper has no upper
    bound.
    """
    signs = state["signs"] + batch_axis.mean(jnp.mean(jnp.sign(real_logits.astype(jnp.float32))))
    batches = state["batches"] + 1
    due = batches >= every
    r = jnp.where(due, signs / batches, state["r"])
    change = jnp.where(due, jnp.sign(r - target) * every * batch_axis.parts() * real_logits.shape[0] / images, 0.0)
    p = jnp.clip(state["p"] + change, 0, 1)
    return {"p": p, "r": r, "signs": jnp.where(due, 0.0, signs), "batches": jnp.where(due, 0.0, batches)}


none = _stateless(lambda x, key: x)


def diffaugment(policy: Sequence[str] = ("color", "translation", "cutout")) -> Augment:
    """`diff_augment` with this policy; the authors use all parts for few images, and not translation for all of CIFAR-10."""
    return _stateless(partial(diff_augment, policy=tuple(policy)))


def ada(target: float = 0.6, images: int = 500_000, every: int = 4) -> Augment:
    """`ada_augment` with p starting at 0, controlled by `ada_update`.

    Raises `InputError` for a target outside (-1, 1), and for `images` or `every` below 1.
    """
    if not -1 < target < 1 or images < 1 or every < 1:
        raise InputError(
            f"ADA needs a target between -1 and 1, and images and every at least 1, not {target}, {images}, {every}"
        )
    return Augment(
        init=lambda: {name: jnp.zeros(()) for name in ("p", "r", "signs", "batches")},
        apply=lambda x, key, state: ada_augment(x, key, state["p"]),
        update=partial(ada_update, target=target, images=images, every=every),
    )


def scheduled_ada(final: float, updates: int) -> Augment:
    """`ada_augment` with p rising from 0 to `final` in so many updates, as half a cosine, whatever the logits are.

    As R3GAN has it (Huang et al. 2024, arXiv:2501.05441, appendix; its pipeline has cutout too, and colours half as strong).
    State: `p`, and `augmented`, the number of updates. Raises `InputError` for `final` outside [0, 1] and `updates` below 1.
    """
    if not 0 <= final <= 1 or updates < 1:
        raise InputError(f"ADA's probability is from 0 to 1 and rises in 1 update or more, not to {final} in {updates}")

    def update(state: State, real_logits: Array) -> State:
        made = state["augmented"] + 1
        return {"p": final * 0.5 * (1 - jnp.cos(jnp.pi * jnp.minimum(made / updates, 1.0))), "augmented": made}

    return Augment(
        init=lambda: {"p": jnp.zeros(()), "augmented": jnp.zeros(())},
        apply=lambda x, key, state: ada_augment(x, key, state["p"]),
        update=update,
    )


AUGMENTATIONS: dict[str, Augment] = {"none": none, "diffaugment": diffaugment(), "ada": ada()}

if TYPE_CHECKING:
    AugmentName = str
else:  # a command line offers what the table has
    AugmentName = Literal[tuple(AUGMENTATIONS)]
