"""What flags become: losses, penalties, optimizers; what may change when a run is continued."""

from dataclasses import dataclass, field, replace

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import losses, penalties
from gan_jax.config import FREE, checked, may_change
from gan_jax.errors import InputError
from gan_jax.training.flags import ExperimentFlags, GameFlags


@dataclass(frozen=True)
class Config(ExperimentFlags):
    width: int = 3
    steps: int = 7
    """Another default, still free."""
    colour: str = field(default="red", metadata=FREE)


def test_what_may_change():
    free = may_change(Config())
    assert {"steps", "outdir", "feed", "devices", "dry_run", "colour"} <= free
    assert not free & {"lr", "width", "seed", "batch"}
    assert "steps" not in may_change(Config(decay="linear"))  # the rates of the rounds depend on it


def test_loss_and_penalties():
    flags = GameFlags(loss="hinge", r1=0.5, wgan_gp=10.0, lazy=4)
    assert flags.costs() == losses.hinge
    assert flags.penalties() == [
        penalties.Term(0.5, penalties.r1, 4),
        penalties.Term(10.0, penalties.wgan_gp, 4),
    ]
    smooth = GameFlags(loss="minimax", label_smoothing=0.1).costs()
    assert float(smooth.disc(jnp.zeros(2), jnp.zeros(2))) == pytest.approx(2 * np.log(2))
    assert float(smooth.disc(jnp.full(2, 3.0), jnp.zeros(2))) > float(losses.minimax.disc(jnp.full(2, 3.0), jnp.zeros(2)))


@pytest.mark.parametrize("bound", [{"wgan_gp": 10.0}, {"clip": 0.01}, {"dragan": 1.0}])
def test_wasserstein_asks_for_a_bound(bound):
    with pytest.raises(InputError, match="needs a discriminator whose slope is bounded: add --wgan-gp 10, --clip 0.01"):
        GameFlags(loss="wasserstein", r1=1.0).costs()
    assert GameFlags(loss="wasserstein", **bound).costs() == losses.wasserstein


def test_layers_may_be_the_bound():
    class Bounded(GameFlags):
        bounded = True

    assert Bounded(loss="wasserstein").costs() == losses.wasserstein


def moved(tx, n: int = 1):
    """How far a parameter at 0 has moved at update n, with a gradient of 1."""
    params = jnp.zeros(())
    state = tx.init(params)
    for _ in range(n):
        change, state = tx.update(jnp.ones(()), state, params)
    return float(change)


def test_learning_rates_of_their_own():
    tx = GameFlags(optimizer="sgd", lr=0.1, disc_lr=0.4).optimizers(10)
    assert (moved(tx.gen), moved(tx.disc)) == (pytest.approx(-0.1), pytest.approx(-0.4))
    assert moved(GameFlags(optimizer="sgd", lr=0.1).optimizers(10).disc) == pytest.approx(-0.1)


def test_rates_fall_to_0_at_the_last_round():
    flags = GameFlags(optimizer="sgd", lr=0.1, disc_steps=2, decay="linear")
    tx = flags.optimizers(10)
    assert moved(tx.gen, 6) == pytest.approx(-0.05)  # update 5 of 10
    assert moved(tx.disc, 11) == pytest.approx(-0.05)  # update 10 of 20
    assert moved(tx.gen, 11) == 0
    cosine = replace(flags, decay="cosine").optimizers(10).gen
    assert (moved(cosine, 6), moved(cosine, 11)) == (pytest.approx(-0.05), pytest.approx(0, abs=1e-8))
    assert moved(replace(flags, decay="constant").optimizers(10).gen, 50) == pytest.approx(-0.1)


def test_adams_decays_of_each_player():
    tx = GameFlags(lr=0.1, b1=0.0, disc_b1=0.9, b2=0.5).optimizers(10)
    wanted = {"gen": optax.adam(0.1, b1=0.0, b2=0.5), "disc": optax.adam(0.1, b1=0.9, b2=0.5)}
    for name, other in wanted.items():
        params = jnp.zeros(())
        ours, theirs = getattr(tx, name).init(params), other.init(params)
        for gradient in (1.0, -3.0):
            a, ours = getattr(tx, name).update(jnp.float32(gradient), ours, params)
            b, theirs = other.update(jnp.float32(gradient), theirs, params)
            assert float(a) == float(b)


def test_clipped_weights_are_the_discriminators():
    tx = GameFlags(optimizer="sgd", lr=1.0, clip=0.01).optimizers(10)
    change, _ = tx.disc.update(jnp.ones(()), tx.disc.init(jnp.zeros(())), jnp.zeros(()))
    assert float(change) == pytest.approx(-0.01)
    assert moved(tx.gen) == -1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 0.0}, "--lr '0.0': a number above 0"),
        ({"lr": float("nan")}, "--lr 'nan': a number above 0"),
        ({"disc_lr": float("inf")}, "--disc-lr 'inf': a number above 0"),
        ({"r1": -1.0}, "--r1 '-1.0': a number at least 0"),
        ({"clip": -0.01}, "--clip '-0.01': a number at least 0"),
        ({"loss": "wasserstein"}, "slope is bounded"),
        ({"disc_b1": 1.0}, "--disc-b1 '1.0': a number at least 0 and below 1"),
        ({"ema": 1.0}, "--ema '1.0': a number at least 0 and below 1"),
        ({"lazy": 0, "r1": 1.0}, "--lazy '0': a number at least 1"),
        ({"loss": "hinge", "label_smoothing": 0.1}, "label smoothing needs a loss with targets"),
    ],
)
def test_bad_flags(changes, message):
    with pytest.raises(InputError, match=message):
        checked(GameFlags(**changes)).parts()
