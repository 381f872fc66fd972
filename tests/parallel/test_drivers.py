"""However a step is run, it gives the states that one device gives; what cannot be shared is refused."""

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import flax.jax_utils
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, PartitionSpec

from gan_jax import core, parallel
from gan_jax.core import Players
from gan_jax.errors import InputError
from gan_jax.parallel.mesh import require_shares
from tests.game import GAMES, SGD, batches, flags_of, game, numbers, start

ROOT = Path(__file__).parents[2]
BOUND = 5e-6  # after five rounds; parameters are of size 0.1 to 1 and move by 5e-3 or more


@functools.cache
def played(name):
    """A game, and its state and metrics after five rounds on one device."""
    objective, step = game(name)
    run, state = jax.jit(step), start(objective)
    for batch in batches():
        state, metrics = run(state, batch)
    moved = [np.abs(a - b).max() for a, b in zip(numbers(state.gen), numbers(start(objective).gen), strict=True)]
    assert max(moved) > 1e-3
    assert "augment" not in state.disc.stats or state.disc.stats["augment"]["p"] > 0.2
    return objective, step, state, metrics


def assert_equal(found, wanted):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for a, b in zip(numbers(found), numbers(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=BOUND, atol=BOUND)


FIRST, AUGMENTED, PENALISED, CONVOLUTIONAL = GAMES
CASES = list(zip(GAMES, (8, 4, 4, 2), strict=True))


@pytest.mark.parametrize(
    ("name", "devices"), [pytest.param(*case, marks=[pytest.mark.slow] * (case[0] in (AUGMENTED, PENALISED))) for case in CASES]
)
def test_jit_over_a_mesh_equals_one_device(name, devices):
    objective, step, wanted, metrics = played(name)
    mesh = parallel.batch_mesh(jax.devices()[:devices])
    run, state = parallel.sharded_step(step, mesh), parallel.replicate(start(objective), mesh)
    for batch in batches():
        state, found = run(state, batch)
    assert all(len(x.sharding.device_set) == devices and x.sharding.is_fully_replicated for x in jax.tree.leaves(state))
    assert_equal((state, found), (wanted, metrics))
    alone = parallel.local(state)
    assert {len(x.sharding.device_set) for x in jax.tree.leaves(alone)} == {1}
    assert_equal(alone, wanted)


def test_the_state_stays_on_every_device():
    """Also an array with an entry for each example, which the compiler would leave where the examples are."""

    def step(state, batch):
        return state._replace(ema_params=state.ema_params + batch["x"]), {}

    mesh = parallel.batch_mesh(jax.devices()[:4])
    state = parallel.replicate(core.TrainState(jnp.zeros((), jnp.int32), jax.random.key(0), (), (), jnp.zeros(8)), mesh)
    after, _ = parallel.sharded_step(step, mesh)(state, {"x": np.arange(8, dtype=np.float32)})
    assert after.ema_params.sharding.is_fully_replicated
    np.testing.assert_array_equal(after.ema_params, np.arange(8))


@pytest.mark.parametrize(
    ("name", "devices"), [CASES[-1], *(pytest.param(*case, marks=pytest.mark.slow) for case in CASES[:-1])]
)
def test_pmap_equals_one_device(name, devices):
    objective, step, wanted, metrics = played(name)
    chosen = jax.devices()[:devices]
    run, state = parallel.pmap_step(step, chosen), flax.jax_utils.replicate(start(objective), chosen)
    for batch in batches():
        state, found = run(state, parallel.split(batch, devices))
    assert_equal((flax.jax_utils.unreplicate(state), found), (wanted, metrics))


def test_shard_map_equals_one_device():
    objective, step, wanted, metrics = played(FIRST)
    mesh = jax.make_mesh((4,), ("batch",), axis_types=(AxisType.Auto,), devices=jax.devices()[:4])
    whole, rows = PartitionSpec(), PartitionSpec("batch")
    run = jax.jit(jax.shard_map(step, mesh=mesh, in_specs=(whole, rows), out_specs=(whole, whole), check_vma=False))
    state = start(objective)
    for batch in batches():
        state, found = run(state, batch)
    assert_equal((state, found), (wanted, metrics))


@pytest.mark.slow
@pytest.mark.parametrize("feed", ["resident", "streamed"])
def test_feeds_over_a_mesh_equal_those_on_one_device(feed):
    objective, step = game(FIRST)
    data = jax.tree.map(lambda *x: np.concatenate(x), *batches())

    def plan(i):
        return {"index": np.arange(32 * i, 32 * (i + 1)).astype(np.int32)}

    def load(i):
        return {name: x[plan(i)["index"]] for name, x in data.items()}

    found = []
    for mesh in (None, parallel.batch_mesh(jax.devices()[:4])):
        state = start(objective) if mesh is None else parallel.replicate(start(objective), mesh)
        advance = (
            parallel.resident(step, data, plan, mesh=mesh) if feed == "resident" else parallel.streamed(step, load, mesh=mesh)
        )
        state, _ = advance(state, 0, 2)
        state, metrics = advance(state, 2, 3)
        found.append((state, metrics))
    assert found[0][1]["disc/loss"].shape == (3,)
    assert_equal(found[1], found[0])


def test_noise_and_fakes_are_computed_in_parts():
    """With eight devices each does an eighth of the arithmetic, the generator's and DiffAugment's noise included."""
    objective, step = game(AUGMENTED)
    mesh = parallel.batch_mesh(jax.devices())
    state, batch = start(objective), batches(1, size=256)[0]
    alone = jax.jit(step).lower(state, batch).compile().cost_analysis()["flops"]
    with jax.set_mesh(mesh):
        shared = jax.jit(step).lower(parallel.replicate(state, mesh), parallel.shard(batch, mesh)).compile()
    assert shared.cost_analysis()["flops"] < 0.2 * alone


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "devices"),
    [(FIRST, 4), (CONVOLUTIONAL, 1), (CONVOLUTIONAL, 4)],
)
def test_populations_equal_runs_of_their_own(name, devices):
    """Eight runs of two learning rates, together and one by one."""
    objective, _ = game(name)
    sgd = optax.inject_hyperparams(optax.sgd)
    tx = Players(gen=sgd(0.05), disc=sgd(0.05))
    step, batch = core.make_step(objective, tx), batches(1)[0]
    rates = jnp.asarray([0.05, 0.02] * 4)

    def one(i):
        state = core.init_state(objective, tx, jax.random.split(jax.random.key(0), 8)[i], batch)
        state.gen.opt_state.hyperparams["learning_rate"] = rates[i]
        return state

    run = parallel.vmap_step(step, parallel.run_mesh(jax.devices()[:devices]) if devices > 1 else None)
    keys = jax.random.split(jax.random.key(0), 8)
    population = parallel.init_population(objective, tx, keys, batch, {"gen.learning_rate": rates})
    for _ in range(3):
        population, metrics = run(population, batch)
    assert metrics["gen/loss"].shape == (8,)
    alone = jax.jit(step)
    for i in (0, 1, 7):
        state = one(i)
        for _ in range(3):
            state, _ = alone(state, batch)
        assert_equal(jax.tree.map(lambda x, i=i: x[i], population), state)


