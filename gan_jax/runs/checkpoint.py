"""Checkpoints with Orbax: the whole state, written in the background, each leaf with a checksum.

`last` is the newest checkpoint, `best` the one with the best metric; older ones are removed. States are stored as NumPy
trees (keys as their data), so that they open on any number of devices.
"""

import contextlib
import errno
import logging
import math
import os
import shutil
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax import Array
from jaxtyping import PyTree
from orbax.checkpoint import checkpoint_managers as managers

from gan_jax import keys
from gan_jax.errors import InputError, RunError
from gan_jax.files import exists, identity, place
from gan_jax.host_memory import free_memory
from gan_jax.runs.records import is_number

logging.getLogger("absl").setLevel(logging.CRITICAL)  # Orbax reports what it makes, and stack traces of what it raises


_REASONS = tuple(map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO)))


class Checkpoints:
    """The checkpoints of one directory.

    `keep` newest are kept, and the best by `metric`, if one is named. Saving returns at once; `close` waits for the writing.
    With `read_only` nothing in the directory is changed: a run may be writing there.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        keep: int = 3,
        metric: str | None = None,
        mode: Literal["max", "min"] = "max",
        read_only: bool = False,
    ):
        self.directory, self.metric, self._read_only = place(directory).absolute(), metric, read_only
        self._worst = math.inf if mode == "min" else -math.inf
        self._saving: int | None = None  # the step whose checkpoint is being written
        policies: list[Any] = [managers.LatestN(keep)]
        if metric:
            best = managers.BestN(get_metric_fn=self._score, reverse=mode == "min", n=1, keep_checkpoints_without_metrics=False)
            policies.append(best)
        options = ocp.CheckpointManagerOptions(
            save_decision_policy=None if read_only else managers.FixedIntervalPolicy(1),
            preservation_policy=managers.AnyPreservationPolicy(policies),
            best_fn=self._score if metric else None,  # without it Orbax writes no metrics
            best_mode=mode,
            cleanup_tmp_directories=not read_only,
            create=False,
            read_only=read_only,
            multiprocessing_options=_alone(),
        )
        if not read_only:
            self.directory.mkdir(parents=True, exist_ok=True)
        if other := _irregular(self.directory):  # Orbax would wait for a pipe for ever
            raise InputError(f"a checkpoint in {self.directory} is damaged: {other} is no regular file")
        try:
            self._manager = ocp.CheckpointManager(self.directory, options=options)
        except (AttributeError, LookupError, TypeError, ValueError) as error:  # it reads facts on every checkpoint
            raise InputError(f"a checkpoint in {self.directory} is damaged: {_cause(error)}") from error

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.close()
        except RunError:
            if kind is None:  # else the first error is the one to report
                raise

    def _score(self, metrics: Any) -> float:
        score = metrics.get(self.metric or "") if isinstance(metrics, Mapping) else None
        return float(score) if score is not None and is_number(score) else self._worst  # saved when another score was asked for

    @property
    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, oldest first."""
        return sorted(self._manager.all_steps())

    @property
    def best_step(self) -> int | None:
        """The step of the checkpoint that is best by the metric; None where there is none."""
        return self._manager.best_step() if self.metric else None

    def save(self, step: int, state: PyTree, metrics: Mapping[str, float] | None = None) -> None:
        """Begin to write `state`, of one run or of a population (its `step` has an axis of runs).

        Members of a population that are not finite are saved as they are, and marked (see `not_finite`). Raises `RunError` if
        an earlier checkpoint could not be written, and for a state of which no run is finite.
        """
        host = jax.tree.map(_to_host, state)
        finite = _finite(host)
        if not finite.any():
            raise RunError(f"the state of step {step} has values that are not finite and was not saved")
        self.check(wait=True)
        needed, free = sum(leaf.nbytes for leaf in jax.tree.leaves(host)), shutil.disk_usage(self.directory).free
        if free < needed:
            reason = f"{os.strerror(errno.ENOSPC)}, {needed / 1e6:,.1f} MB are needed and {free / 1e6:,.1f} MB free"
            raise RunError(f"the checkpoint of step {step} could not be written to {self.directory}: {reason}")
        dead = [int(member) for member in np.flatnonzero(~finite)]
        if dead:
            logging.getLogger(__name__).warning("members %s are not finite at step %s: saved as they are, marked", dead, step)
        meta = {"crc32": _checksums(host), "not_finite": dead}
        items = ocp.args.Composite(state=ocp.args.StandardSave(host), meta=ocp.args.JsonSave(meta))
        scored = dict(metrics) if metrics and self.metric in metrics else None
        self._saving = step
        try:
            self._manager.save(step, args=items, metrics=scored, force=step not in self._manager.all_steps())
        except Exception as error:  # Orbax raises many types
            self._saving = None
            raise self._unwritten(step, error) from error

    def check(self, wait: bool = False) -> None:
        """Raises `RunError` if the writing that was begun last has failed; `wait` for its end."""
        if self._saving is None or (self._manager.is_saving_in_progress() and not wait):
            return
        step, self._saving = self._saving, None
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            raise self._unwritten(step, error) from error

    def _unwritten(self, step: int, error: BaseException) -> RunError:
        return RunError(f"the checkpoint of step {step} could not be written to {self.directory}: {_cause(error)}")

    def not_finite(self, step: int) -> list[int]:
        """Members of the population saved at `step` that were not finite; raises `InputError` if it cannot be read."""
        try:
            items = self._manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))
            return [int(member) for member in items["meta"].get("not_finite", [])]
        except Exception as error:
            raise InputError(f"checkpoint {step} in {self.directory} cannot be read: {_cause(error)}") from error

    def restore(self, like: PyTree) -> tuple[PyTree, int] | None:
        """The newest state that is whole, with its step; None if there is none.

        `like` gives structure, shapes and types; its arrays are not read. Damaged checkpoints (missing files, a checksum that
        differs) are skipped with a warning, and set aside as damaged-STEP once an older one could be read (not where nothing
        may be written). Raises `InputError` if none can be read, or if they hold another kind of state, with the first leaf
        that differs, and `RunError` if one may be sound but cannot be read at the moment.
        """
        candidates = sorted(self.steps, reverse=True)
        failures = []
        for candidate in candidates:
            try:
                saved = self._read(candidate)
            except (MemoryError, PermissionError) as error:  # temporary: the checkpoint may be sound
                raise RunError(f"checkpoint {candidate} could not be read now: {_cause(error)}") from error
            except Exception as error:  # Orbax raises bare Exception among others for damaged files
                failures.append(f"checkpoint {candidate} in {self.directory}: {_cause(error)}")
                logging.getLogger(__name__).warning("skipped a damaged checkpoint, %s", failures[-1])
                continue
            state = self._fitted(candidate, saved, like)
            self._set_aside(candidates[: len(failures)])
            return state, candidate
        if failures:
            raise InputError("no checkpoint could be read: " + "; ".join(failures))
        return None

    def _fitted(self, step: int, saved: PyTree, like: PyTree) -> PyTree:
        """The saved leaves in the structure of `like`; raises `InputError` where it has others."""
        found = {_name(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(saved)}
        expected, structure = jax.tree_util.tree_flatten_with_path(like)
        wanted = {_name(path): leaf for path, leaf in expected}
        if reason := _misfit(found, {name: jax.eval_shape(keys.data, leaf) for name, leaf in wanted.items()}):
            raise InputError(
                f"checkpoint {step} in {self.directory} is of another state: {reason}. Make the state of the same networks and "
                "optimizers as then, or choose another directory (--outdir)"
            )
        leaves = [keys.wrapped(jax.numpy.asarray(found[name]), leaf) for name, leaf in wanted.items()]
        return jax.tree.unflatten(structure, leaves)

    def _set_aside(self, damaged: list[int]) -> None:
        if self._read_only:
            return
        for step in damaged:  # these rounds will be trained and saved again
            (self.directory / str(step)).rename(self.directory / f"damaged-{step}-{time.time_ns()}")
        if damaged:
            self._manager.reload()

    def read(self, step: int) -> dict[str, Any]:
        """The state at `step` as nested dictionaries of arrays, whatever made it; raises `InputError` if it cannot be read."""
        try:
            return self._read(step)
        except Exception as error:
            raise InputError(f"checkpoint {step} in {self.directory} cannot be read: {_cause(error)}") from error

    def state_at(self, step: int, like: PyTree) -> PyTree:
        """The state at `step` in the structure of `like`; raises `InputError` if it cannot be read, or is of another kind."""
        return self._fitted(step, self.read(step), like)

    def _require_memory(self, step: int) -> None:
        """Raises `MemoryError` where the arrays, as the files declare them, take more memory than the host has."""
        declared = ocp.PyTreeCheckpointHandler().metadata(self.directory / str(step) / "state")
        nbytes, free = sum(map(_nbytes, jax.tree.leaves(declared.tree))), free_memory()
        if nbytes > free:
            raise MemoryError(f"it would take {nbytes / 2**30:,.1f} GiB, and {free / 2**30:,.1f} GiB are free")

    def _read(self, step: int) -> PyTree:
        self._require_memory(step)
        asked = ocp.args.Composite(state=ocp.args.StandardRestore(), meta=ocp.args.JsonRestore())
        items = self._manager.restore(step, args=asked)
        found, expected = _checksums(items["state"]), items["meta"]["crc32"]
        wrong = [name for name in expected if found.get(name) != expected[name]]
        if wrong or len(found) != len(expected):
            raise OSError(f"the checksum of {(wrong or ['its structure'])[0]} differs: the files are damaged")
        return items["state"]

    def close(self) -> None:
        """Wait until everything is written; raises `RunError` if that failed."""
        try:
            self.check(wait=True)
        finally:
            with contextlib.suppress(Exception):  # it tells of a failure again
                self._manager.close()


def _irregular(directory: Path) -> str:
    """The name of something in the directory that is neither a file nor a folder, or nothing."""
    for folder, _, names in os.walk(directory):  # passes over what another process removes meanwhile
        for path in (Path(folder) / name for name in names):
            if exists(path) and not path.is_file():
                return path.name
    return ""


def _nbytes(array: Any) -> int:
    """Bytes that an array takes while it is read, by its metadata: a chunk is unpacked whole, also beyond the array's end."""
    chunk = getattr(getattr(array, "storage", None), "chunk_shape", None) or ()
    size = max(math.prod(getattr(array, "shape", ())), math.prod(chunk))
    return size * np.dtype(getattr(array, "dtype", None) or np.uint8).itemsize


def _alone() -> ocp.options.MultiprocessingOptions:
    """Options by which this process reads and writes alone."""
    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    me = jax.process_index()
    return ocp.options.MultiprocessingOptions(primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"process-{me}")


def _to_host(x: Array | np.ndarray) -> np.ndarray:
    return np.asarray(keys.data(x))


def _finite(host: PyTree) -> np.ndarray:
    """Whether each member of a population is finite, (members,); of one run the same as (1,)."""
    step = getattr(host, "step", np.zeros(()))
    members = len(step) if step.ndim == 1 else 1
    rows = [np.isfinite(leaf.reshape(members, -1)).all(axis=1) for leaf in jax.tree.leaves(host)]
    return np.all(rows, axis=0)


def _checksums(tree: PyTree) -> dict[str, int]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {_name(path): zlib.crc32(np.asarray(leaf).tobytes()) for path, leaf in leaves}


def _name(path: tuple[Any, ...]) -> str:
    """The same name for a leaf of a named tuple and of the dictionary that it is read back as."""
    parts = (getattr(p, "name", getattr(p, "key", getattr(p, "idx", p))) for p in path)
    return "/".join(str(part) for part in parts)


def _misfit(found: dict[str, np.ndarray], expected: dict[str, jax.ShapeDtypeStruct]) -> str:
    """The first leaf that is missing, or has another shape or type."""
    for name, like in expected.items():
        if name not in found:
            return f"it has no {name}, an array of shape {like.shape} in the state now"
        if found[name].shape != like.shape:
            return f"{name} has the shape {found[name].shape} there, and {like.shape} now"
        if found[name].dtype != like.dtype:
            return f"{name} is {found[name].dtype} there, and {like.dtype} now"
    return next((f"it has {name}, which the state now has not" for name in found if name not in expected), "")


def _cause(error: BaseException) -> str:
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        if known := next((reason for reason in _REASONS if reason in str(inner)), ""):  # of the system, within a library's text
            return known
        inner = inner.__cause__ or inner.__context__
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:300]}" if text else type(error).__name__


def state_hash(state: PyTree) -> str:
    """sha256 over every leaf's name, type and bytes, 16 hex digits: equal states have equal hashes."""

    def parts() -> Iterator[bytes | str]:
        for path, leaf in jax.tree_util.tree_leaves_with_path(state):
            host = _to_host(leaf)
            yield f"{_name(path)} {host.dtype} {host.shape}"
            yield host.tobytes()

    return identity(parts())
