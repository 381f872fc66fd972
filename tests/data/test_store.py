"""Decoded pictures on disk: whole or not there, and equal to what was read."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import gan_jax
from gan_jax.data import captions
from gan_jax.data.source import Example, Source, Split, Unreadable
from gan_jax.data.store import Store
from gan_jax.data.writing import Preparation
from gan_jax.errors import InputError
from gan_jax.locks import Lock

HOW = Preparation((4, 6))


def colours(n: int, grey: bool = False) -> np.ndarray:
    """n pictures (4, 6, 3) that differ."""
    pictures = np.random.default_rng(n).integers(0, 256, (n, 4, 6, 3), dtype=np.uint8)
    return np.repeat(pictures[..., :1], 3, axis=-1) if grey else pictures


def source(pictures: np.ndarray, held_out: np.ndarray | None = None, bad: tuple[int, ...] = (), **more) -> Source:
    def read(part: np.ndarray):
        def one(i: int) -> Example:
            if i in bad:
                raise Unreadable(f"picture {i}: torn")
            return Example(
                part[i], label=i % 3, attributes=(i / 2, float("nan")), captions=(f"number {i}", "pinguï")[: 1 + i % 2]
            )

        return one

    splits = {"train": Split(len(pictures), read(pictures))}
    if held_out is not None:
        splits["held_out"] = Split(len(held_out), read(held_out))
    facts = {"class_names": ("a", "b", "c"), "attribute_names": ("half", "unknown"), "captioned": True}
    return Source(**{"name": "made/up", "identity": f"made {len(pictures)} {bad}", "splits": splits, **facts, **more})


def test_everything_comes_back(tmp_path: Path) -> None:
    pictures, others = colours(1100), colours(30)  # more than the pieces that are decoded at once
    for dataset in (
        Store(tmp_path).prepared(source(pictures, others), HOW),
        Store(tmp_path).prepared(source(pictures, others), HOW),
    ):
        np.testing.assert_array_equal(dataset.train["image"], pictures)
        np.testing.assert_array_equal(dataset.held_out["image"], others)
        assert isinstance(dataset.train["image"], np.memmap)
        assert dataset.train["label"].tolist() == [i % 3 for i in range(1100)]
        assert dataset.train["attributes"][:, 0].tolist() == [i / 2 for i in range(1100)]
        assert np.isnan(dataset.held_out["attributes"][:, 1]).all()
        assert [captions.decode(text) for text in dataset.train["caption"][7]] == ["number 7", "pinguï"]
        assert [captions.decode(text) for text in dataset.train["caption"][8]] == ["number 8", "number 8"]
        assert (dataset.class_names, dataset.attribute_names) == (("a", "b", "c"), ("half", "unknown"))
        assert dataset.fingerprint == type(dataset)("x", dict(dataset.train)).fingerprint  # what is stored is what they have
    assert len(list(tmp_path.glob("[!.]*"))) == 1


def test_the_second_time_reads_nothing(tmp_path: Path) -> None:
    first = source(colours(5))
    Store(tmp_path).prepared(first, HOW)
    silent = Source(**{**vars(first), "splits": {"train": Split(5, lambda i: pytest.fail("read again"))}})
    assert len(Store(tmp_path).prepared(silent, HOW)) == 5
    for other in (Preparation((6, 4)), Preparation((4, 6), "pad"), Preparation((4, 6), channels=3)):
        assert Store(tmp_path).find(first.name, first.identity, other) is None
    assert Store(tmp_path).find(first.name, "another identity", HOW) is None


def test_channels(tmp_path: Path) -> None:
    store, grey = Store(tmp_path), colours(9, grey=True)
    np.testing.assert_array_equal(store.prepared(source(grey), HOW).train["image"], grey[..., :1])
    assert store.prepared(source(grey), Preparation((4, 6), channels=3)).train["image"].shape == (9, 4, 6, 3)
    mixed = source(colours(8, grey=True), held_out=colours(3))  # one coloured picture anywhere is enough
    assert store.prepared(mixed, HOW).train["image"].shape == (8, 4, 6, 3)
    one = store.prepared(source(colours(7)), Preparation((4, 6), channels=1)).train["image"]
    luma = colours(7) @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    assert np.abs(one[..., 0] - luma).max() <= 0.5
    four = store.prepared(source(colours(6)), Preparation((4, 6), channels=4)).train["image"]
    assert four.shape == (6, 4, 6, 4)
    assert (four[..., 3] == 255).all()


def test_a_few_unreadable_pictures_are_named_and_skipped(tmp_path: Path) -> None:
    pictures = colours(200)
    dataset = Store(tmp_path).prepared(source(pictures, bad=(3, 150)), HOW)
    kept = [i for i in range(200) if i not in (3, 150)]
    np.testing.assert_array_equal(dataset.train["image"], pictures[kept])
    assert dataset.train["label"].tolist() == [i % 3 for i in kept]
    assert dataset.notes == ("skipped, not readable: picture 3: torn", "skipped, not readable: picture 150: torn")
    with pytest.raises(InputError, match=r"(?s)3 of the 200 .* more than 1%:.*picture 3: torn.*picture 150.*data check"):
        Store(tmp_path / "other").prepared(source(pictures, bad=(3, 5, 150)), HOW)
    assert not list((tmp_path / "other").glob("[!.]*"))
    with pytest.raises(InputError, match="no pictures to train on"):
        Store(tmp_path / "other").prepared(source(colours(0)), HOW)


def test_a_newer_copy_of_the_same_place_replaces_the_older(tmp_path: Path) -> None:
    store = Store(tmp_path)
    other = Preparation((6, 4))
    for i, place in enumerate(("here", "here", "there", "", "")):
        store.prepared(source(colours(5), identity=f"copy {i}", place=place), HOW)
        store.prepared(source(colours(5), identity=f"copy {i}", place=place), other)
    found = {(i, how.size): store.find("made/up", f"copy {i}", how) is not None for i in range(5) for how in (HOW, other)}
    assert found == {(i, how.size): i > 0 for i in range(5) for how in (HOW, other)}


@pytest.mark.parametrize(("scale", "again"), [(1, False), (16, True)])
def test_what_was_kept_before_sets_had_a_range_is_made_anew(scale: int, again: bool, tmp_path: Path) -> None:
    """Of 8 bits it is used."""
    pictures = colours(5)[..., 0] if scale == 1 else colours(5)[..., 0].astype(np.uint16) * scale
    first = source(pictures)
    dataset = Store(tmp_path).prepared(first, HOW)
    [meta] = tmp_path.glob("*/meta.json")
    known = {name: value for name, value in json.loads(meta.read_text()).items() if name not in ("how", "place", "identity")}
    meta.write_text(json.dumps(known | {"name": "old"}))
    assert (Store(tmp_path).prepared(first, HOW).name == dataset.name) == again


def test_names_of_8_bit_preparations_stay(tmp_path: Path) -> None:
    """As before there was a range of values; else all that is kept would be made anew."""
    assert Store(tmp_path).place("a", "b", Preparation((4, 6), "pad", 3)).name == "a-63a4aab64d0c114d"
    assert Store(tmp_path).place("a", "b", Preparation((4, 6), "pad", 3, (0.0, 1.0))).name != "a-63a4aab64d0c114d"


@pytest.mark.parametrize("damage", ["cut", "missing", "torn meta", "no meta"])
def test_a_damaged_cache_is_made_anew(damage: str, tmp_path: Path) -> None:
    pictures = colours(5)
    Store(tmp_path).prepared(source(pictures), HOW)
    [folder] = tmp_path.glob("[!.]*")
    image, meta = folder / "train.image", folder / "meta.json"
    if damage == "cut":
        image.write_bytes(image.read_bytes()[:-1])
    elif damage == "missing":
        image.unlink()
    elif damage == "torn meta":
        meta.write_text(meta.read_text()[:-5])
    else:
        meta.unlink()
    np.testing.assert_array_equal(Store(tmp_path).prepared(source(pictures), HOW).train["image"], pictures)
    assert json.loads(meta.read_text())["name"] == "made/up"


SLOW_READER = """
import sys, time
from pathlib import Path
import numpy as np
from gan_jax.data.source import Example, Source, Split
from gan_jax.data.store import Store
from gan_jax.data.writing import Preparation
def read(i):
    if i > 512:
        Path(sys.argv[2]).write_text("half way")
        time.sleep(60)
    return Example(np.full((4, 6, 3), i % 256, np.uint8))
