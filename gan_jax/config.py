"""Configurations made in Python: checked and converted as a command line would, and the kinds of numbers that flags are.

`checked(config)` is called by whatever takes a configuration: `gan_jax.training.run_experiment` and every command's `main`.
"""

import dataclasses
import difflib
import math
import os
import types
import typing
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union

import numpy as np

from gan_jax.errors import InputError
from gan_jax.files import place

C = TypeVar("C")
R = TypeVar("R")
FREE = {"may_change": True}  # metadata of a flag that may differ when a run is continued: it changes no state


@dataclasses.dataclass(frozen=True)
class Within:
    """The numbers from `least` to `most`, without these where `open_least`, `open_most`; never NaN."""

    least: int | float
    most: int | float = math.inf
    open_least: bool = False
    open_most: bool = False

    def __contains__(self, number: int | float) -> bool:
        above = number > self.least if self.open_least else number >= self.least
        return above and (number < self.most if self.open_most else number <= self.most)

    def __str__(self) -> str:
        low = f"above {self.least}" if self.open_least else f"at least {self.least}"
        if math.isinf(self.most):
            return f"{low} and finite" if self.open_most else low
        return f"{low} and {'below' if self.open_most else 'at most'} {self.most}"


MOST = 2**31 - 1  # what an int32 holds: rounds are counted by it
Count = Annotated[int, Within(1, MOST)]
CountOrNone = Annotated[int, Within(0, MOST)]
SEEDS = Within(0, 2**32 - 1)  # jax wraps larger ones: 2**32 would be 0
Seed = Annotated[int, SEEDS]
Rate = Annotated[float, Within(0, math.inf, open_least=True, open_most=True)]
Weight = Annotated[float, Within(0, math.inf, open_most=True)]
Share = Annotated[float, Within(0, 1, open_most=True)]  # also a decay


def checked(config: C) -> C:
    """`config` (a dataclass) with every field of the type that it is declared with: 64 for a str becomes "64".

    Paths may be strings and begin with ~; sizes may be (64, 96); NumPy's numbers become Python's. Raises `InputError` for
    what cannot be converted, for a number outside of its kind, and for an unknown choice, with the nearest one. A subclass
    that gives a field another default need not repeat its kind.
    """
    names = [field.name for field in dataclasses.fields(config) if field.init]  # type: ignore[arg-type]
    values = _all_converted(type(config), {name: getattr(config, name) for name in names})
    return dataclasses.replace(config, **values)  # type: ignore[type-var]


def checked_seed(seed: Any) -> int:
    """A seed that a function was given, as a flag would be; raises `InputError` for what is none of `SEEDS`."""
    return int(_converted(seed, Seed, "seed"))


def checked_steps(steps: Any) -> int:
    """A number of rounds that a function was given, as a flag would be; raises `InputError` unless it is from 0 to `MOST`."""
    return int(_converted(steps, CountOrNone, "steps"))


def read(kind: type[C], values: Mapping[str, Any]) -> C:
    """A configuration of these values, `checked`; the others have their defaults, and unknown names are left out."""
    names = [field.name for field in dataclasses.fields(kind) if field.init]  # type: ignore[arg-type]
    return kind(**_all_converted(kind, {name: values[name] for name in names if name in values}))


def command(main: Callable[[Any], R]) -> Callable[[Any], R]:
    """`main(config)` of a checked configuration."""

    @wraps(main)
    def run(config: Any) -> R:
        return main(checked(config))

    return run


