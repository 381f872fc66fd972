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
from gan_jax.data.captions import encode
from gan_jax.data.dataset import Order
from gan_jax.data.rounds import Rounds, Variation, mirror, one_caption, shift, shrunk, window
from gan_jax.errors import InputError
from gan_jax.images.imresize import imresize


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
    r = rounds(vary=(mirror(), shift(2)))
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
    r = rounds(vary=(mirror(),), batch=50)
    flips = np.stack([r.plan(step)["flip"][np.argsort(r.plan(step)["index"])] for step in range(200)])
    assert abs(flips.mean() - 0.5) < 0.02
    assert (np.abs(flips.mean(axis=0) - 0.5) < 0.2).all()  # each picture sometimes, not some always


def test_seeds_differ_and_steps_do_not_depend_on_the_past() -> None:
    a, b, other = (
        rounds(vary=(mirror(), shift(1))),
        rounds(vary=(mirror(), shift(1))),
        rounds(seed=4, vary=(mirror(), shift(1))),
    )
    for step in (7, 0, 7, 30):
        for name in ("index", "flip", "shift"):
            np.testing.assert_array_equal(a.plan(step)[name], b.plan(step)[name])
    assert any((a.plan(s)["flip"] != other.plan(s)["flip"]).any() for s in range(5))


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_a_round(processes: int) -> None:
    alone = rounds(parts=2, vary=(mirror(), shift(1)))
    shares = [rounds(parts=2, vary=(mirror(), shift(1)), process=p, processes=processes) for p in range(processes)]
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


def test_processes_that_cannot_share_a_round() -> None:
    with pytest.raises(InputError, match="8 examples a round cannot be shared by 3 processes"):
        rounds(processes=3)


def with_captions(n: int = 50) -> dict[str, np.ndarray]:
    return made(n) | {"caption": encode([[f"bird {i}", f"number {i} is a bird", "a bird"] for i in range(n)])}


def test_flips_and_shifts_are_drawn_as_in_older_runs() -> None:
    """The formula of `Rounds(mirror=True, crop=2)`, which `vary=(mirror(), shift(2))` replaced."""
    arrays, r = made(), rounds(parts=2, vary=(mirror(), shift(2)))
    for step in (0, 1, 12, 4000):
        plans = []
        for number in (2 * step, 2 * step + 1):
            generator = np.random.Generator(np.random.Philox(key=np.array([3, 2**63 + number], np.uint64)))
            flip = generator.integers(2, size=8).astype(bool)
            corner = generator.integers(2 * 2 + 1, size=(8, 2)).astype(np.int32)
            plans.append({"index": Order(3, 50, 8)(number), "flip": flip, "shift": corner})
        plan = {name: np.concatenate([one[name] for one in plans]) for name in plans[0]}
        found = r.plan(step)
        assert found.keys() == plan.keys()
        for name, value in plan.items():
            np.testing.assert_array_equal(found[name], value)
            assert found[name].dtype == value.dtype
        x = arrays["image"][plan["index"]]
        x = np.where(plan["flip"][:, None, None, None], x[:, :, ::-1], x)
        padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
        wanted = [padded[i, top : top + 6, left : left + 8] for i, (top, left) in enumerate(plan["shift"])]
        np.testing.assert_array_equal(batch_of(r, step)["image"], wanted)


def test_shifts_alone_are_drawn_as_in_older_runs() -> None:
    generator = np.random.Generator(np.random.Philox(key=np.array([3, 2**63 + 9], np.uint64)))
    np.testing.assert_array_equal(rounds(vary=(shift(1),)).plan(9)["shift"], generator.integers(3, size=(8, 2)))


def test_one_caption_takes_each_at_random() -> None:
    arrays = with_captions()
    r = rounds(arrays, vary=(one_caption(),))
    drawn = np.zeros(3)
    for step in range(60):
        plan, batch = r.plan(step), batch_of(r, step)
        assert batch.keys() == arrays.keys()
        np.testing.assert_array_equal(batch["caption"], arrays["caption"][plan["index"], plan["which_caption"]])
        drawn += np.bincount(plan["which_caption"], minlength=3)
    assert batch["caption"].dtype == np.uint8
    assert (np.abs(drawn / drawn.sum() - 1 / 3) < 0.1).all()


def test_windows_are_parts_of_the_images_from_everywhere() -> None:
    arrays, corners = made(), set()
    r = rounds(arrays, vary=(window(4),))
    for step in range(40):
        plan, batch = r.plan(step), batch_of(r, step)
        for i, (top, left) in enumerate(plan["window"]):
            np.testing.assert_array_equal(batch["image"][i], arrays["image"][plan["index"][i], top : top + 4, left : left + 4])
        corners |= {tuple(corner) for corner in plan["window"].tolist()}
    assert corners == {(i, j) for i in range(3) for j in range(5)}


def test_shrunk_gives_the_image_and_matlabs_smaller_one() -> None:
    arrays = made(9, 24, 36)
    r = rounds(arrays, batch=9, vary=(shrunk(4),))
    batch, index = batch_of(r, 0), r.plan(0)["index"]
    assert batch.keys() == {"label", "low", "high"}
    np.testing.assert_array_equal(batch["high"], arrays["image"][index])
    assert batch["low"].shape == (9, 6, 9, 3)
    assert batch["low"].dtype == np.uint8
    np.testing.assert_array_equal(batch["low"], imresize(batch["high"], 0.25))


