"""A run is one directory: its configuration, the machine, metrics and scores, checkpoints, samples.

config.json  env.json  model.json  asked.npz  metrics.jsonl  eval.jsonl  diagnosis.jsonl  log.txt  real.png
samples/  checkpoints/  video/  tensorboard/
"""

import dataclasses
import json
import os
import platform
from collections.abc import Callable, Collection, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from gan_jax.core import Sampler
from gan_jax.errors import InputError
from gan_jax.files import whole
from gan_jax.parallel.flags import FREE
from gan_jax.parallel.processes import require_same
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.spec import json_default, sampler_spec

ROWS = ("metrics.jsonl", "eval.jsonl", "diagnosis.jsonl")
FORMAT = 2  # of model.json; 1, which has no number, keeps latents and labels as a pair
_PACKAGES = ("gan_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


class Run:
    """The directory of a run, opened for training: new, or continued with the same configuration.

    Raises `InputError` if the directory cannot be written, holds other things, or has checkpoints of another configuration
    or of other data; its files are not changed then. Of several processes only one `writes`; the others may have no access to
    the directory, and their calls have no effect.
    """

    def __init__(self, directory: Path, config: Any, fingerprint: str, writes: bool = True):
        self.directory, self.writes = directory, writes
        asked = json.loads(json.dumps(dataclasses.asdict(config), default=json_default))
        self.flags = frozenset(asked)
        shared = {name: value for name, value in asked.items() if name not in ("outdir", "coordinator", "process")}
        require_same(flags=json.dumps(shared), data=fingerprint)
        if not writes:
            return
        self._check_directory()
        if self._began():
            self._check_same(asked, may_change(config), fingerprint)
        self.write_json("config.json", asked)
        self.write_json("env.json", _environment(fingerprint))

    def _began(self) -> bool:
        """Whether there is a checkpoint to continue from."""
        return any((self.directory / "checkpoints").glob("[0-9]*"))

    def _check_directory(self) -> None:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            probe = self.directory / f".writable-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise InputError(f"cannot write to {self.directory}: {error.strerror}; choose another directory") from error
        visible = [path for path in self.directory.iterdir() if not path.name.startswith(".")]
        if visible and not (self.directory / "config.json").exists():
            raise InputError(f"{self.directory} is not empty and is no run: choose another directory")

    def _check_same(self, asked: dict[str, Any], free: Collection[str], fingerprint: str) -> None:
        saved = self.read_json("config.json")
        keys = sorted((saved.keys() | asked.keys()) - set(free))
        different = [key for key in keys if saved.get(key) != asked.get(key)]
        if different:
            rows = "".join(f"\n  {key}: {saved.get(key)!r} in the run, {asked.get(key)!r} now" for key in different)
            cure = "give the same configuration to continue it, or choose another directory"
            if saved.keys() != asked.keys():
                cure = "it was made by another version of gan_jax or another experiment: it cannot be continued, only used"
            raise InputError(f"{self.directory} holds a run of another configuration:{rows}\n{cure}")
        known = (self.read_json("env.json") or {}).get("data", fingerprint)
        if known != fingerprint:
            raise InputError(
                f"{self.directory} was trained on other data (fingerprint {known}, now {fingerprint}): choose another directory"
            )

    def path(self, name: str) -> Path:
        """The path of a file of the run; its folder is created."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def log(self, line: str) -> None:
        """Print a line and keep it in log.txt."""
        if not self.writes:
            return
        print(line, flush=True)
        with self.path("log.txt").open("a") as file:
            file.write(line + "\n")

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file of the run; it appears whole or not at all."""
        if not self.writes:
            return
        with whole(self.path(name)) as unfinished:
            unfinished.write_text(json.dumps(content, indent=2, default=json_default) + "\n")

    def read_json(self, name: str) -> Any:
        """The content of a JSON file of the run; None if there is none."""
        return read_json(self.directory / name)

    def add_row(self, name: str, row: dict[str, Any]) -> None:
        """Append one line to a .jsonl file."""
        if not self.writes:
            return
        with self.path(name).open("a") as file:
            file.write(json.dumps(row, default=json_default) + "\n")

    def rewind(self, step: int) -> None:
        """Drop rows after `step` and an incomplete last one: they will be written again."""
        rewind(self.directory, step)

    def describe_model(
        self, sampler: Callable[[], Sampler], facts: Mapping[str, Any], rows: Mapping[str, Any] | None = None
    ) -> None:
        """Write model.json, the call that makes the sampler and facts on its samples, and asked.npz, rows that it is asked by.

        `sampler` is a `functools.partial` of a function and what it is called with, see `gan_jax.runs.spec`.
        """
        self.write_json("model.json", {"format": FORMAT, **sampler_spec(sampler), **facts})
        if rows and self.writes:
            arrays: dict[str, Any] = {name: np.asarray(value) for name, value in rows.items()}
            with whole(self.path("asked.npz")) as unfinished:
                np.savez(unfinished, **arrays)

    def checkpoints(self, metric: str | None = None, mode: Literal["max", "min"] = "max") -> Checkpoints:
        """The run's checkpoints, opened for writing; the best one by `metric` is kept beside the newest."""
        return Checkpoints(self.directory / "checkpoints", metric=metric, mode=mode)


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


def read_json(path: Path) -> Any:
    """The content of a JSON file, None if there is none; raises `InputError` if it is damaged."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}") from error


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a .jsonl file, without a last one that a kill cut short."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def rewind(directory: Path, step: int) -> None:
    """Drop the rows after `step` from the files of rows in `directory`, and an incomplete last one."""
    for name in ROWS:
        kept = [row for row in read_rows(directory / name) if row["step"] <= step]
        with whole(directory / name) as unfinished:
            unfinished.write_text("".join(json.dumps(row) + "\n" for row in kept))


def _environment(fingerprint: str) -> dict[str, Any]:
    device = jax.devices()[0]
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "data": fingerprint,
        "python": platform.python_version(),
        "versions": versions,
        "platform": device.platform,
        "device": device.device_kind,
        "devices": jax.device_count(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }
