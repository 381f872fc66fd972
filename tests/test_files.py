"""Files that are whole or not there, results that are kept, identities, chunks, keys."""

import errno
import hashlib
import os
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

from gan_jax import keys
from gan_jax.data.archives import archive_folder
from gan_jax.data.folder import folder_source
from gan_jax.data.load import open_source
from gan_jax.data.tfds import homes
from gan_jax.errors import InputError
from gan_jax.files import check_apart, default_cache, exists, identity, kept, place, whole
from gan_jax.rows import chunks, equal_chunks, evenly


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    """As where the disk is full while it is written; what has a name of its own keeps it."""
    for given, named in ((None, str(tmp_path / "a.png")), ("b", "b")):
        with pytest.raises(OSError, match="No space left") as raised, whole(tmp_path / "a.png"):
            raise OSError(errno.ENOSPC, "No space left on device", given)
        assert raised.value.filename == named


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "a.npz"
    with whole(path) as unfinished:
        unfinished.write_text("one")
        assert not path.exists()
        assert unfinished.suffix == ".npz"  # np.savez adds it otherwise
    assert path.read_text() == "one"
    with pytest.raises(ZeroDivisionError), whole(path) as unfinished:
        unfinished.write_text(str(1 / 0))
    assert path.read_text() == "one"
    assert os.listdir(path.parent) == ["a.npz"]


def test_a_result_is_kept_and_made_anew_when_damaged(tmp_path):
    path, made = tmp_path / "x.txt", []

    def make() -> int:
        made.append(1)
        return 7

    def get() -> int:
        return kept(path, lambda p: int(p.read_text()), make, lambda p, value: p.write_text(str(value)))

    assert [get(), get()] == [7, 7]
    assert len(made) == 1
    path.write_text("torn")
    assert get() == 7
    assert len(made) == 2
    assert path.read_text() == "7"
    assert kept(None, int, make, print) == 7


def test_what_cannot_be_kept_is_given_all_the_same(tmp_path):
    (tmp_path / "file").write_text("")
    assert kept(tmp_path / "file" / "x", lambda p: len(p.read_text()), lambda: 7, lambda p, value: p.write_text("7")) == 7


def test_identity_is_that_of_the_concatenation():
    assert identity(["ab", b"c"]) == identity([b"abc"]) == hashlib.sha256(b"abc").hexdigest()[:16]


@pytest.mark.parametrize(("n", "size", "lengths"), [(7, 3, [3, 3, 1]), (6, 3, [3, 3]), (2, 3, [2]), (0, 3, [])])
def test_chunks(n, size, lengths):
    found = chunks(n, size)
    assert [s.stop - s.start for s in found] == lengths
    assert [i for s in found for i in range(n)[s]] == list(range(n))


@pytest.mark.parametrize(("n", "size", "lengths"), [(10, 4, [3, 3, 4]), (8, 4, [4, 4]), (1, 4, [1]), (0, 4, [])])
def test_equal_chunks(n, size, lengths):
    found = equal_chunks(n, size)
    assert [s.stop - s.start for s in found] == lengths
    assert [i for s in found for i in range(n)[s]] == list(range(n))


def test_evenly_spaced_rows():
    assert evenly(10, 4).tolist() == [0, 3, 6, 9]
    assert evenly(3, 10).tolist() == [0, 1, 2]
    assert evenly(1, 1).tolist() == [0]


def test_keys_pass_through_functions_of_arrays():
    key = jax.random.key(3, impl="rbg")
    again = keys.on_data(lambda x: np.asarray(x), key)
    assert keys.is_key(again)
    assert jax.random.key_impl(again) == jax.random.key_impl(key)
    assert np.array_equal(jax.random.key_data(again), jax.random.key_data(key))
    assert keys.on_data(lambda x: x + 1, np.ones(2)).tolist() == [2, 2]
    assert not keys.is_key(3)


def test_outputs_apart_from_inputs(tmp_path):
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "data" / "a.png").write_text("a")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    check_apart(tmp_path / "out.png", [tmp_path / "data", "absent"])
    for out in ("data/new.png", "data/sub/new.png", "link/new.png", "data/../data/a.png"):
        with pytest.raises(InputError, match="lies in the input .*data: choose another place"):
            check_apart(tmp_path / out, [str(tmp_path / "data")])
    with pytest.raises(InputError, match="would overwrite the input"):
        check_apart(tmp_path / "link" / "a.png", [tmp_path / "data" / "a.png"])
    os.link(tmp_path / "data" / "a.png", tmp_path / "hard.png")
    with pytest.raises(InputError, match="hard.png would overwrite the input .*a.png: choose another place with --outdir"):
        check_apart(tmp_path / "hard.png", [tmp_path / "data" / "a.png"], flag="--outdir")
    with pytest.raises(InputError, match="is a folder: name a file"):
        check_apart(tmp_path / "data", [])


@pytest.mark.parametrize("name", ["~nosuch/x", "x" * 300, "x\0y", "\ud800", "circle/x"])
def test_what_no_file_can_be_called(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "circle").symlink_to("circle")
    for refused in (
        place,
        homes,
        folder_source,
        partial(open_source, size=(8, 8)),
        lambda name: archive_folder("x", tmp_path, name),
    ):
        with pytest.raises(InputError, match="no such home folder|can be no path"):
            refused(name)
    assert not exists(tmp_path / name)
    monkeypatch.setenv("GAN_JAX_CACHE", "~nosuch")
    with pytest.raises(InputError, match="no such home folder"):
        default_cache()
    assert place("~") == Path.home()


def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(OSError, match="no file"), whole(path) as unfinished:
            unfinished.write_text("x")
    assert (tmp_path / "pipe").is_fifo()
