"""What the tests of networks share: variables, their number, and others than the first ones."""

from functools import partial

import jax
import numpy as np

KEY = jax.random.key(0)


def count(variables):
    """The number of parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def init(module, *inputs):
    """The first variables."""
    return jax.jit(partial(module.init, train=True))(KEY, *inputs)


def shaken(variables):
    """Other parameters, none of them 0."""
    generator = np.random.default_rng(0)
    moved = jax.tree.map(lambda p: (p + generator.normal(0, 0.1, p.shape)).astype(np.float32), variables["params"])
    return variables | {"params": moved}
