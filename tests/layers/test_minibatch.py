"""Features of the whole minibatch against NumPy, and where the discriminator has them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params
from jax.sharding import AxisType, PartitionSpec

from gan_jax.errors import InputError
from gan_jax.layers.minibatch import MinibatchDiscrimination, append_stddev, l1_distances
from gan_jax.models import dcgan, mlp, resnet

F = jax.random.normal(jax.random.key(0), (6, 10))
LAYER = MinibatchDiscrimination(kernels=4, dims=3)
TENSOR = {"params": {"tensor": 0.1 * jax.random.normal(jax.random.key(1), (10, 12))}}


def test_minibatch_discrimination_is_the_sum_of_salimans_et_al():
    """o(x_i)_k = sum over j != i of exp(-||M_ik - M_jk||_1), one pair at a time; the features themselves go first."""
    m = (np.asarray(F, np.float64) @ np.asarray(TENSOR["params"]["tensor"])).reshape(6, 4, 3)
    wanted = np.zeros((6, 4))
    for i in range(6):
        for j in range(6):
            for k in range(4):
                wanted[i, k] += np.exp(-np.abs(m[i, k] - m[j, k]).sum()) if j != i else 0
    assert wanted.min() > 0.01
    found = LAYER.apply(TENSOR, F)
    np.testing.assert_array_equal(found[:, :10], F)
    np.testing.assert_allclose(found[:, 10:], wanted, rtol=1e-5)
    assert jax.tree.map(jnp.shape, LAYER.init(jax.random.key(0), F)) == jax.tree.map(jnp.shape, TENSOR)


def test_examples_that_change_places_take_their_features_along():
    order = jnp.array([3, 0, 5, 1, 4, 2])
    np.testing.assert_allclose(LAYER.apply(TENSOR, F[order]), LAYER.apply(TENSOR, F)[order], rtol=1e-6)


def test_a_collapsed_batch_is_more_similar():
    collapsed = F[:1] + 0.01 * F
    apart, near = (LAYER.apply(TENSOR, f)[:, 10:] for f in (F, collapsed))
    assert float(near.min()) > float(apart.max())
    np.testing.assert_allclose(near, 5, atol=0.5)  # each of the other five counts as nearly the same


def on_devices(function, x, n=2):
    """`function` of x with its rows sharded over n devices, each of which runs on its own part."""
    mesh = jax.make_mesh((n,), ("batch",), axis_types=(AxisType.Auto,), devices=jax.devices()[:n])
    rows = PartitionSpec("batch")
    return jax.jit(jax.shard_map(function, mesh=mesh, in_specs=rows, out_specs=rows, check_vma=False))(x)


def test_distances_and_their_gradients_are_those_of_the_whole_array():
    """First and second derivatives, for gradient penalties, against the (k, n, b, c) array that is never made."""
    mine, others = (jax.random.normal(jax.random.key(i), (n, 4, 3)) for i, n in ((0, 5), (1, 6)))

    def whole(mine, others):
        return jnp.sum(jnp.abs(mine[None] - others[:, None]), axis=-1).transpose(2, 0, 1)

    def slope(distances):
        def value(mine, others):
            return jnp.sum(jnp.cos(distances(mine, others)))

        def steepness(mine, others):
            return sum(jnp.sum(g**2) for g in jax.grad(value, argnums=(0, 1))(mine, others))

        return [jax.grad(f, argnums=(0, 1))(mine, others) for f in (value, steepness)]

    np.testing.assert_allclose(l1_distances(mine, others), whole(mine, others), rtol=1e-6)
    for found, wanted in zip(jax.tree.leaves(slope(l1_distances)), jax.tree.leaves(slope(whole)), strict=True):
        assert np.abs(wanted).max() > 1
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_no_array_has_the_dimensions_of_the_kernels_beside_those_of_all_pairs():
    """Neither forward nor backward: the largest array is (kernels, b, b)."""
    layer = MinibatchDiscrimination(kernels=7, dims=5)
    variables = layer.init(jax.random.key(0), jnp.zeros((9, 10)))
    slope = jax.grad(lambda variables: jnp.sum(layer.apply(variables, F[jnp.arange(9) % 6])))
    shapes = [v.aval.shape for eqn in every_equation(jax.make_jaxpr(slope)(variables).jaxpr) for v in eqn.outvars]
    assert max(np.prod(shape) for shape in shapes) == 7 * 9 * 9


def every_equation(jaxpr):
    for eqn in jaxpr.eqns:
        yield eqn
        for inner in jaxprs_in_params(eqn.params):
            yield from every_equation(inner)


def numpy_features(m):
    """Distances (i, j, k) of M (b, k, c) in float64, infinite from an example to itself."""
    distances = np.abs(m[:, None] - m[None]).sum(axis=-1)
    distances[np.arange(len(m)), np.arange(len(m))] = np.inf
    return distances


def test_the_scaled_form_begins_as_its_authors_program():
    """MinibatchLayer of improved-gan's mnist_svhn_cifar10/nn.py: with init=True the log scale falls by the logarithm of
    half the mean nearest distance, and b becomes minus the mean; without, they are kept."""
    layer = MinibatchDiscrimination(kernels=4, dims=3, scaled=True)
    variables = layer.init(jax.random.key(0), jnp.zeros((2, 10)))  # of arrays that are no data
    assert float(variables["minibatch"]["seen"]) == 0
    log_scale, bias = 0.3 * jax.random.normal(jax.random.key(2), (4, 3)), jnp.arange(4.0)
    params = {**variables["params"], "log_scale": log_scale, "bias": bias}
    theta = np.asarray(params["tensor"], np.float64)
    scaled = theta / np.sqrt((theta**2).sum(axis=0)) * np.exp(np.asarray(log_scale, np.float64)).reshape(-1)
    features = np.asarray(F, np.float64)
    distances = numpy_features((features @ scaled).reshape(6, 4, 3))
    nearest = 0.5 * distances.min(axis=1).mean(axis=0)
    first = np.exp(-distances / nearest).sum(axis=1)
    found, kept = layer.apply({**variables, "params": params}, F, mutable=["minibatch"])
    np.testing.assert_allclose(found[:, 10:], first - first.mean(axis=0) + np.arange(4), rtol=1e-4, atol=1e-5)
    assert abs(float(np.mean(found[:, 10]))) < 1e-5  # bias 0
    later = 0.5 * F + 0.1
    distances = numpy_features((0.5 * features @ scaled).reshape(6, 4, 3))  # of which the shift drops out
    wanted = np.exp(-distances / nearest).sum(axis=1) - first.mean(axis=0) + np.arange(4)
    again, same = layer.apply({"params": params, **kept}, later, mutable=["minibatch"])
    np.testing.assert_allclose(again[:, 10:], wanted, rtol=1e-4, atol=1e-5)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), kept, same))
    np.testing.assert_array_equal(layer.apply({"params": params, **kept}, later), again)


def test_groups_of_real_and_generated_examples():
    """discriminator of improved-gan's imagenet/discriminator.py: sums over a half, over the pairs of that half."""
    layer = MinibatchDiscrimination(kernels=4, dims=3, groups=True)
    m = (np.asarray(F, np.float64) @ np.asarray(TENSOR["params"]["tensor"])).reshape(6, 4, 3)
    similarity, others = np.exp(-numpy_features(m)), 1 - np.eye(6)
    halves = [similarity[:, rows].sum(axis=1) / others[:, rows].sum() for rows in (slice(3), slice(3, 6))]
    found = layer.apply(TENSOR, F)
    np.testing.assert_allclose(found[:, 10:], np.concatenate(halves, axis=1), rtol=1e-4)


