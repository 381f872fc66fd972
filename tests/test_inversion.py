"""Inversion of generators whose codes are known, and searches that are interrupted."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import inversion
from gan_jax.core import Sampler
from gan_jax.errors import InputError, RunError
from gan_jax.inversion import invert

DIM, SHAPE = 3, (4, 4, 1)


def _inputs(key, batch):
    n = jax.tree.leaves(batch)[0].shape[0]
    return {"z": jax.random.normal(key, (n, DIM)), **({"label": batch["label"]} if "label" in batch else {})}


def _sample(variables, inputs, key, train):
    assert not train
    flat = inputs["z"] @ variables["params"]["w"]
    if "label" in inputs:
        flat = flat + 0.1 * inputs["label"][:, None]
    return flat.reshape(-1, *SHAPE), {}


LINEAR = Sampler(_inputs, _sample)
LABELLED = Sampler(_inputs, _sample, ("label",))
VARIABLES = {"params": {"w": np.array(0.1 * jax.random.normal(jax.random.key(5), (DIM, 16)))}}


def made(z, **conditions):
    return np.asarray(_sample(VARIABLES, {"z": z, **conditions}, None, False)[0])


@pytest.fixture
def codes():
    return np.array(jax.random.normal(jax.random.key(6), (3, DIM)))


def test_codes_of_a_linear_generator_are_recovered(codes):
    found = invert(LINEAR, VARIABLES, made(codes), jax.random.key(0), restarts=4, steps=300)
    np.testing.assert_allclose(found.z, codes, atol=1e-3)
    np.testing.assert_allclose(found.images, made(codes), atol=1e-3)
    assert found.losses.shape == (3, 4)
    assert found.psnr.min() > 60


def test_the_best_restart_counts(codes):
    """Codes that are not moved: of each picture the nearest of all that were drawn."""
    found = invert(LINEAR, VARIABLES, made(codes), jax.random.key(0), restarts=6, steps=1, rate=1e-9)
    np.testing.assert_allclose(np.mean((found.images - made(codes)) ** 2, axis=(1, 2, 3)), found.losses.min(axis=1), rtol=1e-4)
    assert (found.losses.max(axis=1) > 2 * found.losses.min(axis=1)).all()
    np.testing.assert_allclose(made(found.z), found.images, atol=1e-5)
    expected = 10 * np.log10(4 / found.losses.min(axis=1))
    np.testing.assert_allclose(found.psnr, expected, rtol=1e-4)


def test_norms_are_kept(codes):
    short = invert(LINEAR, VARIABLES, made(5 * codes), jax.random.key(0), restarts=2, steps=40, norms=1.5)
    np.testing.assert_allclose(np.linalg.norm(short.z, axis=1), 1.5, rtol=1e-5)
    within = invert(LINEAR, VARIABLES, made(codes), jax.random.key(0), restarts=2, steps=200, norms=(0.1, 9.0))
    np.testing.assert_allclose(within.z, codes, atol=0.02)


def test_conditions_are_those_of_each_picture(codes):
    labels = np.array([0, 3, 1])
    found = invert(
        LABELLED,
        VARIABLES,
        made(codes, label=labels),
        jax.random.key(0),
        conditions={"label": labels},
        restarts=3,
        steps=300,
        at_once=2,
    )
    np.testing.assert_allclose(found.z, codes, atol=2e-3)


def test_features_are_matched(codes):
    """With a feature alone that sees the first pixel, only that is equal in the end."""

    def first(images):
        return images[:, 0, 0]

    found = invert(LINEAR, VARIABLES, made(codes), jax.random.key(0), restarts=1, steps=300, features=first, pixel_weight=0.0)
    np.testing.assert_allclose(found.images[:, 0, 0], made(codes)[:, 0, 0], atol=1e-3)
    assert np.abs(found.images - made(codes)).max() > 0.05


def test_an_interrupted_search_goes_on_to_the_bit(codes, tmp_path, monkeypatch):
    search = partial(invert, LINEAR, VARIABLES, made(codes), jax.random.key(0), restarts=2, steps=50, every=7)
    whole = search()
    stretches = []
    stretch = inversion._stretch

    def killed(*args):
        stretches.append(args[3])
        if len(stretches) == 4:
            raise KeyboardInterrupt
        return stretch(*args)

    monkeypatch.setattr(inversion, "_stretch", killed)
    with pytest.raises(KeyboardInterrupt):
        search(directory=tmp_path)
    resumed = search(directory=tmp_path)
    assert stretches[3:6] == [21, 21, 28]
    for name in whole._fields:
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name))
    done = len(stretches)
    np.testing.assert_array_equal(search(directory=tmp_path).z, whole.z)
    assert len(stretches) == done  # nothing is left to do
    search(directory=tmp_path, steps=51)  # another search: it begins anew
    assert stretches[done] == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:100],
        lambda whole: re.sub(rb"(PK\x01\x02.{4}).", rb"\1" + b"\x01", whole, flags=re.DOTALL),
        lambda whole: whole.replace(b"done.npy", b"gone.npy"),
    ],
    ids=["cut off", "as if encrypted", "an array lacks"],
)
def test_a_damaged_state_is_begun_anew(codes, tmp_path, damage):
    search = partial(invert, LINEAR, VARIABLES, made(codes), jax.random.key(0), restarts=2, steps=10, directory=tmp_path)
    first = search()
    (path,) = tmp_path.glob("inversion-*.npz")
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert path.read_bytes() != whole
    np.testing.assert_array_equal(search().z, first.z)


def test_what_cannot_be_inverted(codes):
    run = partial(invert, key=jax.random.key(0), steps=2)
    with pytest.raises(InputError, match="is asked by label"):
        run(LABELLED, VARIABLES, made(codes))
    with pytest.raises(InputError, match=r"makes \(3, 4, 4, 1\) pictures, not \(3, 8, 8, 1\)"):
        run(LINEAR, VARIABLES, np.zeros((3, 8, 8, 1), np.float32))
    without = Sampler(lambda key, batch: {"low": jnp.zeros(2)}, _sample)
    with pytest.raises(InputError, match="takes low: it has no latent code"):
        run(without, VARIABLES, made(codes))
    with pytest.raises(RunError, match="every restart is infinite or NaN"):
        run(LINEAR, {"params": {"w": VARIABLES["params"]["w"] * np.nan}}, made(codes))
