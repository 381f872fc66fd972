"""Which captions fit, and the losses of a joint embedding, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data import captions
from gan_jax.matching import contrastive, fits, mismatched, similarity, structured

TEXTS = [("a red bird", "a bird"), ("a bird", "a red bird"), ("a blue bird", "a bird"), ("a cat", "a cat")]
ALL = captions.encode(TEXTS)


def test_a_caption_fits_every_picture_that_has_it():
    first = fits(ALL, ALL[:, :1])
    np.testing.assert_array_equal(first, [[1, 1, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]])
    both = fits(ALL, ALL)  # all that are shown must fit
    np.testing.assert_array_equal(both, [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def test_a_mismatch_is_never_a_caption_that_also_fits():
    own, shown = jnp.asarray(ALL), jnp.asarray(ALL[:, :1])
    drawn = [mismatched(jax.random.key(seed), own, shown) for seed in range(40)]
    rows = np.array([row for row, _ in drawn])
    assert all(there.all() for _, there in drawn)
    assert [set(column) for column in rows.T.tolist()] == [{2, 3}, {2, 3}, {0, 3}, {0, 1, 2}]
    same = jnp.asarray(np.repeat(ALL[:1], 3, axis=0))
    assert not mismatched(jax.random.key(0), same, same)[1].any()


def test_near_mismatches_are_drawn_more_often():
    """With chances in proportion to exp(0), exp(log 3): of the two rows that do not fit, 1/4 and 3/4; never one that fits."""
    own, shown = jnp.asarray(ALL), jnp.asarray(ALL[:, :1])
    nearness = jnp.zeros((4, 4)).at[:, 3].set(jnp.log(3.0)).at[0, 1].set(50.0)
    keys = jax.random.split(jax.random.key(0), 2000)
    rows = np.asarray(jax.vmap(lambda key: mismatched(key, own, shown, nearness)[0])(keys))
    assert np.mean(rows[:, 0] == 3) == pytest.approx(0.75, abs=0.03)
    assert set(rows[:, 0].tolist()) == {2, 3}


def test_similarity_is_the_cosine():
    x, y = jnp.array([[3.0, 4.0], [1.0, 0.0]]), jnp.array([[0.0, 2.0], [5.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(similarity(x, y), [[0.8, 0.6, 0], [0, 1, 0]], atol=1e-6)


NOTHING = jnp.zeros((2, 2), bool)
LOGITS = jnp.array([[2.0, 1.0], [0.5, 3.0]])


def test_contrastive():
    rows = np.log(np.exp(2) + np.exp(1)) - 2 + np.log(np.exp(0.5) + np.exp(3)) - 3
    columns = np.log(np.exp(2) + np.exp(0.5)) - 2 + np.log(np.exp(1) + np.exp(3)) - 3
    assert contrastive(LOGITS, NOTHING) == pytest.approx((rows + columns) / 4, rel=1e-5)
    assert contrastive(LOGITS, ~NOTHING) == pytest.approx(0, abs=1e-6)  # nothing is wrong


def test_structured():
    # captions: max(0, 1 + 1 - 2) + max(0, 1 + 0.5 - 3), pictures: max(0, 1 + 1 - 3) + max(0, 1 + 0.5 - 2)
    assert structured(LOGITS, NOTHING) == 0
    assert structured(LOGITS + jnp.array([[0, 1.5], [0, 0]]), NOTHING) == pytest.approx((1.5 + 0.5) / 2)
    assert structured(LOGITS + jnp.array([[0, 1.5], [0, 0]]), jnp.array([[False, True], [False, False]])) == 0


def test_gradients_are_finite_where_all_captions_fit():
    for loss in (contrastive, structured):
        assert jnp.isfinite(jax.grad(loss)(LOGITS, ~NOTHING)).all()
