"""The breakdown of a round: arithmetic and bytes by hand, times of nested operations, kinds and layers, a small game."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks import profile
from experiments.benchmarks.benchmark_games import Game
from experiments.benchmarks.hlo import Program
from experiments.benchmarks.profile import Config, Operation, grouped, kind_of, layer_of, main, own_times, profiled, tables
from gan_jax.errors import InputError
from gan_jax.models import mlp
from gan_jax.runs.records import read_json


def compiled(f, *args):
    return Program(jax.jit(f).lower(*args).compile().as_text())


def test_arithmetic_of_a_product():
    x, y = jnp.ones((40, 30), jnp.float32), jnp.ones((30, 20), jnp.float32)
    program = compiled(lambda x, y: jnp.sin(x @ y), x, y)
    assert sum(program.flops(name) for name in {one.name for one in program.entry}) == 2 * 40 * 30 * 20
    (product,) = (one.name for one in program.entry if program.multiplies(one.name))
    assert program.nbytes(product) >= 4 * (40 * 30 + 30 * 20 + 40 * 20)
    assert "dot_general" in program.path(product)


def test_arithmetic_of_a_convolution():
    x, kernel = jnp.ones((2, 9, 9, 5)), jnp.ones((3, 3, 5, 7))
    text = """
ENTRY %main (x: f32[2,9,9,5], k: f32[3,3,5,7]) -> f32[2,9,9,7] {
  %x = f32[2,9,9,5]{3,2,1,0} parameter(0)
  %k = f32[3,3,5,7]{3,2,1,0} parameter(1)
  ROOT %c = f32[2,9,9,7]{3,2,1,0} convolution(%x, %k), window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_01io->b01f
}
"""
    program = Program(text)
    assert program.flops("c") == 2 * (2 * 9 * 9 * 7) * 9 * x.shape[-1]
    assert program.nbytes("c") == 4 * (x.size + kernel.size + 2 * 9 * 9 * 7)


def test_times_are_an_operations_own():
    """A loop from 0 to 100 that calls for 30 and 20 of these has 50 of its own; what follows it has its own."""
    events = [(0, 100, "loop"), (10, 30, "a"), (50, 20, "b"), (100, 5, "a")]
    assert sorted(own_times(events)) == [("a", 5), ("a", 30), ("b", 20), ("loop", 50)]


CONV = "jit(step)/transpose(jvp(Discriminator))/Conv_1/cond/branch_0_fun/dot_general"
DECONV = "jit(step)/jvp(Generator)/ConvTranspose_0/cond/branch_0_fun/stack"
NORM = "jit(step)/jvp(Generator)/Generator._normalise/BatchNorm_1/sub"


@pytest.mark.parametrize(
    ("path", "multiplies", "kind", "layer"),
    [
        (CONV, True, "convolutions: products", "Discriminator Conv_1 backward"),
        (DECONV, False, "convolutions: transforms", "Generator ConvTranspose_0 forward"),
        (NORM, False, "batch norm", "Generator BatchNorm_1 forward"),
        ("jit(step)/jvp(Discriminator)/jit(leaky_relu)/max", False, "activations", ""),
        ("jit(step)/optimizer/mul", False, "optimizer", ""),
        ("jit(step)/moving_average/add", False, "moving average", ""),
        ("jit(step)/jit(_normal)/jit(_uniform)/while", False, "noise", ""),
        ("jit(step)/jvp()/reduce_sum", False, "other", ""),
    ],
)
def test_kinds_and_layers(path, multiplies, kind, layer):
    assert (kind_of(path, multiplies), layer_of(path)) == (kind, layer)


def test_sums_and_shares():
    found = [Operation("a", "", "x", "", 3e-3, 6e6, 3e6), Operation("b", "", "y", "", 1e-3, 0, 2e6)]
    found.append(Operation("c", "", "y", "", 1e-3, 0, 1e6))
    assert {name: one.seconds for name, one in grouped(found, "kind").items()} == {"x": 3e-3, "y": pytest.approx(2e-3)}
    told = tables("game", found, 6e-3, 60, {"seconds": 7e-3, "operations": [one._asdict() for one in found[:1]]})
    assert "6.0 ms a round, 10,000 examples/s; operations 5.0 ms; before: 7.0 ms" in told
    (row,) = (line for line in told.splitlines() if line.startswith("| x"))
    assert [cell.strip() for cell in row.split("|")[2:-1]] == ["3.00", "60.0%", "2", "1.0", "3.00"]


@pytest.fixture
def small(monkeypatch):
    game = Game(mlp.Generator(width=8), mlp.Discriminator(width=8), 2, 16, (2,), "mlp")
    monkeypatch.setattr(profile, "game_of", lambda config, name, dtype: game)
    monkeypatch.setattr(profile, "matrix_turn", lambda dtype, seconds: lambda: 1e11)
    monkeypatch.setattr(profile, "copy_turn", lambda seconds: lambda: 1e10)
    return game


def test_a_round_is_taken_apart(small):
    """All matrix products of both players' layers are found, with their arithmetic."""
    _, step, _ = small.build()
    found, seconds = profiled(step, small.state(), small.data(), rounds=2)
    kinds = grouped(found, "kind")
    assert {"dense layers", "optimizer"} <= kinds.keys()
    assert kinds["dense layers"].flops > 2 * 16 * 3 * (2 * 8 + 8 * 8)
    assert all(one.seconds >= 0 for one in found)
    assert 0 < seconds < 60
    assert np.all(np.diff([one.seconds for one in found]) <= 0)


def test_before_and_after(small, tmp_path, capsys):
    main(Config(games=("plane",), rounds=1, out=tmp_path / "before"))
    main(Config(games=("plane",), rounds=1, out=tmp_path / "after", beside=tmp_path / "before" / "profile.json"))
    assert "ms before" in capsys.readouterr().out
    assert read_json(tmp_path / "after" / "profile.json")["games"]["plane"]["batch"] == 16
    assert (tmp_path / "after" / "profile.png").stat().st_size > 1000
    with pytest.raises(InputError, match="there is no .*none.json to stand beside"):
        main(Config(games=("plane",), out=tmp_path / "after", beside=tmp_path / "none.json"))
