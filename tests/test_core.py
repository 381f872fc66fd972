"""The heart: what a step changes, its schedule, its drivers, its keys."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import core, latents, losses, parallel, penalties
from gan_jax.core import Objective, Players, Sampler
from gan_jax.errors import InputError
from gan_jax.models import dcgan, mlp
from gan_jax.objectives import image_gan
from gan_jax.runs.checkpoint import state_hash
from tests.game import Discriminator, Generator, begin, images, linear_gan


def small_gan(**changes):
    """A game with batch norm, spectral norm, labels and a penalty: every kind of state there is."""
    generator = Generator(num_classes=3)
    discriminator = Discriminator(spectral=True, num_classes=3)
    return image_gan(generator, discriminator, losses.non_saturating, latents.Normal(5), ((0.5, penalties.r1),), **changes)


TX = Players(gen=optax.adam(1e-3, b1=0.5), disc=optax.adam(1e-3, b1=0.5))


@pytest.fixture(scope="module")
def played():
    """The state before and after two rounds (after one, the first Adam moments of some biases may still be zero)."""
    objective = small_gan()
    before = begin(objective, TX, jax.random.key(0), images())
    step = jax.jit(core.make_step(objective, TX))
    middle, _ = step(before, images())
    after, metrics = step(middle, images(seed=1))
    return before, after, metrics


def test_every_leaf_changes_but_the_key(played):
    before, after, _ = played
    same = [
        jax.tree_util.keystr(path)
        for (path, old), new in zip(jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True)
        if not jax.dtypes.issubdtype(old.dtype, jax.dtypes.prng_key)
        and np.array_equal(old, new)
        and not (old.size == 1 and jax.tree_util.keystr(path).endswith("/u']"))  # the unit vector of a single output
    ]
    assert same == []
    assert int(after.step) == 2
    np.testing.assert_array_equal(jax.random.key_data(before.key), jax.random.key_data(after.key))


def test_the_moving_average_begins_at_the_parameters():
    state = begin(small_gan(), TX, jax.random.key(0), images())
    assert jax.tree.structure(state.ema_params) == jax.tree.structure(state.gen.params)
    for average, new in zip(jax.tree.leaves(state.ema_params), jax.tree.leaves(state.gen.params), strict=True):
        np.testing.assert_array_equal(average, new)


@pytest.mark.parametrize("idle", ["gen", "disc"])
def test_one_players_turn_leaves_the_other_alone(idle):
    objective, tx = small_gan(), TX._replace(**{idle: optax.set_to_zero()})
    state = begin(objective, tx, jax.random.key(0), images())
    after, _ = jax.jit(core.make_step(objective, tx))(state, images())
    for old, new in zip(
        jax.tree.leaves(getattr(state, idle).params), jax.tree.leaves(getattr(after, idle).params), strict=True
    ):
        np.testing.assert_array_equal(old, new)


def test_metrics_are_flat_scalars_with_the_fields_names(played):
    _, _, metrics = played
    wanted = {"disc/loss", "gen/loss", "disc/grad_norm", "gen/grad_norm", "disc/real", "disc/fake", "disc/penalty"}
    assert wanted <= set(metrics)
    assert all(value.shape == () and np.isfinite(value) for value in metrics.values())


# A toy with visible arithmetic: D has one parameter that collects the batches it saw, G one that collects D's.
def counting_objective() -> Objective:
    def init(key, batch):
        return Players(gen={"params": {"w": jnp.zeros(())}}, disc={"params": {"w": jnp.zeros(())}})

    def sample(gen_vars, inputs, key, train):
        return gen_vars["params"]["w"], {}

    def disc_loss(disc_vars, fake, turn):
        signal = jnp.mean(turn.batch["x"]) + 100 * fake
        return -disc_vars["params"]["w"] * signal, ({}, {"disc/count": turn.updates.astype(jnp.float32)})

    def gen_loss(disc_vars, fake, turn):
        return -fake * (jnp.mean(turn.batch["x"]) + 1000 * disc_vars["params"]["w"]), {}

    return Objective(init, Sampler(lambda key, batch: {}, sample), disc_loss, gen_loss)


SGD = Players(gen=optax.sgd(1.0), disc=optax.sgd(1.0))


@pytest.mark.parametrize(
    ("options", "disc", "gen"),
    [  # batch = [1, 2] in one or two minibatches, by hand
        ({}, 1.5, 1.5 + 1500),
        ({"schedule": "gen_first"}, 1.5 + 150, 1.5),
        ({"schedule": "simultaneous"}, 1.5, 1.5),
        ({"disc_steps": 2}, 3.0, 2 + 3000),  # D sees 1, then 2; G plays on the last one
        ({"gen_steps": 2}, 1.0, 3 + 2000),  # D sees 1; G sees 1, then 2
        ({"accumulate": 2}, 1.5, 1.5 + 1500),  # the mean of the gradients
    ],
)
def test_schedule(options, disc, gen):
    objective = counting_objective()
    batch = {"x": jnp.asarray([1.0, 2.0])}
    state = begin(objective, SGD, jax.random.key(0), batch)
    state, _ = core.make_step(objective, SGD, **options)(state, batch)
    assert float(state.disc.params["w"]) == disc
    assert float(state.gen.params["w"]) == gen


def test_count_is_the_number_of_updates_made_before():
    objective = counting_objective()
    batch = {"x": jnp.asarray([1.0, 2.0])}
    step = core.make_step(objective, SGD, disc_steps=2)
    state, first = step(begin(objective, SGD, jax.random.key(0), batch), batch)
    _, second = step(state, batch)
    assert float(first["disc/count"]) == 0.5  # the mean of 0 and 1
    assert float(second["disc/count"]) == 2.5


@pytest.mark.parametrize(("options", "disc", "gen"), [({"accumulate": 4}, 4, 4), ({"disc_steps": 2}, 2, 1), ({}, 1, 1)])
def test_statistics_go_on_from_part_to_part(options, disc, gen):
    """Each player's count of its own forward passes."""
    plain = counting_objective()

    def counted(variables):
        return {"passes": variables["passes"] + 1}

    def init(key, batch):
        return Players(*({**variables, "passes": jnp.zeros(())} for variables in plain.init(key, batch)))

    def sample(gen_vars, inputs, key, train):
        return gen_vars["params"]["w"], counted(gen_vars)

    def disc_loss(disc_vars, fake, turn):
        value, (_, metrics) = plain.disc_loss(disc_vars, fake, turn)
        return value, (counted(disc_vars), metrics)

    objective = plain._replace(init=init, sampler=plain.sampler._replace(sample=sample), disc_loss=disc_loss)
    batch = {"x": jnp.arange(4.0)}
    state = begin(objective, SGD, jax.random.key(0), batch)
    state, _ = core.make_step(objective, SGD, **options)(state, batch)
    assert (float(state.disc.stats["passes"]), float(state.gen.stats["passes"])) == (disc, gen)


