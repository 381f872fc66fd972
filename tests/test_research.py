"""The examples of research code run, and are short."""

import csv
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.research import cyclegan, nnx_networks, own_loop, population, sentence_embeddings
from gan_jax.errors import InputError
from gan_jax.evaluation.captioned import CaptionFlags
from gan_jax.runs import open_trained

FOLDER = Path(own_loop.__file__).parent


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short(path):
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    assert len(lines) < 60


def test_every_example_is_run_here():
    source = Path(__file__).read_text()
    for path in FOLDER.glob("[a-z]*.py"):
        assert f"{path.stem}.main(" in source


def test_a_loop_of_ones_own(tmp_path):
    """60 rounds bring the width of the samples nearer to that of the data."""
    first = own_loop.main(steps=1, batch=64, log=tmp_path / "first.csv")
    samples = own_loop.main(steps=60, batch=64, log=tmp_path / "log.csv")
    wanted = own_loop.moons(1000, np.random.default_rng(1)).std(axis=0)[0]
    assert abs(samples.std(axis=0)[0] - wanted) < abs(first.std(axis=0)[0] - wanted)
    with (tmp_path / "log.csv").open() as file:
        rows = [[float(value) for value in row] for row in csv.reader(file)]
    assert [row[0] for row in rows] == list(range(0, 60, 6))
    rates = [row[1] for row in rows]
    assert rates[0] == pytest.approx(2e-3)
    assert rates == sorted(rates, reverse=True)  # the schedule's


def test_two_generators_as_one_player():
    made, batch, metrics = cyclegan.main(steps=300, batch=32)
    before = np.abs(batch["a"].mean(axis=0) - batch["b"].mean(axis=0)).max()
    assert np.abs(made.mean(axis=0) - batch["b"].mean(axis=0)).max() < 0.25 * before
    assert float(metrics["gen/cycle"]) < 0.6  # of a mean |a| + |b| of about 3


def test_learning_rates_of_a_population(monkeypatch):
    """Each member has its own rate: of two, one finds modes, and the other leaves the plane."""
    monkeypatch.setattr(population, "RATES", np.array([3e-3, 1e30]))
    modes = population.main(steps=200, batch=64, width=16)
    assert modes[0] >= 3
    assert modes[1] == 0


def test_nnx_networks():
    samples, metrics = nnx_networks.main(steps=2, batch=4, width=2)
    assert samples.shape == (16, 32, 32, 1)
    assert {"gen/offset", "disc/loss"} <= metrics.keys()  # features were sown
    assert all(np.isfinite(value) for value in metrics.values())


def test_a_loader_of_torch(tmp_path):
    pytest.importorskip("torch", reason="PyTorch is in the extra oracles")
    torch_data = importlib.import_module("experiments.research.torch_data")
    run = torch_data.main(torch_data.Config(steps=2, batch=4, width=2), tmp_path / "run")
    assert open_trained(run).draw(2).shape == (2, 32, 32, 1)


def test_embeddings_of_any_encoder(tmp_path, monkeypatch, capsys):
    """They are read back in any order; without the encoder it is said how to get it."""
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    (tmp_path / "birds").mkdir()
    for i, text in enumerate(["a red bird", "a blue bird, flying", "a red bird", "ein roter Vogel über Blüten"]):
        Image.new("RGB", (16, 16), (40 * i, 0, 0)).save(tmp_path / "birds" / f"{i}.png")
        (tmp_path / "birds" / f"{i}.txt").write_text(text)
    asked = {"data": str(tmp_path / "birds"), "image_size": "16", "held_out": 0.0}
    out = sentence_embeddings.main(
        sentence_embeddings.Config(out=tmp_path / "birds.npz", **asked),
        encode=lambda texts: np.array([[len(text), 1.0] for text in texts]),
    )
    assert "3 captions" in capsys.readouterr().out
    data = CaptionFlags(text_embeddings=out, **asked).load()
    assert sorted(data.train["text"][:, 0, 0] / data.train["text"][:, 0, 1]) == pytest.approx([10, 10, 19, 27])
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(InputError, match="pip install sentence-transformers"):
        sentence_embeddings.main(sentence_embeddings.Config(out=out, **asked))