def values_of(config: Any) -> dict[str, Any]:
    """The values of a dataclass or a dictionary by their names; raises `InputError` for anything else."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return dataclasses.asdict(config)
    if isinstance(config, Mapping) and all(isinstance(name, str) for name in config):
        return dict(config)
    raise InputError(
        f"the configuration of a run is a dataclass, or a dictionary such as vars(args), not {type(config).__name__}"
    )


def may_change(config: Any) -> set[str]:
    """The fields of a dataclass that may differ when a run is continued, without those that `config.fixed` names.

    A subclass may define a field again with another default without repeating its metadata.
    """
    marked = {
        field.name
        for cls in type(config).__mro__
        for field in vars(cls).get("__dataclass_fields__", {}).values()
        if FREE.items() <= field.metadata.items()
    }
    return marked - set(getattr(config, "fixed", ()))


class _Wrong(Exception):
    """What is wanted in the place of a value."""


def _hint(kind: type, name: str) -> Any:
    """The type of a field, with the bounds that it has in any class of the family."""
    hints = [typing.get_type_hints(base, include_extras=True).get(name) for base in kind.__mro__]
    bounds = [bound for hint in hints for bound in _bounds(hint)]
    return Annotated[hints[0], *bounds] if bounds else hints[0]


def _bounds(hint: Any) -> list[Within]:
    if typing.get_origin(hint) in (Union, types.UnionType):
        return [bound for one in typing.get_args(hint) for bound in _bounds(one)]
    return [bound for bound in getattr(hint, "__metadata__", ()) if isinstance(bound, Within)]


def _all_converted(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _converted(value, _hint(kind, name), name) for name, value in values.items()}


def _converted(value: Any, hint: Any, name: str) -> Any:
    try:
        return _as(value, hint)
    except _Wrong as wanted:
        raise InputError(f"--{name.replace('_', '-')} {str(value)[:80]!r}: {wanted}") from None
    except InputError as error:  # of a path, which it names
        raise InputError(f"--{name.replace('_', '-')} {error}") from None


def _as(value: Any, hint: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _bounded(_as(value, arguments[0]), [kind for kind in arguments[1:] if isinstance(kind, Within)])
    if origin is Literal:
        return _chosen(value, arguments)
    if origin in (Union, types.UnionType):
        return _one_of(value, arguments)
    if origin is tuple:
        return _tuple(value, arguments)
    if isinstance(hint, type) and hint in _CONVERSIONS:
        return _CONVERSIONS[hint](value)
    return value  # a type that a command line does not know


def _bounded(value: Any, kinds: list[Within]) -> Any:
    for kind in kinds:
        if isinstance(value, int | float) and value not in kind:
            raise _Wrong(f"a number {kind} is wanted")
    return value


def _chosen(value: Any, choices: tuple[Any, ...]) -> Any:
    for choice in choices:
        if str(value) == str(choice):
            return choice
    near = difflib.get_close_matches(str(value).lower(), [str(choice) for choice in choices], n=1, cutoff=0.4)
    raise _Wrong(f"choose {', '.join(map(str, choices))}" + "".join(f"; the nearest is {name}" for name in near))


def _one_of(value: Any, hints: tuple[Any, ...]) -> Any:
    if value is None and type(None) in hints:
        return None
    wanted = []
    for hint in hints:
        if hint is not type(None):
            try:
                return _as(value, hint)
            except _Wrong as wrong:
                wanted.append(str(wrong))
    raise _Wrong(", or ".join(wanted))


def _tuple(value: Any, hints: tuple[Any, ...]) -> tuple[Any, ...]:
    given = (value,) if isinstance(value, str | os.PathLike) or not np.iterable(value) else tuple(value)
    if len(hints) == 2 and hints[1] is Ellipsis:
        return tuple(_as(one, hints[0]) for one in given)
    if len(given) != len(hints):
        raise _Wrong(f"{len(hints)} values are wanted")
    return tuple(_as(one, hint) for one, hint in zip(given, hints, strict=True))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, tuple | list) and value and all(isinstance(side, int | np.integer) for side in value):
        return "x".join(map(str, value))  # a size
    raise _Wrong("a text is wanted")


def _path(value: Any) -> Path:
    if not isinstance(value, str | os.PathLike):
        raise _Wrong("a path is wanted")
    return place(value)


def _whole(value: Any) -> int:
    if isinstance(value, str):
        return int(_number(value, int))
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return int(value)
    raise _Wrong("a whole number is wanted")


def _real(value: Any) -> float:
    number = _number(value, float) if isinstance(value, str) else value
    if isinstance(number, bool | np.bool_) or not isinstance(number, int | float | np.number):
        raise _Wrong("a number is wanted")
    return float(number)


def _number(text: str, kind: type) -> Any:
    try:
        return kind(text)
    except ValueError:  # also for more than 4,300 digits
        raise _Wrong("a whole number is wanted" if kind is int else "a number is wanted") from None


def _truth(value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise _Wrong("True or False is wanted")
    return bool(value)


_CONVERSIONS: dict[type, Callable[[Any], Any]] = {str: _text, Path: _path, int: _whole, float: _real, bool: _truth}
