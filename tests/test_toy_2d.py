"""The game in the plane by its recipes."""

import json

import numpy as np
import pytest
from PIL import Image

from experiments import toy_2d
from gan_jax.commands import sample
from gan_jax.errors import InputError
from gan_jax.images import save
from tests.four_rounds import CADENCE, frames


def test_toy_2d_compares_two_recipes(tmp_path, capsys):
    small = {"width": 8, "depth": 1, "batch": 16, "steps": 4, "devices": 1, **CADENCE}
    toy_2d.main(toy_2d.Config(data="ring", outdir=tmp_path, **small))
    assert (tmp_path / "comparison.png").exists()
    assert frames(tmp_path / "film.webp") == 3
    assert "of 2,500 samples within 3 sigma" in capsys.readouterr().out
    configs = {name: json.loads((tmp_path / name / "config.json").read_text()) for name in ("regularised", "plain")}
    assert configs["regularised"]["loss"] == "relativistic_paired"
    assert (configs["plain"]["loss"], configs["plain"]["r1"]) == ("non_saturating", 0.0)
    assert sample.main(sample.Config(run=tmp_path / "plain", n=3))["samples"].shape == (3, 2)
    assert [path.name for path in (tmp_path / "plain" / "generated").iterdir()] == ["samples.npz"]  # points make no sheet


def test_toy_2d_compares_what_there_is(tmp_path, capsys):
    white = np.full((8, 8, 3), 255, np.uint8)
    for name, steps in (("plain", (0, 1, 2, 3)), ("own", (0, 1, 2))):
        for step in steps:
            save(white, tmp_path / name / "samples" / f"{step:06}.png")
    save(white[:4], tmp_path / "own" / "samples" / "000001.png")
    (tmp_path / "own" / "samples" / "000000.png").write_bytes(b"torn")
    toy_2d.compare(tmp_path, ("plain", "own"))
    told = capsys.readouterr().out
    assert told.count("is left out of the film") == 2
    assert told.count("no modes have been counted") == 2
    assert np.asarray(Image.open(tmp_path / "comparison.png")).shape == (8, 16, 3)
    (tmp_path / "own" / "samples" / "000002.png").unlink()
    toy_2d.compare(tmp_path, ("plain", "own"))
    assert "no frames of the same steps" in capsys.readouterr().out


@pytest.mark.slow
def test_toy_2d_keeps_its_recipes_whatever_the_flags_say(tmp_path, capsys):
    small = {"width": 8, "depth": 1, "batch": 16, "steps": 2, "devices": 1, **CADENCE}
    own = {"recipes": ("plain", "own"), "loss": "wasserstein", "wgan_gp": 0.5}
    toy_2d.main(toy_2d.Config(data="ring", outdir=tmp_path, **small, **own))
    configs = {name: json.loads((tmp_path / name / "config.json").read_text()) for name in ("plain", "own")}
    assert (configs["plain"]["loss"], configs["plain"]["wgan_gp"]) == ("non_saturating", 0.0)
    assert (configs["own"]["loss"], configs["own"]["wgan_gp"]) == ("wasserstein", 0.5)
    capsys.readouterr()
    toy_2d.main(toy_2d.Config(data="ring", outdir=tmp_path / "dry", dry_run=True, **small))
    assert capsys.readouterr().out.count("MiB at the peak") == 2
    with pytest.raises(InputError, match="ring has no pictures to compute these scores on"):
        toy_2d.main(toy_2d.Config(data="ring", outdir=tmp_path / "kid", eval_metrics="kid", **small))
