"""How often arithmetic on codes gives what it should: the controls, the judgement by hand, and the whole experiment."""

import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from experiments import latent_arithmetic
from experiments.latent_arithmetic import ALONE, FRAMES, RESULT, Config, main
from gan_jax.errors import InputError
from gan_jax.evaluation.attributes import AttributeReader, Reading, Wanted
from gan_jax.evaluation.readers import READERS, Reader
from gan_jax.runs import open_trained
from tests.runs.test_trained import write_run

ASKED = {
    "triplets": 6,
    "averaged": (1, 2),
    "search": 40,
    "walks": 3,
    "features": "pixels",
    "sure": 0.0,
    "ref": "halves",
    "rescale": "none",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "plain")


@pytest.fixture
def halves(monkeypatch, run):
    """Reads which of the halves of a picture are brighter than in most samples, and counts what all have once."""
    usual = np.median(open_trained(run).draw(40).reshape(40, 2, 128).mean(axis=2), axis=0)

    def read(images):
        bright = images.reshape(len(images), 2, 128).mean(axis=2) - usual[None]
        values = {"upper": bright[:, 0] > 0, "lower": bright[:, 1] > 0, "dark": (bright < 0).all(axis=1)}
        sure = {f"{name}_confidence": np.full(len(images), 0.95) for name in values}
        return {**values, **sure, "parts": np.ones(len(images), int)}

    reader = Reader(("upper", "lower", "dark", "parts"), lambda size: read, {"parts": 1})
    monkeypatch.setitem(READERS, "halves", reader)


def reading(*values):
    return Reading(np.array(values), np.ones(len(values)))


def test_results_and_controls_against_numpy():
    generator = np.random.default_rng(0)
    a, b, c = generator.normal(size=(3, 4, 5, 8)).astype(np.float32)
    key, norm = jax.random.key(1), 8**0.5

    def to_norm(x):
        return x * norm / np.linalg.norm(x, axis=-1, keepdims=True)

    means = [to_norm(each.mean(axis=1)) for each in (a, b, c)]
    found = latent_arithmetic.combined(*map(jnp.asarray, (a, b, c)), key, norm, True)
    np.testing.assert_allclose(found[RESULT], to_norm(means[0] - means[1] + means[2]), rtol=1e-4)
    np.testing.assert_allclose(found[ALONE], means[2], rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found["random direction"], axis=1), norm, rtol=1e-5)
    plain = latent_arithmetic.combined(*map(jnp.asarray, (a, b, c)), key, None, False)
    np.testing.assert_allclose(plain[RESULT], a.mean(1) - b.mean(1) + c.mean(1), rtol=1e-5, atol=1e-6)
    moved = np.linalg.norm(plain["random direction"] - plain[ALONE], axis=1)
    np.testing.assert_allclose(moved, np.linalg.norm(a.mean(1) - b.mean(1), axis=1), rtol=1e-4)
    steps = np.asarray(plain["random direction"] - plain[ALONE])
    assert np.abs(np.corrcoef(steps)[np.triu_indices(4, 1)]).max() < 0.999  # a direction of its own for each triplet


def test_results_are_judged_by_hand():
    reader = AttributeReader("", ("glasses", "male", "hat", "yaw", "eyes"), lambda images: {}, counts={"eyes": 2})
    task = latent_arithmetic.understood(reader, ("glasses,male", "!glasses,male", "!glasses,!male"))
    assert (task.gained, task.kept) == ((Wanted("glasses"),), (Wanted("male", negated=True),))
    readings = {
        "glasses": reading(True, True, False, True),
        "male": reading(False, True, False, False),
        "hat": reading(True, False, False, True),
        "yaw": reading(1.0, 2.0, 3.0, 4.0),
        "eyes": reading(2, 2, 2, 3),
    }
    alone = {**readings, "hat": reading(True, True, True, True), "yaw": reading(0.0, 0.0, 0.0, 0.0)}
    found = latent_arithmetic.judged(reader, task, readings, alone, np.array([True, True, True, False]))
    shares = {name: value.share for name, value in found.items() if name != "others"}
    assert shares == {"gained": 0.75, "kept": 0.75, "right": 0.5, "valid": 0.75, "right and valid": 0.25}
    assert found["others"] == 0.5  # of hats; the angle is no yes or no


def test_nothing_to_gain():
    reader = AttributeReader("", ("glasses", "male"), lambda images: {})
    with pytest.raises(InputError, match="there is nothing to measure"):
        latent_arithmetic.understood(reader, ("glasses", "glasses", "male"))
    with pytest.raises(InputError, match="nothing reads 'wings'"):
        latent_arithmetic.understood(reader, ("wings", "!wings", "male"))


def test_exemplars_are_different_ones():
    chosen = latent_arithmetic.subsets(7, 3, 50, (0, 1))
    assert chosen.shape == (50, 3)
    assert all(len(set(row)) == 3 for row in chosen.tolist())
    assert set(chosen.ravel().tolist()) == set(range(7))
    assert (chosen != latent_arithmetic.subsets(7, 3, 50, (0, 2))).any()


