"""What a fork copies: a run's flags, the script that made it, its rows and its state at a step. Nothing of it is changed."""

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxtyping import PyTree

from gan_jax.config import may_change, read
from gan_jax.errors import InputError
from gan_jax.files import exists, place
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.records import Row, read_json, read_rows
from gan_jax.runs.run import require_run, saved_steps
from gan_jax.runs.spec import open_script

_OWN = ("outdir", "steps", "init_from", "dry_run", "coordinator", "processes", "process", "devices")  # not to be forked


class Origin(NamedTuple):
    """A run that is forked: its flags as `config`, what makes its game, the step, and the rows up to it."""

    directory: Path
    config: Any
    build: Callable[..., Any]
    step: int
    metrics: list[Row]
    scores: list[Row]
    fingerprint: str

    def state(self, like: PyTree) -> PyTree:
        """The state at the step, in the structure of `like`; raises `InputError` if it is of another kind."""
        with Checkpoints(self.directory / "checkpoints", read_only=True) as checkpoints:
            return checkpoints.state_at(self.step, like)


def open_origin(directory: Path, at: str = "last", script: str | None = None, trust: bool = False) -> Origin:
    """The run in a directory at a step, or at its newest checkpoint.

    `script` is the module of an experiment, with `build` and `Config`, for a run that does not say which made it. Raises
    `InputError` for what is no run, has no such checkpoint, or has other flags than its script.
    """
    directory = place(directory)
    require_run(directory)
    flags = read_json(directory / "config.json") or {}
    steps = saved_steps(directory)
    named = {str(step): step for step in steps} | ({"last": steps[-1]} if steps else {})
    if at not in named:
        raise InputError(f"{directory} has no checkpoint {at!r} to fork from; it has {', '.join(named) or 'none'}")
    build, kind = open_script(_script(directory, script), trust)
    step = named[at]
    env = read_json(directory / "env.json") or {}
    return Origin(
        directory,
        _config(directory, kind, flags, env),
        build,
        step,
        _until(step, read_rows(directory / "metrics.jsonl")),
        _until(step, read_rows(directory / "eval.jsonl")),
        str(env.get("data")),
    )


def _until(step: int, rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["step"] <= step]


def _script(directory: Path, script: str | None) -> Mapping[str, Any]:
    if script is not None:
        return {"build": f"{script}:build", "config": f"{script}:Config"}
    known = (read_json(directory / "model.json") or {}).get("script")
    if not isinstance(known, dict):
        raise InputError(f"{directory} does not say which script made it: name its module, such as --script experiments.dcgan")
    return known


def _config(directory: Path, kind: type, flags: Mapping[str, Any], env: Mapping[str, Any]) -> Any:
    """The flags of a run; raises `InputError` where the script has others."""
    fields = {field.name for field in dataclasses.fields(kind) if field.init}
    config: Any = read(kind, flags)
    unknown, missing = sorted(flags.keys() - fields), sorted(fields - flags.keys() - may_change(config))
    if unknown or missing:
        told = [f"{name} only the {owner}" for owner, names in (("run", unknown), ("script", missing)) for name in names]
        raise InputError(
            f"{directory} was made with other flags than its script {kind.__module__} has now ({', '.join(told)}): fork it "
            "with the version that made it"
        )
    data, folder = flags.get("data"), env.get("folder")
    if isinstance(data, str) and isinstance(folder, str) and "data" in fields:
        there = Path(folder) / data
        if not exists(Path(data)) and exists(there):  # named from where the run was started
            config = dataclasses.replace(config, data=str(there))
    return config


class Change(NamedTuple):
    """One copy: the flags that it is played with in place of the run's, {} for the run's own."""

    flags: dict[str, Any]

    def __str__(self) -> str:
        return " ".join(f"{name}={_shown(value)}" for name, value in self.flags.items()) or "as it was"


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def changes_of(config: Any, words: tuple[str, ...]) -> list[Change]:
    """The copies that words such as "lr=1e-4,5e-5" ask for: one for each value, and before them one that changes nothing.

    Raises `InputError` for words of another form, flags that there are not, values that they cannot have, and values twice.
    """
    found = [Change({})]
    for word in words:
        name, equals, values = word.partition("=")
        name = name.removeprefix("--").replace("-", "_")
        if not equals or not values:
            raise InputError(f"--set {word!r}: give a flag and its values, such as lr=1e-4,5e-5")
        known = [field.name for field in dataclasses.fields(config) if field.name not in _OWN]
        if name not in known:
            near = "".join(f"; the nearest is {one}" for one in difflib.get_close_matches(name, known, n=1))
            raise InputError(f"--set {word!r}: the run has no flag {name} that can be set{near}")
        found += [Change({name: _value(config, name, text)}) for text in values.split(",")]
    names = [str(change) for change in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"--set asks for {twice[0]} twice")
    return found


def _value(config: Any, name: str, text: str) -> Any:
    """The value of a flag as a command line reads it."""
    words: dict[str, Any] = {"true": True, "false": False, "none": None}
    given = words.get(text.lower(), text) if not isinstance(getattr(config, name), str) else text
    value = getattr(read(type(config), {name: given}), name)
    if value == getattr(config, name):
        raise InputError(f"--set {name}={text}: the run has that value, and one copy changes nothing anyway")
    return value
