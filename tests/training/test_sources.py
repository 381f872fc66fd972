"""Data of one's own: arrays, iterables of batches, functions of the step, and rounds that load by themselves."""

from collections import namedtuple
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import latents, losses
from gan_jax.core import Player, Players, TrainState, make_step
from gan_jax.data import Order, Rounds
from gan_jax.errors import InputError
from gan_jax.models import dcgan
from gan_jax.objectives import image_gan
from gan_jax.training.population import train_population
from gan_jax.training.sources import examples, feeder, loads_itself, named, source_of

X = np.random.default_rng(0).integers(0, 256, (20, 2, 2, 1), dtype=np.uint8)
Y = np.arange(20)
NOBODY = Player(None, None, None)


def state() -> TrainState:
    return TrainState(jnp.int32(0), jax.random.key(0), NOBODY, NOBODY, None)


def step(state: TrainState, batch: Any) -> Any:
    """Keeps the labels, or the first pixels, of its batches."""
    seen = batch["label"] if "label" in batch else batch["image"][:, 0, 0, 0].astype(jnp.int32)
    return state._replace(step=state.step + 1), {"seen": seen}


def played(data: Any, n: int = 4, first: int = 0, feed: Any = "auto", **more: Any) -> tuple[list[list[int]], list[str]]:
    """What the rounds first ... first + n saw, and what was said."""
    said: list[str] = []
    _, metrics = feeder(source_of(data, step, **more), step, feed, None, said.append)(state(), first, n)
    return np.asarray(metrics["seen"]).tolist(), said


class Loader:
    """As a DataLoader: batches of 8, 8 and 4, again and again."""

    def __init__(self, form: Callable[[slice], Any]):
        self.form = form

    def __iter__(self):
        return (self.form(slice(i, i + 8)) for i in (0, 8, 16))


def test_arrays() -> None:
    seen, said = played({"image": X, "label": Y}, batch=5, seed=3)
    order = Order(3, 20, 5)
    assert seen == [order(i).tolist() for i in range(4)]
    assert "20 examples" in said[0]
    assert examples(source_of({"label": np.arange(100)}, step)) == 64
    with pytest.raises(InputError, match="different lengths"):
        source_of({"image": X, "label": Y[:3]}, step, batch=5)


Pair = namedtuple("Pair", ["image", "label"])
FORMS = {
    "tuples": lambda rows: (X[rows], Y[rows]),
    "lists": lambda rows: [X[rows], Y[rows]],
    "named tuples": lambda rows: Pair(X[rows], Y[rows]),
    "dictionaries": lambda rows: {"image": X[rows], "label": Y[rows]},
    "jax": lambda rows: {"image": jnp.asarray(X)[rows], "label": jnp.asarray(Y)[rows]},
}


@pytest.mark.parametrize("form", FORMS)
def test_iterables_of_batches(form: str) -> None:
    seen, said = played(Loader(FORMS[form]), first=7)
    assert seen == [list(range(8)), list(range(8, 16))] * 2  # without the smaller one
    assert "begins it anew" in said[0]
    assert len(said) == 1


def test_images_alone() -> None:
    assert played([X[:8]])[0] == [X[:8, 0, 0, 0].tolist()] * 4


def test_a_torch_loader() -> None:
    torch = pytest.importorskip("torch")
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    assert played(torch.utils.data.DataLoader(pairs, batch_size=8))[0] == [list(range(8)), list(range(8, 16))] * 2


def test_a_function_of_the_step_goes_on_where_it_was() -> None:
    def batch(i: int) -> dict[str, np.ndarray]:
        return {"image": X[:3], "label": np.arange(3) + 3 * i}

    assert played(batch, n=2, first=5)[0] == [[15, 16, 17], [18, 19, 20]]
    rounds = Rounds({"label": Y}, Order(1, 20, 5))
    assert played(rounds.load)[0] == played(rounds)[0] == played(rounds, feed="host")[0]


