"""What a user of the library gets wrong, as the message that is seen: without this suite's run-time check of types."""

import subprocess
import sys
import textwrap

import pytest

PRELUDE = """
import jax, jax.numpy as jnp, numpy as np, optax
from gan_jax import *
from gan_jax.models import dcgan
G, D = dcgan.Generator((16, 16), 1, width=2, num_classes=3), dcgan.Discriminator(width=2, num_classes=3, norm="none")
TX = Players(gen=optax.sgd(0.1), disc=optax.sgd(0.1))
KEY = jax.random.key(0)
def batch(shape=(16, 16, 1), label=jnp.zeros(4, int)):
    return {"image": np.zeros((4, *shape), np.uint8), "label": label}
def gan(loss=losses.hinge, latent=latents.Normal(4), penalties=()):
    return image_gan(G, D, loss, latent, penalties)
def start(objective=None, tx=TX, key=KEY, batch=batch()):
    return jax.eval_shape(lambda: init_state(objective or gan(), tx, key, batch))
def forgetful():
    bounded = dcgan.Discriminator(width=2, num_classes=3, spectral_norm=True, norm="none")
    spectral = image_gan(G, bounded, losses.hinge, latents.Normal(4))
    def disc_loss(disc_vars, fakes, turn):
        loss, (_, metrics) = spectral.disc_loss(disc_vars, fakes, turn)
        return loss, ({}, metrics)
    broken = spectral._replace(disc_loss=disc_loss)
    return jax.eval_shape(make_step(broken, TX), start(broken), batch())
"""
CASES = {
    "gan(loss='hinge')": "loss is a gan_jax.losses.Loss such as losses.non_saturating, not 'hinge'",
    "gan(latent=latents.Normal)": "latent is a distribution such as latents.Normal(64), not <class",
    "gan(latent=64)": "latent is a distribution such as latents.Normal(64), not 64",
    "gan(penalties=(1.0, penalties.r1))": "penalties are (weight, penalty) or (weight, penalty, every)",
    "gan(penalties=penalties.r1)": "penalties are (weight, penalty) or (weight, penalty, every)",
    "gan(penalties=(('r1', 1.0),))": "a penalty is a function such as penalties.r1, not 1.0",
    "gan(penalties=((-1.0, penalties.r1),))": "the weight of a penalty is at least 0 and finite, not -1.0",
    "gan(penalties=((float('nan'), penalties.r1),))": "the weight of a penalty is at least 0 and finite, not nan",
    "gan(penalties=((1.0, penalties.r1, 0),))": "every n-th update, n at least 1, not 0",
    "start(tx=optax.adam(1e-3))": "tx is Players(gen=optax.adam(2e-4), disc=optax.adam(2e-4)), not",
    "start(tx=Players(1e-3, 1e-3))": "tx is Players(gen=optax.adam(2e-4), disc=optax.adam(2e-4)), not",
    "make_step(gan(), optax.adam(1e-3))": "tx is Players(gen=optax.adam(2e-4), disc=optax.adam(2e-4)), not",
    "make_step(G, TX)": "objective is an Objective, such as image_gan(...) gives, not the Generator",
    "start(key=0)": "key is a typed key such as jax.random.key(0), not the int '0'",
    "start(key=jax.random.PRNGKey(0))": "key is a typed key such as jax.random.key(0), not an array uint32[2]",
    "start(key=jax.random.split(KEY, 2))": "key is a typed key such as jax.random.key(0), not an array key<fry>[2]",
    "start(batch=batch((16, 16)))": "images are (n, height, width, channels); add the axis of channels, x[..., None]",
    "start(batch=batch((16, 16, 3)))": "image is (16, 16, 3) an example, and the generator makes (16, 16, 1)",
    "start(batch=batch((28, 28, 1)))": "image is (28, 28, 1) an example, and the generator makes (16, 16, 1)",
    "start(batch={'image': batch()['image']})": "the objective needs label, and the batch has image",
    "start(batch=batch(label=jnp.zeros((4, 3), int)))": "label, int32 (4, 3): labels are one whole number an example, (n,)",
    "start(batch=batch(label=jnp.zeros(4)))": "label, float32 (4,) from 0 to 0: labels are whole numbers from 0 on; take",
    "start(batch=batch(label=jnp.full(4, 3)))": "from 3 to 3: labels are whole numbers from 0 on and below 3, the number of",
    "start(batch=batch((16, 16, 1)) | {'image': np.full((4, 16, 16, 1), 2)})": "from 2 to 2: images are uint8, or floats in",
    "forgetful()": "the objective's disc_loss gives loss, (new_disc_stats, metrics): these statistics have the collections",
}


@pytest.fixture(scope="module")
def messages() -> dict[str, str]:
    """What each call raises, of all in one process."""
    script = textwrap.dedent(PRELUDE) + "".join(
        f"try: {call}\nexcept Exception as e: print({call!r}, type(e).__name__, str(e).replace(chr(10), ' '), sep='\\t')\n"
        for call in CASES
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t", 1) for line in done.stdout.splitlines()]
    return dict(rows)


@pytest.mark.parametrize("call", CASES)
def test_the_message_says_what_was_given_and_what_is_wanted(messages, call):
    kind, message = messages[call].split("\t")
    assert kind == "InputError"
    assert CASES[call] in message
    assert len(message) < 500
