"""PyTorch's SRResNet is ours: the same counts and, with the same weights, the same pictures; the benchmark runs."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.models.srgan import Generator

torch = pytest.importorskip("torch")
benchmark = pytest.importorskip("experiments.benchmarks.benchmark_superres")
SRResNet = pytest.importorskip("experiments.benchmarks.superres_torch").SRResNet

KEY = jax.random.key(0)


@pytest.mark.parametrize(("factor", "width", "blocks"), [(4, 64, 16), (2, 8, 3)])
def test_counts(factor, width, blocks):
    shapes = jax.eval_shape(partial(Generator(factor, 3, width, blocks).init, train=True), KEY, jnp.zeros((1, 8, 8, 3)))
    with torch.device("meta"):
        theirs = sum(p.numel() for p in SRResNet(factor, width, blocks).parameters())
    assert theirs == sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


def test_the_same_pictures():
    """Our kernels (k, k, c, o) are theirs (o, c, k, k); before a pixel shuffle theirs have channels (c, row, column)."""
    network, generator = SRResNet(2, 8, 1).eval(), Generator(2, 3, 8, 1)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 2.0)
            layer.running_mean.uniform_(-1, 1)
    layers = {name: layer for name, layer in network.named_modules() if not list(layer.children())}
    numbers = {
        name: {key: value.detach().numpy() for key, value in layer.state_dict().items()} for name, layer in layers.items()
    }

    def conv(name, r=1):
        weight = numbers[name]["weight"].transpose(2, 3, 1, 0)
        weight = weight.reshape(*weight.shape[:3], -1, r, r).transpose(0, 1, 2, 4, 5, 3).reshape(weight.shape)
        bias = numbers[name].get("bias")
        return {"kernel": weight} | ({} if bias is None else {"bias": bias.reshape(-1, r, r).transpose(1, 2, 0).reshape(-1)})

    def norm(name):
        return {"scale": numbers[name]["weight"], "bias": numbers[name]["bias"]}

    params = {
        "Conv_0": conv("head.0"),
        "PReLU_0": {"slope": numbers["head.1"]["weight"]},
        "block0_1": conv("body.0.layers.0"),
        "BatchNorm_0": norm("body.0.layers.1"),
        "PReLU_1": {"slope": numbers["body.0.layers.2"]["weight"]},
        "block0_2": conv("body.0.layers.3"),
        "BatchNorm_1": norm("body.0.layers.4"),
        "Conv_1": conv("body.1"),
        "BatchNorm_2": norm("body.2"),
        "Conv_2": conv("tail.0", 2),
        "PReLU_2": {"slope": numbers["tail.2"]["weight"]},
        "Conv_3": conv("tail.3"),
    }
    norms = ("body.0.layers.1", "body.0.layers.4", "body.2")
    stats = {
        f"BatchNorm_{i}": {"mean": numbers[n]["running_mean"], "var": numbers[n]["running_var"]} for i, n in enumerate(norms)
    }
    x = np.random.default_rng(0).uniform(-1, 1, (2, 9, 12, 3)).astype(np.float32)
    variables = jax.tree.map(jnp.asarray, {"params": params, "batch_stats": stats})
    ours = generator.apply(variables, jnp.asarray(x), train=False)
    with torch.inference_mode():
        theirs = network(torch.from_numpy(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


@pytest.mark.slow
def test_it_measures(tmp_path):
    small = {"width": 4, "blocks": 1, "batch": 2, "window": 16, "picture": 8, "seconds": 0.01, "turns": 1}
    found = benchmark.main(benchmark.Config(**small, out=tmp_path))
    assert found["training"]["ratios"].keys() == {"pytorch", "pytorch channels-last"}
    assert "enlarging" in (tmp_path / "table.txt").read_text()
