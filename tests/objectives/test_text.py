"""GAN-CLS and GAN-INT: their costs by hand, what they learn of captions, the frozen encoder, several devices."""

from functools import partial

import flax.jax_utils
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import core, losses, penalties, sampling
from gan_jax.core import Players, Turn
from gan_jax.data import captions
from gan_jax.errors import InputError
from gan_jax.latents import Normal
from gan_jax.matching import similarity
from gan_jax.models.text_encoders import CharTransformer
from gan_jax.objectives import text_gan
from gan_jax.objectives.text import ENCODER, PICTURES
from gan_jax.parallel import jit_step, pmap_step

TEXTS = ["red", "green", "blue", "red"]
ROWS = captions.encode([(text,) for text in TEXTS])  # b 1 t
TX = Players(gen=optax.sgd(0.1), disc=optax.sgd(0.1))


class Paint(nn.Module):
    """Images (b, 2, 2, 3) of a colour."""

    @nn.compact
    def __call__(self, z, t, *, train):
        self.sow("losses", "size", 0.01 * jnp.mean(t**2))
        return jnp.tanh(jnp.broadcast_to(nn.Dense(3)(jnp.concatenate([z, t], axis=1))[:, None, None], (len(z), 2, 2, 3)))


class Judge(nn.Module):
    """Logits (b,) that are the sum of an image's mean and the first number of the text."""

    @nn.compact
    def __call__(self, x, t, *, train):
        weight = self.param("weight", nn.initializers.ones, (2,))
        return weight[0] * jnp.mean(x, axis=(1, 2, 3)) + weight[1] * t[:, 0]


ENCODED = CharTransformer("abcdefghijklmnopqrstuvwxyz", dim=6, width=8, layers=1, heads=2)
WEIGHTS = ENCODED.init(jax.random.key(5), ROWS[:, 0])


def batch():
    x = np.random.default_rng(0).uniform(-1, 1, (4, 2, 2, 3)).astype(np.float32)
    return {"image": x, "caption": ROWS[:, 0], "shown": ROWS, "captions": ROWS}


def make(**options):
    return text_gan(Paint(), Judge(), losses.non_saturating, Normal(3), ENCODED, WEIGHTS, **options)


def judged(gan, key=0):
    """Both losses at the first parameters."""
    data = {name: jnp.asarray(value) for name, value in batch().items()}
    players = gan.init(jax.random.key(0), data)
    inputs = gan.sampler.inputs(jax.random.key(1), data)
    fakes, _ = gan.sampler.sample(players.gen, inputs, jax.random.key(2), True)
    turn = Turn(data, inputs, jax.random.key(key), jax.random.key(3), jnp.zeros((), int), players.gen)
    disc, (_, metrics) = gan.disc_loss(players.disc, fakes, turn)
    gen, more = gan.gen_loss(players.disc, fakes, turn)
    t = ENCODED.apply(WEIGHTS, data["caption"])
    return disc, gen, {**metrics, **more}, data["image"], fakes, t


def softplus(x):
    return np.log1p(np.exp(np.asarray(x, np.float64)))


def logits(x, t):
    return np.asarray(x).mean(axis=(1, 2, 3)) + np.asarray(t)[:, 0]


def test_the_costs_of_gan_cls_are_those_of_algorithm_1():
    """-[log s_r + (log(1 - s_w) + log(1 - s_f)) / 2]; the wrong caption of "green" is one of three, so all are tried."""
    costs = {}
    for key in range(30):
        disc, gen, metrics, x, fakes, t = judged(make(mismatch=0.5), key)
        real, fake = logits(x, t), logits(fakes, t)
        rest = softplus(-real) + softplus(fake) / 2
        found = float(disc - np.mean(rest)) * 4 * 2  # the sum over the rows of softplus(s_w)
        costs[round(found, 4)] = True
        assert gen == pytest.approx(np.mean(softplus(-fake)) + 0.01 * float(jnp.mean(t**2)), rel=1e-5)
        assert 0 < metrics["disc/wrong"] < 1
    allowed = set()
    for i in (1, 2):
        for j in (0, 2, 3):
            for k in (0, 1, 3):
                for m in (1, 2):
                    chosen = np.asarray(t)[[i, j, k, m]]
                    allowed.add(round(float(softplus(logits(x, chosen)).sum()), 3))
    assert len(costs) > 4
    assert all(min(abs(cost - each) for each in allowed) < 2e-3 for cost in costs)


def test_hard_mismatches_are_the_nearest_captions():
    *_, x, _, t = judged(make(mismatch=0.5))
    cosines = np.array(similarity(t, t))
    cosines[np.array([[a == b for b in TEXTS] for a in TEXTS])] = -2  # captions that fit
    wrong = np.mean(1 / (1 + np.exp(-logits(x, np.asarray(t)[cosines.argmax(axis=1)]))))
    metrics = judged(make(mismatch=0.5, hard_negatives=1e5))[2]
    assert float(metrics["disc/wrong"]) == pytest.approx(wrong, rel=1e-5)