Store(Path(sys.argv[1])).prepared(Source("slow", "1", {"train": Split(1100, read)}), Preparation((4, 6)))
"""


def test_a_kill_leaves_nothing_that_could_be_taken_for_data(tmp_path: Path) -> None:
    cache, sign = tmp_path / "cache", tmp_path / "sign"
    environment = os.environ | {"PYTHONPATH": str(Path(gan_jax.__file__).parents[1])}
    process = subprocess.Popen([sys.executable, "-c", SLOW_READER, str(cache), str(sign)], env=environment)
    while not sign.exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(list(cache.glob("*.partial"))) == 1
    quick = Source("slow", "1", {"train": Split(1100, lambda i: Example(np.full((4, 6, 3), i % 256, np.uint8)))})
    assert Store(cache).find("slow", "1", HOW) is None
    dataset = Store(cache).prepared(quick, HOW)
    assert dataset.train["image"][:, 0, 0, 0].tolist() == [i % 256 for i in range(1100)]
    assert not list(cache.glob("*.partial"))  # what the dead process left is gone


def test_another_process_was_faster(tmp_path: Path) -> None:
    pictures, other = colours(5), Store(tmp_path)

    def meanwhile(i: int) -> Example:
        if i == 4:
            other.build(source(pictures, identity="same"), HOW)
        return Example(pictures[i])

    late = Source("made/up", "same", {"train": Split(5, meanwhile)})
    np.testing.assert_array_equal(Store(tmp_path).build(late, HOW).train["image"], pictures)
    assert len(list(tmp_path.glob("[!.]*"))) == 1


RACER = """
import sys
from pathlib import Path
import numpy as np
from gan_jax.data.source import Example, Source, Split
from gan_jax.data.store import Store
from gan_jax.data.writing import Preparation
for i in range(60):
    source = Source("raced", str(i), {"train": Split(3, lambda j: Example(np.full((4, 6, 3), j, np.uint8)))})
    assert Store(Path(sys.argv[1])).prepared(source, Preparation((4, 6))).train["image"][:, 0, 0, 0].tolist() == [0, 1, 2]
