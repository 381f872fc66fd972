"""Samplers, networks and latents as JSON: the address of what is called, and what it is called with.

model.json may come from anywhere. Only functions of `gan_jax.objectives` that give samplers, networks of
`gan_jax.models`, and latents are looked up, each checked before anything is imported or called, unless its author is trusted.
"""

import contextlib
import dataclasses
import importlib
import inspect
import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from gan_jax.core import Sampler
from gan_jax.errors import InputError

_SKIPPED = ("parent", "name")  # fields that Flax adds to every module
_OURS = re.compile(r"gan_jax\.(models|latents|objectives)(\.[a-z0-9_]+)*:[A-Za-z][A-Za-z0-9_]*")


def to_spec(value: Any) -> Any:
    """A Flax module, dataclass or named tuple as {"class": "package.module:Name", "fields": {...}}, a function by its address.

    Numbers, strings, tuples and dtypes stay what they are. Raises `InputError` for anything else.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (tuple, list):
        return [to_spec(item) for item in value]
    if isinstance(value, type(to_spec)):
        return {"function": address(value)}
    names = getattr(value, "_fields", None)
    if names is None and dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in dataclasses.fields(value) if f.init and f.name not in _SKIPPED]
    if names is not None:
        return {"class": address(type(value)), "fields": {name: to_spec(getattr(value, name)) for name in names}}
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)) or hasattr(value, "dtype"):
        with contextlib.suppress(TypeError):
            return jnp.dtype(value).name
    raise InputError(
        f"{value!r} cannot be written to model.json: use numbers, strings, tuples, dtypes, modules, dataclasses and functions"
    )


def sampler_spec(sampler: Callable[[], Sampler]) -> dict[str, Any]:
    """A sampler as the call that makes it: `functools.partial(image_sampler, generator, latent)`."""
    if not isinstance(sampler, partial):
        sampler = partial(sampler)
    bound = inspect.signature(sampler.func).bind(*sampler.args, **sampler.keywords)
    return {
        "sampler": address(sampler.func),
        "parts": {name: to_spec(value) for name, value in bound.arguments.items()},
    }


def open_sampler(spec: dict[str, Any], trust: bool = False) -> Sampler:
    """The sampler that `sampler_spec` described; raises `InputError` for a damaged description, and as `from_spec` does."""
    try:
        parts = {name: from_spec(part, trust) for name, part in spec["parts"].items()}
        sampler = _find(spec["sampler"], trust)(**parts)
        return sampler if isinstance(sampler, Sampler) else Sampler(*sampler)
    except (KeyError, TypeError, AttributeError, AssertionError) as error:
        raise InputError(f"this description of a sampler is damaged: {type(error).__name__}: {error}") from error


def from_spec(spec: Any, trust: bool = False) -> Any:
    """The value that `to_spec` described.

    With `trust`, also classes and functions of anybody's modules, which are imported: only for files whose author you trust.
    Raises `InputError` for what is not ours or not to be found.
    """
    if isinstance(spec, list):
        return tuple(from_spec(item, trust) for item in spec)
    if not isinstance(spec, dict):
        return spec
    if "function" in spec:
        return _find(spec["function"], trust)
    fields = {name: from_spec(field, trust) for name, field in spec["fields"].items()}
    try:
        return _find(spec["class"], trust)(**fields)
    except TypeError as error:
        raise InputError(f"{spec['class']} has not the fields that this run gives it: {error}") from error


def address(value: Any) -> str:
    """ "package.module:name" of a class or function; of the running program, by the name that it can be imported by.

    Raises `InputError` for what is not defined at the top of its module.
    """
    module = value.__module__
    if module == "__main__":
        main = sys.modules["__main__"]
        spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
        module = spec.name if spec else re.sub(r"^.*/|\.py$", "", file or "__main__")
    if "<" in value.__qualname__:
        raise InputError(f"{module}:{value.__qualname__} cannot be written to model.json: define it at the top of its module")
    return f"{module}:{value.__qualname__}"


def _find(name: str, trust: bool) -> Any:
    if not trust and not _OURS.fullmatch(name):
        raise InputError(
            f"model.json names {name}, which is no part of gan_jax: it would be imported and called. If you trust where this "
            "run comes from, open it with trust"
        )
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"{name}, which this run uses, cannot be imported: {error}. Run the command where its module can be found"
        ) from error
    if not trust and not _is_ours(found, module):
        raise InputError(f"model.json names {name}, which is no network, latent or sampler")
    return found


def _is_ours(found: Any, module: str) -> bool:
    """Whether it is a network, a latent, or a function that gives a sampler, and defined in that module."""
    if not getattr(found, "__module__", "").startswith(module):
        return False
    if isinstance(found, type):
        return issubclass(found, nn.Module) or (module == "gan_jax.latents" and dataclasses.is_dataclass(found))
    return inspect.isfunction(found) and inspect.signature(found).return_annotation is Sampler


def json_default(value: Any) -> Any:
    """For `json.dumps(default=)`: paths and NumPy numbers."""
    return value.item() if isinstance(value, np.generic) else str(value)
