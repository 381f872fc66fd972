"""What flags become: losses, penalties, optimizers; what may change when a run is continued."""

from dataclasses import dataclass, field, replace

import jax
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
    third = replace(flags, decay="last_third").optimizers(9).gen
    assert [moved(third, n) for n in (1, 7, 8, 10)] == pytest.approx([-0.1, -0.1, -0.2 / 3, 0.0])
    assert moved(replace(flags, decay="constant").optimizers(10).gen, 50) == pytest.approx(-0.1)


def test_rates_of_a_tenth_in_the_second_half():
    tx = GameFlags(optimizer="sgd", lr=0.1, decay="tenth").optimizers(10).gen
    assert [moved(tx, n) for n in (1, 5, 6, 10)] == pytest.approx([-0.1, -0.1, -0.01, -0.01])


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
        ({"adversarial": 0.0}, "leaves the generator without a cost: give --feature-matching a weight"),
        ({"instance_noise": -0.1}, "--instance-noise '-0.1': a number at least 0"),
        ({"inner": "disc", "k": 0}, "--k '0': a number at least 1"),
        ({"loss": "hinge", "label_smoothing": 0.1}, "label smoothing needs a loss with targets"),
    ],
)
def test_bad_flags(changes, message):
    with pytest.raises(InputError, match=message):
        checked(GameFlags(**changes)).parts()


def test_optimistic_updates_are_twice_the_present_step_minus_the_last():
    """Daskalakis et al. 2017: theta <- theta - 2 a g_t + a g_{t-1}, with Adam's directions in the place of gradients."""
    gradients = [1.0, -3.0, 0.5]
    m = v = 0.0
    directions = []
    for t, g in enumerate(gradients, start=1):
        m, v = 0.5 * m + 0.5 * g, 0.9 * v + 0.1 * g**2
        directions.append(m / (1 - 0.5**t) / (np.sqrt(v / (1 - 0.9**t)) + 1e-8))
    for name, moves in (("optimistic_sgd", gradients), ("optimistic_adam", directions)):
        tx = GameFlags(optimizer=name, lr=0.1, b1=0.5, b2=0.9).optimizers(10).gen
        params, theta, last = jnp.zeros(()), 0.0, moves[0]
        state = tx.init(params)
        for g, move in zip(gradients, moves, strict=True):
            change, state = tx.update(jnp.float32(g), state, params)
            params = optax.apply_updates(params, change)
            theta, last = theta - 0.1 * (2 * move - last), move
            assert float(params) == pytest.approx(theta, rel=1e-5)


def test_optimistic_updates_end_a_bilinear_game_that_plain_ones_leave():
    def distance(name):
        tx = GameFlags(optimizer=name, lr=0.1).optimizers(10).gen
        params = jnp.ones(2)  # x, which minimises x y, and y, which maximises it
        state = tx.init(params)
        for _ in range(200):
            change, state = tx.update(jnp.array([params[1], -params[0]]), state, params)
            params = optax.apply_updates(params, change)
        return float(jnp.linalg.norm(params))

    assert distance("sgd") > 3
    assert distance("optimistic_sgd") < 0.6


def test_historical_averaging_is_of_both_players():
    tx = GameFlags(optimizer="sgd", lr=0.1, historical=2.0).optimizers(10)
    for player in tx:
        params, state = jnp.ones(()), player.init(jnp.zeros(()))
        _, state = player.update(jnp.zeros(()), state, jnp.zeros(()))
        change, _ = player.update(jnp.zeros(()), state, params)
        assert float(change) == pytest.approx(-0.1 * 2 * 2.0 * (1 - 0.5))  # the mean of 0 and 1


def test_noise_goes_with_another_augmentation():
    alone = GameFlags(instance_noise=0.5, noise_updates=20).parts()["augment"]
    assert alone.init().keys() == {"noise_updates"}
    both = GameFlags(instance_noise=0.5, augment="ada").parts()["augment"]
    assert {"p", "noise_updates"} <= both.init().keys()
    x = jnp.zeros((16, 8, 8, 1))
    late = alone.apply(x, jax.random.key(0), {"noise_updates": jnp.float32(10)})
    assert float(jnp.std(late)) == pytest.approx(0.25, rel=0.1)


@pytest.mark.parametrize(
    ("inner", "order", "counts"), [("disc", (5, 1, "disc_first"), (50, 10)), ("gen", (1, 5, "gen_first"), (10, 50))]
)
def test_order_of_play(inner, order, counts):
    """k updates of the inner player, first, on k minibatches; learning rates follow what each player really makes."""
    flags = GameFlags(inner=inner, k=5, optimizer="sgd", lr=0.1, decay="linear")
    assert flags.order_of_play == order
    assert flags.minibatches == 5
    tx = flags.optimizers(10)
    for player, updates in zip((tx.disc, tx.gen), counts, strict=True):
        assert moved(player, updates // 2 + 1) == pytest.approx(-0.05)
    assert GameFlags(disc_steps=2, schedule="simultaneous").order_of_play == (2, 1, "simultaneous")
    with pytest.raises(InputError, match=f"--inner {inner} --k 5 says who moves when"):
        replace(flags, gen_steps=2).optimizers(10)