"""


def test_processes_that_prepare_the_same_at_once(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(gan_jax.__file__).parents[1])}
    command = [sys.executable, "-c", RACER, str(tmp_path)]
    racers = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [racer.communicate(timeout=120)[1] for racer in racers] == ["", "", ""]
    assert len(list(tmp_path.glob("[!.]*"))) == 60


def test_no_room_and_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    big = Source("big", "1", {"train": Split(10**12, lambda i: pytest.fail("read"))})
    with pytest.raises(InputError, match=r"72000\.0 GB are needed and .* GB free.*GAN_JAX_CACHE"):
        Store(tmp_path).prepared(big, HOW)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot keep the decoded pictures in .*file"):
        Store(tmp_path / "file").prepared(source(colours(2)), HOW)
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "named"))
    Store().prepared(source(colours(2)), HOW)
    assert len(list((tmp_path / "named").glob("[!.]*"))) == 1


def test_captions() -> None:
    array = captions.encode([["a", "déjà vu "], [], ["xyz"]], length=5)
    assert array.shape == (3, 2, 4)  # the fifth byte would be half a character
    assert [[captions.decode(text) for text in row] for row in array] == [["a", "déj"], ["", ""], ["xyz", "xyz"]]
    assert captions.encode([[], []]).shape == (2, 1, 1)


def test_unfinished_folders_of_any_machine_are_removed_but_not_those_of_who_still_writes(tmp_path: Path) -> None:
    for name in ("other-0123.somewhere.1.aa.partial", "other-0123.bb.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.image").write_bytes(b"half")
    writing = Lock(tmp_path / "other-0123.bb.partial.lock")
    assert writing.acquire()
    Store(tmp_path).prepared(source(colours(3)), HOW)
    assert [path.name for path in tmp_path.glob("*.partial")] == ["other-0123.bb.partial"]
    writing.release()


def test_a_file_system_whose_exclusive_locks_want_a_writable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(file: int, how: int) -> None:  # NFS, see flock(2)
        if how & fcntl.LOCK_EX and fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(fcntl, "flock", flock)
    assert len(Store(tmp_path).prepared(source(colours(3)), HOW)) == 3
