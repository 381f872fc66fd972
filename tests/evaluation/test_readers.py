"""Which attributes can be read in which data, and that what is read is scored."""

from dataclasses import replace

import numpy as np
import pytest

from gan_jax.data.digits import digits
from gan_jax.data.doodles import KINDS
from gan_jax.evaluation import readers
from gan_jax.evaluation.evaluator import Evaluator
from gan_jax.evaluation.features import Network
from gan_jax.evaluation.readers import READERS, Reader, can_read, readable_in
from gan_jax.evaluation.scores import METRICS
from gan_jax.evaluation.seen import Seen


def test_every_kind_of_doodles_has_a_reader():
    assert set(READERS) == {kind.name for kind in KINDS.values()}
    assert can_read("doodle_birds", ("breast", "flying"))
    assert not can_read("doodle_birds", ("breast", "eyes"))
    assert not can_read("digits", ())
    assert readable_in(("x", "y")) == ["doodle_birds", "doodle_flowers"]
    for name, metric in METRICS.items():
        assert readable_in(metric.reads), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_judge_is_trained_for_the_pictures_size_and_kept_by_kind_and_size(kind, monkeypatch, tmp_path):
    asked = []

    class Judge:
        judge = np.size

    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path))
    monkeypatch.setattr(readers, "train_doodle_judge", lambda *args, cache: asked.append((*args, cache)) or Judge)
    assert READERS[f"doodle_{kind}"].open((32, 48)) is np.size
    assert asked == [(kind, (32, 48), tmp_path / "judges" / f"{kind}-32x48.msgpack")]


def test_counts_are_scored_by_what_is_read(tmp_path, monkeypatch):
    """A reader of the first three pixels; it is opened only for a metric that reads what it can."""
    opened = []

    def read(images):
        return dict(zip(("eyes", "mouths", "noses"), images[:, 0, :3, 0].T, strict=True))

    reader = Reader(("eyes", "mouths", "noses"), lambda size: opened.append(size) or read)
    monkeypatch.setitem(READERS, "drawn", reader)
    network = Network({"features": "pixels"}, lambda images: Seen(images.reshape(len(images), -1) / np.float32(255)))
    data = replace(digits(16), name="drawn")
    images = np.zeros((4, 16, 16, 1), np.uint8)
    images[:, 0, :3, 0] = [(2, 1, 1), (2, 1, 0), (3, 1, 1), (2, 0, 1)]
    assert Evaluator(data, network, ("kid",), cache=tmp_path).score(images)
    assert opened == []
    found = Evaluator(data, network, ("counting",), cache=tmp_path).score(images)
    assert found == {"eyes_right": 0.75, "mouths_right": 0.75, "noses_right": 0.75, "counts_right": 0.25}
    assert opened == [(16, 16)]
