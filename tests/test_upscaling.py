"""Pictures of all kinds enlarged by a generator, in tiles that equal the whole."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import host_memory, upscaling
from gan_jax.errors import InputError
from gan_jax.images.convert import to_uint8
from gan_jax.images.imresize import imresize
from gan_jax.latents import Normal
from gan_jax.models.dcgan import Generator as Dcgan
from gan_jax.models.srgan import Generator
from gan_jax.objectives import image_sampler, superres_sampler
from gan_jax.upscaling import enlarged, margin_for, upscaled

KEY = jax.random.key(0)
GENERATOR = Generator(2, width=8, blocks=2, trunk="batch")


@pytest.fixture(scope="module")
def variables():
    """Of a generator whose pictures lie well within [-1, 1]."""
    made = GENERATOR.init(KEY, jnp.zeros((1, 8, 8, 3)), train=True)
    last = made["params"]["Conv_3"]
    return {**made, "params": {**made["params"], "Conv_3": {"kernel": last["kernel"] * 0.2, "bias": last["bias"]}}}


def noise(*shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


SAMPLER = superres_sampler(GENERATOR)


def whole(variables, picture):
    return np.asarray(GENERATOR.apply(variables, jnp.asarray(picture, jnp.float32)[None] / 127.5 - 1, train=False))[0]


@pytest.mark.parametrize("size", [(70, 45), (32, 90), (11, 9)])
def test_tiles_equal_the_whole(variables, size):
    picture = noise(*size, 3)
    assert GENERATOR.reach == 12
    found = enlarged(SAMPLER, variables, picture, margin=12, tile=32)
    assert found.shape == (2 * size[0], 2 * size[1], 3)
    np.testing.assert_allclose(found, whole(variables, picture), atol=1e-5)
    if max(size) > 32:
        assert np.abs(enlarged(SAMPLER, variables, picture, margin=2, tile=32) - whole(variables, picture)).max() > 1e-3


def test_the_margin_is_as_far_as_a_network_reaches_and_bounded():
    assert margin_for(GENERATOR.reach) == 12
    assert margin_for(0) == Generator().reach == 40  # of a run that does not say: the paper's network
    assert margin_for(Generator(trunk="rrdb", blocks=23).reach) == 64


@pytest.mark.parametrize("shape", [(20, 16), (20, 16, 1), (20, 16, 2), (20, 16, 3), (20, 16, 4)], ids=str)
def test_kinds(variables, shape):
    picture = noise(*shape)
    found = upscaled(SAMPLER, variables, picture, 3)
    assert found.dtype == np.uint8
    assert found.shape == (40, 32, *shape[2:])
    planes = picture.reshape(20, 16, -1)
    colour = planes[..., :-1] if planes.shape[-1] in (2, 4) else planes
    made = whole(variables, np.repeat(colour, 3, axis=-1) if colour.shape[-1] == 1 else colour)
    if colour.shape[-1] == 1:
        made = made @ np.array([[0.299], [0.587], [0.114]])
    assert np.abs(found.reshape(40, 32, -1)[..., : made.shape[-1]].astype(int) - to_uint8(made)).max() <= 1
    if planes.shape[-1] in (2, 4):
        np.testing.assert_array_equal(found[..., -1:], imresize(planes[None, ..., -1:], 2.0)[0])


def test_16_bits_and_floats_are_the_same_picture(variables):
    picture = noise(20, 16, 3)
    found = upscaled(SAMPLER, variables, picture, 3)
    deep = upscaled(SAMPLER, variables, picture.astype(np.uint16) * 257, 3)
    assert deep.dtype == np.uint16
    assert np.abs(deep / 257 - found).max() <= 0.51
    assert len(np.unique(deep)) > 256  # not 8 bits in disguise
    floats = upscaled(SAMPLER, variables, picture.astype(np.float32) / 127.5 - 1, 3)
    assert np.abs(to_uint8(floats).astype(int) - found).max() <= 1


def test_colours_by_a_grey_generator():
    generator = Generator(2, 1, width=4, blocks=1)
    made = generator.init(KEY, jnp.zeros((1, 8, 8, 1)), train=True)
    picture = noise(12, 10, 3)
    show = partial(upscaled, superres_sampler(generator), made, channels=1)
    np.testing.assert_array_equal(show(picture), np.stack([show(picture[..., i]) for i in range(3)], axis=-1))


def test_bad_pictures(variables, monkeypatch):
    with pytest.raises(InputError, match=r"uint8, uint16 or float32 .* not int64 \(4, 4\)"):
        upscaled(SAMPLER, variables, np.zeros((4, 4), np.int64), 3)
    with pytest.raises(InputError, match=r"of 1 to 4 channels, not uint8 \(4, 4, 5\)"):
        upscaled(SAMPLER, variables, np.zeros((4, 4, 5), np.uint8), 3)
    monkeypatch.setattr(host_memory, "free_memory", lambda: 10**9)
    large = np.broadcast_to(np.zeros((), np.uint8), (30_000, 30_000, 3))
    with pytest.raises(InputError, match="a picture of 60,000x60,000 pixels would take .* GiB.*: shrink it"):
        upscaled(SAMPLER, variables, large, 3)


def test_only_super_resolution_enlarges():
    sampler = image_sampler(Dcgan((16, 16), 3, width=2), Normal(4))
    with pytest.raises(
        InputError, match="only a run of super-resolution enlarges pictures, and this one makes pictures of noise"
    ):
        upscaling.enlarged(sampler, {}, noise(8, 8, 3))
