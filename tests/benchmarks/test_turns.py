"""Contenders alternate, warm-ups do not count, ratios are those within a turn; with a clock that only the contenders move."""

from functools import partial

import pytest

from experiments.benchmarks import turns


class Clock:
    """Seconds that pass only in `sleep`."""

    now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(turns, "perf_counter", clock)
    return clock


def counting(name, order):
    """A turn that notes its name in `order` and returns how many turns this contender has had."""

    def turn():
        order.append(name)
        return float(order.count(name))

    return turn


def test_contenders_alternate():
    order = []
    found = turns.alternate({name: counting(name, order) for name in "abc"}, 2)
    assert "".join(order) == "abcabc"
    assert found == {name: [1, 2] for name in "abc"}


def test_first_turn_of_each_is_dropped_on_top_of_the_counted_ones():
    order = []
    found = turns.alternate({name: counting(name, order) for name in "ab"}, 2, warm_up=1)
    assert "".join(order) == "ababab"
    assert found == {"a": [2, 3], "b": [2, 3]}


def test_only_a_named_alternation_shows_progress(capsys):
    turns.alternate({"a": lambda: 1.0}, 1)
    assert capsys.readouterr().err == ""
    turns.alternate({"a": lambda: 1.0}, 1, "the game: turns")
    assert "the game: turns" in capsys.readouterr().err


def test_median_of_ratios_is_within_a_turn():
    """By hand: ratios 2, 1, 4 have median 2; the ratio of the medians is 4 / 3, and that of the sums 13 / 8."""
    assert turns.median_ratio([2.0, 3.0, 8.0], [1.0, 3.0, 2.0]) == 2


def test_ratio_of_unequal_numbers_of_turns_raises():
    with pytest.raises(ValueError, match="shorter"):
        turns.median_ratio([1.0, 2.0], [1.0])


def test_medians_by_contender():
    assert turns.medians({"a": [1.0, 9.0, 2.0], "b": [1.0, 2.0]}) == {"a": 2, "b": 1.5}


def test_seconds_of_one_call(clock):
    clock.sleep(5)
    assert turns.seconds_of(partial(clock.sleep, 0.25)) == 0.25


def test_rate_counts_all_calls_and_all_of_their_time(clock):
    """Calls of 0.75 s in a turn of 2 s: the third ends at 2.25 s and counts, with all of its time."""
    assert turns.rate(partial(clock.sleep, 0.75), 2.0, work=12) == 3 * 12 / 2.25
    assert clock.now == 2.25


def test_rate_does_not_time_its_warm_up(clock):
    durations = iter([8.0, 4.0, 0.5, 0.5, 0.5])
    assert turns.rate(lambda: clock.sleep(next(durations)), 1.0, warm_up=2) == 2
    assert list(durations) == [0.5]  # two warm-ups and two timed calls
