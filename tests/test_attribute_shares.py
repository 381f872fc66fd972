"""Shares of attributes over the rounds of a run, read on its sheets."""

import json

import numpy as np
import pytest
from PIL import Image

from experiments import attribute_shares
from experiments.attribute_shares import Config
from gan_jax import images
from gan_jax.commands.codes import Codes
from gan_jax.data import Dataset
from gan_jax.errors import InputError
from gan_jax.evaluation.readers import READERS, Reader
from tests.runs.test_trained import write_run


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run with sheets of 4 and real pictures of 10, and a reader of what is bright."""
    directory = write_run(tmp_path / "run")
    reader = Reader(("bright",), lambda size: lambda x: {"bright": x.mean(axis=(1, 2, 3)) > 100})
    monkeypatch.setitem(READERS, "lamps", reader)
    real = np.zeros((10, 16, 16, 1), np.uint8)
    real[:3] = 200
    monkeypatch.setattr(Codes, "data", Dataset("lamps", {"image": real}))
    (directory / "samples").mkdir()
    for step, bright in ((0, 0), (50, 1), (100, 3)):
        samples = np.zeros((4, 16, 16, 1), np.uint8)
        samples[:bright] = 200
        images.save(images.grid(samples), directory / "samples" / f"{step:06}.png", images.enlargement(16))
    return directory


def test_shares_over_the_rounds(run, tmp_path, capsys):
    Image.new("RGB", (7, 7)).save(run / "samples" / "000050-mine.png")  # no sheet of the run
    asked = {"attributes": ("bright", "!bright"), "ref": "lamps", "out": tmp_path / "out"}
    found = attribute_shares.main(Config(runs=(run,), **asked))[str(run)]
    assert {step: shares["bright"].share for step, shares in found["rounds"].items()} == {0: 0.0, 50: 0.25, 100: 0.75}
    assert found["rounds"][50]["!bright"].share == 0.75
    assert found["real"]["bright"].share == 0.3
    kept = json.loads((tmp_path / "out" / "shares.json").read_text())
    assert kept[str(run)]["rounds"]["100"]["bright"][0] == 0.75
    with Image.open(tmp_path / "out" / "shares.png") as picture:
        assert min(picture.size) > 200
    assert "0.75 [0.30, 0.95] of the samples after 100 rounds" in capsys.readouterr().out


def test_what_cannot_be_counted(run, tmp_path):
    asked = {"ref": "lamps", "out": tmp_path / "out"}
    with pytest.raises(InputError, match="nothing reads 'wings'"):
        attribute_shares.main(Config(runs=(run,), attributes=("wings",), **asked))
    with pytest.raises(InputError, match="name a run or more"):
        attribute_shares.main(Config(runs=(), attributes=("bright",), **asked))
    with pytest.raises(InputError, match="--attributes: name one or more"):
        attribute_shares.main(Config(runs=(run,), attributes=(), **asked))
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(InputError, match="cannot write to .*mine: File exists; choose another --out"):
        attribute_shares.main(Config(runs=(run,), attributes=("bright",), **{**asked, "out": tmp_path / "mine"}))
    sheet = (run / "samples" / "000050.png").read_bytes()
    (run / "samples" / "000050.png").write_bytes(sheet[:60])
    with pytest.raises(InputError, match=r"000050.png is no sheet of samples: cannot identify image file"):
        attribute_shares.main(Config(runs=(run,), attributes=("bright",), **asked))
    Image.new("RGB", (77, 30)).save(run / "samples" / "000050.png")
    with pytest.raises(InputError, match=r"000050.png is no sheet of samples"):
        attribute_shares.main(Config(runs=(run,), attributes=("bright",), **asked))
    for path in (run / "samples").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="has no sheets of samples"):
        attribute_shares.main(Config(runs=(run,), attributes=("bright",), **asked))
