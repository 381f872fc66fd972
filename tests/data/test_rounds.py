"""The data of a round: a function of (seed, step), the same however many processes share it and wherever the data lie."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gan_jax
from gan_jax.data.dataset import Order
from gan_jax.data.rounds import Rounds
from gan_jax.errors import InputError


def made(n: int = 50, h: int = 6, w: int = 8) -> dict[str, np.ndarray]:
    pictures = np.random.default_rng(0).integers(0, 256, (n, h, w, 3), dtype=np.uint8)
    return {"image": pictures, "label": np.arange(n, dtype=np.int32)}


def rounds(arrays=None, seed: int = 3, batch: int = 8, **more) -> Rounds:
    arrays = arrays or made()
    return Rounds(arrays, Order(seed, len(arrays["label"]), batch), **more)


def batch_of(r: Rounds, step: int) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in r.finish({k: jnp.asarray(v) for k, v in r.load(step).items()}).items()}


def test_a_round_is_its_minibatches_in_a_row() -> None:
    plain = rounds(parts=2)
    order = Order(3, 50, 8)
    batch = batch_of(plain, 5)
    index = np.concatenate([order(10), order(11)])
    assert batch.keys() == {"image", "label"}
    np.testing.assert_array_equal(batch["label"], index)
    np.testing.assert_array_equal(batch["image"], made()["image"][index])


def test_flips_and_shifts_are_what_they_say() -> None:
    r = rounds(mirror=True, crop=2)
    flipped = set()
    for step in range(20):
        plan, batch = r.plan(step), batch_of(r, step)
        flipped |= set(plan["flip"].tolist())
        assert plan["shift"].min() >= 0
        assert plan["shift"].max() <= 4
        for i, index in enumerate(plan["index"]):
            picture = made()["image"][index]
            picture = picture[:, ::-1] if plan["flip"][i] else picture
            top, left = plan["shift"][i]
            padded = np.pad(picture, ((2, 2), (2, 2), (0, 0)), mode="reflect")
            np.testing.assert_array_equal(batch["image"][i], padded[top : top + 6, left : left + 8])
    assert flipped == {True, False}
    shifts = np.concatenate([r.plan(step)["shift"] for step in range(100)])
    assert {tuple(s) for s in shifts.tolist()} == {(i, j) for i in range(5) for j in range(5)}


def test_half_are_mirrored_and_every_epoch_anew() -> None:
    r = rounds(mirror=True, batch=50)
    flips = np.stack([r.plan(step)["flip"][np.argsort(r.plan(step)["index"])] for step in range(200)])
    assert abs(flips.mean() - 0.5) < 0.02
    assert (np.abs(flips.mean(axis=0) - 0.5) < 0.2).all()  # each picture sometimes, not some always


def test_seeds_differ_and_steps_do_not_depend_on_the_past() -> None:
    a, b, other = rounds(mirror=True, crop=1), rounds(mirror=True, crop=1), rounds(seed=4, mirror=True, crop=1)
    for step in (7, 0, 7, 30):
        for name in ("index", "flip", "shift"):
            np.testing.assert_array_equal(a.plan(step)[name], b.plan(step)[name])
    assert any((a.plan(s)["flip"] != other.plan(s)["flip"]).any() for s in range(5))


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_a_round(processes: int) -> None:
    alone = rounds(parts=2, mirror=True, crop=1)
    shares = [rounds(parts=2, mirror=True, crop=1, process=p, processes=processes) for p in range(processes)]
    for step in range(12):
        parts = [share.load(step) for share in shares]
        assert all(len(part["label"]) == 16 // processes for part in parts)
        for name, whole in alone.load(step).items():
            np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), whole)


def test_each_process_reads_its_own_share_and_all_together_everything_once() -> None:
    arrays = made(48)

    class Counting(np.ndarray):
        def take(self, indices, axis=None, out=None, mode="raise"):
            self.seen.extend(np.asarray(indices).tolist())
            return np.asarray(self).take(indices, axis=axis)

    seen: list[list[int]] = []
    for p in range(4):
        counting = arrays["label"].view(Counting)
        counting.seen = []
        share = Rounds({"label": counting}, Order(0, 48, 8), process=p, processes=4)
        for step in range(6):  # one epoch
            share.load(step)
        seen.append(counting.seen)
    assert [len(s) for s in seen] == [12] * 4
    assert sorted(i for s in seen for i in s) == list(range(48))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"processes": 3}, "8 examples a round cannot be shared by 3 processes"),
        ({"crop": 6}, "choose 0 to 5 for pictures of 6x8"),
        ({"crop": -1}, "choose 0 to 5"),
    ],
)
def test_impossible_rounds(more: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rounds(**more)


def test_points_are_not_mirrored() -> None:
    with pytest.raises(InputError, match="only pictures"):
        Rounds({"point": np.zeros((9, 2))}, Order(0, 9, 3), mirror=True)


READER = """
import hashlib, json, sys, time
from pathlib import Path
import jax, numpy as np
from gan_jax.data import Order, Rounds, load
from gan_jax.parallel.feeds import ahead
folder, out, process, processes, first, wait = Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:7])
data = load(folder / "made.npz", (6, 8), cache=folder / "cache")
r = Rounds(data.train, Order(5, len(data), 32), parts=2, mirror=True, crop=2, process=process, processes=processes)
finish = jax.jit(r.finish)
with out.open("a") as file:
    for step, batch in zip(range(first, 100), ahead(r.load, first, 8, 2)):
        rows = {name: np.asarray(value) for name, value in sorted(finish(batch).items())}
        examples = [b"".join(value[i].tobytes() for value in rows.values()) for i in range(len(rows["label"]))]
        hashes = [hashlib.sha256(example).hexdigest() for example in examples]
        file.write(json.dumps([step, hashes]) + chr(10))
        file.flush()
        if wait and step == 37:
            time.sleep(60)