def test_optimizers_go_on_from_update_to_update():
    """Adam's count of its updates, and heavy-ball momentum by hand: three equal gradients g move by g, 1.5 g, 1.75 g."""
    objective, batch = counting_objective(), {"x": jnp.asarray([1.0, 1.0])}
    tx = Players(gen=optax.adam(1e-3), disc=optax.sgd(1.0, momentum=0.5))
    step = core.make_step(objective, tx, disc_steps=2)
    state = begin(objective, tx, jax.random.key(0), batch)
    frozen = state.gen._replace(params={"w": jnp.zeros(())})  # so that D's gradient stays -1
    for wanted in (2.5, 2.5 + 1.75 + 1.875):
        state, _ = step(state._replace(gen=frozen._replace(opt_state=state.gen.opt_state)), batch)
        np.testing.assert_allclose(state.disc.params["w"], wanted)
    assert int(state.gen.opt_state[0].count) == 2


def test_moving_average_with_and_without_warmup():
    objective, batch = counting_objective(), {"x": jnp.ones(2)}
    state = begin(objective, SGD, jax.random.key(0), batch)
    for options, rate in (({"ema": 0.9}, 2 / 11), ({"ema": 0.9, "ema_warmup": False}, 0.9), ({"ema": 0.0}, 0.0)):
        after, _ = core.make_step(objective, SGD, **options)(state, batch)
        np.testing.assert_allclose(after.ema_params["w"], (1 - rate) * after.gen.params["w"], rtol=1e-6)


