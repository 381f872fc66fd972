"""Networks of text to image: what they are told reaches them, and what conditioning augmentation costs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.errors import InputError
from gan_jax.models import text

SMALL = {"width": 4, "project": 6}


def pair(**generator):
    return text.Generator((16, 16), 3, **SMALL, **generator), jax.random.normal(jax.random.key(0), (4, 5))


def test_pictures_depend_on_the_embedding():
    generator, t = pair()
    z = jnp.zeros((4, 8))
    variables = jax.jit(lambda: generator.init(jax.random.key(1), z, t, train=True))()
    images = generator.apply(variables, z, t, train=False)
    assert images.shape == (4, 16, 16, 3)
    assert np.abs(np.asarray(images[0] - images[1])).max() > 1e-6


@pytest.mark.parametrize("how", ["concat", "projection"])
def test_logits_depend_on_the_embedding(how):
    discriminator = text.Discriminator(text=how, **SMALL)
    x, t = jnp.ones((4, 16, 16, 3)), jax.random.normal(jax.random.key(0), (4, 5))
    variables = jax.jit(lambda: discriminator.init(jax.random.key(1), x, t, train=True))()
    logits = discriminator.apply(variables, x, t, train=False)
    assert logits.shape == (4,)
    assert len(np.unique(np.asarray(logits))) == 4  # equal pictures, other words


def test_conditioning_sows_the_divergence_from_the_normal_distribution():
    """KL(N(mu, sigma^2) || N(0, 1)) = (sigma^2 + mu^2 - 1) / 2 - log sigma, with mu and log sigma from the first layer."""
    generator, t = pair(conditioning=2.0)
    z = jax.random.normal(jax.random.key(2), (4, 8))
    variables = jax.jit(lambda: generator.init(jax.random.key(1), z, t, train=True))()
    params = {"params": variables["params"], "batch_stats": variables["batch_stats"]}
    images, sown = generator.apply(params, z, t, train=True, mutable=["losses", "batch_stats"])
    first = jax.tree.map(np.asarray, params["params"]["Dense_0"])
    c = np.asarray(t) @ first["kernel"] + first["bias"]
    mean, log_sigma = np.split(np.where(c > 0, c, 0.2 * c), 2, axis=1)
    kl = np.mean((np.exp(2 * log_sigma) + mean**2 - 1) / 2 - log_sigma)
    np.testing.assert_allclose(jax.tree.leaves(sown["losses"]), [2 * kl], rtol=1e-5)
    other, _ = generator.apply(params, z.at[:, 2:].add(1.0), t, train=True, mutable=["losses", "batch_stats"])
    assert np.abs(np.asarray(images - other)).max() > 1e-6  # the last numbers of z draw what it is told
    with pytest.raises(InputError, match="conditioning takes 6 numbers of the code: it must be longer than 6"):
        jax.eval_shape(lambda: generator.init(jax.random.key(1), z[:, :6], t, train=True))