"""


def start(folder: Path, out: Path, process: int = 0, processes: int = 1, first: int = 0, wait: int = 0) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(Path(gan_jax.__file__).parents[1]), "JAX_PLATFORMS": "cpu"}
    args = [str(x) for x in (folder, out, process, processes, first, wait)]
    return subprocess.Popen([sys.executable, "-c", READER, *args], env=environment)


def lines(path: Path) -> dict[int, list[str]]:
    return dict(map(json.loads, path.read_text().splitlines()))


def digest(parts: list[dict[int, list[str]]]) -> list[str]:
    """A hash of each global batch, from its examples' in the order of the processes."""
    return [hashlib.sha256("".join(h for part in parts for h in part[step]).encode()).hexdigest() for step in range(100)]


def test_100_global_batches_of_1_2_and_4_processes_and_after_a_kill(tmp_path: Path) -> None:
    arrays = made(1000)
    np.savez(tmp_path / "made.npz", **arrays)
    wanted = None
    for processes in (1, 2, 4):
        outs = [tmp_path / f"{processes}-{p}" for p in range(processes)]
        running = [start(tmp_path, out, p, processes) for p, out in enumerate(outs)]
        assert [process.wait(timeout=300) for process in running] == [0] * processes
        parts = [lines(out) for out in outs]
        assert all(len(hashes) == 64 // processes for part in parts for hashes in part.values())
        found = digest(parts)
        assert wanted in (None, found)
        wanted = found
    assert len(set(wanted)) == 100
    out = tmp_path / "killed"
    process = start(tmp_path, out, wait=1)
    while len(out.read_text().splitlines() if out.exists() else []) < 38:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert start(tmp_path, out, first=38).wait(timeout=300) == 0
    assert digest([lines(out)]) == wanted


def test_jit_and_no_jit_agree() -> None:
    r = rounds(mirror=True, crop=2)
    batch = {name: jnp.asarray(value) for name, value in r.load(3).items()}
    np.testing.assert_array_equal(jax.jit(r.finish)(batch)["image"], r.finish(batch)["image"])
