"""The doctor's rules by rows made by hand, in a run, and by the runs that examine it."""

import math
from collections import Counter
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np
import optax
import pytest

from experiments.doctor_runs import read_fixture, seen
from gan_jax import core, latents, losses
from gan_jax.core import Players
from gan_jax.models import mlp
from gan_jax.objectives import image_gan
from gan_jax.training.callbacks import overfit
from gan_jax.training.doctor import (
    CURES,
    FIRST,
    MEANINGS,
    ROWS,
    RULES,
    SIGNALS,
    STRETCH,
    WINDOW,
    advice,
    diagnose,
    signals,
    with_scores,
)

HEALTHY = {
    "disc/real": 0.6,
    "disc/fake": 0.4,
    "disc/loss": 1.2,
    "gen/loss": 0.9,
    "gen/diversity": 4.5,
    "data/diversity": 5.0,
    "gen/rms_distance": 0.9,
    "gen/offset": 0.2,
    "disc/grad_norm": 1.0,
    "gen/grad_norm": 1.0,
}


def rows(n: int = 10, every: int = 25, last: int = 1000, **changes: float) -> list[dict[str, float]]:
    """n rows of `every` rounds each, the last one at round `last`."""
    return [{"step": last - every * (n - 1 - i)} | HEALTHY | changes for i in range(n)]


def test_a_healthy_game():
    found = diagnose(rows())
    assert (found.state, advice(found.state)) == ("ok", "")
    assert found.evidence["gap"] == pytest.approx(0.2)
    assert found.evidence["pixels"] == pytest.approx(0.9)
    assert found.evidence["swing"] == 0


def test_nothing_is_known_of_nothing():
    assert diagnose([]).state == "ok"
    assert signals([]) == signals([{"step": 5, "some/loss": 1.0}]) == {}


COLLAPSED = {"gen/diversity": 0.0, "gen/rms_distance": 0.0}


def test_a_single_bad_row_among_good_ones_is_no_state():
    assert diagnose([*rows(), {"step": 1025} | HEALTHY | COLLAPSED]).state == "ok"


