"""PyTorch's players are ours: the same counts and, with the same weights, the same outputs; its rounds waste nothing."""

from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.errors import InputError
from gan_jax.models import dcgan, mlp, resnet

torch = pytest.importorskip("torch")
benchmark = pytest.importorskip("experiments.benchmarks.benchmark_torch")
nn = torch.nn

KEY = jax.random.key(0)
SMALL = {
    "dcgan": {"size": 32, "width": 8, "latent": 12},
    "mlp": {"width": 16},
    "sngan32": {"width": 8, "latent": 12},
}


def dcgans(size, width, norm="batch"):
    generator = dcgan.Generator(size=(size, size), width=width, kernel_size=4)
    return generator, dcgan.Discriminator(width=width, kernel_size=4, norm=norm)


def resnets(width):
    return resnet.Generator(width=2 * width), resnet.Discriminator(width=width, spectral_norm=False)


def count(module, shape):
    variables = jax.eval_shape(partial(module.init, train=True), KEY, jnp.zeros((2, *shape)))
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


@pytest.mark.parametrize(
    ("name", "fields", "modules"),
    [
        ("dcgan", {"size": 64, "width": 64}, dcgans(64, 64)),
        ("dcgan", {"size": 32, "width": 16, "norm": "none"}, dcgans(32, 16, "none")),
        ("mlp", {}, (mlp.Generator(), mlp.Discriminator())),
        ("mlp", {"width": 128, "depth": 2}, (mlp.Generator(width=128, depth=2), mlp.Discriminator(width=128, depth=2))),
        ("sngan32", {}, resnets(128)),
    ],
    ids=["dcgan", "dcgan without norm", "mlp", "narrow mlp", "sngan32"],
)
def test_counts(name, fields, modules):
    with torch.device("meta"):
        game = benchmark.GAMES[name](**fields)
    shape = (*game.shape[1:], game.shape[0])
    assert game.counts() == (count(modules[0], (game.latent,)), count(modules[1], shape))


def random_variables(module, x, key):
    """Variables, and the names of the layers with parameters in the order in which they are made, which trees forget."""
    order = []

    def init():
        variables = module.init(KEY, x, train=True)
        order.extend(layers(variables["params"]))
        return variables

    shapes, generator = jax.eval_shape(init), np.random.default_rng(key)
    return jax.tree.map(lambda leaf: generator.normal(0, 0.2, leaf.shape).astype(np.float32), shapes), order


def layers(params, path=()):
    if not any(isinstance(value, dict) for value in params.values()):
        return [path]
    return [layer for name, value in params.items() for layer in layers(value, (*path, name))]


def to_torch(ours, theirs, grid_in, grid_out):
    """Weight and bias in PyTorch's layout; `grid_in` and `grid_out` say what of a matrix is a 4x4 grid of channels."""
    weight, bias = ours.get("kernel", ours.get("scale")), ours.get("bias")
    if isinstance(theirs, nn.Linear):
        if grid_in:
            weight = weight.reshape(4, 4, -1, weight.shape[1]).transpose(2, 0, 1, 3).reshape(weight.shape)
        if grid_out:
            weight = weight.reshape(len(weight), 4, 4, -1).transpose(0, 3, 1, 2).reshape(weight.shape)
            bias = None if bias is None else bias.reshape(4, 4, -1).transpose(2, 0, 1).ravel()
        weight = weight.T
    elif isinstance(theirs, nn.ConvTranspose2d):
        weight = weight[::-1, ::-1].transpose(2, 3, 0, 1)
    elif isinstance(theirs, nn.Conv2d):
        weight = weight.transpose(3, 2, 0, 1)
    return weight, bias


def take_weights(player, params, order):
    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d)
    grid_in, grid_out = isinstance(player[-2], nn.Flatten), isinstance(player[1], nn.Unflatten)
    for path, theirs in zip(order, [m for m in player.modules() if isinstance(m, kinds)], strict=True):
        if nn.utils.parametrize.is_parametrized(theirs):
            nn.utils.parametrize.remove_parametrizations(theirs, "weight")
        weight, bias = to_torch(reduce(dict.__getitem__, path, params), theirs, grid_in, grid_out)
        theirs.weight.data.copy_(torch.from_numpy(weight.copy()))
        assert (bias is None) == (theirs.bias is None)
        if bias is not None:
            theirs.bias.data.copy_(torch.from_numpy(bias.copy()))


