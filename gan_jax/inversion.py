"""Inversion: the latent codes whose pictures come nearest to given ones."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float
from tqdm import tqdm

from gan_jax import files, keys
from gan_jax.core import Batch, Sampler, Variables
from gan_jax.errors import InputError, RunError
from gan_jax.metrics.similarity import psnr
from gan_jax.rows import chunks

Features = Callable[[Array], Array]  # images (n, h, w, c) in [-1, 1] -> features (n, m)
Norms = tuple[float, float]  # the least and the largest norm of a code


class Inversion(NamedTuple):
    """Of n pictures the best codes of all restarts, what the generator makes of them, and how near that is.

    z (n, d); images (n, h, w, c) float32 in [-1, 1]; psnr (n,) in dB; losses (n, restarts) at the end.
    """

    z: np.ndarray
    images: np.ndarray
    psnr: np.ndarray
    losses: np.ndarray


class _Search(NamedTuple):
    """What a search is, without arrays."""

    sampler: Sampler
    features: Features | None
    pixel_weight: float
    feature_weight: float
    norms: Norms | None
    rate: float
    steps: int

    @property
    def tx(self) -> optax.GradientTransformation:
        return optax.adam(optax.cosine_decay_schedule(self.rate, self.steps))


class _Scene(NamedTuple):
    """The arrays that do not change: the generator's variables and inputs but codes, targets and their features."""

    variables: Variables
    inputs: dict[str, Any]
    targets: Array
    seen: Array | None
    key: Array


def invert(
    sampler: Sampler,
    variables: Variables,
    images: Float[np.ndarray | Array, "n h w c"],
    key: Array,
    *,
    conditions: Batch | None = None,
    restarts: int = 8,
    steps: int = 500,
    rate: float = 0.3,
    norms: float | Norms | None = None,
    features: Features | None = None,
    pixel_weight: float = 1.0,
    feature_weight: float = 1.0,
    directory: Path | None = None,
    every: int = 100,
    at_once: int = 16,
) -> Inversion:
    """The codes z of `sampler` that minimise the distance of G(z) to `images`, floats in [-1, 1].

    loss = pixel_weight mean (G(z) - x)^2 + feature_weight |f(G(z)) - f(x)|^2 / |f(x)|^2, f the `features`, if given (Zhu et
    al. 2016, arXiv:1609.03552, section 3.2). `restarts` codes of the prior for each picture are improved by Adam, whose rate
    decays to 0 over all steps by a cosine, all in one program; the best one counts. After each step codes are rescaled to the
    nearest norm within `norms` (one norm, or least and largest; None lets them go). `conditions` are what each picture
    is asked by, rows of `sampler.needs`. The generator is normalised by the statistics of `variables`.

    `at_once` pictures are searched together. Every `every` steps the state is kept in `directory`, if given, whole or not at
    all; the same call goes on from there, to the bit. Raises `InputError` for a sampler without codes `z`, for conditions
    that lack, and for pictures of another shape than it makes; `RunError` where no restart has a finite loss.
    """
    if missing := [name for name in sampler.needs if name not in (conditions or {})]:
        raise InputError(f"the generator is asked by {', '.join(missing)}: give the rows of each picture as conditions")
    bounds = (norms, norms) if isinstance(norms, int | float) else norms
    search = _Search(sampler, features, pixel_weight, feature_weight, bounds, rate, steps)
    rows = dict(conditions) if conditions and sampler.needs else {"row": np.arange(len(images))}
    found = []
    with tqdm(total=steps * len(chunks(len(images), at_once)), desc="inversion", leave=False, disable=None) as bar:
        for part in chunks(len(images), at_once):
            batch = {name: jnp.asarray(value)[part] for name, value in rows.items()}
            start, scene = _begin(
                search, variables, jnp.asarray(images)[part], batch, jax.random.fold_in(key, part.start), restarts
            )
            path = None if directory is None else directory / f"inversion-{_identity(search, scene, start)}.npz"
            codes = _improved(search, scene, start, path, every, bar)
            found.append(_best(search, scene, codes))
    return Inversion(*map(np.concatenate, zip(*found, strict=True)))


def _begin(
    search: _Search, variables: Variables, targets: Array, batch: Batch, key: Array, restarts: int
) -> tuple[Float[Array, "r n d"], _Scene]:
    """The first codes of all restarts, and all else."""
    key_codes, key_sample = jax.random.split(key)
    drawn = [search.sampler.inputs(each, batch) for each in jax.random.split(key_codes, restarts)]
    if "z" not in drawn[0]:
        raise InputError(f"this generator takes {', '.join(drawn[0])}: it has no latent code z to search for")
    made = jax.eval_shape(lambda v: search.sampler.sample(v, drawn[0], key_sample, False)[0], variables)
    if getattr(made, "shape", None) != targets.shape:
        raise InputError(f"the generator makes {getattr(made, 'shape', 'no')} pictures, not {targets.shape}: fit them first")
    seen = None if search.features is None else search.features(targets)
    codes = _within(search.norms, jnp.stack([inputs["z"] for inputs in drawn]))
    return codes, _Scene(variables, drawn[0], targets, seen, key_sample)