def test_similarities_are_those_of_the_whole_batch_on_several_devices():
    f = jax.random.normal(jax.random.key(5), (8, 10))
    for kind in ({}, {"scaled": True}, {"groups": True}):
        layer = MinibatchDiscrimination(kernels=4, dims=3, **kind)
        variables = layer.init(jax.random.key(0), f)
        order = jnp.array([0, 1, 4, 5, 2, 3, 6, 7]) if kind == {"groups": True} else jnp.arange(8)  # each part has both kinds
        found = on_devices(partial(layer.apply, variables), f[order])
        np.testing.assert_allclose(found, layer.apply(variables, f)[order], rtol=1e-5, atol=1e-6, err_msg=str(kind))


@pytest.mark.parametrize(
    ("layer", "rows", "message"),
    [
        (MinibatchDiscrimination(), 1, "and 1 is judged at a time: choose a batch of at least 2"),
        (MinibatchDiscrimination(scaled=True), 1, "choose a batch of at least 2"),
        (MinibatchDiscrimination(groups=True), 2, "choose a batch of at least 2"),
        (MinibatchDiscrimination(groups=True), 5, "5 examples are not"),
        (MinibatchDiscrimination(groups=True, scaled=True), 4, "not both"),
    ],
)
def test_a_batch_that_has_nothing_to_compare_is_refused(layer, rows, message):
    with pytest.raises(InputError, match=message):
        layer.init(jax.random.key(0), jnp.ones((rows, 3)))


