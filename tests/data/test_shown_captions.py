"""Which captions of a picture are shown in a round, and the mean of their embeddings."""

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.data import shown_captions


def test_captions_shown_are_different_ones_and_their_embeddings_are_averaged():
    generator = np.random.default_rng(0)
    captions = generator.integers(1, 99, (6, 4, 5), np.uint8)
    text = generator.normal(size=(6, 4, 3)).astype(np.float32)
    variation = shown_captions(2, embedded=True)
    shapes = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in (("caption", captions), ("text", text))}
    planned = variation.plan(np.random.default_rng(1), 6, shapes)
    which = planned["which_caption"]
    assert which.shape == (6, 2)
    assert (which[:, 0] != which[:, 1]).all()
    found = variation.finish(
        {"caption": jnp.asarray(captions), "text": jnp.asarray(text)}, {"which_caption": jnp.asarray(which)}
    )
    rows = np.arange(6)[:, None]
    np.testing.assert_array_equal(found["shown"], captions[rows, which])
    np.testing.assert_array_equal(found["caption"], captions[np.arange(6), which[:, 0]])
    np.testing.assert_array_equal(found["captions"], captions)
    np.testing.assert_allclose(found["text"], text[rows, which].mean(axis=1), rtol=1e-6)
