"""Stacked digits: every round a function of (seed, step), three independent digits an example, pixels unchanged."""

import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.core import Player, TrainState
from gan_jax.data.dataset import Dataset, Order
from gan_jax.data.load import load, open_source
from gan_jax.data.rounds import Rounds, mirror
from gan_jax.data.stacked import stack, stacked, trimmed
from gan_jax.errors import InputError
from gan_jax.parallel.feeds import resident, streamed


def grey(n: int = 40, side: int = 6) -> Dataset:
    """Pictures whose pixels tell their number, and held-out ones from 200 on."""

    def part(first: int, count: int) -> dict[str, np.ndarray]:
        image = np.arange(first, first + count, dtype=np.uint8)[:, None, None, None] + np.zeros((1, side, side, 1), np.uint8)
        image[:, 0, 0] = 255
        return {"image": image, "label": np.arange(count, dtype=np.int32) % 10}

    return Dataset("grey", part(0, n), part(200, 20), class_names=tuple("0123456789"))


def rounds(batch: int = 8, **more) -> Rounds:
    arrays, vary = stack("stacked", grey(), 5, 5).drawn
    return Rounds(arrays, Order(3, 40, batch), vary=(*vary, *more.pop("vary", ())), **more)


def batch_of(r: Rounds, step: int) -> np.ndarray:
    return np.asarray(r.finish({name: jnp.asarray(value) for name, value in r.load(step).items()})["image"])


def test_an_example_is_three_of_the_pictures_one_a_channel() -> None:
    r = rounds()
    plan, images = r.plan(7), batch_of(r, 7)
    assert plan["index"].shape == (8, 3)
    assert r.shapes["image"].shape == images.shape == (8, 6, 6, 3)
    np.testing.assert_array_equal(images[:, 3, 3], plan["index"])
    assert (images[:, 0, 0] == 255).all()


def test_a_round_is_a_function_of_seed_and_step() -> None:
    np.testing.assert_array_equal(rounds().plan(5)["index"], rounds().plan(5)["index"])
    assert not np.array_equal(rounds().plan(5)["index"], rounds().plan(6)["index"])
    arrays, vary = stack("stacked", grey(), 5, 5).drawn
    other = Rounds(arrays, Order(4, 40, 8), vary=vary)
    assert not np.array_equal(other.plan(5)["index"], rounds().plan(5)["index"])


def test_channels_are_independent_and_every_picture_comes_as_often() -> None:
    """Of 4,000 rounds of 40: each picture 4,000 times a channel, exactly in the first and within 5 deviations elsewhere."""
    r = rounds(batch=40)
    index = np.concatenate([r.plan(step)["index"] for step in range(4000)])
    counts = np.stack([np.bincount(channel, minlength=40) for channel in index.T])
    assert (counts[0] == 4000).all()
    assert np.abs(counts[1:] - 4000).max() < 5 * np.sqrt(4000)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        pairs = np.bincount(index[:, a] * 40 + index[:, b], minlength=1600)
        assert np.abs(pairs - 100).max() < 6 * np.sqrt(100)


def test_feeds_and_processes_give_the_same() -> None:
    r = rounds(vary=(mirror(),))

    nobody = Player({}, {}, {})

    def start():  # anew, since drivers take the state for themselves
        return TrainState(jnp.zeros((), jnp.int32), jax.random.key(0), nobody, nobody, {})

    def step(state, batch):
        return state, {"image": batch["image"]}

    on_device = resident(step, r.arrays, r.plan, r.finish)(start(), 0, 3)[1]["image"]
    from_host = streamed(step, r.load, r.finish)(start(), 0, 3)[1]["image"]
    np.testing.assert_array_equal(on_device, from_host)
    halves = [rounds(vary=(mirror(),), process=i, processes=2) for i in range(2)]
    np.testing.assert_array_equal(np.concatenate([batch_of(half, 2) for half in halves]), on_device[2])


def test_it_must_be_the_first_variation_and_of_grey_pictures() -> None:
    arrays = grey().train
    with pytest.raises(InputError, match="must be the first"):
        Rounds(arrays, Order(0, 40, 8), vary=(mirror(), stacked()))
    coloured = {"image": np.repeat(arrays["image"], 3, axis=-1)}
    with pytest.raises(InputError, match="only grey images can be stacked, and here are images of 3 channels"):
        Rounds(coloured, Order(0, 40, 8), vary=(stacked(),))


def test_fixed_examples_are_known_and_held_out_ones_apart() -> None:
    dataset = stack("stacked", grey(), 300, 100)
    assert dataset.train["image"].shape == (300, 6, 6, 3)
    np.testing.assert_array_equal(dataset.train["image"][:, 3, 3] % 10, dataset.train["digits"])
    assert dataset.train["image"][:, 3, 3].max() < 40
    assert dataset.held_out["image"][:, 3, 3].min() >= 200
    np.testing.assert_array_equal(dataset.train["image"], stack("stacked", grey(), 300, 100).train["image"])
    assert dataset.fingerprint == stack("stacked", grey(), 300, 100).fingerprint
    others = grey()
    others.train["image"][3, 4, 5] += 1
    assert dataset.fingerprint != stack("stacked", others, 300, 100).fingerprint


@pytest.mark.parametrize("side", [28, 32])
def test_by_name_at_both_sizes_of_the_protocols(side, monkeypatch) -> None:
    """At 28x28 the pixels are those of 32x32 without the border, not resized ones."""
    asked = []

    def mnist(name, size, **rest):
        asked.append((name, size))
        return grey(side=size[0])

    monkeypatch.setattr(sys.modules["gan_jax.data.load"], "load", mnist)
    dataset = load("stacked_mnist", (side, side))
    assert asked == [("mnist", (32, 32))]
    assert dataset.name == "stacked_mnist"
    assert dataset.train["image"].shape == (26_000, side, side, 3)
    assert dataset.drawn.arrays["image"].shape == (40, side, side, 1)
    assert (dataset.train["image"][:, 0, 0] == 255).all() == (side == 32)
    source = open_source("stacked_mnist", (side, side))
    np.testing.assert_array_equal(source.splits["held_out"].read(3).image, dataset.held_out["image"][3])


def test_grey_is_refused() -> None:
    with pytest.raises(InputError, match="--channels 1: stacked_mnist has a digit in each of three colours"):
        load("stacked_mnist", (32, 32), channels=1)


def test_trimmed_keeps_what_is_inside() -> None:
    image = np.arange(2 * 6 * 6, dtype=np.uint8).reshape(2, 6, 6, 1)
    data = grey()
    inside = trimmed(replace(data, train={**data.train, "image": image}), 2)
    np.testing.assert_array_equal(inside.train["image"], image[:, 2:-2, 2:-2])
    assert inside.held_out["image"].shape == (20, 2, 2, 1)


def test_rounds_are_traced_once() -> None:
    r = rounds()
    traces = []
    finish = jax.jit(lambda batch: traces.append(1) or r.finish(batch))
    for step in range(3):
        finish(r.load(step))
    assert len(traces) == 1