def _within(bounds: Norms | None, z: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
    """Codes rescaled to the nearest norm that is allowed."""
    if bounds is None:
        return z
    norms = jnp.maximum(jnp.linalg.norm(z, axis=-1, keepdims=True), 1e-6)
    return z * jnp.clip(norms, *bounds) / norms


def _losses(search: _Search, scene: _Scene, z: Float[Array, "n d"]) -> Float[Array, " n"]:
    fakes = _pictures(search, scene, z)
    total = search.pixel_weight * jnp.mean((fakes - scene.targets) ** 2, axis=(1, 2, 3))
    if search.features is None or scene.seen is None:
        return total
    apart = jnp.sum((search.features(fakes) - scene.seen) ** 2, axis=1)
    return total + search.feature_weight * apart / jnp.maximum(jnp.sum(scene.seen**2, axis=1), 1e-12)


def _pictures(search: _Search, scene: _Scene, z: Float[Array, "n d"]) -> Float[Array, "n h w c"]:
    fakes: Any = search.sampler.sample(scene.variables, {**scene.inputs, "z": z}, scene.key, False)[0]
    return fakes.astype(jnp.float32)


def _improved(
    search: _Search, scene: _Scene, codes: Float[Array, "r n d"], path: Path | None, every: int, bar: tqdm
) -> Float[Array, "r n d"]:
    """The codes after all steps, from the state in `path` on if there is one."""
    state = (codes, search.tx.init(codes))
    done, state = _kept(path, state)
    bar.update(done)
    while done < search.steps:
        stop = min(done + every, search.steps)
        state = jax.block_until_ready(_stretch(search, scene, state, done, stop))
        bar.update(stop - done)
        done = stop
        if path is not None:
            _keep(path, done, state)
    return state[0]


@partial(jax.jit, static_argnums=0)
def _stretch(search: _Search, scene: _Scene, state: Any, first: Any, stop: Any) -> Any:
    """Steps `first` to `stop`, which are no part of the program: stretches of any length are one program."""

    def total(codes: Array) -> Array:
        return jnp.sum(jax.vmap(partial(_losses, search, scene))(codes))  # a code has a loss of its own: so has its gradient

    def body(_: Any, state: Any) -> Any:
        codes, opt_state = state
        change, opt_state = search.tx.update(jax.grad(total)(codes), opt_state)
        return _within(search.norms, codes + change), opt_state

    return jax.lax.fori_loop(first, stop, body, state)


@partial(jax.jit, static_argnums=0)
def _shown(search: _Search, scene: _Scene, codes: Array) -> tuple[Array, Array]:
    """The losses (r, n), and the pictures of the best restarts."""
    losses = jax.vmap(partial(_losses, search, scene))(codes)
    best = jnp.argmin(jnp.where(jnp.isfinite(losses), losses, jnp.inf), axis=0)
    return losses, _pictures(search, scene, codes[best, jnp.arange(codes.shape[1])])


def _best(search: _Search, scene: _Scene, codes: Float[Array, "r n d"]) -> Inversion:
    losses, pictures = _shown(search, scene, codes)
    known = np.asarray(losses)
    if not np.isfinite(known).any(axis=0).all():
        raise RunError("the loss of every restart is infinite or NaN: lower the rate of the inversion, or look at the weights")
    best = np.where(np.isfinite(known), known, np.inf).argmin(axis=0)
    chosen = np.asarray(codes)[best, np.arange(known.shape[1])]
    return Inversion(chosen, np.asarray(pictures), np.asarray(psnr(pictures, scene.targets, peak=2.0)), known.T)


def _identity(search: _Search, scene: _Scene, start: Array) -> str:
    """Of everything that the search depends on but the functions: these show in the features and in the variables."""
    numbers = (*search[2:], search.sampler.needs, jax.random.key_impl(scene.key))
    arrays = jax.tree.leaves((scene, start))
    return files.identity([repr(numbers), *(np.asarray(keys.data(x)).tobytes() for x in arrays)])


def _keep(path: Path, done: int, state: Any) -> None:
    leaves: dict[str, Any] = {f"leaf{i}": np.asarray(x) for i, x in enumerate(jax.tree.leaves(state))}
    with files.whole(path) as unfinished:
        np.savez(unfinished, done=done, **leaves)


def _kept(path: Path | None, state: Any) -> tuple[int, Any]:
    """The steps done and the state in the file; 0 and the given one if there is none, or a damaged one."""
    if path is None or not path.exists():
        return 0, state
    leaves, structure = jax.tree.flatten(state)
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            read = [jnp.asarray(file[f"leaf{i}"]) for i in range(len(leaves))]
            if [x.shape for x in read] != [x.shape for x in leaves]:
                raise ValueError("arrays of other shapes")
            return int(file["done"]), jax.tree.unflatten(structure, read)
    except files.DAMAGED:
        return 0, state