def test_without_mismatches_it_is_the_plain_conditional_game():
    disc, _, metrics, x, fakes, t = judged(make(mismatch=0.0))
    assert disc == pytest.approx(np.mean(softplus(-logits(x, t)) + softplus(logits(fakes, t))), rel=1e-5)
    assert "disc/wrong" not in metrics
    same = batch() | {"captions": ROWS[:1].repeat(4, 0), "shown": ROWS[:1].repeat(4, 0)}
    gan = make(mismatch=0.5)
    state = core.init_state(gan, TX, jax.random.key(0), same)
    plain = make(mismatch=0.0)
    for one, other in zip(
        jax.tree.leaves(jax.jit(core.make_step(gan, TX))(state, same)[0].disc.params),
        jax.tree.leaves(jax.jit(core.make_step(plain, TX))(state, same)[0].disc.params),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_the_interpolated_cost_is_of_captions_half_way():
    gan = make(mismatch=0.0, interpolation=2.0, beta=0.25)
    _, gen, metrics, _, fakes, t = judged(gan)
    data = {name: jnp.asarray(value) for name, value in batch().items()}
    players = gan.init(jax.random.key(0), data)
    inputs = gan.sampler.inputs(jax.random.key(1), data)
    h = 0.25 * t[::2] + 0.75 * t[jnp.array([2, 0])]
    between, _ = gan.sampler.sample(players.gen, {"z": inputs["z"][::2], "text": h}, jax.random.key(9), True)
    cost = np.mean(softplus(-logits(between, h)))
    assert metrics["gen/interpolated"] == pytest.approx(cost, rel=1e-5)
    plain = np.mean(softplus(-logits(fakes, t))) + 0.01 * float(jnp.mean(t**2))
    assert gen == pytest.approx(plain + 2 * cost, rel=1e-5)


def test_the_encoder_travels_with_the_generator_and_is_never_trained():
    gan = make(interpolation=1.0)
    state = core.init_state(gan, TX, jax.random.key(0), batch())
    step = jit_step(core.make_step(gan, TX))
    before = jax.tree.map(np.asarray, state.gen.params)
    for _ in range(3):
        state, _ = step(state, batch())
    jax.tree.map(np.testing.assert_array_equal, state.gen.stats[ENCODER], WEIGHTS)
    assert set(state.gen.params) == set(before)
    assert all((a != b).any() for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(state.gen.params), strict=True))
    asked = {"caption": ROWS[:, 0]}
    images, inputs = sampling.draw(gan.sampler, sampling.sampling_variables(state), asked, jax.random.key(0))
    assert set(inputs) == {"z", "caption"}
    np.testing.assert_array_equal(images[0] == images[3], False)  # other noise
    z = np.zeros((4, 3), np.float32)
    same = sampling.render(gan.sampler, sampling.sampling_variables(state), {"z": z, **asked}, jax.random.key(0))
    np.testing.assert_array_equal(same[0], same[3])
    assert (same[0] != same[1]).any()


