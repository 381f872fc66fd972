"""Encoders of captions: shapes, symbols, what padding and unknown characters do, parameter counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data import captions
from gan_jax.models.text_encoders import ENCODERS, UNKNOWN, CharCnnRnn, CharTransformer, symbols

ROWS = captions.encode([("a red bird",), ("A Red bird",), ("a bird that is red",), ("a red biré",)])[:, 0]
ALPHABET = captions.alphabet(ROWS[:3])
SMALL = {"transformer": CharTransformer(ALPHABET, 12, 16, 1, 2), "char_cnn_rnn": CharCnnRnn(ALPHABET, 12, 12)}
every_encoder = pytest.mark.parametrize("name", ENCODERS)


def embed(name, rows, key=None):
    model = SMALL[name]
    return model.apply(model.init(jax.random.key(0), ROWS), rows, key)


def test_symbols_are_bytes_of_the_alphabet():
    table = symbols("abé")
    assert table[0] == 0
    assert table[ord("A")] == table[ord("a")] != table[ord("b")]
    assert table[ord("z")] == table[0x1A] == UNKNOWN
    assert len({table[byte] for byte in "abé".encode()}) == 4
    assert max(table) == UNKNOWN + 4


@every_encoder
def test_embeddings(name):
    found = embed(name, ROWS)
    assert found.shape == (4, 12)
    np.testing.assert_allclose(jnp.mean(found**2, axis=1), 1, rtol=1e-4)
    np.testing.assert_array_equal(found[0], found[1])  # capitals are read as small letters
    assert np.abs(found[0] - found[2]).max() > 1e-3


@every_encoder
def test_unknown_bytes_are_one_symbol(name):
    rows = captions.padded(captions.encode([("a red biré",), ("a red bir\x1a\x1a",), ("a red birXz",)])[:, 0], ROWS.shape[1])
    found = embed(name, rows)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.slow
@every_encoder
def test_with_a_key_some_symbols_are_lost(name):
    rows = ROWS[:1].repeat(200, 0)
    found = embed(name, rows, jax.random.key(1))
    same = np.isclose(found, embed(name, ROWS[:1]), atol=1e-5).all(axis=1).mean()
    assert 0.6 < same < 0.95  # 10 symbols, of which one in 50 is lost: 0.98^10 = 0.82


def test_padding_says_nothing_to_the_transformer():
    model = SMALL["transformer"]
    empty = np.zeros((1, ROWS.shape[1]), np.uint8)
    variables = model.init(jax.random.key(0), ROWS)
    assert jnp.isfinite(model.apply(variables, empty)).all()
    changed = jax.tree.map(jnp.copy, variables)
    changed["params"]["position"] = changed["params"]["position"].at[-1].add(100.0)  # where no text of row 0 is
    np.testing.assert_allclose(model.apply(changed, ROWS[:1]), model.apply(variables, ROWS[:1]), rtol=1e-5)
    assert (model.apply(changed, ROWS[2:3]) != model.apply(variables, ROWS[2:3])).any()


@pytest.mark.parametrize(("name", "count"), [("transformer", 278_624), ("char_cnn_rnn", 2_081_840)])
def test_parameter_counts(name, count):
    """Of the defaults, with an alphabet of 70 bytes and captions of 201.

    char-CNN-RNN by hand: symbols 72*70, convolutions 4*70*384+384, 4*384*512+512 and 4*512*256+256, GRU 3*(256*256+256) and
    3*256*256+256, the last layer 256*1024+1024.
    """
    letters = "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/\\|_@#$%^&*~`+=<>()[]{} \n"
    model = ENCODERS[name](letters)
    shapes = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 201), np.uint8))
    assert sum(x.size for x in jax.tree.leaves(shapes)) == count
