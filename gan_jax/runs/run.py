"""A run is one directory: its configuration, the machine, metrics and scores, checkpoints, samples.

config.json  env.json  model.json  asked.npz  metrics.jsonl  eval.jsonl  diagnosis.jsonl  log.txt  real.png
samples/  checkpoints/  video/  tensorboard/  convolutions.json
"""

import contextlib
import json
import os
import platform
import re
import threading
import weakref
from collections.abc import Callable, Collection, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from gan_jax.config import may_change, values_of
from gan_jax.core import Sampler
from gan_jax.errors import InputError, RunError
from gan_jax.files import place, whole
from gan_jax.locks import Lock
from gan_jax.parallel.processes import require_same
from gan_jax.runs import records
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.records import Row, json_default, read_json, read_rows
from gan_jax.runs.spec import difference, lost_later, sampler_spec, without_later

LOCK = ".lock"  # in a run's directory, from its first moment on
FORMAT = 2  # of model.json; 1, which has no number, keeps latents and labels as a pair
_PACKAGES = ("gan_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
_OF_DATA = ("data",)  # flags that say where the data are: equal fingerprints mean the same data
_opened: "weakref.WeakValueDictionary[str, Run]" = weakref.WeakValueDictionary()  # by directory


class Run:
    """The directory of a run, opened for training: new, or continued with the same configuration.

    The directory is locked until the run is closed, forgotten, or its process ends. Nothing in it changes until the run is
    accepted, before the first round or with the first file: then come config.json and env.json, which marks the directory as
    a run. As a context (a run in a `with` statement) it is opened, and closed at the end.

    Raises `InputError` if the directory cannot be written, holds other things, is being written by another process, or holds a
    run of another configuration or of other data. Of several processes only one `writes`; the others may have no access to
    the directory, and their calls have no effect.
    """

    def __init__(self, directory: Path | str, config: Any, fingerprint: str, writes: bool = True):
        self.directory, self.writes, self._fingerprint = place(directory), writes, fingerprint
        self._asked = json.loads(json.dumps(values_of(config), default=json_default))
        self._free = may_change(config)
        self.flags = dict(self._asked)
        self._accepted, self._lock = False, Lock(self.directory / LOCK)
        self._lines: list[str] = []  # logged before
        self._model: dict[str, Any] = {}
        self._rows: dict[str, Any] = {}
        self._inside, self._thread = 0, 0
        shared = {name: value for name, value in self._asked.items() if name not in ("outdir", "coordinator", "process")}
        require_same(flags=json.dumps(shared), data=fingerprint)
        weakref.finalize(self, Lock.release, self._lock)
        self.open()

    def open(self) -> None:
        """Lock the directory and check that this run may be written there; nothing happens if it is open.

        Raises `InputError` as the constructor does.
        """
        if not self.writes or self._lock.held:
            return
        key = os.path.realpath(self.directory)
        if (other := _opened.get(key)) is not None:  # of a cell of a notebook that is run again
            other._give_way()
        require_place(self.directory)
        self._new = not self.directory.exists()
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._lock.require(str(self.directory))
        except OSError as error:
            raise InputError(
                f"cannot write to {self.directory}: {error.strerror}; choose another directory (--outdir)"
            ) from error
        self._accepted = False
        _opened[key] = self
        try:
            if self.began or _has_rows(self.directory):
                self._check_same(self._free)
        except InputError:
            self.close()
            raise

    def close(self) -> None:
        """Unlock the directory; of a run that was never accepted nothing is left there."""
        if not self._lock.held:
            return
        accepted, self._accepted = self._accepted, False  # what is written from now on needs the lock again
        if accepted or not self._new:
            self._lock.release()
        else:
            self._lock.remove()
            remove_if_empty(self.directory)

    def _give_way(self) -> None:
        if self._inside:
            raise InputError(f"{self.directory} is being trained in this process already: wait until that ends")
        self.close()

    def __enter__(self) -> "Run":
        if self._inside and self._thread != threading.get_ident():
            raise InputError(f"{self.directory} is being trained by another thread already: wait until that ends")
        self.open()
        self._inside, self._thread = self._inside + 1, threading.get_ident()
        return self

    def __exit__(self, *_: object) -> None:
        self._inside -= 1
        if not self._inside:
            self.close()

    @property
    def began(self) -> bool:
        """Whether there is a checkpoint to continue from."""
        return self.writes and bool(self.saved_steps() or self._of_members())

    def saved_steps(self) -> list[int]:
        """The steps of the complete checkpoints, oldest first: one that is being written has another name than its step."""
        return saved_steps(self.directory)

    def _of_members(self) -> bool:
        """Whether members FIRST-LAST of a population have a checkpoint."""
        return any(map(_steps, (self.directory / "checkpoints").glob("[0-9]*-[0-9]*")))

    def _check_same(self, free: Collection[str]) -> None:
        env, saved, asked = self.read_json("env.json") or {}, self.read_json("config.json") or {}, self._asked
        known = env.get("data", self._fingerprint)
        if known != self._fingerprint:
            raise InputError(
                f"{self.directory} was trained on other data (fingerprint {known}, now {self._fingerprint}): choose another "
                "directory"
            )
        keys = sorted((saved.keys() | asked.keys()) - set(free) - set(_OF_DATA))
        different = [key for key in keys if saved.get(key) != asked.get(key)]
        if different:
            rows = "".join(f"\n  {key}: {saved.get(key)!r} in the run, {asked.get(key)!r} now" for key in different)
            cure = "give the same configuration to continue it, or choose another directory (--outdir)"
            if saved.keys() != asked.keys():
                cure = "it was made by another version of gan_jax or another experiment: it cannot be continued, only used"
            if not self.began:
                cure = "it has no checkpoint, but metrics that would be lost: choose another --outdir, or remove this one"
            raise InputError(f"{self.directory} holds a run of another configuration:{rows}\n{cure}")

    def accept(self) -> None:
        """Write config.json, env.json, model.json and the lines that were logged so far; whatever writes calls it."""
        if self._accepted or not self.writes:
            return
        self.open()
        self._accepted = True
        self.write_json("env.json", _environment(self._fingerprint))  # first: it marks the directory as a run
        self.write_json("config.json", self._asked)
        self._write_model()
        self._keep(self._lines)
        self._lines = []

    def path(self, name: str) -> Path:
        """The path of a file of the run; its folder is created."""
        self.accept()
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def log(self, line: str) -> None:
        """Print a line and keep it in log.txt."""
        if not self.writes:
            return
        print(line, flush=True)
        if self._accepted:
            self._keep([line])
        else:
            self._lines.append(line)

    def _keep(self, lines: Collection[str]) -> None:
        with contextlib.suppress(OSError), self.path("log.txt").open("a") as file:  # a full disk: they are on the screen
            file.writelines(line + "\n" for line in lines)

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file of the run; it appears whole or not at all."""
        if self.writes:
            records.write_json(self.path(name), content)

    def read_json(self, name: str) -> Row | None:
        """The content of a JSON file of the run; None if there is none."""
        return read_json(self.directory / name)

    def add_row(self, name: str, row: Row) -> None:
        """Append one line to a .jsonl file; raises `RunError` if that cannot be written."""
        if not self.writes:
            return
        try:
            records.append_row(self.path(name), row)
        except OSError as error:
            raise RunError(f"cannot write {self.directory / name}: {error.strerror}") from error

    def rewind(self, step: int) -> None:
        """Drop rows after `step`, which will be written again; damaged lines are moved to files beside."""
        self.accept()
        records.rewind(self.directory, step)

    def describe_model(
        self, sampler: Callable[[], Sampler], facts: Mapping[str, Any], rows: Mapping[str, Any] | None = None
    ) -> None:
        """Keep in model.json the call that makes the sampler and facts on its samples, in asked.npz rows that it is asked by.

        They are written when the run is accepted. `sampler` is a `functools.partial` of a function and what it is called with,
        see `gan_jax.runs.spec`. What keeps other programs from opening it later is told. Raises `InputError` if the run has
        checkpoints of another sampler.
        """
        try:
            spec = sampler_spec(sampler)
        except InputError as error:
            self.log(f"note        nothing but this program can draw samples of this run: {error}")
            return
        saved = (self.read_json("model.json") or {}) if self.began else {}
        then = {name: saved.get(name) for name in spec}
        if saved.get("format") == FORMAT and (found := difference(then, without_later(then, spec))):
            raise InputError(
                f"{self.directory} has checkpoints of another generator: {found}\n"
                "make the same one to continue the run, or choose another directory (--outdir)"
            )
        for note in lost_later(spec):
            self.log(f"note        {note}")
        self._model = {"format": FORMAT, "statistics": "running", "metric": None, **spec, **facts}
        self._rows = {name: np.asarray(value) for name, value in (rows or {}).items()}
        if self._accepted:
            self._write_model()

    def _write_model(self) -> None:
        if self._model:
            self.write_json("model.json", self._model)
        if self._rows and self.writes:
            with whole(self.path("asked.npz")) as unfinished:
                np.savez(unfinished, **self._rows)

    def checkpoints(self, metric: str | None = None, mode: Literal["max", "min"] = "max") -> Checkpoints:
        """The run's checkpoints, opened for writing; the best one by `metric` is kept beside the newest."""
        self.open()
        return Checkpoints(self.directory / "checkpoints", metric=metric, mode=mode)


def is_run(directory: Path) -> bool:
    """Whether a run of gan_jax was begun in the directory: its env.json says so. Raises `InputError` if that is damaged."""
    versions = (read_json(directory / "env.json") or {}).get("versions")
    return isinstance(versions, dict) and "gan_jax" in versions


def require_there(directory: Path) -> None:
    """Raises `InputError` where there is no such directory of a run."""
    if not directory.exists():
        raise InputError(f"there is no {directory}: name the directory of a run")


def require_run(directory: Path) -> None:
    """Raises `InputError` where no run was begun in the directory, or where there is none."""
    require_there(directory)
    if not is_run(directory):
        raise InputError(f"{directory} is no run: name the directory of one")


def require_place(directory: Path) -> None:
    """Raises `InputError` unless a run may be written to the directory: new, empty, or a run, even one that just begins."""
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file: choose another directory (--outdir)")
    visible = directory.is_dir() and any(not path.name.startswith(".") for path in directory.iterdir())
    if visible and not is_run(directory) and Lock(directory / LOCK).holder() is None:
        raise InputError(f"{directory} is not empty and is no run: choose another directory (--outdir)")


def saved_steps(directory: Path) -> list[int]:
    """The steps of the complete checkpoints of a run, oldest first."""
    return _steps(directory / "checkpoints")


def _steps(checkpoints: Path) -> list[int]:
    return sorted(int(path.name) for path in checkpoints.glob("[0-9]*") if re.fullmatch("[0-9]+", path.name))


def remove_if_empty(directory: Path) -> None:
    """Remove a folder without files."""
    if not any(directory.iterdir()):
        directory.rmdir()


def _has_rows(directory: Path) -> bool:
    return any(read_rows(path) for path in (directory / "metrics.jsonl", *directory.glob("members/*/metrics.jsonl")))


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
        "folder": os.getcwd(),
        "python": platform.python_version(),
        "versions": versions,
        "platform": device.platform,
        "device": device.device_kind,
        "devices": jax.device_count(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }
