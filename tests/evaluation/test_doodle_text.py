"""What doodles show of their captions, by a reader that knows the truth of every picture that was drawn."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from gan_jax.data import digits
from gan_jax.data.doodles import KINDS, doodle_birds, doodle_flowers
from gan_jax.data.store import Store
from gan_jax.data.writing import Preparation
from gan_jax.evaluation import doodle_text
from gan_jax.evaluation.doodle_heads import HEADS
from gan_jax.evaluation.doodle_text import TOLD, Plan, asked, drawn_for, is_unseen, measure, unseen, variety, without_unseen

SIZE = (16, 16)
PLAN = Plan(matches=40, captions=3, samples=24)


@pytest.fixture(params=["birds", "flowers"])
def known(request, monkeypatch):
    """A kind of doodles, and a reader that looks the truth of a picture up."""
    kind, truths = KINDS[request.param], {}

    def draw(truth, size):
        image = kind.draw(truth, size)
        truths[image.tobytes()] = truth
        return image

    def read(images):
        found = [truths[image.tobytes()] for image in images]
        values = {head.name: np.array([getattr(truth, head.name) for truth in found]) for head in HEADS[request.param]}
        sure = np.linspace(0, 1, len(images))  # as many of each sureness in every set
        return values | {f"{name}_confidence": sure for name in values}

    monkeypatch.setitem(KINDS, request.param, kind._replace(draw=draw))
    return SimpleNamespace(name=f"doodle_{request.param}", read=read, draw=draw)


def real(known, n=40):
    return np.concatenate([drawn_for(known.name, text, 1, SIZE, 7) for text in asked(known.name, n, False, 5).captions])


def test_real_pictures_of_the_captions_match_them_and_vary_as_they_should(known):
    def draw(captions, seed):
        chosen = [drawn_for(known.name, text, 1, SIZE, 1000 * seed + i) for i, text in enumerate(captions)]
        return np.concatenate(chosen)

    found = measure(known.name, draw, known.read, real(known), plan=PLAN)
    assert {found[key] for key in ("match", "match_unseen", "match_real")} == {1.0}
    assert {value for key, value in found.items() if key.startswith("match_") and key != "match_chance"} == {1.0}
    assert found["match_chance"] < 0.5
    assert found["valid"] == pytest.approx(0.95, abs=0.03)
    assert found["diversity"] > 0.9
    assert found["least_diverse"] > 0.7
    assert "r_precision" not in found


def test_one_picture_for_all_matches_by_chance_and_does_not_vary(known):
    one = real(known, 1)
    found = measure(
        known.name, lambda captions, seed: np.repeat(one, len(captions), axis=0), known.read, real(known), plan=PLAN
    )
    assert found["match"] < 0.5
    assert found["diversity"] < 1e-6
    assert found["least_diverse"] < 1e-6


def test_colours_are_in_as_many_unseen_combinations_as_others():
    birds, flowers = unseen("doodle_birds"), unseen("doodle_flowers")
    assert (len(birds), len(flowers)) == (10, 4)
    assert len({a for a, _ in birds}) == len({b for _, b in birds}) == 10
    assert len({a for a, _ in flowers}) == len({b for _, b in flowers}) == 4


@pytest.mark.parametrize("name", TOLD)
def test_unseen_combinations_are_left_out_of_both_splits(name, tmp_path):
    source = {"doodle_birds": doodle_birds, "doodle_flowers": doodle_flowers}[name](200, 100, size=SIZE)
    dataset = Store(tmp_path).prepared(source, Preparation(SIZE))
    seen = without_unseen(dataset)
    said = [TOLD[name].parse(text) for text in asked(name, 40, True).captions]
    assert all(is_unseen(name, one) for one in said)
    assert not any(is_unseen(name, TOLD[name].parse(text)) for text in asked(name, 40, False).captions)
    for whole, part in ((dataset.train, seen.train), (dataset.held_out, seen.held_out)):
        left_out = doodle_text._has_unseen(dataset, whole)
        assert 0.02 < left_out.mean() < 0.2
        assert len(part["image"]) == len(part["caption"]) == (~left_out).sum()
        assert not doodle_text._has_unseen(dataset, part).any()
    assert seen.fingerprint != dataset.fingerprint
    assert "are left out, to test these" in seen.notes[-1]
    others = digits(16)
    assert without_unseen(others) is others
    own = replace(dataset, attribute_names=("large",))
    assert without_unseen(own) is own  # a folder of this name


@pytest.mark.parametrize("name", TOLD)
def test_variety_is_measured_of_the_caption_that_names_the_least(name):
    kind, told = KINDS[TOLD[name].kind], TOLD[name]
    for i in range(5):
        texts = kind.captions(kind.sample(np.random.default_rng(i)))
        assert len(told.parse(texts[told.least])) == min(len(told.parse(text)) for text in texts)


def test_what_a_caption_names_is_not_counted_as_variety():
    n = 8
    readings = {head.name: np.arange(n) % 2 for head in HEADS["birds"]}
    found = variety("doodle_birds", readings, np.zeros(n, int), [{"breast": "red", "size": "large"}])
    assert "breast" not in found
    assert "large" not in found
    assert found["crown"] == pytest.approx(np.log(2))