WRONG = {
    "an iterator that ends": (iter([(X, Y)]), "no further batch.*again"),
    "nothing": ([], "no further batch"),
    "an array": (X, "data is one array: name it"),
    "no data": (3, "data is int: give Rounds, a dictionary of arrays"),
    "too long a tuple": ([(X, Y, Y)], "a tuple of 3: give a dictionary"),
    "single examples": ([(X[0], 3)], "label is int, not an array"),
    "wrong labels": ([(X, Y - 1)], "the first batch's label, int64 .*from -1"),
    "other sizes": (lambda i: {"label": Y[: 3 + i]}, r"round 1 has label int64 \(4,\), and that of round 0 label int64 \(3,\)"),
    "larger batches": ([(X[:2], Y[:2]), (X, Y)], r"a batch has image uint8 \(20.*first one image uint8 \(2"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_refused(kind: str) -> None:
    data, message = WRONG[kind]
    with pytest.raises(InputError, match=message):
        played(data)


def test_labels_that_the_networks_do_not_know() -> None:
    """The step knows how many there are."""
    networks = dcgan.Generator((16, 16), 1, width=2, num_classes=3), dcgan.Discriminator(width=2, num_classes=3, norm="none")
    known = make_step(image_gan(*networks, losses.hinge, latents.Normal(4)), Players(optax.sgd(1.0), optax.sgd(1.0)))
    for data in ({"image": X, "label": Y}, [(X, Y)], lambda i: (X, Y), Rounds({"image": X, "label": Y}, Order(0, 20, 5))):
        with pytest.raises(InputError, match="from 0 to 19: labels are whole numbers from 0 on and below 3"):
            source_of(data, known)
    source_of({"image": X, "label": Y % 3}, known, batch=5)


LATER = {
    "labels beyond the classes": ({"label": Y % 3}, {"label": Y}, "round 1's label, int64 .*below 3"),
    "floats of pixels": ({"image": X / 255}, {"image": X / 1.0}, "round 1's image, float64 .*take x / 127.5 - 1"),
    "NaN": ({"point": Y / 2}, {"point": Y * np.nan}, "round 1's point, float64 .*NaN"),
}


@pytest.mark.parametrize("kind", LATER)
def test_later_batches_are_looked_at(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, message = LATER[kind]
    monkeypatch.setattr(step, "classes", 3, raising=False)
    for data in ([first, second], lambda i: (first, second)[i]):
        source = source_of(data, step)
        source.load(0)
        with pytest.raises(InputError, match=message):
            source.load(1)


def test_nothing_is_ignored() -> None:
    for data in (Loader(FORMS["tuples"]), lambda i: {"label": Y}):
        with pytest.raises(InputError, match="cannot lie on the device"):
            played(data, feed="device")
        with pytest.raises(InputError, match="batch and seed are for arrays"):
            played(data, batch=3)
    with pytest.raises(InputError, match="batch and seed are for arrays"):
        played(Rounds({"label": Y}, Order(1, 20, 5)), seed=3)


def test_the_seed_of_the_order_is_one_that_a_flag_may_have() -> None:
    with pytest.raises(InputError, match="--seed '4294967296': a number at least 0 and at most 4294967295"):
        played({"image": X, "label": Y}, seed=2**32)


class Seed(NamedTuple):
    seed: int = 0


class Reversed(Rounds):
    """Rounds that load something else than their arrays."""

    def load(self, step: int) -> dict[str, np.ndarray]:
        return {"label": -super().load(step)["label"]}


def test_rounds_that_load_by_themselves() -> None:
    own, plain = Reversed({"label": Y}, Order(1, 20, 5)), Rounds({"label": Y}, Order(1, 20, 5))
    assert (loads_itself(own), loads_itself(plain)) == (True, False)
    assert np.array_equal(played(own)[0], -np.array(played(plain)[0]))
    with pytest.raises(InputError, match="cannot lie on the device"):
        played(own, feed="device")
    with pytest.raises(InputError, match="replace load"):
        train_population(lambda setting: pytest.fail("built"), [Seed()], own, steps=1, log_every=1)


def test_names_are_those_of_fields() -> None:
    assert named(Pair(X, Y)).keys() == {"image", "label"}
    assert named({"high": X}).keys() == {"high"}