def test_what_cannot_be_shared_is_refused():
    mesh = parallel.batch_mesh(jax.devices()[:4])
    with pytest.raises(InputError, match="a batch of 30 cannot be shared by 4 devices: choose a batch of 32"):
        require_shares(30, mesh)
    with pytest.raises(InputError, match="in 3 parts cannot be shared by 4 devices: choose a batch of 36"):
        require_shares(32, mesh, accumulate=3)
    require_shares(30, None, accumulate=3)
    with pytest.raises(InputError, match="image: 30 examples cannot be shared by 4"):
        parallel.split({"image": np.zeros((30, 2))}, 4)
    objective, step = game(FIRST)
    with pytest.raises(InputError, match="image: 30 examples cannot be shared by 4"):
        parallel.sharded_step(step, mesh)(parallel.replicate(start(objective), mesh), batches(1, size=30)[0])


TWO = """
import sys
import jax, numpy as np
from gan_jax import parallel
from gan_jax.parallel import processes
from tests.game import GAMES, SGD, batches, game, numbers, start
processes.connect(sys.argv[1], 2, int(sys.argv[2]))
objective, step = game(next(iter(GAMES)))
mesh = parallel.batch_mesh()
assert mesh.size == 4
run, state = parallel.sharded_step(step, mesh), parallel.replicate(start(objective), mesh)
for batch in batches():
    mine = slice(16 * jax.process_index(), 16 * (jax.process_index() + 1))
    state, metrics = run(state, {name: x[mine] for name, x in batch.items()})
if processes.is_first():
    np.savez(f"{sys.argv[3]}/state.npz", *numbers((parallel.local(state), metrics)))
processes.leave()
"""