def test_accumulated_gradients_equal_those_of_the_whole_batch():
    """Without noise and batch norm the mean over parts is the mean over the whole."""
    objective = image_gan(Generator(norm="none"), Discriminator(), losses.least_squares, lambda key, n: jnp.ones((n, 5)))
    state = begin(objective, SGD, jax.random.key(0), images())
    whole, _ = jax.jit(core.make_step(objective, SGD))(state, images())
    parts, _ = jax.jit(core.make_step(objective, SGD, accumulate=4))(state, images())
    for a, b in zip(jax.tree.leaves(whole.disc.params), jax.tree.leaves(parts.disc.params), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("name", ["jit", "scan", "vmap"])
def test_drivers_equal_the_plain_step(name):
    """Ten rounds with SGD: jit agrees to the bit, scan and vmap over seeds to rounding."""
    objective, batches = small_gan(), jax.tree.map(lambda *x: jnp.stack(x), *[images(seed=i) for i in range(10)])
    tx = Players(gen=optax.sgd(0.01), disc=optax.sgd(0.01))
    step = core.make_step(objective, tx)
    seeds = [jax.random.key(seed) for seed in range(4)]
    reference = [begin(objective, tx, key, images()) for key in seeds]
    single = parallel.jit_step(step)
    for i in range(10):
        reference = [single(state, jax.tree.map(lambda x: x[i], batches))[0] for state in reference]
    start = begin(objective, tx, seeds[0], images())
    if name == "jit":
        for i in range(10):
            start, _ = jax.jit(step)(start, jax.tree.map(lambda x: x[i], batches))
        assert state_hash(start) == state_hash(reference[0])
    elif name == "scan":
        start, metrics = parallel.scan_step(step)(start, batches)
        assert metrics["disc/loss"].shape == (10,)
        assert_close(start, reference[0], atol=1e-6)
    else:
        population = jax.vmap(lambda key: begin(objective, tx, key, images()))(jnp.stack(seeds))
        many = parallel.vmap_step(step)
        for i in range(10):
            population, _ = many(population, jax.tree.map(lambda x: x[i], batches))
        for seed in range(4):
            assert_close(jax.tree.map(lambda x: x[seed], population), reference[seed], atol=1e-5)


def assert_close(a, b, atol):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    np.testing.assert_array_equal(jax.random.key_data(a.key), jax.random.key_data(b.key))
    for x, y in zip(jax.tree.leaves(a._replace(key=None)), jax.tree.leaves(b._replace(key=None)), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=atol)


def test_one_trace_over_ten_steps():
    objective, traces = small_gan(), []
    step = core.make_step(objective, TX)

    def counted(state, batch):
        traces.append(1)
        return step(state, batch)

    run = parallel.jit_step(counted)
    state = jax.jit(lambda key: begin(objective, TX, key, images()))(jax.random.key(0))
    for i in range(10):
        state, _ = run(state, images(seed=i))
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("options", "passes"),
    [
        ({}, 1),
        ({"schedule": "simultaneous"}, 1),
        ({"schedule": "gen_first"}, 2),
        ({"disc_steps": 2}, 2),
        ({"gen_steps": 2}, 2),
        ({"accumulate": 2}, 2),
    ],
)
def test_where_each_makes_one_update_the_fakes_are_made_once(options, passes):
    """Both learn of the same fakes, unless the generator has moved in between; loops are traced once."""
    objective, traces = small_gan(), []

    def sample(*args):
        traces.append(1)
        return objective.sampler.sample(*args)

    state = jax.eval_shape(lambda: begin(objective, SGD, jax.random.key(0), images()))
    jax.eval_shape(
        core.make_step(objective._replace(sampler=objective.sampler._replace(sample=sample)), SGD, **options), state, images()
    )
    assert len(traces) == passes