def test_one_row_on_each_of_several_devices_is_a_batch():
    with pytest.raises(InputError, match="choose a batch of at least 2"):
        append_stddev(F[:1])
    variables = LAYER.init(jax.random.key(0), F)
    found = on_devices(lambda f: LAYER.apply(variables, append_stddev(f)[:, :10]), F[:2])
    np.testing.assert_allclose(found, LAYER.apply(variables, F[:2]), rtol=1e-5)


def test_stddev_is_numpys():
    x = jax.random.normal(jax.random.key(2), (5, 4, 6, 3)) * jnp.arange(1.0, 4)[None, None, None]
    found = append_stddev(x)
    np.testing.assert_array_equal(found[..., :3], x)
    np.testing.assert_allclose(found[..., 3], np.full((5, 4, 6), np.std(np.asarray(x), axis=0).mean()), rtol=1e-5)
    assert append_stddev(x.astype(jnp.bfloat16)).dtype == jnp.bfloat16
    same = jnp.ones((5, 4, 6, 3))
    assert float(append_stddev(same)[0, 0, 0, 3]) < 1e-3
    assert np.isfinite(jax.grad(lambda x: jnp.sum(append_stddev(x)))(same)).all()  # a root at 0


@pytest.mark.parametrize(
    ("minibatch", "more"),
    [
        ("none", 0),
        ("stddev", 4 * 4),  # one more feature map of 4x4 before the linear unit
        ("discrimination", 4 * 4 * 8 * 50 * 5 + 50),  # the tensor, and 50 more features
        ("discrimination_scaled", 4 * 4 * 8 * 100 * 5 + 100 * 5 + 100 + 100),  # with scales and biases
        ("discrimination_groups", 4 * 4 * 8 * 300 * 50 + 2 * 300),  # two features a kernel
    ],
)
def test_a_discriminator_that_sees_the_batch(minibatch, more):
    x = jax.random.normal(jax.random.key(3), (6, 16, 16, 1))
    network = dcgan.Discriminator(width=4, norm="none", minibatch=minibatch)
    params = network.init(jax.random.key(0), x, train=True)
    measured = params.pop("minibatch", {})
    assert bool(measured) == (minibatch == "discrimination_scaled")
    plain = 5 * 5 * 1 * 4 + 4 + 5 * 5 * 4 * 8 + 8 + 4 * 4 * 8 + 1
    assert sum(p.size for p in jax.tree.leaves(params)) == plain + more
    params |= {"minibatch": measured} if measured else {}
    logits = network.apply(params, x, train=True)
    assert logits.shape == (6,)
    others = network.apply(params, x.at[1:].mul(3), train=True)
    assert (float(logits[0]) != float(others[0])) == (minibatch != "none")


def test_stddev_of_vectors_is_one_number():
    x = jax.random.normal(jax.random.key(2), (5, 3)) * jnp.arange(1.0, 4)[None]
    found = append_stddev(x)
    np.testing.assert_array_equal(found[:, :3], x)
    np.testing.assert_allclose(found[:, 3], np.full(5, np.std(np.asarray(x), axis=0).mean()), rtol=1e-5)


@pytest.mark.parametrize(("minibatch", "more"), [("none", 0), ("stddev", 1), ("discrimination", 50)])
@pytest.mark.parametrize(
    ("network", "shape", "width"),
    [(mlp.Discriminator(width=6, depth=1), (5, 2), 6), (resnet.Discriminator(width=4), (3, 32, 32, 3), 4)],
    ids=["mlp", "resnet"],
)
def test_every_discriminator_may_see_the_batch(network, shape, width, minibatch, more):
    """The features that it sows, and the kernel of its linear unit, are longer by those of the batch."""
    x = jnp.zeros(shape)
    network = network.clone(minibatch=minibatch)
    init = partial(network.init_with_output, train=True, mutable=["params", "intermediates", "batch_stats"])
    logits, variables = jax.eval_shape(init, jax.random.key(0), x)
    assert logits.shape == shape[:1]
    assert variables["intermediates"]["features"][0].shape == (shape[0], width + more)
    *_, last = sorted(name for name in variables["params"] if name.startswith("Dense"))
    assert variables["params"][last]["kernel"].shape == (width + more, 1)
    assert ("MinibatchDiscrimination_0" in variables["params"]) == (minibatch == "discrimination")