@pytest.mark.parametrize("every", [1, 5, 20, 25, 50, 100, 1000])
def test_a_game_is_judged_from_a_round_on_however_often_rows_are_kept(every):
    """From three rows on where these are long; windows count rounds too."""
    first = max(FIRST, 3 * every)
    bad = rows(first // every, every, first - first % every, **COLLAPSED)
    assert diagnose(bad[:-1]).state == "ok"
    assert diagnose(bad).state == "collapsing"
    well = rows(-(-WINDOW // every) + 3, every, bad[-1]["step"] + every * (-(-WINDOW // every) + 3))
    assert diagnose([*bad, *well]).state == "ok"
    assert diagnose([*bad, *well[: max(1, 50 // every)]]).state == "collapsing"
    assert diagnose([*bad, *well][-ROWS:]).evidence == diagnose([*bad, *well]).evidence


@pytest.mark.parametrize(("every", "noise"), [(1, 0.05), (5, 0.02), (20, 0.011), (50, 0.008)])
def test_the_noise_of_minibatches_is_no_oscillation(every, noise):
    """The same noise, averaged over rows of other lengths, of a game whose offset would let it be called oscillating."""
    generator = np.random.default_rng(0)
    noisy = rows(1000 // every, every, **{"gen/offset": 0.5})
    for row in noisy:
        row["disc/fake"] += float(generator.normal(0, noise))
    assert diagnose(noisy).state == "ok"
    assert 0.002 < diagnose(noisy).evidence["swing"] < 0.015


@pytest.mark.parametrize(
    ("state", "changes"),
    [
        ("D-winning", {"disc/real": 0.99, "disc/fake": 0.05, "gen/rms_distance": 0.2}),
        ("collapsing", {"gen/rms_distance": 0.1}),
        ("collapsing", {"gen/diversity": 1.0}),
        ("D-slow", {"disc/real": 0.5, "disc/fake": 0.62, "gen/rms_distance": 0.001, "gen/offset": 0.9}),  # frozen
        ("D-slow", {"disc/real": 0.5, "disc/fake": 0.99, "gen/rms_distance": 15.0, "gen/offset": 64.0}),  # frozen
        ("D-slow", {"disc/real": 0.502, "disc/fake": 0.5, "gen/diversity": 0.4}),  # follows far behind
        ("memorising", {"overfit": 0.8}),
        ("G-winning", {"disc/real": 0.54, "disc/fake": 0.46, "gen/offset": 0.9}),
    ],
)
def test_states_by_their_signals(state, changes):
    assert diagnose(rows(**changes)).state == state


def test_a_slow_discriminator_is_advised_to_learn_faster():
    flags = ("disc_lr", "disc_steps", "gen_steps", "lr")
    assert "(--disc-lr)" in advice("D-slow", flags)
    assert "(--disc-steps 2)" in advice("D-slow", flags)


def test_diverging_is_told_early():
    assert diagnose(rows(2, last=50, **{"disc/loss": 5e4})).state == "ok"
    assert diagnose(rows(3, last=75, **{"disc/loss": 5e4})).state == "diverging"
    assert diagnose(rows(3, last=75, **{"disc/loss": 20.0})).state == "ok"


def test_oscillating():
    swinging = rows(**{"gen/offset": 0.7})
    for i, row in enumerate(swinging):
        row["disc/fake"] = 0.4 + 0.1 * (i % 2)
    assert diagnose(swinging).state == "oscillating"


def test_rows_without_a_step_count_as_a_stretch_each():
    bare = [HEALTHY | {"gen/rms_distance": 0.0} for _ in range(FIRST // STRETCH)]
    assert diagnose(bare[1:]).state == "ok"
    assert diagnose(bare).state == "collapsing"


def test_every_state_has_advice():
    assert {"ok", "nan", *RULES} == set(CURES)
    assert all(advice(state) for state in CURES if state != "ok")


def test_flags_are_named_where_the_experiment_has_them():
    assert advice("oscillating") == "a lower learning rate, or a stronger penalty, or no momentum"
    assert advice("oscillating", ("lr", "b1")) == "a lower learning rate (--lr), or a stronger penalty, or no momentum (--b1 0)"


def test_nan():
    found = diagnose([*rows(), HEALTHY | {"gen/loss": math.nan}])
    assert found.state == "nan"
    assert list(found.evidence) == ["gen/loss"]


@pytest.fixture(scope="module")
def memorised_game():
    """A game on 8 points, its discriminator trained far ahead; its state, these points, others, and its last metrics."""
    objective = image_gan(
        mlp.Generator(width=16), mlp.Discriminator(width=64), losses.non_saturating, latents.Normal(4), real="point"
    )
    tx = Players(gen=optax.sgd(0.0), disc=optax.adam(3e-3))
    step = jax.jit(core.make_step(objective, tx))
    seen, unseen = ({"point": np.random.default_rng(seed).standard_normal((8, 2)).astype(np.float32)} for seed in (0, 1))
    state = core.init_state(objective, tx, jax.random.key(0), seen)
    state, metrics = jax.lax.scan(lambda s, _: step(s, seen), state, length=600)
    return objective, state, seen, unseen, {name: float(value[-1]) for name, value in metrics.items()}


def test_overfit_is_between_training_and_fakes(memorised_game):
    objective, state, seen, unseen, _ = memorised_game
    assert 0.3 < float(overfit(objective, state, seen, unseen, jax.random.key(1))) < 1.2
    assert float(overfit(objective, state, seen, seen, jax.random.key(1))) == 0


def test_overfit_of_a_discriminator_that_knows_nothing_is_0(memorised_game):
    objective, state, seen, unseen, _ = memorised_game
    blank = jax.tree.map(np.zeros_like, state.disc.params)
    blank_state = state._replace(disc=state.disc._replace(params=blank))
    assert float(overfit(objective, blank_state, seen, unseen, jax.random.key(1))) == 0


def test_an_image_gan_gives_all_signals(memorised_game):
    metrics = memorised_game[-1]
    assert set(signals([metrics | {"overfit": 0.1}] * 3)) == set(SIGNALS)
    assert metrics["gen/rms_distance"] > 0
    assert metrics["gen/offset"] > 0.5  # the discriminator has drawn them apart


def test_a_wrapped_discriminator_gives_all_signals():
    """Its features are sown a level down."""

    class Wrapped(nn.Module):
        @nn.compact
        def __call__(self, x, y=None, *, train):
            return mlp.Discriminator(width=8)(x, y, train=train)

    objective = image_gan(mlp.Generator(width=8), Wrapped(), losses.non_saturating, latents.Normal(4), real="point")
    tx = Players(gen=optax.sgd(0.1), disc=optax.sgd(0.1))
    batch = {"point": np.random.default_rng(0).standard_normal((8, 2)).astype(np.float32)}
    _, metrics = jax.jit(core.make_step(objective, tx))(core.init_state(objective, tx, jax.random.key(0), batch), batch)
    assert set(signals([{name: float(value) for name, value in metrics.items()} | {"overfit": 0.1}] * 3)) == set(SIGNALS)


def test_rows_of_older_runs_are_read_by_their_present_names():
    joined = with_scores([{"step": 5, "gen/spread": 0.2, "gen/gap": 0.3}], [{"step": 4, "overfit": 0.7}])
    assert joined == [{"step": 5, "gen/rms_distance": 0.2, "gen/offset": 0.3, "overfit": 0.7}]


@pytest.fixture(scope="module")
def known_runs():
    """Last rows of 160 runs: `python -m experiments.doctor_runs --fixture tests/training/doctor_runs.json`."""
    return read_fixture(Path(__file__).parent / "doctor_runs.json")


def test_the_runs_that_examine(known_runs):
    """25 of 26 broken runs are told; the other one, a grid, covers 15 of its 25 modes. 4 of 42 healthy ones are called ill.

    All that have collapsed have a discriminator that is too slow: its rate is a tenth or less of the generator's, or the
    generator makes ten updates to one.
    """
    told = Counter((run["outcome"]["became"], diagnose(seen(run)).state) for run in known_runs if run["seed"] % 2)
    assert told == {
        ("broken", "D-winning"): 7,
        ("broken", "D-slow"): 16,
        ("broken", "oscillating"): 2,
        ("broken", "ok"): 1,
        ("between", "D-winning"): 2,
        ("between", "ok"): 10,
        ("healthy", "memorising"): 4,
        ("healthy", "ok"): 38,
    }


def test_how_many_runs_each_rule_holds_for(known_runs):
    """Each by itself, whichever comes first, so that a threshold that is moved shows."""
    found = [signals(run["rows"]) for run in known_runs]
    assert {state: sum(is_so(each) for each in found) for state, is_so in RULES.items()} == {
        "diverging": 0,
        "D-slow": 32,
        "D-winning": 19,
        "collapsing": 35,
        "memorising": 8,
        "oscillating": 10,
        "G-winning": 32,
    }


def test_the_last_row_knows_what_was_measured_at_its_step():
    scores = [{"step": 975, "overfit": 0.1}, {"step": 1000, "overfit": 0.7}]
    found = with_scores(rows(3), scores)
    assert [row.get("overfit") for row in found] == [None, None, 0.7]
    assert [row.get("overfit") for row in with_scores(rows(3, last=1025), scores)] == [None, 0.1, 0.7]
    assert diagnose(with_scores(rows(), scores)).state == "memorising"


def test_every_state_has_a_meaning():
    assert MEANINGS.keys() == CURES.keys()
