"""The game with a discriminator of K + 1 classes, against the costs in NumPy."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import core, losses
from gan_jax.core import Players, Turn
from gan_jax.errors import InputError
from gan_jax.latents import Normal
from gan_jax.objectives import class_gan, image_gan
from gan_jax.objectives.classes import class_loss, real_logit

TX = Players(gen=optax.sgd(0.1), disc=optax.sgd(0.1))
LABELS = np.array([0, 2, 1, 3], np.int32)
BATCH = {"image": np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32), "label": LABELS}


def generator():
    def init(key, z):
        return {"params": {"w": jax.random.normal(key, (2, 3))}}

    return init, lambda variables, z, *, train: (z @ variables["params"]["w"], {})


def discriminator(logits=3):
    def init(key, x):
        return {"params": {"w": jax.random.normal(key, (3, logits))}}

    return init, lambda variables, x, *, train: (x @ variables["params"]["w"], {})


def played(objective, batch=BATCH):
    variables = objective.init(jax.random.key(0), batch)
    inputs = objective.sampler.inputs(jax.random.key(1), batch)
    fake, _ = objective.sampler.sample(variables.gen, inputs, jax.random.key(2), True)
    turn = Turn(batch, inputs, jax.random.key(3), jax.random.key(4), jnp.zeros((), jnp.int32), variables.gen)
    return variables, fake, turn


def softplus(x):
    return np.log1p(np.exp(x))


@pytest.mark.parametrize("logits", [3, 4])
def test_costs_in_numpy(logits):
    objective = class_gan(generator(), discriminator(logits), losses.minimax, Normal(2), 3, class_weight=2.0)
    variables, fake, turn = played(objective)
    value, (_, metrics) = objective.disc_loss(variables.disc, fake, turn)
    w = np.asarray(variables.disc["params"]["w"])

    def told(x):
        exps = np.exp(x @ w)
        return np.log(exps[:, :3].sum(1)) - (np.log(exps[:, 3]) if logits == 4 else 0), exps[:, :3]

    (real, exps), (made, _) = told(BATCH["image"]), told(np.asarray(fake))
    classes = -np.log(exps[:3][range(3), LABELS[:3]] / exps[:3].sum(1)).mean()  # the last one has no label
    expected = softplus(-real).mean() + softplus(made).mean() + 2 * classes
    assert float(value) == pytest.approx(expected, rel=1e-5)
    assert float(metrics["disc/class_loss"]) == pytest.approx(classes, rel=1e-5)
    assert float(objective.gen_loss(variables.disc, fake, turn)[0]) == pytest.approx(-softplus(made).mean(), rel=1e-5)


def test_the_logit_of_p_real():
    """With K logits the class of generated ones has the logit 0: D = Z / (Z + 1)."""
    logits = jnp.array([[1.0, -2.0, 0.5]])
    total = np.exp([1.0, -2.0, 0.5]).sum()
    assert float(jax.nn.sigmoid(real_logit(logits, 3))[0]) == pytest.approx(total / (total + 1), rel=1e-5)
    three = np.exp([1.0, -2.0]).sum()
    assert float(jax.nn.sigmoid(real_logit(logits, 2))[0]) == pytest.approx(three / (three + np.exp(0.5)), rel=1e-5)


def test_examples_without_labels_cost_nothing():
    assert float(class_loss(jnp.ones((2, 3)), jnp.array([3, -1]))) == 0
    assert float(class_loss(jnp.zeros((2, 3)), jnp.array([1, 3]))) == pytest.approx(np.log(3), rel=1e-5)


def test_without_classes_it_is_the_plain_game():
    def judge():
        init, apply = discriminator(1)

        def squeezed(variables, x, *, train):
            logits, new = apply(variables, x, train=train)
            return logits[:, 0], new

        return init, squeezed

    image = {"image": BATCH["image"]}
    values = []
    for objective in (
        class_gan(generator(), judge(), losses.non_saturating, Normal(2), 0),
        image_gan(generator(), judge(), losses.non_saturating, Normal(2)),
    ):
        assert objective.needs == ("image",)
        variables, fake, turn = played(objective, image)
        values.append([float(f(variables.disc, fake, turn)[0]) for f in (objective.disc_loss, objective.gen_loss)])
    np.testing.assert_allclose(*values, rtol=1e-6)


class Dropping(nn.Module):
    """A discriminator of K classes that takes a key, and multiplies its logits by what it draws with it."""

    dropout: float = 0.5

    @nn.compact
    def __call__(self, x, key=None, *, train):
        return nn.Dense(3)(x) * jax.random.uniform(key, minval=1.0, maxval=9.0)


@pytest.mark.parametrize("kind", ["threefry2x32", "rbg"])
def test_a_penalty_is_at_the_noise_with_which_real_examples_were_judged(kind):
    """With any keys; fakes are judged with other noise."""
    seen = []

    def penalty(critic, real, fake, key):
        seen.append((critic(real), critic(fake)))
        return jnp.zeros(())

    objective = class_gan(generator(), Dropping(), losses.wasserstein, Normal(2), 3, penalties=[(1.0, penalty)])
    with jax.default_prng_impl(kind):
        variables, fake, turn = played(objective)
        _, (_, metrics) = objective.disc_loss(variables.disc, fake, turn)
    of_real, of_fake = (float(jnp.mean(jax.nn.sigmoid(logits))) for logits in seen[0])
    assert of_real == pytest.approx(float(metrics["disc/real"]), rel=1e-6)
    assert of_fake != pytest.approx(float(metrics["disc/fake"]), rel=1e-3)


def test_a_round_teaches_the_classes():
    objective = class_gan(generator(), discriminator(), losses.non_saturating, Normal(2), 3, class_weight=5.0)
    step = jax.jit(core.make_step(objective, TX))
    state = core.init_state(objective, TX, jax.random.key(0), BATCH)
    costs = []
    for _ in range(30):
        state, metrics = step(state, BATCH)
        costs.append(float(metrics["disc/class_loss"]))
    assert costs[-1] < 0.5 * costs[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": 1}, "needs 2 classes of real examples or more, not 1"),
        ({"classes": 5}, r"gives logits \(b, 5\) or \(b, 6\), not"),
        ({"classes": 3, "pack": 2}, "packs of 2 have not"),
    ],
)
def test_what_cannot_be_played(changes, message):
    def play():
        objective = class_gan(generator(), discriminator(), losses.minimax, Normal(2), **changes)
        variables, fake, turn = played(objective)
        objective.disc_loss(variables.disc, fake, turn)

    with pytest.raises(InputError, match=message):
        play()
