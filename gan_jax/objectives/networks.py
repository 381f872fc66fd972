"""Networks as pairs of functions: linen modules, nnx modules by Flax's bridge, or any two functions."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.variablelib import variable_type_from_name
from jax import Array
from jaxtyping import Float, PyTree

from gan_jax.core import Variables, split_variables
from gan_jax.errors import InputError

SOWN = ("intermediates", "losses")  # collections that a forward pass gives and that are not kept


class Network(NamedTuple):
    """A network as two pure functions.

    init:  (key, *inputs) -> variables: "params" and the collections of statistics, if any
    apply: (variables, *inputs, train=) -> output, the collections that changed

    In training mode `apply` may also give what was sown, as linen does: features in "intermediates", scalars in "losses".
    """

    init: Callable[..., Variables]
    apply: Callable[..., tuple[Any, Variables]]

    def start(self, key: Array, *inputs: PyTree) -> Variables:
        """The first variables, without what was sown."""
        return {name: value for name, value in self.init(key, *inputs).items() if name not in SOWN}

    def forward(self, variables: Variables, *inputs: PyTree, train: bool) -> tuple[Any, Variables, Variables]:
        """The output, the variables with the new statistics, and what was sown."""
        out, new = self.apply(variables, *inputs, train=train)
        sown = {name: new[name] for name in SOWN if name in new}
        stats = {name: value for name, value in new.items() if name not in (*SOWN, "params")}
        return out, {**variables, **stats}, sown


AnyNetwork = nn.Module | tuple[Callable[..., Any], Callable[..., Any]]  # what `network` takes


def network(given: AnyNetwork) -> Network:
    """A linen module, an nnx module in Flax's bridge, or the functions `init` and `apply` of a `Network`, as a `Network`.

    A linen module is called as `module(*inputs, train=)`. An nnx module is given as its class and what it is made with,
    `nnx.bridge.to_linen(Class, *args, **kwargs)`; it is put in training or evaluation mode before each call, and given
    `train` if it takes that. It sows by `self.sow("intermediates", "features", h)` and `self.sow("losses", name, scalar)`.
    Raises `InputError` for anything else, and for a width or a number of channels below 1.
    """
    if isinstance(given, nnx.bridge.ToLinen):
        return _bridged(given)
    if isinstance(given, nn.Module):
        for name in ("width", "channels"):
            size = getattr(given, name, 1)
            if isinstance(size, int) and size < 1:
                raise InputError(f"{type(given).__name__}: {name} is at least 1, not {size}")
        return _linen(given)
    if isinstance(given, tuple) and len(given) == 2 and all(callable(function) for function in given):
        return Network(*given)
    raise InputError(
        f"{type(given).__name__} is no network: give a linen module, nnx.bridge.to_linen(Class, ...) of an nnx module's class, "
        "or a pair of functions (init, apply)"
    )


def _linen(module: nn.Module) -> Network:
    def init(key: Array, *inputs: PyTree) -> Variables:
        return dict(module.init(key, *inputs, train=True))

    def apply(variables: Variables, *inputs: PyTree, train: bool) -> tuple[Any, Variables]:
        if not train:
            return module.apply(variables, *inputs, train=False), {}
        out, new = module.apply(variables, *inputs, train=True, mutable=[*split_variables(variables)[1], *SOWN])
        return out, dict(new)

    return Network(init, apply)


def _bridged(module: nnx.bridge.ToLinen) -> Network:
    module = module.clone(metadata_fn=None)  # its variables are plain arrays then

    def init(key: Array, *inputs: PyTree) -> Variables:
        return dict(module.init(key, *inputs, train=True, nnx_method=_captured))

    def apply(variables: Variables, *inputs: PyTree, train: bool) -> tuple[Any, Variables]:
        mutable = list(split_variables(variables)[1]) if train else []
        (out, sown), new = module.apply(variables, *inputs, train=train, nnx_method=_captured, mutable=mutable)
        return out, {**new, **(sown if train else {})}

    return Network(init, apply)


def _captured(module: nnx.Module, *inputs: PyTree, train: bool) -> tuple[Any, Variables]:
    """The output of an nnx module and what it sowed; batch norm and dropout learn the mode from the module itself."""
    if train:
        module.train()
    else:
        module.eval()
    takes_train = "train" in inspect.signature(type(module).__call__).parameters
    types = [variable_type_from_name(name, allow_register=True) for name in SOWN]
    out, *sown = nnx.capture(module, *types)(*inputs, **({"train": train} if takes_train else {}))
    return out, {name: nnx.to_pure_dict(state) for name, state in zip(SOWN, sown, strict=True) if state}


def total_sown(sown: Variables) -> Float[Array, ""]:
    """The sum of the scalars that a forward pass sowed in "losses", at whatever depth; 0 if there are none.

    Raises `InputError` for what is not a scalar.
    """
    found = jax.tree_util.tree_leaves_with_path(sown.get("losses", {}))
    for path, value in found:
        if jnp.ndim(value):
            raise InputError(
                f"losses{jax.tree_util.keystr(path)} has the shape {jnp.shape(value)}: sow scalars in losses, "
                "means over the batch"
            )
    return jnp.asarray(sum(value for _, value in found), jnp.float32)


def sown_loss(player: Network, variables: Variables, *inputs: PyTree) -> Float[Array, ""]:
    """The sum of the scalars that a network sows in "losses" in training mode, as a function of its variables.

    For the generator's loss, whose forward pass is made outside of it; a network that sows none costs nothing.
    """
    _, _, sown = jax.eval_shape(partial(player.forward, train=True), variables, *inputs)
    if "losses" not in sown:
        return jnp.zeros(())
    return total_sown(player.forward(variables, *inputs, train=True)[2])
