"""Super-resolution without and with a discriminator."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import core, losses
from gan_jax.core import Players, Turn
from gan_jax.errors import InputError
from gan_jax.models.content import mse
from gan_jax.models.srgan import Discriminator, Generator
from gan_jax.objectives import superres, superres_gan
from gan_jax.objectives.superres import total_variation
from gan_jax.runs.transfer import with_weights

GENERATOR, DISCRIMINATOR = Generator(2, width=4, blocks=1), Discriminator(width=2)
TX = Players(gen=optax.adam(1e-3), disc=optax.adam(1e-3))
NOISE = np.random.default_rng(0)
BATCH = {
    "low": NOISE.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8),
    "high": NOISE.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8),
}


def gan(**changes):
    return superres_gan(GENERATOR, DISCRIMINATOR, mse, losses.non_saturating, **changes)


def play(objective, rounds=1):
    state = core.init_state(objective, TX, jax.random.key(0), BATCH)
    step, rows = jax.jit(core.make_step(objective, TX)), []
    for _ in range(rounds):
        state, metrics = step(state, BATCH)
        rows.append({name: float(value) for name, value in metrics.items()})
    return state, rows


def test_the_content_loss_alone_learns():
    state, rows = play(superres(GENERATOR, mse), 12)
    assert rows[-1]["gen/content"] < 0.9 * rows[0]["gen/content"]
    assert rows[-1]["gen/psnr"] > rows[0]["gen/psnr"]
    assert rows[0]["gen/loss"] == rows[0]["gen/content"]
    assert rows[0]["disc/loss"] == 0
    assert jax.tree.leaves(state.disc.params) == []


def test_a_cost_is_the_sum_of_its_terms():
    """Pictures that are constant but for a step of 1 along a row of h pixels have a total variation of h."""
    step = jnp.zeros((2, 6, 5, 1)).at[:, :, 3:].set(1)
    np.testing.assert_allclose(total_variation(step), 5, atol=1e-3)
    fakes, objective = jnp.asarray(BATCH["high"] / 255, jnp.float32), gan(adversarial=0.5, tv=0.25)
    variables = objective.init(jax.random.key(0), BATCH)
    turn = Turn(
        BATCH,
        objective.sampler.inputs(jax.random.key(0), BATCH),
        *jax.random.split(jax.random.key(1)),
        jnp.zeros((), jnp.int32),
        variables.gen,
    )
    value, metrics = objective.gen_loss(variables.disc, fakes, turn)
    high = BATCH["high"] / 127.5 - 1
    content = np.mean((np.asarray(fakes) - high) ** 2)
    np.testing.assert_allclose(metrics["gen/content"], content, rtol=1e-5)
    wanted = content + 0.5 * metrics["gen/adversarial"] + 0.25 * total_variation(fakes)
    np.testing.assert_allclose(value, wanted, rtol=1e-5)
    psnr = 10 * np.log10(4 / np.mean((np.asarray(fakes) - high) ** 2, axis=(1, 2, 3)))
    np.testing.assert_allclose(metrics["gen/psnr"], psnr.mean(), rtol=1e-5)


@pytest.mark.slow
def test_every_leaf_changes_and_the_doctor_has_its_signals():
    objective = gan()
    before = core.init_state(objective, TX, jax.random.key(0), BATCH)
    after, rows = play(objective)
    for old, new in zip(before, after, strict=True):
        if old is not before.key:
            jax.tree.map(lambda a, b: np.testing.assert_array_less(0, np.abs(np.asarray(a) - b).max()), old, new)
    assert {"disc/real", "disc/fake", "gen/diversity", "data/diversity", "gen/offset"} <= rows[0].keys()
    assert "gen/rms_distance" not in rows[0]


def test_the_discriminator_sees_the_high_pictures():
    objective = gan()
    variables = objective.init(jax.random.key(0), BATCH)
    turn = Turn(BATCH, {}, *jax.random.split(jax.random.key(1)), jnp.zeros((), jnp.int32), variables.gen)
    loss, _ = objective.disc_loss(variables.disc, jnp.zeros((4, 16, 16, 3)), turn)
    other = turn._replace(batch={**BATCH, "high": BATCH["high"][:, ::-1]})
    assert objective.disc_loss(variables.disc, jnp.zeros((4, 16, 16, 3)), other)[0] != loss
    other = turn._replace(batch={**BATCH, "low": BATCH["low"][:, ::-1]})
    assert objective.disc_loss(variables.disc, jnp.zeros((4, 16, 16, 3)), other)[0] == loss


def test_srgan_begins_with_the_weights_of_srresnet():
    trained, _ = play(superres(GENERATOR, mse), 2)
    saved = {
        "gen": {"params": trained.gen.params, "stats": trained.gen.stats},
        "disc": {"params": None, "stats": None},
        "ema_params": trained.ema_params,
    }
    begun = core.init_state(gan(), TX, jax.random.key(5), BATCH)
    state = with_weights(begun, saved)
    jax.tree.map(np.testing.assert_array_equal, state.gen.params, trained.gen.params)
    jax.tree.map(np.testing.assert_array_equal, state.gen.stats, trained.gen.stats)
    jax.tree.map(np.testing.assert_array_equal, state.disc, begun.disc)


def test_bad_batches():
    with pytest.raises(InputError, match=r"the batch's high is \(8, 8, 3\) an example, and the generator makes \(16, 16, 3\)"):
        superres(GENERATOR, mse).init(jax.random.key(0), {**BATCH, "high": BATCH["low"]})
    with pytest.raises(InputError, match="the objective needs high"):
        core.init_state(gan(), TX, jax.random.key(0), {"low": BATCH["low"]})
