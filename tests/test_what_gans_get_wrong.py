"""What samples get wrong, on samples whose faults are planted."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from experiments import what_gans_get_wrong as wrong
from experiments.what_gans_get_wrong import Config, main
from gan_jax.data.dataset import Dataset
from gan_jax.errors import InputError
from gan_jax.evaluation.doodle_heads import HEADS, Choice, Number, sureness
from gan_jax.evaluation.seen import Seen
from gan_jax.metrics.intervals import Proportion
from tests.runs.test_trained import write_run

CLASSES = ("dark", "grey", "bright")
LEVELS = np.array([40, 128, 215])


def pictures(n, seed, classes=(0, 1, 2)):
    """Pictures of even grey around the level of their class, and their classes."""
    generator = np.random.default_rng(seed)
    label = np.resize(classes, n)
    grey = LEVELS[label][:, None, None, None] + generator.integers(-12, 13, (n, 16, 16, 1))
    return grey.astype(np.uint8), label.astype(np.int32)


def see(images):
    """Logits fall with the distance to the level of a class; features are means of quarters and are noisy."""
    means = images.reshape(len(images), -1).mean(axis=1)
    logits = -np.abs(means[:, None] - LEVELS[None]) / 8
    return Seen(images.reshape(len(images), 4, -1).mean(axis=2).astype(np.float32), logits.astype(np.float32))


@pytest.fixture
def data(monkeypatch):
    (train, y), (held, z) = pictures(600, 0), pictures(300, 1)
    flip = np.arange(len(z)) % 7 == 0  # some labels are wrong, so that no temperature is 0
    held_out = {"image": held, "label": np.where(flip, (z + 1) % 3, z).astype(np.int32)}
    dataset = Dataset("greys", {"image": train, "label": y}, held_out, CLASSES)
    monkeypatch.setattr(wrong, "long_judge", lambda dataset: SimpleNamespace(see=see))
    monkeypatch.setattr(wrong.reference, "of_run", lambda *args: SimpleNamespace(taught=dataset))
    return dataset


def recognised(data, samples, label=None, **changes):
    return wrong.recognition(Config(run="run", **changes), data, samples, label, [])


def test_real_pictures_are_recognised_and_blobs_are_not(data):
    good, _ = pictures(90, 2)
    noise = np.random.default_rng(3).integers(80, 88, (30, 16, 16, 1)).astype(np.uint8)  # between two classes
    found = {line.name: line for line in recognised(data, np.concatenate([good, noise]))["lines"]}
    assert found["unrecognisable"].samples.share == pytest.approx(0.25, abs=0.05)  # and a few of the others, as of real ones
    assert found["unrecognisable"].real.share < 0.05
    assert found["unrecognisable"].samples.low > found["unrecognisable"].real.high
    stripes = good.copy()
    stripes[:, ::2], stripes[:, 1::2] = 255, 0
    stripes[:, :8] = 255  # as bright as others on the whole, and unlike them in their quarters
    stripes[:, 8:] = 0
    far = {line.name: line for line in recognised(data, stripes)["lines"]}
    assert far["far from the data"].samples.share == 1


def test_calibration_uses_held_out_pictures(data):
    found = recognised(data, pictures(30, 2)[0])
    assert found["temperature"] > 2  # one of seven labels is wrong, whatever the logits say
    assert found["accuracy"] == pytest.approx(6 / 7, abs=0.06)  # of a half of them, by chance
    assert found["calibration_error"] < 0.1


def test_classes_that_are_missed(data):
    samples, label = pictures(90, 2, classes=(0, 1))
    asked = np.where(np.arange(90) < 45, label, 2)
    found = recognised(data, samples, asked)["classes"]
    assert found["bright"]["samples"].share == found["bright"]["right"].share == 0
    assert found["bright"]["recall"] < 0.2  # one of seven of them is another class
    assert found["dark"]["samples"].share == 0.5
    assert found["dark"]["recall"] > 0.3
    assert found["dark"]["right"].share == 1
    assert found["bright"]["real"].share == pytest.approx(1 / 3, abs=0.05)


def test_copies_are_shown_with_their_originals(data):
    samples = np.concatenate([pictures(40, 2)[0], data.train["image"][[5, 9]]])
    sheet: list = []
    wrong.recognition(Config(run="run"), data, samples, None, sheet)
    np.testing.assert_array_equal(sheet[2][:2], sheet[3][:2])


def drawn(n, **changes):
    """Readings of faces, the same for all but for what is changed."""
    found = {}
    for head in HEADS["faces"]:
        value = head.middle if isinstance(head, Number) else head.options[0]
        found[head.name] = np.array([value] * n)
        found[f"{head.name}_confidence"] = np.full(n, 0.99)
    usual = {"eyes": np.full(n, 2), "mouths": np.ones(n, int), "noses": np.ones(n, int), "yaw": np.linspace(-30, 30, n)}
    return {**found, **usual, **changes}


def test_counts_places_and_poses_of_faces():
    """A third with three eyes, a tenth turned too far; all are turned to one side in the mirror, too."""
    eyes, yaw = np.where(np.arange(30) % 3 == 0, 3, 2), np.linspace(5, 25, 30)
    yaw[:3] = 80.0
    samples, real = np.zeros((30, 8, 8, 3), np.uint8), np.ones((30, 8, 8, 3), np.uint8)
    real[:, :, 4:] = 2

    def read(images):
        if images[0, 0, 0, 0] == 0:
            return drawn(30, eyes=eyes, yaw=yaw)
        mirrored = images[0, 0, 0, 0] == 2
        return drawn(30, yaw=np.linspace(-30, 30, 30) * (-1 if mirrored else 1))

    sheet: list = []
    found = wrong.doodles("faces", read, samples, real, sheet)
    lines = {line.name: line for line in found["doodles"]}
    assert lines["wrong number of eyes"].samples.share == pytest.approx(1 / 3)
    assert lines["wrong number of eyes"].real.share == lines["wrong number of mouths"].samples.share == 0
    assert lines["yaw outside of the data's range"].samples.share == 0.1
    assert lines["yaw that is not turned in the mirror"].samples.share > 0.7
    assert lines["yaw that is not turned in the mirror"].real.share == 0
    assert found["counts"]["eyes"]["3"]["samples"].share == pytest.approx(1 / 3)
    assert len(sheet[0]) == 10
    assert {head.name for head in HEADS["faces"] if isinstance(head, Choice)} > {"eyes"}


def test_petals_are_counted_where_they_can_be_read():
    """Every number of petals is as common in the data as another: none is wrong, but shares differ."""

    def read(images):
        real = images[0, 0, 0, 0] == 1
        numbers = np.arange(60) % 6 + 4 if real else np.full(60, 8)
        sure = np.full(60, 0.99)
        sure[:30] = 0.99 if real else 0.4
        found = {}
        for head in HEADS["flowers"]:
            value = head.middle if isinstance(head, Number) else getattr(head, "options", (0,))[0]
            found |= {head.name: np.array([value] * 60), f"{head.name}_confidence": np.full(60, 0.99)}
        return {**found, "petal_count": numbers, "petal_count_confidence": sure}

    samples, real = np.zeros((60, 8, 8, 3), np.uint8), np.ones((60, 8, 8, 3), np.uint8)
    found = wrong.doodles("flowers", read, samples, real, [])
    petals = found["counts"]["petals"]
    assert (petals["8"]["samples"].share, petals["9"]["samples"].share) == (1, 0)
    assert petals["9"]["real"].share == pytest.approx(1 / 6)
    assert petals["8"]["samples"].low < 0.9  # 30 are read, not 60
    assert petals["read with confidence"]["samples"].share == 0.5
    assert not [line.name for line in found["doodles"] if "number of" in line.name]


def test_parts_that_cannot_be_read():
    sure = np.full(10, 0.99)
    sure[:4] = 0.3
    assert sureness("faces", drawn(10, eyes_confidence=sure)).tolist() == [0.3] * 4 + [0.99] * 6


def test_a_run_is_examined(tmp_path, data, capsys, monkeypatch):
    monkeypatch.setattr(Config, "open_features", lambda self, dataset: None)
    run = write_run(tmp_path / "run", CLASSES)
    second = SimpleNamespace(share=lambda samples: Proportion(0.6, 0.5, 0.75))
    monkeypatch.setattr(wrong, "Recogniser", lambda dataset, network: second)
    found = main(Config(run=run, n=60, features="squeezenet", weights=tmp_path / "w.npz"))
    assert found["blobs"] == pytest.approx((0.4, 0.25, 0.5))
    kept = json.loads((run / "wrong" / "wrong.json").read_text())
    assert kept["lines"][0][0] == "unrecognisable"
    assert set(found["classes"]) == set(CLASSES)
    assert "| unrecognisable" in (run / "wrong" / "table.md").read_text()
    assert "the talk says about 0.40" in capsys.readouterr().out
    with Image.open(run / "wrong" / "wrong.png") as picture:
        assert picture.width >= 10 * 16
    with pytest.raises(InputError, match="lies in the input"):
        main(Config(run=run, out=run / "checkpoints"))
    with monkeypatch.context() as without:
        without.setattr(wrong, "recognition", None)  # nothing is computed
        with pytest.raises(InputError, match="cannot write to .*choose another --out"):
            main(Config(run=run, out=run / "wrong" / "table.md" / "deeper"))
    assert "blobs" not in main(Config(run=run, n=60))
    with pytest.raises(InputError, match="--features pixels are no second opinion"):
        main(Config(run=run, n=60, features="pixels"))


def test_data_that_nothing_reads(tmp_path, data, monkeypatch):
    bare = Dataset("greys", {"image": data.train["image"]}, {})
    monkeypatch.setattr(wrong.reference, "of_run", lambda *args: SimpleNamespace(taught=bare))
    with pytest.raises(InputError, match="greys has no labels, or no held-out pictures, and is not drawn"):
        main(Config(run=write_run(tmp_path / "run")))
