"""Samplers, networks and latents as JSON: the address of what is called, and what it is called with.

model.json may come from anywhere. Only functions of `gan_jax.objectives` that give samplers, networks of
`gan_jax.models`, and latents are looked up, each checked before anything is imported or called, unless its author is trusted.
"""

import contextlib
import dataclasses
import importlib
import importlib.machinery
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from gan_jax import scripts
from gan_jax._search_path import search_present_folder
from gan_jax.core import Sampler
from gan_jax.errors import InputError

_SKIPPED = ("parent", "name")  # fields that Flax adds to every module
_SCRIPT = re.compile(r"experiments(\.[a-z0-9_]+)+:[A-Za-z][A-Za-z0-9_]*")
_OURS = re.compile(r"gan_jax\.(models|latents|objectives)(\.[a-z0-9_]+)*:[A-Za-z][A-Za-z0-9_]*")


def to_spec(value: Any) -> Any:
    """A Flax module, dataclass or named tuple as {"class": "package.module:Name", "fields": {...}}, a function by its address.

    Classes and `functools.partial` are functions too. Numbers, strings, tuples and dtypes stay what they are. Raises
    `InputError` for anything else.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (tuple, list):
        return [to_spec(item) for item in value]
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {"mapping": {name: to_spec(item) for name, item in value.items()}}
    if isinstance(value, partial):
        keywords = {name: to_spec(item) for name, item in value.keywords.items()}
        return {"partial": address(value.func), "args": to_spec(list(value.args)), "keywords": keywords}
    names = getattr(value, "_fields", None)
    if names is None and dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in dataclasses.fields(value) if f.init and f.name not in _SKIPPED]
    if names is not None:
        return {"class": address(type(value)), "fields": {name: to_spec(getattr(value, name)) for name in names}}
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)) or hasattr(value, "dtype"):
        with contextlib.suppress(TypeError):
            return jnp.dtype(value).name
    if callable(value) and hasattr(value, "__qualname__"):
        return {"function": address(value)}
    raise InputError(
        f"{str(value)[:200]} cannot be written to model.json: use numbers, strings, tuples, dtypes, modules, dataclasses and "
        "functions"
    )


def sampler_spec(sampler: Callable[[], Sampler]) -> dict[str, Any]:
    """A sampler as the call that makes it: `functools.partial(image_sampler, generator, latent)`.

    Raises `InputError` for what is no such call, and for parts that cannot be written.
    """
    if not callable(sampler):
        raise InputError(f"a sampler is described by functools.partial(image_sampler, generator, latent), not {sampler!r:.100}")
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
    except InputError:
        raise
    except Exception as error:  # whatever a constructor raises for arguments of other types
        reason = f"{type(error).__name__}: {error}"[:300]
        raise InputError(f"this description of a sampler is damaged: {reason}") from error


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
    if "mapping" in spec:
        return {name: from_spec(item, trust) for name, item in spec["mapping"].items()}
    if "partial" in spec:
        keywords = {name: from_spec(item, trust) for name, item in spec["keywords"].items()}
        return partial(_find(spec["partial"], trust), *from_spec(spec["args"], trust), **keywords)
    fields = {name: from_spec(field, trust) for name, field in spec["fields"].items()}
    try:
        return _find(spec["class"], trust)(**fields)
    except TypeError as error:
        raise InputError(f"{spec['class']} has not the fields that this run gives it: {error}") from error


def address(value: Any) -> str:
    """ "package.module:name" of a class or function; of the running program, by the name that it can be imported by.

    Raises `InputError` for what is not defined at the top of its module.
    """
    module, name = str(value.__module__), str(value.__qualname__)
    defined = getattr(sys.modules.get(module), name, None)
    if module == "__main__":
        main = sys.modules["__main__"]
        spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
        module = spec.name if spec else re.sub(r"^.*/|\.py$", "", file or "__main__")
    if defined is not value:
        raise InputError(f"{module}:{name} cannot be written to model.json: define it at the top of its module")
    return f"{module}:{name}"


def script_spec(build: Callable[..., Any], config: Any) -> dict[str, str]:
    """The addresses of what makes a game and of the class of its flags; {} where other programs cannot find these."""
    try:
        return {"build": address(build), "config": address(type(config))}
    except (AttributeError, InputError):
        return {}


def open_script(script: Mapping[str, Any], trust: bool = False) -> tuple[Callable[..., Any], type]:
    """What `script_spec` described: the function and the class; their module is imported.

    Without `trust` only scripts of `experiments` are. Raises `InputError` for others, and for what cannot be found.
    """
    found = []
    for name in (script.get("build"), script.get("config")):
        if not isinstance(name, str) or not (trust or _SCRIPT.fullmatch(name)):
            raise InputError(
                f"the script of this run is {str(name)[:200]}, which is none of ours: it would be imported. If you trust where "
                "the run comes from, open it with --trust"
            )
        found.append(_found(name, trust))
    build, config = found
    if not callable(build) or not dataclasses.is_dataclass(config) or not isinstance(config, type):
        raise InputError(f"{script['build']} and {script['config']} are no function and flags of an experiment")
    return build, config


def difference(saved: Any, now: Any, where: str = "") -> str:
    """The first place where two descriptions differ, with both values; "" where they are equal."""
    if isinstance(saved, dict) and isinstance(now, dict):
        names = [*now, *(name for name in saved if name not in now)]
        shown = {"parts": "", "fields": ""}
        inner = (difference(saved.get(name), now.get(name), f"{where} {shown.get(name, name)}".strip()) for name in names)
        return next(filter(None, inner), "")
    return "" if saved == now else f"{where} is {_brief(saved)} in the run, {_brief(now)} now"


def without_later(saved: Any, now: Any) -> Any:
    """The description `now` without fields and arguments that `saved` lacks and that have their defaults.

    A later version of a network or function may have added them: with their defaults they change nothing.
    """
    if isinstance(saved, list) and isinstance(now, list) and len(saved) == len(now):
        return [without_later(then, value) for then, value in zip(saved, now, strict=True)]
    if not isinstance(saved, dict) or not isinstance(now, dict):
        return now
    kept = {name: without_later(saved.get(name), value) for name, value in now.items()}
    for kind, values in (("class", "fields"), ("partial", "keywords"), ("sampler", "parts")):
        if kind in now and saved.get(kind) == now[kind] and isinstance(saved.get(values), dict):
            later = kept[values].keys() - saved[values].keys()
            defaults = _defaults(now[kind]) if later else {}
            equal = {name for name in later if name in defaults and defaults[name] == now[values][name]}
            kept[values] = {name: value for name, value in kept[values].items() if name not in equal}
    return kept


def _defaults(name: str) -> dict[str, Any]:
    """The descriptions of the defaults of a class or function that was described in this process."""
    module, _, attribute = name.partition(":")
    found = getattr(sys.modules.get(module, sys.modules["__main__"]), attribute)
    if isinstance(found, type) and dataclasses.is_dataclass(found):
        values = {
            f.name: f.default if f.default_factory is dataclasses.MISSING else f.default_factory()
            for f in dataclasses.fields(found)
        }
    else:
        values = {each.name: each.default for each in inspect.signature(found).parameters.values()}
    described = {}
    for field, value in values.items():
        if value is not dataclasses.MISSING and value is not inspect.Parameter.empty:
            with contextlib.suppress(InputError):  # what cannot be written was not
                described[field] = to_spec(value)
    return described


def _brief(value: Any) -> str:
    if isinstance(value, dict):
        value = next((value[kind] for kind in ("class", "function", "partial") if kind in value), "other values")
    return repr(value)[:100]


def lost_later(spec: Any) -> list[str]:
    """What keeps other programs from opening this description, a sentence each, with what to do."""
    notes = []
    for name in sorted({name for name in _named(spec) if not _OURS.fullmatch(name)}):
        module = name.partition(":")[0]
        if module == "__main__":
            notes.append(f"{name} is defined in a notebook or console: only there can this run be sampled. Put it in a file")
        elif folder := _only_found_in(module):
            notes.append(
                f"{name} is not of gan_jax: sample, evaluate and so on need --trust, and are to be started in {folder}"
            )
        else:
            notes.append(f"{name} is not of gan_jax: sample, evaluate and so on need --trust")
    return notes


def _named(spec: Any) -> Iterator[str]:
    if isinstance(spec, list):
        for item in spec:
            yield from _named(item)
    elif isinstance(spec, dict):
        for name, value in spec.items():
            if name in ("class", "function", "partial", "sampler") and isinstance(value, str):
                yield value
            else:
                yield from _named(value)


def _only_found_in(module: str) -> str:
    """The folder of a module that other programs find only if they are started there; "" of an installed one."""
    top, main = module.split(".")[0], sys.modules["__main__"]
    found = sys.modules.get(top, main)
    file = getattr(found, "__file__", None) or next(iter(getattr(found, "__path__", ())), None)
    if file is None:
        return ""
    path = Path(file).resolve()
    folder = path.parents[1] if path.name == "__init__.py" else path.parent
    elsewhere = [entry for entry in sys.path[1:] if entry and Path(entry).resolve() != Path.cwd()]
    return "" if importlib.machinery.PathFinder.find_spec(top, elsewhere) else str(folder)


def _find(name: str, trust: bool) -> Any:
    if not isinstance(name, str):
        raise TypeError(f"{name!r} is no address")
    if not trust and not _OURS.fullmatch(name):
        raise InputError(
            f"model.json names {name[:200]}, which is no part of gan_jax: it would be imported and called. If you trust where "
            "this run comes from, open it with --trust (trust=True)"
        )
    found = _found(name, trust)
    if not trust and not _is_ours(found, name.partition(":")[0]):
        raise InputError(f"model.json names {name}, which is no network, latent or sampler")
    return found


def _found(name: str, trust: bool) -> Any:
    module, _, attribute = name.partition(":")
    if trust:
        search_present_folder()
    if module.split(".")[0] == scripts.PACKAGE:
        scripts.provide()
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:  # what a module of somebody's raises
        raise InputError(
            f"{name}, which this run uses, cannot be imported: {error}. Start the command in the folder of its module"
        ) from error


def _is_ours(found: Any, module: str) -> bool:
    """Whether it is a network, a latent, or a function that gives a sampler, and defined in that module."""
    if not getattr(found, "__module__", "").startswith(module):
        return False
    if isinstance(found, type):
        return issubclass(found, nn.Module) or (module == "gan_jax.latents" and dataclasses.is_dataclass(found))
    return inspect.isfunction(found) and inspect.signature(found).return_annotation is Sampler