@pytest.mark.slow
def test_two_processes_of_two_devices_equal_one(free_port, tmp_path):
    environment = {**os.environ, "XLA_FLAGS": flags_of(2)}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", TWO, f"127.0.0.1:{free_port}", str(i), str(tmp_path)],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        for i in (0, 1)
    ]
    complaints = [process.communicate(timeout=240)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], complaints
    _, _, state, metrics = played(FIRST)
    with np.load(tmp_path / "state.npz") as found:
        for a, b in zip(found.values(), numbers((state, metrics)), strict=True):
            np.testing.assert_allclose(a, b, rtol=BOUND, atol=BOUND)


@pytest.mark.slow
def test_members_may_have_batches_of_their_own():
    objective, step = game(FIRST)
    own = batches(2)
    keys = jax.random.split(jax.random.key(0), 2)
    states = parallel.init_population(objective, SGD, keys, own[0])
    stacked = {name: np.stack([batch[name] for batch in own]) for name in own[0]}
    run = parallel.vmap_step(step, own_batches=True)
    found, _ = run(states, stacked)
    for i, batch in enumerate(own):
        alone, _ = jax.jit(step)(core.init_state(objective, SGD, keys[i], batch), batch)
        assert_equal(jax.tree.map(lambda x, i=i: x[i], found), alone)
    with pytest.raises(InputError, match="image .* with own_batches the first axis is that of 2 runs"):
        run(found, own[0])
    with pytest.raises(InputError, match="leading axis of runs: make it by gan_jax.init_population"):
        run(start(objective), stacked)


@pytest.mark.parametrize(
    ("hyper", "message"),
    [
        ({"gen.learning_rate": np.ones(3)}, "shape (3,), and there are 2 keys"),
        ({"gen.lr": np.ones(2)}, "no number 'lr' that can be set; it has learning_rate"),
        ({"disc.learning_rate": np.ones(2)}, "make it by optax.inject_hyperparams"),
        ({"learning_rate": np.ones(2)}, "names are gen. or disc."),
    ],
)
def test_numbers_of_members_that_cannot_be_set(hyper, message):
    objective, _ = game(FIRST)
    tx = Players(gen=optax.chain(optax.clip(1.0), optax.inject_hyperparams(optax.sgd)(0.1)), disc=optax.sgd(0.1))
    with pytest.raises(InputError, match=re.escape(message)):
        parallel.init_population(objective, tx, jax.random.split(jax.random.key(0), 2), batches(1)[0], hyper)


@pytest.mark.parametrize("keys", [jax.random.key(0), jnp.arange(3)])
def test_keys_of_members_are_typed(keys):
    with pytest.raises(InputError, match="keys are typed keys"):
        parallel.init_population(game(FIRST)[0], SGD, keys, batches(1)[0])


def test_an_array_that_stands_twice_in_a_state_is_donated_once():
    objective, _ = game(FIRST)
    sgd = optax.inject_hyperparams(optax.sgd)
    tx = Players(gen=sgd(0.05), disc=sgd(0.05))
    state, rate = core.init_state(objective, tx, jax.random.key(0), batches(1)[0]), jnp.asarray(0.02)
    for player in (state.gen, state.disc):
        player.opt_state.hyperparams["learning_rate"] = rate
    state = state._replace(ema_params=state.gen.params)
    new, _ = parallel.jit_step(core.make_step(objective, tx))(state, batches(1)[0])
    assert new.gen.opt_state.hyperparams["learning_rate"] == new.disc.opt_state.hyperparams["learning_rate"] == 0.02


def test_a_state_of_one_device_is_refused_by_steps_of_several():
    objective, step = game(FIRST)
    devices, batch = jax.devices()[:2], batches(1)[0]
    with pytest.raises(InputError, match="lies on 1 device, the mesh has 2 devices: give gan_jax.replicate"):
        parallel.sharded_step(step, parallel.batch_mesh(devices))(start(objective), batch)
    with pytest.raises(InputError, match="lies on the host, the mesh has 2 devices"):
        parallel.sharded_step(step, parallel.batch_mesh(devices))(start(objective)._replace(step=np.int32(0)), batch)
    run = parallel.pmap_step(step, devices)
    with pytest.raises(InputError, match="no leading axis of 2 devices .*: give flax.jax_utils.replicate"):
        run(start(objective), parallel.split(batch, 2))
    several = flax.jax_utils.replicate(start(objective), devices)
    with pytest.raises(InputError, match="image .* no leading axis of 2 devices: give gan_jax.parallel.split"):
        run(several, batch)
