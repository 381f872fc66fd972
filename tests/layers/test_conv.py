"""Convolutions against flax, and their derivatives against plain lax."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gan_jax.errors import InputError
from gan_jax.layers import lowerings
from gan_jax.layers.conv import Conv, ConvTranspose, ResizeConv, conv, conv_transpose, one_hot_planes

KERNELS = (3, 4, 5)
X = jax.random.normal(jax.random.key(0), (2, 8, 12, 3))
WIDE = jax.random.normal(jax.random.key(4), (2, 8, 12, 32))
NHWC = ("NHWC", "HWIO", "NHWC")


def close(a, b, rtol=1e-4):
    """Equal but for rounding, relative to the largest entry."""
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=rtol * float(jnp.max(jnp.abs(y))))


def variables(module, x):
    """Parameters with a bias that is not zero."""
    params = module.init(jax.random.key(1), x)["params"]
    return {"params": params | {"bias": jnp.arange(1.0, 1 + params["bias"].size)}}


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("size", KERNELS)
def test_conv_equals_flax(size, stride):
    ours = Conv(4, kernel_size=size, stride=stride)
    theirs = nn.Conv(4, (size, size), strides=(stride, stride), padding="SAME")
    params = variables(ours, X)
    assert jax.tree.map(jnp.shape, theirs.init(jax.random.key(0), X)) == jax.tree.map(jnp.shape, params)
    assert ours.apply(params, X).shape == (2, 8 // stride, 12 // stride, 4)
    close(ours.apply(params, X), theirs.apply(params, X), 1e-5)


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("size", KERNELS)
def test_conv_transpose_equals_flax(size, stride):
    ours = ConvTranspose(4, kernel_size=size, stride=stride)
    theirs = nn.ConvTranspose(4, (size, size), strides=(stride, stride), padding="SAME")
    params = variables(ours, X)
    assert jax.tree.map(jnp.shape, theirs.init(jax.random.key(0), X)) == jax.tree.map(jnp.shape, params)
    assert ours.apply(params, X).shape == (2, 8 * stride, 12 * stride, 4)
    close(ours.apply(params, X), theirs.apply(params, X), 1e-5)


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("size", KERNELS)
def test_conv_transpose_is_the_adjoint(size, stride):
    """<conv(x, k), y> = <x, conv_transpose(y, k')>, where k' is k turned round, its channels exchanged."""
    kernel = jax.random.normal(jax.random.key(1), (size, size, 3, 4))
    y = jax.random.normal(jax.random.key(2), (2, 8 // stride, 12 // stride, 4))
    back = conv_transpose(y, jnp.flip(kernel, (0, 1)).swapaxes(2, 3), stride)
    np.testing.assert_allclose(jnp.vdot(conv(X, kernel, stride), y), jnp.vdot(X, back), rtol=1e-4)


def lax_conv(x, kernel, stride):
    return lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=NHWC)


def lax_conv_transpose(x, kernel, stride):
    return lax.conv_transpose(x, kernel, (stride, stride), "SAME", dimension_numbers=NHWC)


PAIRS = [(conv, lax_conv), (conv_transpose, lax_conv_transpose)]


def derivatives(f, x, first, second, stride):
    """Of a score by two layers, and of its squared gradients in the input (as in R1) and in the kernels."""

    def score(x, first, second):
        return jnp.sum(f(jnp.tanh(0.1 * f(x, first, stride)), second, 2) ** 2)

    def penalty(x, first, second):
        gradients = jax.grad(score, argnums=(0, 1, 2))(x, first, second)
        return sum(weight * jnp.sum(g**2) for weight, g in zip((10, 1, 1), gradients, strict=True))

    return jax.jit(lambda: [jax.grad(g, argnums=(0, 1, 2))(x, first, second) for g in (score, penalty)])()


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("size", KERNELS)
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_gradients_of_any_order_equal_those_of_lax(ours, theirs, size, stride):
    first = jax.random.normal(jax.random.key(1), (size, size, 3, 4))
    second = jax.random.normal(jax.random.key(2), (size, size, 4, 2))
    x = jax.random.normal(jax.random.key(3), (2, 2 * stride, 4 * stride, 3))
    close(derivatives(ours, x, first, second, stride), derivatives(theirs, x, first, second, stride))


@pytest.mark.parametrize(
    ("ours", "theirs", "size", "stride"),
    [
        (*PAIRS[0], 3, 1),
        (*PAIRS[0], 4, 2),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in ((*PAIRS[0], 5, 2), (*PAIRS[1], 4, 2))),
    ],
)
def test_gradients_of_wide_layers_equal_those_of_lax(ours, theirs, size, stride):
    """Where the first layer is computed by Winograd's way, and the second too if the kernel is 4 or 5."""
    first = jax.random.normal(jax.random.key(1), (size, size, 32, 36)) / size
    second = jax.random.normal(jax.random.key(2), (size, size, 36, 32)) / size
    x = jax.random.normal(jax.random.key(3), (2, 4 * stride, 8 * stride, 32))
    assert lowerings.by_rule(first.shape, stride, (4, 8)).name == "winograd"
    close(derivatives(ours, x, first, second, stride), derivatives(theirs, x, first, second, stride))


@pytest.mark.parametrize(("size", "channels"), [(3, (8, 3)), (4, (8, 3)), (9, (8, 3)), (3, (32, 128)), (4, (32, 128))])
def test_gradients_of_layers_with_many_more_channels_on_one_side_equal_those_of_lax(size, channels):
    first = jax.random.normal(jax.random.key(1), (size, size, *channels)) / size
    second = jax.random.normal(jax.random.key(2), (size, size, channels[1], 2)) / size
    x = jax.random.normal(jax.random.key(3), (2, 6, 10, channels[0]))
    assert lowerings.by_rule(first.shape, 1, (6, 10)).name == "per_image"
    close(derivatives(conv, x, first, second, 1), derivatives(lax_conv, x, first, second, 1))


@pytest.mark.parametrize(
    ("form", "shape", "stride", "outputs"),
    [
        ("winograd", (4, 4, 32, 32), 2, (4, 6)),
        ("winograd", (5, 5, 32, 64), 2, (4, 4)),
        ("winograd", (3, 3, 64, 32), 1, (8, 12)),
        ("per_image", (9, 9, 64, 3), 1, (8, 12)),
        ("per_image", (3, 3, 64, 256), 1, (8, 12)),
        ("subpixel", (4, 4, 64, 3), 2, (8, 12)),
        ("subpixel", (9, 9, 64, 5), 1, (8, 12)),
        ("subpixel", (4, 4, 32, 32), 2, (4, 5)),  # tiles are of 2x2
        ("subpixel", (4, 4, 32, 32), 2, (1, 1)),
        ("per_image", (4, 4, 31, 32), 2, (4, 4)),
        ("subpixel", (4, 4, 32, 31), 2, (4, 4)),
        ("subpixel", (4, 5, 32, 32), 2, (4, 4)),
        ("subpixel", (3, 3, 32, 32), 2, (4, 4)),  # as many multiplications as without
        ("subpixel", (4, 4, 32, 32), 4, (4, 4)),
        ("subpixel", (5, 5, 32, 32), 1, (4, 4)),
        ("phases", (5, 5, 3, 16), 2, (4, 4)),
        ("phases", (4, 4, 1, 8), 2, (7, 7)),
        ("patches", (9, 9, 3, 64), 1, (8, 8)),
        ("per_image", (4, 4, 24, 48), 2, (16, 16)),
        ("subpixel", (5, 5, 3, 4), 2, (4, 4)),
    ],
)
def test_the_way_chosen_on_cpus(form, shape, stride, outputs):
    assert lowerings.by_rule(shape, stride, outputs).name == form


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", KERNELS)
@pytest.mark.parametrize("shape", [(2, 8, 12, 32), (1, 8, 8, 32)])
def test_wide_layers_equal_flax(shape, size, stride):
    x = jax.random.normal(jax.random.key(5), shape)
    for ours, theirs in ((Conv, nn.Conv), (ConvTranspose, nn.ConvTranspose)):
        layer, reference = (
            ours(40, kernel_size=size, stride=stride),
            theirs(40, (size, size), strides=(stride, stride), padding="SAME"),
        )
        params = variables(layer, x)
        close(layer.apply(params, x), reference.apply(params, x), 1e-5)


FORMS = [
    (name, size, stride)
    for name in lowerings.FORMS
    for size in ((3, 3), (4, 4), (5, 5), (5, 3))
    for stride in (1, 2)
    if (name != "winograd" or (size, stride) in (((3, 3), 1), ((4, 4), 2), ((5, 5), 2)))
]


@pytest.mark.parametrize(("name", "size", "stride"), FORMS)
def test_every_form_computes_the_three_gradients(name, size, stride):
    """Of <conv(x, kernel), y>, as lax does; in bfloat16 too, but for its rounding, and in its type."""
    form = lowerings.FORMS[name]
    kernel = jax.random.normal(jax.random.key(1), (*size, 32, 40))
    y = jax.random.normal(jax.random.key(2), (2, 8 // stride, 12 // stride, 40))

    def computed(x, kernel, y):
        return form.conv(x, kernel, stride), form.adjoint(y, kernel, stride), form.correlate(x, y, stride, size)

    wanted, pull_back = jax.vjp(lambda x, kernel: lax_conv(x, kernel, stride), WIDE, kernel)
    close(jax.jit(computed)(WIDE, kernel, y), (wanted, *pull_back(y)), 1e-5)
    rough = jax.jit(computed)(*(x.astype(jnp.bfloat16) for x in (WIDE, kernel, y)))
    assert {x.dtype for x in rough} == {jnp.dtype("bfloat16")}
    close([x.astype(jnp.float32) for x in rough], (wanted, *pull_back(y)), 0.03)


@pytest.mark.parametrize(("c", "o"), [(3, 8), (1, 5), (8, 3), (2, 1)])
@pytest.mark.parametrize("stride", [1, 2])
def test_few_channels_filled_up_compute_the_three_gradients(c, o, stride):
    x, kernel, y = (
        jax.random.normal(jax.random.key(i), shape)
        for i, shape in enumerate([(2, 8, 12, c), (5, 5, c, o), (2, 8 // stride, 12 // stride, o)])
    )
    wanted, pull_back = jax.vjp(lambda x, kernel: lax_conv(x, kernel, stride), x, kernel)
    found = lowerings.FORMS["padded"]
    close((found.conv(x, kernel, stride), found.adjoint(y, kernel, stride)), (wanted, pull_back(y)[0]), 1e-5)
    close(found.correlate(x, y, stride, (5, 5)), pull_back(y)[1], 1e-5)


@pytest.mark.parametrize(("channels", "size", "stride"), [(32, 4, 2), (32, 3, 1), (3, 4, 2), (8, 5, 2)])
def test_half_precision_loses_the_rounding_of_the_result_only(channels, size, stride):
    """Of the value and both gradients, the result of float32 sums of the same inputs is at most rounded to bfloat16."""
    kernel = (jax.random.normal(jax.random.key(1), (size, size, channels, 40)) / size).astype(jnp.bfloat16)
    x = jax.random.normal(jax.random.key(2), (4, 4 * stride, 8 * stride, channels)).astype(jnp.bfloat16)
    y = jax.random.normal(jax.random.key(3), (4, 4, 8, 40)).astype(jnp.bfloat16)

    def computed(f, dtype):
        value, pull_back = jax.vjp(lambda x, kernel: f(x, kernel, stride), x.astype(dtype), kernel.astype(dtype))
        return value, *pull_back(y.astype(dtype))

    exact, rough = jax.jit(lambda: computed(lax_conv, jnp.float32))(), jax.jit(lambda: computed(conv, jnp.bfloat16))()
    for wanted, found in zip(exact, rough, strict=True):
        assert found.dtype == jnp.bfloat16
        error, rounding = (float(jnp.std(z.astype(jnp.float32) - wanted)) for z in (found, wanted.astype(jnp.bfloat16)))
        assert error < 1.05 * rounding


@pytest.mark.parametrize(("channels", "size", "stride"), [(32, 4, 2), (32, 3, 1), (3, 4, 2), (8, 5, 2)])
@pytest.mark.parametrize("f", [conv, conv_transpose])
def test_populations_of_kernels(f, channels, size, stride):
    """Under `vmap` every run gets what it gets by itself, and its own gradients."""
    kernels = jax.random.normal(jax.random.key(1), (3, size, size, channels, 32))
    x = jax.random.normal(jax.random.key(2), (2, 4 * stride, 4 * stride, channels))

    def value_and_gradients(kernel):
        return f(x, kernel, stride), jax.grad(lambda x, k: jnp.sum(jnp.sin(f(x, k, stride))), argnums=(0, 1))(x, kernel)

    together = jax.jit(jax.vmap(value_and_gradients))(kernels)
    alone = jax.jit(value_and_gradients)
    for i in range(3):
        close(jax.tree.map(lambda x, i=i: x[i], together), alone(kernels[i]), 1e-5)


def lax_grouped(groups):
    return lambda x, kernel, stride: lax.conv_general_dilated(
        x, kernel, (stride, stride), "SAME", dimension_numbers=NHWC, feature_group_count=groups
    )


@pytest.mark.parametrize(
    ("groups", "channels", "stride"),
    [(2, 4, 1), (3, 16, 1), (34, 16, 1), pytest.param(18, 16, 1, marks=pytest.mark.slow), (2, 16, 2), (2, 32, 1)],
)
def test_gradients_of_groups_equal_those_of_lax(groups, channels, stride):
    """Two layers, of `channels` a group; on CPUs more than sixteen are mapped over, in packs if these are equal."""
    first, second = (jax.random.normal(jax.random.key(i), (3, 3, channels, groups * channels)) / 3 for i in (1, 2))
    x = jax.random.normal(jax.random.key(3), (2, 4 * stride, 4 * stride, groups * channels))
    ours = derivatives(lambda x, kernel, stride: conv(x, kernel, stride, groups), x, first, second, stride)
    close(ours, derivatives(lax_grouped(groups), x, first, second, stride))


def test_groups_on_accelerators_are_one_grouped_convolution():
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 16, 64))
    compiled = jax.jit(lambda x, k: conv(x, k, 1, 4)).trace(jnp.zeros((2, 8, 8, 64)), kernel)
    assert "feature_group_count = 4" in compiled.lower(lowering_platforms=("cuda",)).as_text()


def test_channels_that_do_not_fit_the_groups_are_refused():
    for kernel, x in (((3, 3, 4, 8), (2, 8, 8, 12)), ((3, 3, 4, 9), (2, 8, 8, 8))):
        with pytest.raises(InputError, match=rf"{x[3]} channels in 2 groups cannot be convolved with a kernel of 4 inputs"):
            conv(jnp.zeros(x), jnp.zeros(kernel), 1, 2)


def test_sizes_that_are_no_multiple_of_the_stride_are_refused():
    for shape in ((1, 7, 8, 3), (1, 8, 7, 3)):
        with pytest.raises(InputError, match=f"{shape[1]}x{shape[2]} cannot be convolved with stride 2: choose a multiple"):
            Conv(4).init(jax.random.key(0), jnp.zeros(shape))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", KERNELS)
def test_resize_conv_is_nearest_enlargement_then_conv(size, stride):
    ours = ResizeConv(4, kernel_size=size, stride=stride)
    params = variables(ours, X)
    enlarged = jax.image.resize(X, (2, 8 * stride, 12 * stride, 3), "nearest")
    close(ours.apply(params, X), nn.Conv(4, (size, size), padding="SAME").apply(params, enlarged), 1e-5)


@pytest.mark.parametrize("module", [Conv, ConvTranspose, ResizeConv])
def test_computes_in_its_dtype_and_keeps_float32_parameters(module):
    layer = module(4, dtype=jnp.bfloat16)
    params = layer.init(jax.random.key(0), X)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    assert layer.apply(params, X).dtype == jnp.bfloat16
    assert set(module(4, use_bias=False).init(jax.random.key(0), X)["params"]) == {"kernel"}


def test_one_hot_planes():
    planes = one_hot_planes(jnp.array([2, 0]), 3, 4, 5)
    assert planes.shape == (2, 4, 5, 3)
    np.testing.assert_array_equal(planes[0], np.broadcast_to([0, 0, 1], (4, 5, 3)))
    np.testing.assert_array_equal(planes[1], np.broadcast_to([1, 0, 0], (4, 5, 3)))