class See(nn.Module):
    """Embeddings (b, 6) of images (b, 2, 2, 3)."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(6)(x.reshape(len(x), -1))


SEEN = See().init(jax.random.key(6), np.zeros((1, 2, 2, 3)))


def agreeing(**options):
    return make(picture_encoder=See(), picture_variables=SEEN, agreement=3.0, **options)


@pytest.mark.slow
def test_the_agreement_is_the_contrastive_cost_of_samples_and_captions():
    """By hand: the two "red" take no part as wrong ones of each other."""
    _, plain, *_ = judged(make())
    _, gen, metrics, _, fakes, t = judged(agreeing())
    seen = np.asarray(See().apply(SEEN, fakes), np.float64)
    seen, told = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (seen, np.asarray(t, np.float64)))
    s = 10 * seen @ told.T
    cost = 0.0
    for i, own in enumerate(TEXTS):
        others = [j for j, text in enumerate(TEXTS) if j == i or text != own]
        cost += (np.log(np.exp(s[i, others]).sum()) + np.log(np.exp(s[others, i]).sum()) - 2 * s[i, i]) / 8
    assert metrics["gen/agreement"] == pytest.approx(cost, rel=1e-4)
    assert float(gen) == pytest.approx(float(plain) + 3 * cost, rel=1e-4)


def test_agreement_makes_samples_be_found_and_leaves_the_encoder_of_pictures_alone():
    gan = agreeing(mismatch=0.0, adversarial=0.0)
    tx = Players(gen=optax.adam(1e-2), disc=optax.sgd(0.1))
    state = core.init_state(gan, tx, jax.random.key(0), batch())
    step, costs = jit_step(core.make_step(gan, tx)), []
    for _ in range(100):
        state, metrics = step(state, batch())
        costs.append(float(metrics["gen/agreement"]))
    assert np.mean(costs[-10:]) < 0.5 * np.mean(costs[:10])
    jax.tree.map(np.testing.assert_array_equal, state.disc.stats[PICTURES], SEEN)


def test_several_devices_equal_one():
    """Every term couples the rows: captions of other rows as mismatches, half way between, and among which one is found."""
    gan, devices = agreeing(mismatch=0.5, hard_negatives=1.0, interpolation=1.0), jax.devices()[:2]
    step = core.make_step(gan, TX)
    start = core.init_state(gan, TX, jax.random.key(0), batch())
    parts = {name: np.asarray(value).reshape(2, 2, *value.shape[1:]) for name, value in batch().items()}
    whole, metrics = jax.jit(step)(start, batch())
    shared, told = pmap_step(step, devices)(flax.jax_utils.replicate(start, devices), parts)
    for a, b in zip(jax.tree.leaves(whole.gen.params), jax.tree.leaves(shared.gen.params), strict=True):
        np.testing.assert_allclose(a, np.asarray(b)[0], rtol=1e-5, atol=1e-6)
    assert metrics["gen/agreement"] == pytest.approx(float(told["gen/agreement"]), rel=1e-5)


def test_embeddings_computed_before_give_the_same():
    given = batch() | {"text": np.asarray(ENCODED.apply(WEIGHTS, ROWS[:, 0]))}
    gan = make(interpolation=1.0)
    step = jax.jit(core.make_step(gan, TX))
    state = core.init_state(gan, TX, jax.random.key(0), batch())
    found = [step(state, data)[0] for data in (batch(), given)]
    for one, other in zip(jax.tree.leaves(found[0].gen), jax.tree.leaves(found[1].gen), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_without_an_encoder_it_is_asked_by_embeddings():
    gan = text_gan(Paint(), Judge(), losses.hinge, Normal(3), penalties=((1.0, penalties.r1),))
    assert gan.sampler.needs == ("text",)
    given = {"image": batch()["image"], "text": np.eye(4, 6, dtype=np.float32)}
    state = core.init_state(gan, TX, jax.random.key(0), given)
    state, metrics = jax.jit(core.make_step(gan, TX))(state, given)
    assert metrics["disc/penalty"] > 0
    assert ENCODER not in state.gen.stats


def test_d_learns_which_captions_belong():
    """With mismatches D refuses a real picture with the caption of another; without them it takes it for real."""

    class Grey(nn.Module):
        @nn.compact
        def __call__(self, z, t, *, train):
            return self.param("grey", nn.initializers.zeros, (1, 2, 2, 3)).repeat(len(z), axis=0)

    class Told(nn.Module):
        @nn.compact
        def __call__(self, x, t, *, train):
            h = nn.relu(nn.Dense(32)(jnp.concatenate([x.reshape(len(x), -1), t], axis=1)))
            return nn.Dense(1)(h)[:, 0]

    generator = np.random.default_rng(0)
    colours = generator.integers(3, size=64)
    x = np.broadcast_to(np.eye(3)[colours][:, None, None] * 2 - 1, (64, 2, 2, 3)).astype(np.float32)
    data = {"image": x, "text": np.eye(3, dtype=np.float32)[colours]}
    found = {}
    for mismatch in (0.0, 0.5):
        gan = text_gan(Grey(), Told(), losses.non_saturating, Normal(3), mismatch=mismatch)
        tx = Players(gen=optax.sgd(0.0), disc=optax.adam(1e-2))
        state = core.init_state(gan, tx, jax.random.key(0), data)
        step = jax.jit(core.make_step(gan, tx))
        for _ in range(150):
            state, _ = step(state, data)
        judge = partial(Told().apply, state.disc.variables, jnp.asarray(x), train=True)
        right, wrong = judge(jnp.asarray(data["text"])), judge(jnp.asarray(np.roll(data["text"], 1, axis=1)))
        assert (right > 0).all()
        found[mismatch] = float(jnp.mean(wrong < 0))
    assert found == {0.0: 0, 0.5: 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mismatch": 1.0}, "mismatch 1.0"),
        ({"beta": 2.0}, "beta 2.0"),
        ({"interpolation": -1.0}, "interpolation -1.0"),
        ({"hard_negatives": -1.0}, "hard_negatives -1.0"),
        ({"agreement": 1.0}, "agreement compares samples with captions by the encoder of pictures"),
        ({"agreement": -1.0, "picture_encoder": See(), "picture_variables": SEEN}, "agreement -1.0"),
    ],
)
def test_says_what_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        make(**options)


def test_an_encoder_needs_its_variables():
    with pytest.raises(InputError, match="go together"):
        text_gan(Paint(), Judge(), losses.hinge, Normal(3), ENCODED)
