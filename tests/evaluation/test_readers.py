"""Which attributes can be read in which data, and that what is read is scored."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.dataset import Dataset
from gan_jax.data.digits import digits
from gan_jax.data.doodles import KINDS
from gan_jax.data.stacked import COLOURS, STACKED, stack
from gan_jax.errors import InputError
from gan_jax.evaluation import digit_reader, readers
from gan_jax.evaluation.digit_reader import DigitReader, train_digit_reader
from gan_jax.evaluation.evaluator import Evaluator, best_by
from gan_jax.evaluation.features import Network
from gan_jax.evaluation.judge import Judge
from gan_jax.evaluation.readers import READERS, Reader, can_read, readable_in
from gan_jax.evaluation.scores import METRICS
from gan_jax.evaluation.seen import Seen


def test_known_truths_have_readers():
    assert set(READERS) == {kind.name for kind in KINDS.values()} | set(STACKED)
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


def told(accuracy: float = 0.995) -> Judge:
    """Reads the digit that the middle pixel is, and remembers the shapes that it saw."""

    def network(params, images):
        shapes.append(images.shape[1:])
        middle = images[:, images.shape[1] // 2, images.shape[2] // 2, 0]
        return jnp.zeros((len(images), 1)), jnp.eye(10)[middle]

    def see(images):
        return Seen(*map(np.asarray, network({}, images)))

    shapes: list[tuple[int, ...]] = []
    see.shapes = shapes
    return Judge(see, tuple("0123456789"), True, accuracy, "0123456789abcdef", network, {})


def grey(side: int) -> Dataset:
    label = np.arange(200, dtype=np.int32) % 10
    image = np.zeros((200, side, side, 1), np.uint8) + label.astype(np.uint8)[:, None, None, None]
    return Dataset("mnist", {"image": image, "label": label}, {"image": image[:100], "label": label[:100]})


@pytest.mark.parametrize(("side", "seen"), [(28, 32), (32, 32)])
def test_digits_are_read_channel_by_channel_with_mnists_border(side, seen):
    judge = told()
    images = np.zeros((5, side, side, 3), np.uint8)
    images[:, side // 2, side // 2] = [(1, 2, 3), (4, 5, 6), (7, 8, 9), (0, 0, 0), (9, 0, 9)]
    readings = DigitReader(judge, (seen - side) // 2)(images)
    assert set(readings) == set(COLOURS)
    np.testing.assert_array_equal(readings["red"], [1, 4, 7, 0, 9])
    np.testing.assert_array_equal(readings["green"], [2, 5, 8, 0, 0])
    np.testing.assert_array_equal(readings["blue"], [3, 6, 9, 0, 9])
    assert set(judge.see.shapes) == {(seen, seen, 1)}


def test_a_classifier_that_is_too_weak_is_refused(monkeypatch):
    monkeypatch.setattr(digit_reader, "load", lambda name, size, **rest: grey(size[0]))
    monkeypatch.setattr(digit_reader, "train_judge", lambda data, steps, seed: told(0.98))
    with pytest.raises(InputError, match=r"digits of 16x16 is right on 98.00% .* modes are counted by one of 99.2%"):
        train_digit_reader((16, 16))


def test_modes_of_stacked_digits_are_scored_with_the_floor_of_as_many(tmp_path, monkeypatch):
    """Samples of two modes, in halves: KL to uniform is log 1000 - log 2; the floor is that of as many real pictures."""
    monkeypatch.setitem(READERS, "stacked_mnist", Reader(COLOURS, lambda size: DigitReader(told(), 0)))
    network = Network({"features": "pixels"}, lambda images: Seen(images.reshape(len(images), -1) / np.float32(255)))
    data = stack("stacked_mnist", grey(8), 2000, 50)
    images = np.zeros((40, 8, 8, 3), np.uint8)
    images[20:] += np.array([1, 2, 3], np.uint8)
    evaluator = Evaluator(data, network, ("stacked",), cache=tmp_path)
    found = evaluator.score(images)
    assert found["stacked_modes"] == 2
    assert found["stacked_kl"] == pytest.approx(np.log(500))
    assert found["stacked_kl_data"] == pytest.approx(np.log(500), abs=0.3)  # frequencies of 2,000 examples
    row = evaluator.row([found], 40)
    assert row["stacked_modes_floor"] == pytest.approx(1000 * (1 - np.exp(-40 / 1000)), abs=1)
    assert row["stacked_kl_floor"] == pytest.approx(np.log(1000 / 40), abs=0.1)
    assert row["protocol"]["read_by"] == "digit classifier 0123456789abcdef, right on 99.50% of test digits"
    assert best_by(("stacked",)) == ("stacked_kl", "min")
    assert "read_by" not in Evaluator(data, network, ("kid",), cache=tmp_path).protocol
