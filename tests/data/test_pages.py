"""Pages of TIFF and frames of animations as pictures of their own."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_jax.data import load
from gan_jax.data.check import check
from gan_jax.data.load import open_source


@pytest.fixture
def stacks(tmp_path: Path) -> Path:
    """25 stacks of 4 pages; all pages of a stack are of its colour."""
    root = tmp_path / "stacks"
    root.mkdir()
    for i in range(25):
        pages = [Image.fromarray(np.full((4, 4), 10 * i + page, np.uint8)) for page in range(4)]
        pages[0].save(root / f"{i}.tif", save_all=True, append_images=pages[1:])
    (root / "broken.tif").write_bytes(b"II*\0broken")
    return root


def colours(images: np.ndarray) -> list[int]:
    return images[:, 0, 0, 0].tolist()


def test_pages_that_are_left_out_are_counted(stacks: Path, tmp_path: Path) -> None:
    (stacks / "broken.tif").unlink()
    dataset = load(stacks, (4, 4), cache=tmp_path / "cache", held_out=0.0)
    assert colours(dataset.train["image"]) == [10 * i for i in range(25)]
    note = "75 further pages or frames of 25 pictures are left out; --pages all takes them"
    assert dataset.notes == (note,)
    assert f"note: {note}" in str(check(open_source(stacks, (4, 4)), (4, 4)))


def test_all_pages(stacks: Path, tmp_path: Path) -> None:
    (stacks / "broken.tif").unlink()
    dataset = load(stacks, (4, 4), pages="all", cache=tmp_path / "cache", held_out=0.2)
    held = colours(dataset.held_out["image"])
    assert (len(dataset), len(held)) == (80, 20)
    assert len({colour // 10 for colour in held}) == 5  # the pages of a file stay together
    assert sorted(colours(dataset.train["image"]) + held) == [10 * i + page for i in range(25) for page in range(4)]
    assert dataset.notes == ()
    assert len(load(stacks, (4, 4), pages="all", limit=20, cache=tmp_path / "cache", held_out=0.2)) == 20
    assert "75" not in str(check(open_source(stacks, (4, 4), pages="all"), (4, 4)))


def test_pages_of_what_cannot_be_read_are_told_when_it_is_decoded(stacks: Path) -> None:
    source = open_source(stacks, (4, 4), pages="all", held_out=0.0)
    assert source.splits["train"].size == 101
    report = check(source, (4, 4))
    assert report.corrupt == (
        "broken.tif: a kind of TIFF that Pillow does not read, or a damaged one: save it as PNG, or all as .npz",
    )
