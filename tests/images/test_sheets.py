"""Sheets in files: pictures of others keep their names."""

import os

import numpy as np
import pytest
from PIL import Image

from gan_jax.images import default_place, save

SHEET = np.zeros((4, 4, 3), np.uint8)


def test_ours_are_replaced(tmp_path):
    save(SHEET, tmp_path / "real.png")
    assert default_place(tmp_path / "real.png") == tmp_path / "real.png"


@pytest.mark.parametrize("kind", ["a picture", "a text", "a folder", "a pipe"])
def test_what_others_made_stays(tmp_path, kind):
    path = tmp_path / "real.png"
    {
        "a picture": lambda: Image.fromarray(SHEET).save(path),
        "a text": lambda: path.write_text("mine"),
        "a folder": path.mkdir,
        "a pipe": lambda: os.mkfifo(path),
    }[kind]()
    assert default_place(path) == tmp_path / "real-2.png"
    save(SHEET, tmp_path / "real-2.png")
    assert default_place(path) == tmp_path / "real-2.png"
    (tmp_path / "real-2.png").write_text("mine too")
    assert default_place(path) == tmp_path / "real-3.png"


def test_a_place_where_nothing_is(tmp_path):
    assert default_place(tmp_path / "real.png") == tmp_path / "real.png"
