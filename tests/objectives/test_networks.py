"""One game with networks of three kinds: linen modules, nnx modules in Flax's bridge, pairs of functions."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from gan_jax import core, latents, losses, sampling
from gan_jax.core import Players
from gan_jax.errors import InputError
from gan_jax.models import dcgan
from gan_jax.objectives import image_gan
from gan_jax.objectives.networks import network

KEY = jax.random.key(0)
TX = Players(gen=optax.sgd(0.1), disc=optax.sgd(0.1))
BATCH = {"image": np.random.default_rng(0).standard_normal((8, 2)).astype(np.float32), "label": np.arange(8) % 2}


class LinenGenerator(nn.Module):
    @nn.compact
    def __call__(self, z, *, train):
        x = nn.Dense(5, name="first")(z)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9, name="norm")(x)
        return nn.Dense(2, name="last")(nn.relu(x))


class LinenDiscriminator(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        h = nn.relu(nn.Dense(5, name="first")(x))
        self.sow("intermediates", "features", h)
        self.sow("losses", "size", jnp.mean(h**2))
        return nn.Dense(1, name="last")(h)[:, 0]


class NnxGenerator(nnx.Module):
    """Batch norm that learns its mode from the module."""

    def __init__(self, z, *, rngs):
        self.first, self.last = nnx.Linear(z, 5, rngs=rngs), nnx.Linear(5, 2, rngs=rngs)
        self.norm = nnx.BatchNorm(5, momentum=0.9, use_running_average=True, rngs=rngs)

    def __call__(self, z):
        return self.last(nnx.relu(self.norm(self.first(z))))


class NnxDiscriminator(nnx.Module):
    def __init__(self, *, rngs):
        self.first, self.last = nnx.Linear(2, 5, rngs=rngs), nnx.Linear(5, 1, rngs=rngs)

    def __call__(self, x, *, train):
        h = nnx.relu(self.first(x))
        self.sow(nnx.Intermediate, "features", h)
        self.sow("losses", "size", jnp.mean(h**2))
        return self.last(h)[:, 0]


def dense(p, x):
    return x @ p["kernel"] + p["bias"][None]


def start(network):
    return lambda key, *inputs: network.init(key, *inputs, train=True)


def generate(variables, z, train):
    p, running = variables["params"], variables["batch_stats"]["norm"]
    x = dense(p["first"], z)
    mean, var = (x.mean(axis=0), x.var(axis=0)) if train else (running["mean"], running["var"])
    new = {"mean": 0.9 * running["mean"] + 0.1 * mean, "var": 0.9 * running["var"] + 0.1 * var}
    x = (x - mean[None]) / jnp.sqrt(var + 1e-5)[None] * p["norm"]["scale"][None] + p["norm"]["bias"][None]
    return dense(p["last"], nn.relu(x)), {"batch_stats": {"norm": new}} if train else {}


def discriminate(variables, x, train):
    h = nn.relu(dense(variables["params"]["first"], x))
    return dense(variables["params"]["last"], h)[:, 0], {
        "intermediates": {"features": (h,)},
        "losses": {"size": jnp.mean(h**2)},
    }


FORMS = {
    "linen": (LinenGenerator(), LinenDiscriminator()),
    "nnx": (nnx.bridge.to_linen(NnxGenerator, 3), nnx.bridge.to_linen(NnxDiscriminator)),
    "functions": ((start(LinenGenerator()), generate), (start(LinenDiscriminator()), discriminate)),
}


def played(form):
    """Two rounds from the parameters of the linen networks; the first and last state, metrics, and samples."""
    objective = image_gan(*FORMS[form], losses.non_saturating, latents.Normal(3))
    state = core.init_state(objective, TX, KEY, BATCH)
    linen = core.init_state(image_gan(*FORMS["linen"], losses.non_saturating, latents.Normal(3)), TX, KEY, BATCH)
    assert jax.tree.map(jnp.shape, state) == jax.tree.map(jnp.shape, linen)  # plain arrays under the same names
    after, step = linen, jax.jit(core.make_step(objective, TX))
    for _ in range(2):
        after, metrics = step(after, BATCH)
    samples, _ = sampling.draw(objective.sampler, sampling.sampling_variables(after), BATCH, KEY)
    return linen, after, metrics, samples


def test_three_forms_play_the_same_game():
    before, after, metrics, _ = wanted = played("linen")
    assert {"gen/offset", "gen/rms_distance"} <= set(metrics)
    for name in ("mean", "var"):
        moved = after.gen.stats["batch_stats"]["norm"][name] - before.gen.stats["batch_stats"]["norm"][name]
        assert float(jnp.abs(moved).min()) > 1e-4
    for form in ("nnx", "functions"):
        for found, expected in zip(jax.tree.leaves(played(form)[1:]), jax.tree.leaves(wanted[1:]), strict=True):
            if not jnp.issubdtype(found.dtype, jax.dtypes.prng_key):
                np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-5, err_msg=form)


def test_conditions_of_functions_are_named_by_the_caller():
    def init(key, x, y):
        return {"params": {"w": jnp.ones((2,))}}

    def apply(variables, x, y, train):
        return (x * variables["params"]["w"][None] + y[:, None], {}) if x.shape[1] == 2 else (x[:, 0], {})

    def judge(variables, x, y, train):
        return jnp.sum(x * variables["params"]["w"][None], axis=1) + y, {}

    objective = image_gan((init, apply), (init, judge), losses.hinge, latents.Normal(2), needs=("label",))
    assert objective.needs == ("image", "label")
    state = core.init_state(objective, TX, KEY, BATCH)
    images, inputs = sampling.draw(objective.sampler, sampling.sampling_variables(state), BATCH, KEY)
    np.testing.assert_allclose(images, inputs["z"] + BATCH["label"][:, None], rtol=1e-6)
    _, metrics = jax.jit(core.make_step(objective, TX))(state, BATCH)
    assert all(np.isfinite(value) for value in metrics.values())


def test_what_is_no_network_is_refused():
    bare = getattr(network, "__wrapped__", network)  # without the tests' check of types
    for given in (NnxDiscriminator(rngs=nnx.Rngs(0)), NnxDiscriminator, (start, 3)):
        with pytest.raises(InputError, match=r"is no network: give a linen module, nnx.bridge.to_linen\(Class"):
            bare(given)


@pytest.mark.parametrize(("size", "message"), [({"width": 0}, "width is at least 1, not 0"), ({"channels": -1}, "channels is")])
def test_networks_without_width(size, message):
    with pytest.raises(InputError, match=f"Generator: {message}"):
        network(dcgan.Generator(**{"size": (16, 16), "channels": 1, **size}))