def test_a_round_is_a_gradient_of_each_players_loss():
    """Each loss by itself, from samples to its parameters, by `jax.grad`; latents that need no key, SGD with rate 1."""
    generator, discriminator = mlp.Generator(width=8, depth=2, norm="batch"), mlp.Discriminator(width=8, depth=2)
    z = jax.random.normal(jax.random.key(7), (8, 5))
    objective = image_gan(generator, discriminator, losses.non_saturating, lambda key, n: z)
    batch, key = {"image": jax.random.normal(jax.random.key(8), (8, 2))}, jax.random.key(1)
    state = begin(objective, SGD, jax.random.key(0), batch)
    turn = core.Turn(batch, {"z": z}, key, key, state.step, state.gen.variables)

    def moved(player, loss):
        grads, stats = jax.grad(loss, has_aux=True)(player.params)
        return player._replace(params=jax.tree.map(jnp.subtract, player.params, grads), stats=stats), optax.tree.norm(grads)

    @jax.jit
    def train_gen(gen, disc):
        def loss(params):
            fakes, stats = objective.sampler.sample({"params": params, **gen.stats}, turn.inputs, key, True)
            return objective.gen_loss(disc.variables, fakes, turn)[0], stats

        return moved(gen, loss)

    @jax.jit
    def train_disc(disc, gen):
        def loss(params):
            fakes, _ = objective.sampler.sample(gen.variables, turn.inputs, key, True)
            value, (stats, _) = objective.disc_loss({"params": params, **disc.stats}, fakes, turn)
            return value, stats

        return moved(disc, loss)

    gen, gen_norm = train_gen(state.gen, state.disc)  # both against the other's old parameters
    disc, disc_norm = train_disc(state.disc, state.gen)
    later_gen, later_gen_norm = train_gen(state.gen, disc)
    later_disc, later_disc_norm = train_disc(state.disc, gen)
    for schedule, *wanted in (
        ("disc_first", later_gen, disc, later_gen_norm, disc_norm),
        ("gen_first", gen, later_disc, gen_norm, later_disc_norm),
        ("simultaneous", gen, disc, gen_norm, disc_norm),
    ):
        after, metrics = jax.jit(core.make_step(objective, SGD, schedule=schedule))(state, batch)
        found = [after.gen, after.disc, metrics["gen/grad_norm"], metrics["disc/grad_norm"]]
        assert jax.tree.structure(found) == jax.tree.structure(wanted)
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg=schedule)
    assert abs(float(later_gen_norm / gen_norm) - 1) > 5e-3  # the order can be told by the numbers
    assert abs(float(later_disc_norm / disc_norm) - 1) > 5e-3


def test_no_key_is_used_twice():
    objective = small_gan()
    with jax.debug_key_reuse(True):
        state = core.init_state(objective, TX, jax.random.key(0), images())  # not a program from before
        step = jax.jit(core.make_step(objective, TX, disc_steps=2, accumulate=2))
        state, _ = step(state, images())
        step(state, images())


def test_the_run_does_not_draw_by_the_key_of_the_parameters():
    objective, given = counting_objective(), []

    def init(key, batch):
        given.append(jax.random.key_data(key))
        return objective.init(key, batch)

    with jax.disable_jit():
        state = core.init_state(objective._replace(init=init), SGD, jax.random.key(0), {"x": jnp.ones(2)})
    keys = [*given, jax.random.key_data(state.key), jax.random.key_data(jax.random.key(0))]
    assert len({tuple(key.tolist()) for key in keys}) == 3


def test_every_update_has_a_key_of_its_own():
    """Players, rounds, updates of a round and parts of a minibatch: the first number drawn from each key is another one."""

    def numbers(name, turn):
        number = jax.random.uniform(turn.key)
        return {f"{name}/drawn": number, f"{name}/drawn_squared": number**2}

    def disc_loss(disc_vars, fake, turn):
        return 0 * disc_vars["params"]["w"], ({}, numbers("disc", turn))

    def gen_loss(disc_vars, fake, turn):
        return 0 * fake, numbers("gen", turn)

    objective = counting_objective()._replace(disc_loss=disc_loss, gen_loss=gen_loss)
    batch = {"x": jnp.ones(4)}
    state = begin(objective, SGD, jax.random.key(0), batch)
    step = jax.jit(core.make_step(objective, SGD))
    drawn = []
    for _ in range(3):
        state, metrics = step(state, batch)
        drawn += [float(metrics["disc/drawn"]), float(metrics["gen/drawn"])]
    assert len(set(drawn)) == 6
    for options in ({"disc_steps": 2, "gen_steps": 2}, {"accumulate": 2}):
        _, metrics = core.make_step(objective, SGD, **options)(state, batch)
        for name in ("disc", "gen"):
            variance = float(metrics[f"{name}/drawn_squared"]) - float(metrics[f"{name}/drawn"]) ** 2
            assert variance > 1e-6, (options, name)


def test_rounds_and_updates_draw_new_noise():
    """The same batch and parameters, but another round: another loss."""
    objective = small_gan()
    state = begin(objective, TX, jax.random.key(0), images())
    step = jax.jit(core.make_step(objective, TX))
    first, again = step(state, images())[1], step(state, images())[1]
    later = step(state._replace(step=state.step + 1), images())[1]
    assert float(first["disc/loss"]) == float(again["disc/loss"]) != float(later["disc/loss"])


