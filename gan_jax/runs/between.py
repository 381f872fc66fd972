"""Generators between two classes, by what they have learned of each."""

import dataclasses

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from gan_jax.errors import InputError
from gan_jax.runs.trained import Trained


def between_classes(trained: Trained, first: int, last: int, t: float) -> Trained:
    """The generator whose class `first` is (1 - t) times itself and t times the class `last`; the others are as they were.

    Mixed are the rows of embeddings (conditional batch norm, R3GAN) and, where one-hot labels stand beside z, the rows of the
    first dense layer that they choose. Raises `InputError` for a run without classes, and one whose labels enter otherwise.
    """
    classes = len(trained.classes)
    if not classes:
        raise InputError(f"{trained.run} was trained without classes: there is nothing between them")
    dim = int(jnp.shape(trained.inputs(1)["z"])[1])
    params = jax.tree.map(jnp.asarray, trained.variables["params"])
    leaves = {path: leaf for path, leaf in flatten_dict(params).items() if leaf.ndim == 2}
    starts = {path: 0 for path, leaf in leaves.items() if path[-1] == "embedding" and len(leaf) == classes}
    if not starts:  # one-hot labels behind z: rows of the first layer
        starts = {path: dim for path, leaf in leaves.items() if "Dense_0" in path and len(leaf) == dim + classes}
    if not starts:
        raise InputError(f"the generator of {trained.run} takes labels neither by embeddings nor beside z: it cannot mix them")
    mixed = {}
    for path, start in starts.items():
        rows = leaves[path]
        mixed[path] = rows.at[start + first].set((1 - t) * rows[start + first] + t * rows[start + last])
    variables = {**trained.variables, "params": unflatten_dict({**flatten_dict(params), **mixed})}
    return dataclasses.replace(trained, variables=variables)
