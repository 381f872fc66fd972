"""Networks and latents as JSON: the class's address and its fields."""

import dataclasses
import importlib
from typing import Any

import jax.numpy as jnp
import numpy as np

from gan_jax.errors import InputError

_SKIPPED = ("parent", "name")  # fields that Flax adds to every module


def to_spec(value: Any) -> dict[str, Any]:
    """A Flax module, dataclass or named tuple of plain fields as {"class": "package.module:Name", "fields": {...}}."""
    cls = type(value)
    names = getattr(cls, "_fields", None) or [f.name for f in dataclasses.fields(cls) if f.init and f.name not in _SKIPPED]
    fields = {name: _plain(getattr(value, name)) for name in names}
    return {"class": f"{cls.__module__}:{cls.__qualname__}", "fields": fields}


def from_spec(spec: dict[str, Any]) -> Any:
    """The value that `to_spec` described; raises `InputError` if its class is not to be found."""
    fields = {name: tuple(field) if isinstance(field, list) else field for name, field in spec["fields"].items()}
    return locate(spec["class"])(**fields)


def locate(address: str) -> Any:
    """The object at "package.module:name"."""
    module, _, name = address.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{address}, which this run uses, cannot be imported: {error}") from error


def _plain(field: Any) -> Any:
    if field is None or isinstance(field, bool | int | float | str):
        return field
    if isinstance(field, tuple | list):
        return [_plain(item) for item in field]
    try:
        return jnp.dtype(field).name
    except TypeError:
        raise InputError(f"{field!r} cannot be written to model.json: use numbers, strings and tuples as fields") from None


def json_default(value: Any) -> Any:
    """For `json.dumps(default=)`: paths and NumPy numbers."""
    return value.item() if isinstance(value, np.generic) else str(value)
