"""The benchmark counts and compares the same work, and leaves its tables."""

import json

import flax.linen as nn
import jax
import numpy as np
import pytest

from experiments.benchmarks import benchmark, benchmark_games, turns
from experiments.benchmarks.benchmark_games import Contender, dcgan_game, plane_game, sngan_game
from gan_jax.errors import InputError


@pytest.fixture
def sleep(monkeypatch):
    """Moves the clock of `turns`, which stands still otherwise."""
    now = 0.0

    def sleep(seconds):
        nonlocal now
        now += seconds

    monkeypatch.setattr(turns, "perf_counter", lambda: now)
    return sleep


def test_operations_of_a_small_game_by_hand():
    """Players of the plane: G 2-8-8-8-2, D 2-8-8-8-1, batch 4."""
    layers = {"gen": [2 * 8, 8 * 8, 8 * 8, 8 * 2], "disc": [2 * 8, 8 * 8, 8 * 8, 8 * 1]}
    gen, disc = (2 * 4 * sum(layers[name]) for name in ("gen", "disc"))
    first = 2 * 4 * 2 * 8
    wanted = gen + 2 * (3 * disc - first) + 2 * disc + 2 * gen - first
    assert plane_game(width=8, batch=4).operations() == wanted


def test_operations_of_dcgan_32():
    """Kernels of 4x4, stride 2, width 64: taps times the coarser side's pixels times channels."""
    gen = [100 * 16 * 256, 16 * 16 * 256 * 128, 64 * 16 * 128 * 64, 256 * 16 * 64 * 3]
    disc = [256 * 16 * 3 * 64, 64 * 16 * 64 * 128, 16 * 16 * 128 * 256, 16 * 256]
    products = sum(gen) + 2 * (3 * sum(disc) - disc[0]) + 2 * sum(disc) + 2 * sum(gen) - gen[0]
    assert dcgan_game(32).operations() == 2 * 64 * products
    assert 24e9 < 2 * 64 * products < 25e9


def test_sngan_counts_its_discriminator_five_times():
    assert sngan_game().operations() > 4 * dcgan_game(32).operations()


@pytest.mark.slow
def test_stock_layers_are_flax_s_own_and_give_the_same():
    """Equal losses after a round, with nn.Conv and nn.ConvTranspose in the place of ours."""
    game, seen = dcgan_game(32, width=16, batch=4), []

    def watch(call, args, kwargs, context):
        seen.append(type(context.module))
        return call(*args, **kwargs)

    def losses():
        _, step, _ = game.build()
        _, metrics = jax.jit(step)(game.state(), game.data())
        return [float(metrics[name]) for name in ("disc/loss", "gen/loss")]

    ours = losses()
    with benchmark_games._stock_layers(), nn.intercept_methods(watch):
        stock = losses()
    assert {nn.Conv, nn.ConvTranspose} <= set(seen)
    np.testing.assert_allclose(ours, stock, rtol=1e-4)


@pytest.mark.slow
def test_smallest_configuration(tmp_path):
    config = benchmark.Config(parts=("games", "compile"), games=("plane",), torch=False, seconds=0.05, turns=2, out=tmp_path)
    benchmark.main(config)
    found = json.loads((tmp_path / "results.json").read_text())
    rows = found["games"]["plane"]["rows"]
    assert rows.keys() == {"ours", "ours, scanned", "flax's layers"}
    assert all(row["examples_per_second"] > 0 and row["peak_bytes"] > 0 for row in rows.values())
    assert rows["ours"]["times_flax"] > 0
    assert "times_torch" not in rows["ours"]  # no ratio to what did not run
    assert found["compile"]["plane"]["warm"] > 0
    assert "plane" in (tmp_path / "table.txt").read_text()
    assert (tmp_path / "games.png").stat().st_size > 1000


def test_populations_count_every_round_of_every_run(monkeypatch, sleep):
    """Dispatches that take a tenth of a second each, whatever they play."""
    monkeypatch.setattr(benchmark, "_population", lambda *_: lambda n: sleep(0.1 * n))
    found = benchmark.measure_populations(benchmark.Config(quick=True, seconds=0.2, turns=1))
    for n in (1, 8, 64):
        assert found[str(n)]["runs_times_rounds"] == pytest.approx(n * benchmark.ROUNDS / 0.1)
        assert found[str(n)]["times_one"] == pytest.approx(n)


def test_a_turn_does_not_count_what_is_compiled_for_it(sleep):
    """A contender that compiles for half a second for every new number of rounds."""
    known = set()

    def play(n):
        sleep(0.01 * n + (0 if n in known else 0.5))
        known.add(n)

    rates = benchmark.measure_rates({"one": benchmark.turn_of(Contender(play, 0.0), 0.1)}, 2, "test")
    assert rates == {"one": pytest.approx([100, 100])}
    assert known == {1, 10}


def test_bad_input(tmp_path):
    with pytest.raises(InputError, match="at least 1"):
        benchmark.main(benchmark.Config(turns=0, out=tmp_path))
    with pytest.raises(InputError, match="nothing is left to measure"):
        benchmark.main(benchmark.Config(quick=True, parts=("growth",), out=tmp_path))
