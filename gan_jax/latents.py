"""Latent codes z: distributions, `latent(key, n)` draws n codes of length `latent.dim`; walks through codes, and arithmetic."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import TYPE_CHECKING, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from gan_jax.errors import InputError

Latent = Callable[[Array, int], Float[Array, "n dim"]]  # (key, n) -> n codes
Code = Float[np.ndarray | Array, " d"]
Codes = Float[np.ndarray | Array, "k d"]
Walk = Literal["lerp", "slerp", "spline"]
Rescale = Literal["means", "result"]
_PER_SEGMENT = 64  # positions at which the length of a walk's segment is measured
_TINY = 1e-6  # norms below are 0: a direction cannot be told


@dataclass(frozen=True)
class Normal:
    """z ~ N(0, I). Raises `InputError` unless `dim` is a whole number of at least 1."""

    dim: int

    def __post_init__(self) -> None:
        _require_size(self.dim)

    def __call__(self, key: Array, n: int) -> Float[Array, "n dim"]:
        return jax.random.normal(key, (n, self.dim))

    @property
    def norm(self) -> float:
        """sqrt(E |z|^2)."""
        return math.sqrt(self.dim)


@dataclass(frozen=True)
class Uniform:
    """z ~ U(-1, 1)^dim, as in DCGAN. Raises `InputError` unless `dim` is a whole number of at least 1."""

    dim: int

    def __post_init__(self) -> None:
        _require_size(self.dim)

    def __call__(self, key: Array, n: int) -> Float[Array, "n dim"]:
        return jax.random.uniform(key, (n, self.dim), minval=-1.0, maxval=1.0)

    @property
    def norm(self) -> float:
        """sqrt(E |z|^2)."""
        return math.sqrt(self.dim / 3)


def _require_size(dim: object) -> None:
    if not isinstance(dim, Integral) or dim < 1:
        raise InputError(f"the length of a latent code is a whole number of at least 1, not {dim!r:.60}")


LATENTS: dict[str, Callable[[int], Latent]] = {"normal": Normal, "uniform": Uniform}

if TYPE_CHECKING:
    LatentName = str
else:  # a command line offers what the table has
    LatentName = Literal[tuple(LATENTS)]


def truncated_normal(key: Array, n: int, dim: int, threshold: float) -> Float[Array, "n dim"]:
    """n codes z ~ N(0, I) whose values beyond `threshold` are drawn again until they lie within.

    The truncation trick of Brock et al. 2018 (arXiv:1809.11096, section 3.1): less variety, better samples. Drawn by the
    inverse of the distribution, which equals drawing again. Raises `InputError` for a threshold that is not above 0.
    """
    if not threshold > 0:
        raise InputError(f"values of codes are kept within a threshold above 0, not {threshold}")
    return jax.random.truncated_normal(key, -threshold, threshold, (n, dim))


def truncate(codes: Codes, psi: float, mean: Code | None = None) -> Float[Array, "k d"]:
    """mean + psi (z - mean): codes scaled towards the mean (default 0, the prior's).

    Karras et al. 2018 (arXiv:1812.04948, appendix B), there in the space of styles.
    """
    centre = jnp.zeros(codes.shape[1]) if mean is None else jnp.asarray(mean)
    return centre[None] + psi * (codes - centre[None])


def rescaled(codes: Float[np.ndarray | Array, "*b d"], norm: float | Float[Array, ""]) -> Float[Array, "*b d"]:
    """z norm / |z|; a code of norm 0 stays 0."""
    norms = jnp.linalg.norm(codes, axis=-1, keepdims=True)
    return jnp.asarray(codes) * jnp.where(norms > _TINY, norm / jnp.maximum(norms, _TINY), 0.0)


def mean_code(codes: Codes, norm: float | None = None) -> Float[Array, " d"]:
    """The mean of exemplars, rescaled to `norm`, or as it is.

    The mean of k independent codes is about sqrt(k) times shorter than they are, so a generator has seen few like it:
    give the norm that codes of the prior have (`Normal.norm`).
    """
    mean = jnp.mean(codes, axis=0)
    return mean if norm is None else rescaled(mean, norm)


def arithmetic(
    a: Codes,
    b: Float[np.ndarray | Array, "l d"],
    c: Float[np.ndarray | Array, "m d"],
    norm: float | None = None,
    rescale: Rescale = "means",
) -> Float[Array, " d"]:
    """mean(a) - mean(b) + mean(c), of exemplars of three concepts (Radford et al. 2015, arXiv:1511.06434, section 6.3.2).

    Differs: with a `norm` the result is rescaled to it, and with "means" each mean before; the paper does neither.
    """
    each = norm if rescale == "means" else None
    code = mean_code(a, each) - mean_code(b, each) + mean_code(c, each)
    return code if norm is None else rescaled(code, norm)


def ring(key: Array, code: Code, n: int = 9, scale: float = 0.25) -> Float[Array, "n d"]:
    """The code in the middle (row n // 2) of n - 1 neighbours z + U(-scale, scale)^d, as in DCGAN's figure 7."""
    noise = jax.random.uniform(key, (n, code.shape[0]), minval=-scale, maxval=scale)
    return jnp.asarray(code)[None] + noise.at[n // 2].set(0.0)


def turn(left: Codes, right: Float[np.ndarray | Array, "m d"], n: int, code: Code | None = None) -> Float[Array, "n d"]:
    """n codes along the axis from the mean of `left` to the mean of `right`, such as faces that look left and right.

    With a `code`, which is then in the middle, of this code turned by the same steps: z + t (mean(right) - mean(left)) with t
    from -1/2 to 1/2 (Radford et al. 2015, section 6.3.2).
    """
    start, axis = jnp.mean(left, axis=0), jnp.mean(right, axis=0) - jnp.mean(left, axis=0)
    if code is not None:
        start = jnp.asarray(code) - axis / 2
    return start[None] + jnp.linspace(0.0, 1.0, n)[:, None] * axis[None]


def lerp(start: Code, end: Float[np.ndarray | Array, " d"], t: Float[np.ndarray | Array, " n"]) -> Float[Array, "n d"]:
    """(1 - t) z_0 + t z_1. Between independent codes of the prior it passes through codes that are too short."""
    t = jnp.asarray(t)[:, None]
    return (1 - t) * jnp.asarray(start)[None] + t * jnp.asarray(end)[None]


def slerp(start: Code, end: Float[np.ndarray | Array, " d"], t: Float[np.ndarray | Array, " n"]) -> Float[Array, "n d"]:
    """Along the great circle between the directions of two codes, the norm changing linearly.

    u(t) = cos(t w) u_0 + sin(t w) p, with w the angle between the directions u_0 and u_1, and p the unit vector at right
    angles to u_0 in their plane; z(t) = ((1 - t) |z_0| + t |z_1|) u(t). Equal to the formula of Shoemake 1985
    (doi:10.1145/325165.325242) where that is defined. Of opposite directions p is any perpendicular, always the same one; a
    code of norm 0 has the direction of the other.
    """
    first, last = jnp.asarray(start), jnp.asarray(end)
    norms = jnp.linalg.norm(first), jnp.linalg.norm(last)
    u, v = rescaled(first, 1.0), rescaled(last, 1.0)
    u, v = jnp.where(norms[0] > _TINY, u, v), jnp.where(norms[1] > _TINY, v, u)
    cosine = jnp.sum(u * v)
    rest = v - cosine * u
    sine = jnp.linalg.norm(rest)
    plane = jnp.where(sine > _TINY, rest / jnp.maximum(sine, _TINY), _perpendicular(u))
    angle = jnp.asarray(t)[:, None] * jnp.arctan2(sine, cosine)
    norm = (1 - jnp.asarray(t)) * norms[0] + jnp.asarray(t) * norms[1]
    return norm[:, None] * (jnp.cos(angle) * u[None] + jnp.sin(angle) * plane[None])


def _perpendicular(u: Float[Array, " d"]) -> Float[Array, " d"]:
    """A unit vector at right angles to the unit vector u: the axis that u has least of, without its part along u."""
    axis = jax.nn.one_hot(jnp.argmin(jnp.abs(u)), u.shape[0])
    return rescaled(axis - jnp.sum(axis * u) * u, 1.0)


def spline(
    codes: Codes, t: Float[np.ndarray | Array, " n"], closed: bool = False, keep_norm: bool = True
) -> Float[Array, "n d"]:
    """The Catmull-Rom spline through codes: at t = i it is at code i, with the slope (z_{i+1} - z_{i-1}) / 2.

    t goes from 0 to k - 1, or `closed` to k, where it is at the first code again. The ends of an open one go straight on:
    z_{-1} = 2 z_0 - z_1. With `keep_norm` its norm changes linearly between those of the codes, as that of `slerp`.
    Raises `InputError` for fewer than 2 codes.
    """
    if len(codes) < 2:
        raise InputError(f"a spline goes through 2 codes or more, not {len(codes)}")
    stops, t = jnp.asarray(codes), jnp.asarray(t)
    first, last = 2 * stops[:1] - stops[1:2], 2 * stops[-1:] - stops[-2:-1]
    around = jnp.concatenate([stops[-1:], stops, stops[:2]] if closed else [first, stops, last])
    segment = jnp.clip(jnp.floor(t).astype(int), 0, len(around) - 4)
    s = (t - segment)[:, None]
    p0, p1, p2, p3 = (around[segment + i] for i in range(4))
    inner = 2 * p0 - 5 * p1 + 4 * p2 - p3
    path = p1 + 0.5 * s * ((p2 - p0) + s * (inner + s * (3 * (p1 - p2) + p3 - p0)))
    if not keep_norm:
        return path
    norm = (1 - s) * jnp.linalg.norm(p1, axis=1, keepdims=True) + s * jnp.linalg.norm(p2, axis=1, keepdims=True)
    return rescaled(path, 1.0) * norm


def walk(codes: Codes, frames: int, kind: Walk = "slerp", closed: bool = False) -> Float[Array, "n d"]:
    """`frames` codes of a walk through all `codes` in order, evenly paced: steps along the path have one length.

    It begins at the first code and ends at the last, or `closed` one step before the first, so that a film of it has no seam;
    the codes between lie on the path, in general not on a frame. Raises `InputError` for fewer than 2 codes or frames, and
    for an unknown kind.
    """
    if kind not in get_args(Walk):
        raise InputError(f"there is no walk {kind!r}: choose {', '.join(get_args(Walk))}")
    if len(codes) < 2 or frames < 2:
        raise InputError(f"a walk goes through 2 codes or more in 2 frames or more, not {len(codes)} in {frames}")
    return _walk(jnp.asarray(codes), frames, kind, closed)


@partial(jax.jit, static_argnums=(1, 2, 3))
def _walk(codes: Float[Array, "k d"], frames: int, kind: Walk, closed: bool) -> Float[Array, "n d"]:
    segments = len(codes) if closed else len(codes) - 1
    t = jnp.linspace(0.0, segments, _PER_SEGMENT * segments + 1)
    steps = jnp.linalg.norm(jnp.diff(_path(codes, t, kind, closed), axis=0), axis=1)
    gone = jnp.concatenate([jnp.zeros(1), jnp.cumsum(steps)])
    wanted = jnp.linspace(0.0, gone[-1], frames, endpoint=not closed)
    return _path(codes, jnp.interp(wanted, gone, t), kind, closed)


def _path(codes: Float[Array, "k d"], t: Float[Array, " n"], kind: Walk, closed: bool) -> Float[Array, "n d"]:
    """The walk at positions t, which are whole at the codes."""
    if kind == "spline":
        return spline(codes, t, closed)
    between = lerp if kind == "lerp" else slerp
    segment = jnp.clip(jnp.floor(t).astype(int), 0, len(codes) - (1 if closed else 2))
    ends = codes[segment], codes[(segment + 1) % len(codes)]
    return jax.vmap(between)(*ends, (t - segment)[:, None])[:, 0]