@pytest.mark.parametrize(
    ("name", "fields", "modules"),
    [
        ("dcgan", SMALL["dcgan"], dcgans(32, 8)),
        ("dcgan", SMALL["dcgan"] | {"norm": "none"}, dcgans(32, 8, "none")),
        ("mlp", SMALL["mlp"], (mlp.Generator(width=16), mlp.Discriminator(width=16))),
        ("sngan32", SMALL["sngan32"], resnets(8)),
    ],
    ids=["dcgan", "dcgan without norm", "mlp", "sngan32"],
)
def test_the_same_outputs(name, fields, modules):
    game = benchmark.GAMES[name](**fields)
    for player, module, shape in zip(game[:2], modules, ((game.latent,), game.shape), strict=True):
        x = np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32)
        ours = jnp.moveaxis(jnp.asarray(x), 1, -1)
        variables, order = random_variables(module, ours, key=len(shape))
        take_weights(player, variables["params"], order)
        expected, _ = jax.jit(partial(module.apply, train=True, mutable="batch_stats"))(variables, ours)
        actual = player(torch.from_numpy(x)).detach().numpy()
        actual = actual[:, 0] if module is modules[1] else np.moveaxis(actual, 1, -1)
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("disc_steps", [1, 2])
@pytest.mark.parametrize("mode", ["eager", "channels_last"])
@pytest.mark.parametrize("name", SMALL)
def test_a_round(name, mode, disc_steps, monkeypatch):
    torch.manual_seed(0)
    game = benchmark.GAMES[name](**SMALL[name])
    monkeypatch.setitem(benchmark.GAMES, "this", lambda: game)
    step = benchmark.make_step("this", mode, 2, "cpu", disc_steps=disc_steps)
    before = [[p.detach().clone() for p in player.parameters()] for player in game[:2]]
    generated, judged = [], []
    game.generator.register_forward_hook(lambda *_: generated.append(torch.is_grad_enabled()))
    game.discriminator.register_forward_hook(lambda d, *_: judged.append(next(d.parameters()).requires_grad))
    step()
    benchmark.synchronise("cpu")
    for player, old in zip(game[:2], before, strict=True):
        assert all(p.isfinite().all() for p in player.parameters())
        assert any(not torch.equal(p, q) for p, q in zip(player.parameters(), old, strict=True))
    assert generated == [False] * (disc_steps - 1) + [True]  # one forward pass for both players
    passes = 2 if name == "dcgan" else 1  # batch norm sees real and generated examples apart
    assert judged == [True] * passes * disc_steps + [False]  # no gradients of D's weights for G's cost
    assert all(p.requires_grad for p in game.discriminator.parameters())


# A linear D has the gradient w everywhere: R1 is |w|^2 / 2, R1 + R2 is |w|^2, WGAN-GP is (|w| - 1)^2.
@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize(("penalty", "expected"), [("none", 0), ("r1", 12.5), ("r1r2", 25), ("wgan_gp", 16)])
@pytest.mark.parametrize("loss", ["non_saturating", "hinge"])
def test_costs_and_penalties_of_a_linear_critic(penalty, expected, functional, loss):
    critic = nn.Linear(2, 1)
    critic.weight.data = torch.tensor([[3.0, -4.0]])
    game = benchmark.Game(nn.Identity(), critic, 2, (2,), loss)
    real, fake = torch.tensor([[0.1, 0.2], [0.3, 0.0]]), torch.tensor([[0.0, 0.1], [0.2, 0.2]])
    cost = benchmark.make_disc_cost(game, penalty, 0.5, functional)(real, fake)
    on_real, on_fake = (critic(x)[:, 0].detach().numpy() for x in (real, fake))
    if loss == "hinge":
        plain = np.maximum(1 - on_real, 0).mean() + np.maximum(1 + on_fake, 0).mean()
        assert benchmark.make_gen_cost(game)(fake).item() == pytest.approx(-on_fake.mean(), rel=1e-5)
    else:
        plain = np.log1p(np.exp(-on_real)).mean() + np.log1p(np.exp(on_fake)).mean()
        assert benchmark.make_gen_cost(game)(fake).item() == pytest.approx(np.log1p(np.exp(-on_fake)).mean(), rel=1e-5)
    assert cost.item() == pytest.approx(plain + 0.5 * expected, rel=1e-5)
    cost.backward()
    slopes = {"none": 0 * critic.weight, "r1": critic.weight, "r1r2": 2 * critic.weight, "wgan_gp": 1.6 * critic.weight}
    ours = critic.weight.grad.clone()
    critic.zero_grad()
    benchmark.make_disc_cost(game, "none", 0.5, False)(real, fake).backward()
    torch.testing.assert_close(ours - critic.weight.grad, 0.5 * slopes[penalty].detach())


def test_examples_are_normalised():
    critic = nn.Sequential(nn.Flatten(), nn.Linear(1, 1))
    critic[1].weight.data, critic[1].bias.data = torch.ones(1, 1), torch.zeros(1)
    game = benchmark.Game(nn.Identity(), critic, 2, (1, 1, 1), "hinge")
    real = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1)
    cost = benchmark.make_disc_cost(game, "none", 1.0, False)(real, torch.zeros(2, 1, 1, 1))
    assert cost.item() == pytest.approx((2 + 0) / 2 + 1)


def test_penalties_and_batch_norm_do_not_go_together():
    with pytest.raises(InputError, match='norm="none"'):
        benchmark.make_step("dcgan", "eager", 2, "cpu", penalty="r1", **SMALL["dcgan"])
