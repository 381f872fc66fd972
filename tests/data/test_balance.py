"""Equal shares of classes and of combinations of attributes, as a function of (seed, step)."""

import dataclasses

import numpy as np
import pytest

from gan_jax.data import BalancedOrder, BalanceFlags, Dataset, Drawn, Order, Rounds, digits, mirror, strata_of
from gan_jax.errors import InputError

STRATA = np.array([0] * 50 + [1] * 7 + [2] * 20 + [-1] * 3)
NAMES = ("Eyeglasses", "Male", "age")


def faces(**changes) -> Dataset:
    """90 pictures: 40 plain women, 30 plain men, 8 men with glasses, 12 of whom one attribute is unknown."""
    rows = [[0, 0, 30]] * 40 + [[0, 1, 40]] * 30 + [[1, 1, 50]] * 8 + [[np.nan, 1, 60]] * 7 + [[1, np.nan, 70]] * 5
    arrays = {"image": np.zeros((90, 4, 4, 3), np.uint8), "attributes": np.array(rows, np.float32)}
    return dataclasses.replace(Dataset("faces", arrays, attribute_names=NAMES), **changes)


def shares(index: np.ndarray, strata: np.ndarray = STRATA) -> list[int]:
    return np.bincount(strata[index], minlength=strata.max() + 1).tolist()


def test_a_batch_has_as_many_of_each_stratum() -> None:
    order = BalancedOrder(3, STRATA, 12)
    for step in range(40):
        assert shares(order(step)) == [4, 4, 4]
        assert order(step).dtype == np.int32


def test_the_remainder_rotates_so_that_shares_are_equal_over_rounds() -> None:
    order = BalancedOrder(3, STRATA, 10)
    first = [shares(order(step)) for step in range(3)]
    assert sorted(map(tuple, first)) == [(3, 3, 4), (3, 4, 3), (4, 3, 3)]
    assert np.sum(first, axis=0).tolist() == [10, 10, 10]
    few = BalancedOrder(3, STRATA, 2)  # fewer than there are strata
    assert shares(np.concatenate([few(step) for step in range(30)])) == [20, 20, 20]