def test_variations_follow_each_other() -> None:
    arrays = with_captions()
    vary = (one_caption(), mirror(), shift(1), window(4), shrunk(2))
    r = rounds(arrays, vary=vary)
    batch, plan = batch_of(r, 3), r.plan(3)
    assert {name: value.shape for name, value in batch.items()} == {
        "label": (8,),
        "caption": (8, arrays["caption"].shape[-1]),
        "high": (8, 4, 4, 3),
        "low": (8, 2, 2, 3),
    }
    x = arrays["image"][plan["index"]]
    x = np.where(plan["flip"][:, None, None, None], x[:, :, ::-1], x)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    corner = plan["shift"] + plan["window"]  # of windows in windows
    wanted = [padded[i, top : top + 4, left : left + 4] for i, (top, left) in enumerate(corner)]
    np.testing.assert_array_equal(batch["high"], wanted)


def test_a_variation_of_ones_own() -> None:
    def plan(generator: np.random.Generator, n: int, shapes) -> dict[str, np.ndarray]:
        return {"light": generator.integers(9, size=n).astype(np.uint8)}

    def finish(batch: dict, planned: dict) -> dict:
        return batch | {"image": batch["image"] // 2 + planned["light"][:, None, None, None]}

    r = rounds(vary=(Variation(plan, finish, lambda shapes: None),))
    planned = r.plan(2)
    wanted = made()["image"][planned["index"]] // 2 + planned["light"][:, None, None, None]
    np.testing.assert_array_equal(batch_of(r, 2)["image"], wanted)


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ((shift(6),), "images of 6x8 cannot be shifted by up to 6 pixels: choose 1 to 5"),
        ((shift(-1),), "choose 1 to 5"),
        ((window(7),), "images of 6x8 have no windows of 7x7: choose a side from 1 to 6"),
        ((window(0),), "choose a side from 1 to 6"),
        ((window(4), shift(4)), "images of 4x4 cannot be shifted by up to 4 pixels"),
        ((shrunk(3),), r"images of 6x8 cannot be shrunk by a factor of 3: choose one that divides both sides \(2\)"),
        ((window(5), shrunk(2)), r"images of 5x5 cannot be shrunk by a factor of 2: .*\(5\)"),
        ((shrunk(0),), "cannot be shrunk by a factor of 0"),
        ((mirror(), shift(1), mirror()), "two variations.* use the name flip: keep one"),
        ((window(5), window(4)), "use the name window"),
        ((shrunk(2), mirror()), "only images can be mirrored, and here are only high, label, low.*put it before"),
        ((shrunk(2), shrunk(2)), "only images can be shrunk"),
        ((one_caption(),), "has no caption: it has image, label. Put a NAME.txt beside each NAME.png"),
    ],
)
def test_impossible_variations(vary: tuple[Variation, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rounds(vary=vary)


def test_captions_of_one_text_each_are_not_chosen_from() -> None:
    with pytest.raises(InputError, match=r"captions must have the shape \(n, k, t\), not \('n', 7\)"):
        rounds(made() | {"caption": np.zeros((50, 7), np.uint8)}, vary=(one_caption(),))


def test_a_planned_name_that_the_data_have() -> None:
    with pytest.raises(InputError, match="use the name flip"):
        rounds(made() | {"flip": np.zeros(50)}, vary=(mirror(),))


@pytest.mark.parametrize("variation", [mirror(), shift(1), window(1), shrunk(1)])
def test_points_are_not_varied_as_images(variation: Variation) -> None:
    with pytest.raises(InputError, match="only images can be .*, and here are only point"):
        Rounds({"point": np.zeros((9, 2))}, Order(0, 9, 3), vary=(variation,))


READER = """
import hashlib, json, sys, time
from pathlib import Path
import jax, numpy as np
from gan_jax.data import Order, Rounds, load, mirror, shift
from gan_jax.parallel.feeds import ahead
folder, out, process, processes, first, wait = Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:7])
data = load(folder / "made.npz", (6, 8), cache=folder / "cache")
r = Rounds(data.train, Order(5, len(data), 32), parts=2, vary=(mirror(), shift(2)), process=process, processes=processes)
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


@pytest.mark.parametrize("vary", [(mirror(), shift(2)), (window(4), shrunk(2)), (one_caption(),)])
def test_jit_and_no_jit_agree(vary: tuple[Variation, ...]) -> None:
    r = rounds(with_captions(), vary=vary)
    batch = {name: jnp.asarray(value) for name, value in r.load(3).items()}
    finished, jitted = r.finish(batch), jax.jit(r.finish)(batch)
    assert finished.keys() == jitted.keys()
    for name, value in finished.items():
        np.testing.assert_array_equal(jitted[name], value)


def test_arrays_of_jax_are_taken():
    plain, order = np.arange(20.0).reshape(10, 2), Order(0, 10, 5)
    np.testing.assert_array_equal(
        Rounds({"point": jnp.asarray(plain)}, order).load(3)["point"], Rounds({"point": plain}, order).load(3)["point"]
    )