def test_a_jump_is_found():
    even = np.cumsum(np.ones(FRAMES))[:, None]
    jump = even + 10.0 * (np.arange(FRAMES) > 9)[:, None]
    found = latent_arithmetic.paced(np.concatenate([even, jump]))
    assert found["jumps"].share == 0.5
    assert found["largest over median"] == [3.5, 6.0, 8.5]  # quartiles of 1 and 11


def test_walks_that_leave_the_valid_pictures():
    valid = np.ones(2 * FRAMES, bool)
    valid[[0, FRAMES - 1, FRAMES + 3, FRAMES + 4]] = False  # the ends of one walk do not count; two frames of the other
    found = latent_arithmetic.left(valid)
    assert found["left the valid"].share == 0.5
    assert found["valid frames"].share == pytest.approx(1 - 2 / (2 * (FRAMES - 2)))


def codes_of(reader, train, held_out):
    """What validity is told by, with the pictures' own pixels as features."""
    data = SimpleNamespace(train={"image": train}, held_out={"image": held_out})
    features = lambda images: images.reshape(len(images), -1).astype(float)  # noqa: E731
    return SimpleNamespace(reader=reader, data=data, features=features, network="pixels")


def test_valid_is_what_shows_all_parts_or_lies_among_real_pictures():
    pictures = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)
    counting = AttributeReader("", ("n",), lambda images: {"n": reading(*images[:, 0, 0, 0])}, counts={"n": 4})
    shown = latent_arithmetic.validity_of(codes_of(counting, pictures, pictures))
    assert not shown.about
    assert np.flatnonzero(shown.of(pictures, None, None)).tolist() == [4]
    blind = AttributeReader("", ("n",), lambda images: {})
    near = latent_arithmetic.validity_of(codes_of(blind, pictures, pictures[:4]))  # those at the ends reach 3 further
    others = np.array([5, 12, 13, 200], np.uint8).reshape(4, 1, 1, 1)
    assert near.of(others, None, None).tolist() == [True, True, False, False]
    assert near.of(others, None, np.array([[200.0]])).tolist() == [False]  # of features that are known already
    assert "among 10 real pictures in features of pixels, as 100% of held-out ones are" in near.about


def test_a_run_is_measured(run, halves, capsys):
    found = main(Config(run=run, a="upper,lower", b="!upper,lower", c="!upper,!lower", **ASKED))
    assert [(row["exemplars"], row["result"]) for row in found["transfers"]] == [
        (k, name) for k in (1, 2) for name in (RESULT, ALONE, "random direction", "pixels")
    ]
    assert all(row["valid"].share == 1 for row in found["transfers"])
    alone = found["transfers"][1]
    assert alone["gained"].share == 0  # one exemplar of c alone is itself
    assert alone["kept"].share == alone["others"] == 1
    assert [(row["exemplars"], row["mean of"]) for row in found["means"]] == [
        (k, of) for k in (1, 2) for of in ("codes", "pixels")
    ]
    assert all(row["shown"].share == 1 for row in found["means"][:2])  # one exemplar is its own mean
    out = run / "latent_arithmetic"
    kept = json.loads((out / "results.json").read_text())
    assert kept["pools"] == found["pools"]
    assert "| 2         | c alone" in (out / "table.md").read_text()
    for path in ("curve.png", "results.png", "means.png", "walks.png", "../arithmetic/figure.png", "../interpolate/walk.webp"):
        with Image.open(out / path) as picture:
            assert min(picture.size) > 30
    assert "valid       1.00" in capsys.readouterr().out


def test_a_run_is_opened_once(run, halves, monkeypatch):
    """The paper's figure and the film are of the samples that were read before."""
    opened = []
    open_codes = latent_arithmetic.open_codes
    for module in (latent_arithmetic, latent_arithmetic.figure, latent_arithmetic.interpolate):
        monkeypatch.setattr(module, "open_codes", lambda *args: opened.append(args) or open_codes(*args))
    main(Config(run=run, a="upper,lower", b="!upper,lower", c="!upper,!lower", **ASKED))
    assert len(opened) == 1


def test_words_are_understood_before_a_run_is_trained(monkeypatch):
    monkeypatch.setattr(latent_arithmetic.dcgan, "trained", lambda config: pytest.fail("it was trained"))
    with pytest.raises(InputError, match="nothing reads 'glases' .* the reader of doodle_faces reads male, hat"):
        main(Config(a="glases,male"))


def test_too_few_exemplars(run, halves, capsys):
    names = {"a": "upper,lower", "b": "!upper,lower", "c": "!upper,!lower"}
    main(Config(run=run, **names, **{**ASKED, "averaged": (1, 39)}))
    assert "left out    means of 39: there are not so many exemplars" in capsys.readouterr().out
    for wanted, message in (((39,), "--averaged 39: there are [0-9]+ exemplars of the rarest kind"), ((), "names no number")):
        with pytest.raises(InputError, match=message):
            main(Config(run=run, **names, **{**ASKED, "averaged": wanted}))
    with pytest.raises(InputError, match="none of 40 samples has upper and lower with a confidence of 1.0"):
        main(Config(run=run, **names, **{**ASKED, "sure": 1.0}))