def test_bf16_computes_with_f32_parameters():
    half = jnp.bfloat16
    objective = image_gan(Generator(dtype=half), Discriminator(dtype=half), losses.hinge, latents.Uniform(5))
    state = begin(objective, TX, jax.random.key(0), images())
    step = core.make_step(objective, TX)
    after, metrics = jax.jit(step)(state, images())
    assert {x.dtype for x in jax.tree.leaves((after.gen.params, after.disc.params))} == {jnp.dtype("float32")}
    assert all(np.isfinite(value) for value in metrics.values())
    assert "bf16" in str(jax.make_jaxpr(step)(state, images()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"disc_steps": 0}, "disc_steps is a whole number of at least 1, not 0"),
        ({"disc_steps": 1.5}, "disc_steps is a whole number of at least 1, not 1.5"),
        ({"gen_steps": -1}, "gen_steps is a whole number of at least 1, not -1"),
        ({"accumulate": "2"}, "accumulate is a whole number of at least 1, not '2'"),
        ({"unroll": -1}, "unroll is a whole number of at least 0, not -1"),
        ({"ema": 1.0}, r"ema is a decay in \[0, 1\), not 1.0"),
        ({"schedule": "both"}, "schedule is disc_first, gen_first or simultaneous, not 'both'"),
    ],
)
def test_impossible_schedules_are_named(options, message):
    make_step = getattr(core.make_step, "__wrapped__", core.make_step)  # without the tests' check of types
    with pytest.raises(InputError, match=message):
        make_step(small_gan(), TX, **options)


def test_a_batch_that_cannot_be_cut():
    objective = counting_objective()
    batch = {"x": jnp.ones(3)}
    state = begin(objective, SGD, jax.random.key(0), batch)
    with pytest.raises(InputError, match="cannot be cut into 2"):
        core.make_step(objective, SGD, disc_steps=2)(state, batch)


def test_an_objective_names_what_the_batch_lacks():
    with pytest.raises(InputError, match="the objective needs label, and the batch has image"):
        core.init_state(small_gan(), TX, jax.random.key(0), {"image": images()["image"]})


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"images": np.zeros((4, 16, 16, 1), np.uint8)}, "the objective needs image, and the batch has images"),
        ({"image": np.zeros((4, 16, 16), np.uint8)}, r"image, uint8 \(4, 16, 16\).*add the axis of channels"),
        ({"image": np.zeros((4, 16, 16, 3), np.uint8)}, r"image is \(16, 16, 3\) an example, .*makes \(16, 16, 1\)"),
        ({"image": np.zeros((4, 32, 32, 1), np.uint8)}, r"image is \(32, 32, 1\) an example, .*makes \(16, 16, 1\)"),
        (np.zeros((4, 16, 16, 1), np.uint8), r"a batch is named arrays, .*not an array uint8\[4, 16, 16, 1\]"),
    ],
)
@pytest.mark.parametrize("schedule", ["disc_first", "gen_first"])
def test_a_batch_that_the_networks_do_not_play_on(batch, message, schedule):
    """In the round itself, which is looked at before it is compiled, whatever runs it."""
    networks = dcgan.Generator(size=(16, 16), channels=1, width=2), dcgan.Discriminator(width=2, norm="none")
    gan = image_gan(*networks, losses.non_saturating, latents.Normal(3))
    begin = getattr(core.init_state, "__wrapped__", core.init_state)  # without the tests' check of types
    state = jax.eval_shape(partial(begin, gan, TX), jax.random.key(0), {"image": np.zeros((4, 16, 16, 1), np.uint8)})
    step = core.make_step(gan, TX, schedule=schedule)
    with pytest.raises(InputError, match=message):
        jax.eval_shape(getattr(step, "__wrapped__", step), state, batch)


def test_the_generators_loss_may_depend_on_its_parameters():
    """|w|^2 / 2 beside the game: its gradient, w, is added to that through the fakes, also where these are made once."""
    objective = linear_gan()

    def gen_loss(disc_vars, fake, turn):
        value, metrics = objective.gen_loss(disc_vars, fake, turn)
        return value + turn.gen["params"]["w"] ** 2 / 2, metrics

    batch = {"x": jnp.full(4, 2.0)}
    state = begin(objective, SGD, jax.random.key(0), batch)
    for options in ({}, {"schedule": "gen_first"}, {"accumulate": 2}):
        plain, _ = core.make_step(objective, SGD, **options)(state, batch)
        more, _ = core.make_step(objective._replace(gen_loss=gen_loss), SGD, **options)(state, batch)
        np.testing.assert_allclose(plain.gen.params["w"] - more.gen.params["w"], state.gen.params["w"], rtol=1e-6)