@pytest.mark.parametrize("batch", [12, 10, 1])
def test_every_stratum_is_run_through_in_shuffled_epochs(batch: int) -> None:
    order = BalancedOrder(0, STRATA, batch)
    drawn = np.concatenate([order(step) for step in range(1260 // batch)])
    assert drawn.max() < 77  # what belongs to no stratum is never drawn
    seen = []
    for number, size in enumerate((50, 7, 20)):
        own = np.sort(drawn[STRATA[drawn] == number])
        counts = np.unique(own, return_counts=True)[1]
        assert len(counts) == size
        assert set(counts.tolist()) <= {420 // size, -(-420 // size)}
        if batch == 1:  # the order within a batch is another shuffle
            seen.append(drawn[STRATA[drawn] == number][: 2 * size].reshape(2, size))
    for epochs in seen:
        assert epochs[0].tolist() != epochs[1].tolist() != sorted(epochs[1].tolist())


def test_a_function_of_seed_and_step() -> None:
    forwards = BalancedOrder(3, STRATA, 10)
    batches = [forwards(step) for step in range(12)]
    jumping = BalancedOrder(3, STRATA, 10)
    for step in (11, 0, 7, 7, 2):
        np.testing.assert_array_equal(jumping(step), batches[step])
        np.testing.assert_array_equal(forwards.with_seed(3)(step), batches[step])
    other = forwards.with_seed(4)
    assert shares(np.concatenate([other(step) for step in range(3)])) == [10, 10, 10]
    assert any((other(step) != batches[step]).any() for step in range(3))
    plain = Order(3, 80, 10).with_seed(5)
    np.testing.assert_array_equal(plain(4), Order(5, 80, 10)(4))


def test_neighbours_in_a_batch_are_of_any_strata() -> None:
    """Packs of neighbours would otherwise tell real examples from generated ones by their strata."""
    order = BalancedOrder(0, STRATA, 12)
    pairs = {tuple(pair) for step in range(60) for pair in STRATA[order(step)].reshape(6, 2).tolist()}
    assert pairs == {(a, b) for a in range(3) for b in range(3)}


def test_processes_share_balanced_rounds_in_parts() -> None:
    arrays = {"image": np.zeros((80, 4, 4, 1), np.uint8)}
    alone = Rounds(arrays, BalancedOrder(1, STRATA, 12), parts=2, vary=(mirror(),))
    others = [dataclasses.replace(alone, process=p, processes=3) for p in range(3)]
    for step in range(5):
        whole = alone.plan(step)
        assert shares(whole["index"]) == [8, 8, 8]
        for name, wanted in whole.items():
            np.testing.assert_array_equal(np.concatenate([each.plan(step)[name] for each in others]), wanted)


def test_impossible_orders() -> None:
    with pytest.raises(InputError, match="batch of 81 .* 80 examples"):
        BalancedOrder(0, STRATA, 81)
    with pytest.raises(InputError, match="no example belongs to a stratum"):
        BalancedOrder(0, np.full(9, -1), 3)


def test_combinations_of_attributes() -> None:
    found = strata_of(faces(), "Eyeglasses, Male")
    assert found.names == ("Eyeglasses=0 Male=0", "Eyeglasses=0 Male=1", "Eyeglasses=1 Male=1")
    assert found.of.tolist() == [0] * 40 + [1] * 30 + [2] * 8 + [-1] * 12
    balanced, absent, unknown = found.notes
    assert balanced.startswith("balanced by Eyeglasses, Male, each 1/3 of a round: Eyeglasses=0 Male=0 (40 pictures), ")
    assert absent == "no training picture is Eyeglasses=1 Male=0: left out of the balance"
    assert unknown == "12 pictures whose Eyeglasses, Male is not known are not trained on"
    assert strata_of(faces(), "Male,Male").of.tolist() == [0] * 40 + [1] * 45 + [-1] * 5


def test_classes() -> None:
    dataset = digits(16)
    found = BalanceFlags("label").strata(dataset)
    assert found is not None
    assert found.names == dataset.class_names
    np.testing.assert_array_equal(found.of, dataset.train["label"])
    assert BalanceFlags().strata(dataset) is None


@pytest.mark.parametrize(
    ("by", "changes", "message"),
    [
        ("Eyeglases", {}, "has no such attribute. It has Eyeglasses, Male, age; the nearest is Eyeglasses"),
        ("label", {}, "faces has no label"),
        ("age", {}, "only attributes of 0 and 1 can be balanced, and this one has the values 30, 40, 50 and 2 more"),
        (" , ", {}, "names nothing"),
        ("Male", {"attribute_names": ()}, "faces has no attributes and no labels"),
        (
            "Male",
            {"attribute_names": (), "notes": ("left out: a.csv names 60 pictures that are not there",)},
            "no attributes and no labels; left out: a.csv names 60 pictures that are not there",
        ),
        ("Male", {"drawn": Drawn({})}, "drawn anew in each round"),
        (",".join(f"a{i}" for i in range(13)), {"attribute_names": tuple(f"a{i}" for i in range(13))}, "8,192 combinations"),
        ("Male", {"train": {"attributes": np.ones((5, 3), np.float32)}}, "all training pictures are Male=1"),
        ("Male", {"train": {"attributes": np.full((5, 3), np.nan, np.float32)}}, "it is known of no training picture"),
    ],
)
def test_what_cannot_be_balanced(by: str, changes: dict, message: str) -> None:
    if by.startswith("a0"):
        changes = changes | {"train": {"attributes": np.zeros((5, 13), np.float32)}}
    with pytest.raises(InputError, match=message):
        strata_of(faces(**changes), by)
