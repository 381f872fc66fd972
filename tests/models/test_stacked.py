"""The networks of the experiments on stacked MNIST: parameter counts by hand, and the grids of odd sides."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gan_jax.latents import LATENTS
from gan_jax.layers.conv import Conv, ConvTranspose
from gan_jax.models.dcgan import Generator, _cut, _evened, grids
from gan_jax.models.stacked import PROTOCOLS, SIZE

KEY = jax.random.key(0)

# No biases before batch norm, whose gain and bias are 2 numbers a channel.
# VEEGAN, 5x5 kernels:
#   G: 100*2048 + 2*512 + 25*512*256 + 2*256 + 25*256*128 + 2*128 + 25*128*64 + 2*64 + 25*64*3 + 3
#    = 204800 + 1024 + 3276800 + 512 + 819200 + 256 + 204800 + 128 + 4800 + 3 = 4512323
#   D: 25*3*64 + 64 + 25*64*128 + 2*128 + 25*128*256 + 2*256 + 25*256*512 + 2*512 + 2048 + 1
#    = 4800 + 64 + 204800 + 256 + 819200 + 512 + 3276800 + 1024 + 2048 + 1 = 4309505
# Unrolled GAN, 3x3 kernels:
#   G: 256*1024 + 2*64 + 9*64*32 + 2*32 + 9*32*16 + 2*16 + 9*16*8 + 2*8 + 9*8*3 + 3
#    = 262144 + 128 + 18432 + 64 + 4608 + 32 + 1152 + 16 + 216 + 3 = 286795
#   D, 4-8-16: 9*3*4 + 8 + 9*4*8 + 16 + 9*8*16 + 32 + 256 + 1 = 108 + 8 + 288 + 16 + 1152 + 32 + 257 = 1861
#   D, 2-4-8: 9*3*2 + 4 + 9*2*4 + 8 + 9*4*8 + 16 + 128 + 1 = 54 + 4 + 72 + 8 + 288 + 16 + 129 = 571
GOLDEN = {
    "veegan": (4_512_323, 4_309_505, 2048),
    "unrolled_half": (286_795, 1861, 256),
    "unrolled_quarter": (286_795, 571, 128),
}


def count(variables):
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_networks_of_the_papers(name):
    protocol = PROTOCOLS[name]
    gen, disc, features = GOLDEN[name]
    z = LATENTS[protocol.latent](protocol.latent_dim)(KEY, 2)
    images, variables = jax.eval_shape(partial(protocol.generator.init_with_output, train=True), KEY, z)
    assert images.shape == (2, *SIZE, 3)
    assert count(variables) == gen
    logits, variables = jax.eval_shape(partial(protocol.discriminator.init_with_output, train=True), KEY, images)
    assert logits.shape == (2,)
    assert count(variables) == disc
    assert variables["params"]["Dense_0"]["kernel"].shape == (features, 1)
    assert len(variables["batch_stats"]) == 3
    normalised_input = name != "veegan"
    assert set(variables["params"]["Conv_0"]) == {"kernel"} | ({"bias"} if not normalised_input else set())


@pytest.mark.parametrize(("name", "made"), [("veegan", [4, 8, 14, 28]), ("unrolled_half", [8, 14, 28, 28])])
def test_grids_that_the_generators_layers_make(name, made):
    """Where a grid is odd one row more is made, and cut off: 8 of 7."""
    generator, z = PROTOCOLS[name].generator, jnp.zeros((2, 100))
    run = partial(generator.init_with_output, train=True, capture_intermediates=True, mutable=True)
    layers = jax.eval_shape(run, KEY, z)[1]["intermediates"]
    assert [layers[f"ConvTranspose_{i}"]["__call__"][0].shape[1] for i in range(4)] == made


def test_grids():
    assert grids((28, 28), 4) == ((28, 28), (14, 14), (7, 7), (4, 4), (2, 2))
    assert grids((28, 20), 3) == ((28, 20), (14, 10), (7, 5), (4, 3))
    assert grids((64, 96)) == ((64, 96), (32, 48), (16, 24), (8, 12), (4, 6))


@pytest.mark.parametrize("side", [(7, 7), (7, 8), (8, 5)], ids=str)
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_odd_sides_are_convolved_with_same_padding(side, kernel_size):
    """XLA's own `SAME` convolution gives the same, and the transposed one is its gradient."""
    x = jax.random.normal(KEY, (2, *side, 3))
    down = Conv(4, kernel_size, use_bias=False)
    variables = down.init(KEY, _evened(x))
    kernel = variables["params"]["kernel"]

    def same(x):
        return lax.conv_general_dilated(x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    y, back = jax.vjp(same, x)
    np.testing.assert_allclose(down.apply(variables, _evened(x)), y, rtol=1e-4, atol=1e-5)
    up = ConvTranspose(3, kernel_size, use_bias=False)
    flipped = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    np.testing.assert_allclose(_cut(up.apply({"params": {"kernel": flipped}}, y), side), back(y)[0], rtol=1e-4, atol=1e-5)


def test_every_pixel_is_made():
    """Each of the last pixels answers to z, at odd grids too."""
    generator = Generator((28, 28), 3, width=2, halvings=4, norm="none")
    z = jax.random.normal(KEY, (2, 5))
    variables = jax.jit(partial(generator.init, train=True))(KEY, z)
    grown = jax.tree.map(lambda leaf: 10 * leaf, variables)
    images = generator.apply(grown, z, train=False)
    assert (jnp.abs(images[0] - images[1]) > 0).all()
