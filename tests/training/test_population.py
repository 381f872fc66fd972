"""Members of a population are the runs that they would be alone; their deaths, their continuation, their devices."""

import dataclasses
import os
import signal
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import core, latents, losses, penalties
from gan_jax.commands import doctor
from gan_jax.core import Players
from gan_jax.data import BalancedOrder, Order, Rounds, Variation, ring
from gan_jax.errors import InputError, Interrupted
from gan_jax.models import mlp
from gan_jax.objectives import image_gan
from gan_jax.parallel import memory, run_mesh
from gan_jax.runs import read_rows, state_hash
from gan_jax.training import Measure, members, train_population
from gan_jax.training.members import Chunk, Program
from tests.game import numbers

MAKE = partial(core.make_step, disc_steps=2, ema=0.9)


class Setting(NamedTuple):
    lr: float = 0.02
    r1: float = 0.1
    seed: int = 0


SETTINGS = [Setting(seed=0), Setting(lr=0.05, seed=1), Setting(r1=1.0, seed=2), Setting(seed=1)]
DOOMED = Setting(lr=1e30, seed=3)


def build(setting):
    objective = image_gan(
        mlp.Generator(width=8, depth=1),
        mlp.Discriminator(width=8, depth=1),
        losses.non_saturating,
        latents.Normal(3),
        penalties=((setting.r1, penalties.r1),),
        real="point",
    )
    return objective, Players(gen=optax.sgd(setting.lr), disc=optax.sgd(setting.lr, momentum=0.5))


def jitter(scale=0.1):
    return Variation(
        plan=lambda generator, n, shapes: {"jitter": generator.normal(size=(n, 2)).astype(np.float32)},
        finish=lambda batch, planned: batch | {"point": batch["point"] + scale * planned["jitter"]},
        check=lambda shapes: None,
    )


def rounds(seed=0, n=100, vary=()):
    points = ring(sigma=0.05).dataset(n, seed=1).train["point"]
    return Rounds({"point": points}, Order(seed, n, 8), parts=2, vary=vary)


def train(settings=SETTINGS, given=None, **options):
    asked = {"steps": 12, "log_every": 4, "dispatch": 4, "make": MAKE, "show": lambda line: None, **options}
    return train_population(build, settings, given or rounds(), **asked)


def alone(setting, given, steps=12):
    """State and metrics of each round of a run of its own."""
    objective, tx = build(setting)
    given = dataclasses.replace(given, order=Order(setting.seed, given.order.size, given.order.batch))
    blank = {name: np.zeros(x.shape, x.dtype) for name, x in given.shapes.items()}
    state = core.init_state(objective, tx, jax.random.key(setting.seed), blank)
    batches = [given.finish(jax.tree.map(jnp.asarray, given.load(i))) for i in range(steps)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *batches)
    return jax.jit(lambda state: jax.lax.scan(MAKE(objective, tx), state, stacked))(state)


def assert_close(found, wanted, bound=2e-6):
    for a, b in zip(numbers(found), numbers(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=bound, atol=bound)


def distance(measured):
    """Looks at the objective, the state, the data and the key."""

    def call(objective, state, data, key):
        inputs = objective.sampler.inputs(key, data)
        fakes, _ = objective.sampler.sample(state.gen.variables, inputs, key, True)
        return {
            "distance": jnp.mean(jnp.abs(fakes - data["point"])),
            "noise": jax.random.normal(key),
            "at": state.step.astype(jnp.float32),
            "fakes": fakes[:3],
        }

    return Measure(8, call, measured)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Four living members and one that dies, kept in a directory."""
    directory = tmp_path_factory.mktemp("population") / "run"
    return directory, kept(directory)


def kept(directory, **options):
    held_out = ring(sigma=0.05).dataset(8, seed=2).train
    asked = {"save_every": 8, "measure": distance({"point": held_out["point"]}), "directory": directory, **options}
    return train([*SETTINGS, DOOMED], **asked)


@pytest.mark.parametrize("vary", [(), pytest.param((jitter(),), marks=pytest.mark.slow)])
def test_members_are_the_runs_that_they_would_be_alone(vary):
    given = rounds(vary=vary)
    found = train(given=given)
    for i, setting in enumerate(SETTINGS):
        state, metrics = alone(setting, given)
        assert_close(found.state(i), state)
        assert [row["step"] for row in found.rows[i]] == [4, 8, 12]
        means = {name: float(np.mean(value[8:])) for name, value in metrics.items()}
        assert {name: found.rows[i][-1][name] for name in means} == pytest.approx(means, rel=1e-5, abs=1e-6)
    moved = np.abs(found.states.gen.params["Dense_0"]["kernel"][1] - found.states.gen.params["Dense_0"]["kernel"][3]).max()
    assert moved > 1e-3  # the same seed, another learning rate


def test_members_have_balanced_rounds_in_an_order_of_their_own():
    strata = np.array([0] * 90 + [1] * 10)
    given = dataclasses.replace(rounds(), order=BalancedOrder(5, strata, 8))
    played = Program(build, MAKE, given, share_batches=False, measure=None, mesh=run_mesh(jax.devices()[:1]))
    plans = Chunk(played, SETTINGS[:2], 3).plan(0, 3)["index"]  # round, member, example
    for member, setting in enumerate(SETTINGS[:2]):
        own = dataclasses.replace(given, order=BalancedOrder(setting.seed, strata, 8))
        np.testing.assert_array_equal(plans[:, member], [own.plan(i)["index"] for i in range(3)])
        assert (strata[plans[:, member]].sum(axis=1) == 8).all()


def test_shared_batches_are_those_of_the_rounds():
    found = train(given=rounds(seed=1), share_batches=True)
    own = train(given=rounds(seed=5))
    assert_close(found.state(1), own.state(1))  # its own seed is that of the rounds
    apart = np.abs(found.states.gen.params["Dense_0"]["kernel"] - own.states.gen.params["Dense_0"]["kernel"])
    assert apart[0].max() > 1e-4


def test_a_death_leaves_the_others_as_they_are():
    well, ill = train([SETTINGS[0], Setting(seed=3), SETTINGS[1]]), train([SETTINGS[0], DOOMED, SETTINGS[1]])
    for i in (0, 2):
        assert state_hash(ill.state(i)) == state_hash(well.state(i))
        assert ill.rows[i] == well.rows[i]
    assert well.died == {}
    assert list(ill.died) == [1]
    assert 1 <= ill.died[1].step <= 4
    assert "disc/loss" in ill.died[1].metrics
    assert ill.rows[1] == []
    assert int(ill.state(1).step) == ill.died[1].step - 1
    assert all(np.isfinite(x).all() for x in numbers(ill.state(1)))


def test_a_state_that_is_not_finite_is_a_death():
    """Here the metrics stay finite: the moving average alone overflows."""

    def make(objective, tx):
        step = MAKE(objective, tx)

        def play(state, batch):
            new, metrics = step(state, batch)
            broken = jax.tree.map(
                lambda x: jnp.where((state.step == 5) & (metrics["disc/loss"] > 0), jnp.inf, x), new.ema_params
            )
            return new._replace(ema_params=broken), metrics

        return play

    found = train(SETTINGS[:1], make=make)
    assert found.died == {0: (6, ("state",))}
    assert [row["step"] for row in found.rows[0]] == [4]


def test_who_watches_sees_what_is_measured_of_each_chunk():
    seen = []
    held_out = ring(sigma=0.05).dataset(8, seed=2).train
    train(SETTINGS[:3], together=2, measure=distance({"point": held_out["point"]}), watch=lambda *each: seen.append(each))
    assert [(step, first) for step, first, _ in seen] == [(8, 0), (12, 0), (8, 2), (12, 2)]
    assert [measured["fakes"].shape for *_, measured in seen] == [(2, 3, 2), (2, 3, 2), (1, 3, 2), (1, 3, 2)]
    assert all(isinstance(measured["distance"], np.ndarray) for *_, measured in seen)


def test_arrays_that_are_measured_are_kept_for_all_members(whole):
    directory, found = whole
    assert sorted(path.name for path in (directory / "looks").iterdir()) == ["000-00000008.npz", "000-00000012.npz"]
    with np.load(directory / "looks" / "000-00000012.npz") as file:
        assert file["fakes"].shape == (5, 3, 2)
        assert len(np.unique(file["fakes"][:4, 0], axis=0)) == 4  # each member's own
    assert "fakes" not in found.scores[0][-1]


def test_rows_scores_and_deaths_in_the_folder_of_each_member(whole):
    directory, found = whole
    for i in range(5):
        folder = directory / "members" / f"{i:03}"
        assert read_rows(folder / "metrics.jsonl") == found.rows[i]
        assert read_rows(folder / "eval.jsonl") == found.scores[i]
    assert [score["at"] for score in found.scores[0]] == [8, 12]
    assert len({score["distance"] for scores in found.scores[:4] for score in scores}) == 8
    noise = [[score["noise"] for score in scores] for scores in found.scores]
    assert len({*noise[0], *noise[1], *noise[2]}) == 6
    assert noise[3] == noise[1]  # the same seed
    assert found.scores[4] == []
    assert "members     4 of 5 lived; not finite: member 4 at step" in (directory / "log.txt").read_text()
    assert doctor.main(doctor.Config(directory / "members" / "000")).state == "ok"
    assert doctor.main(doctor.Config(directory / "members" / "004")).state == "nan"
    (death,) = read_rows(directory / "members" / "004" / "diagnosis.jsonl")
    assert (death["step"], death["state"], tuple(death["metrics"])) == (found.died[4].step, "nan", found.died[4].metrics)


def stopping(directory, at, how, members=5, **options):
    """Play up to the dispatch of this many members that begins at round `at`, and stop in it."""
    original = Chunk.advance

    def advance(chunk, states, first, n):
        if first >= at and chunk.size == members:
            how()
        return original(chunk, states, first, n)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Chunk, "advance", advance)
        kept(directory, **options)


def killed():
    raise SystemExit("killed")


@pytest.mark.parametrize("save_every", [8, 12])
def test_a_killed_population_goes_on_to_the_bit(whole, tmp_path, save_every):
    """From its checkpoint, or from the beginning: rows that were written after it are written again."""
    with pytest.raises(SystemExit):
        stopping(tmp_path / "run", 8, killed, save_every=save_every)
    assert [row["step"] for row in read_rows(tmp_path / "run" / "members" / "000" / "metrics.jsonl")] == [4, 8]
    found = kept(tmp_path / "run", save_every=save_every)
    assert ("from step 8" in (tmp_path / "run" / "log.txt").read_text()) == (save_every == 8)
    assert state_hash(found.states) == state_hash(whole[1].states)
    assert found[2:] == whole[1][2:]


@pytest.mark.slow
def test_chunks_one_after_the_other(whole, tmp_path):
    """Killed in the second; the compiler may round products of another size otherwise."""
    with pytest.raises(SystemExit):
        stopping(tmp_path / "run", 8, killed, members=2, together=3)
    found = kept(tmp_path / "run", together=3)
    assert "continuing members 3 to 4 from step 8" in (tmp_path / "run" / "log.txt").read_text()
    assert_close(found.states, whole[1].states)
    assert found.died == whole[1].died
    assert [[row["step"] for row in rows] for rows in found.rows] == [[row["step"] for row in rows] for rows in whole[1].rows]
    again = kept(tmp_path / "run", together=3)  # nothing is left to train
    assert state_hash(again.states) == state_hash(found.states)
    assert again[2:] == found[2:]


def test_an_interrupt_saves(whole, tmp_path):
    with pytest.raises(Interrupted, match="at step 8"):
        stopping(tmp_path / "run", 4, lambda: os.kill(os.getpid(), signal.SIGINT))
    found = kept(tmp_path / "run")
    assert state_hash(found.states) == state_hash(whole[1].states)
    assert found[2:] == whole[1][2:]


def test_longer_after_the_end(whole, tmp_path):
    kept(tmp_path / "run", steps=8)
    assert state_hash(kept(tmp_path / "run").states) == state_hash(whole[1].states)


def test_a_finished_population_compiles_nothing(whole, monkeypatch):
    directory, found = whole
    monkeypatch.setattr(Program, "_compile", lambda *_: pytest.fail("nothing is left to play"))
    again = kept(directory)
    assert state_hash(again.states) == state_hash(found.states)
    assert again.rows == found.rows


def test_a_directory_is_continued_with_the_same_settings_only(whole):
    with pytest.raises(InputError, match="another configuration:(.|\n)*  settings: "):
        train(SETTINGS[:2], directory=whole[0], save_every=8)
    with pytest.raises(InputError, match="facts"):
        kept(whole[0], facts={"loss": "minimax"})


@pytest.mark.slow
def test_one_device_equals_four():
    settings = [*SETTINGS, *SETTINGS[:3], DOOMED]
    one, four = train(settings), train(settings, mesh=run_mesh(jax.devices()[:4]))
    assert_close(four.states, one.states)
    assert four.died == one.died
    for rows, wanted in zip(four.rows, one.rows, strict=True):
        for row, expected in zip(rows, wanted, strict=True):
            assert row == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_every_device_has_its_share():
    program = members.Program(build, MAKE, rounds(), False, None, run_mesh(jax.devices()[:4]))
    chunk = Chunk(program, SETTINGS, 4)
    program.prepare(chunk)
    states, _, _ = chunk.advance(chunk.begin(), 0, 4)
    kernel = states.games.gen.params["Dense_0"]["kernel"]
    assert [shard.data.shape[0] for shard in kernel.addressable_shards] == [1, 1, 1, 1]


def test_one_trace_whatever_the_number_of_rounds_and_members():
    traces = []

    def counted(setting):
        traces.append(setting)
        return build(setting)

    options = {"steps": 8, "log_every": 4, "dispatch": 4, "make": MAKE, "show": lambda line: None}
    train_population(counted, SETTINGS[:2], rounds(), **options)
    few = len(traces)
    train_population(counted, SETTINGS[:2] * 3, rounds(), **{**options, "steps": 40, "together": 2})
    assert len(traces) == 2 * few


def test_data_are_arguments_of_the_program():
    """The program's text does not grow with the data, training and held-out."""

    def lengths(n):
        given = rounds(n=n)
        looked = distance({"point": 1 + given.arrays["point"]})
        program = members.Program(build, MAKE, given, False, looked, run_mesh(jax.devices()[:1]))
        chunk = Chunk(program, SETTINGS, 4)
        program.prepare(chunk)
        begun = chunk.begin()
        play = program.play.lower(begun, chunk.settings, given.arrays, chunk.plan(0, 4))
        look = program.look.lower(begun, chunk.settings, program.data[1])
        return [len(lowered.as_text()) for lowered in (play, look)]

    for small, large in zip(lengths(100), lengths(40_000), strict=True):
        assert abs(large - small) < 5000  # the data have 320 kB


def test_more_than_fits_in_memory_is_refused(monkeypatch):
    monkeypatch.setattr(members, "free_memory", lambda devices: 40_000)
    with pytest.raises(
        InputError, match=r"16 members take .* MiB on each of 1 devices, and 0 MiB are free: train \d+ together"
    ) as told:
        train(SETTINGS * 4)
    fit = int(str(told.value).split("train ")[1].split()[0])
    assert 1 <= fit < 16
    assert len(train(SETTINGS * 4, together=fit, steps=4).rows) == 16
    monkeypatch.setattr(members, "free_memory", lambda devices: 100)
    with pytest.raises(InputError, match="not even one a device fits"):
        train()


def test_states_that_cannot_fit_are_refused_before_anything_is_compiled(monkeypatch, tmp_path):
    monkeypatch.setattr(members, "free_memory", lambda devices: 5_000)
    monkeypatch.setattr(Program, "_compile", lambda *_: pytest.fail("it cannot fit"))
    with pytest.raises(InputError, match=r"16 members take .* MiB on each of 1 devices, .*: train \d together"):
        train(SETTINGS * 4, directory=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_memory_is_that_of_the_devices():
    assert memory.free_memory(4) < memory.free_memory(1) / 2


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ([], {}, "at least one setting"),
        ([{"lr": 0.1}], {}, "`seed`: one has lr"),
        ([{"lr": 0.1, "seed": 0}, {"seed": 0}], {}, "the same names"),
        ([Setting(lr=np.nan)], {}, "finite numbers: lr is nan"),
        ([Setting(seed=-1)], {}, "the seed of a setting is a whole number"),
        ([Setting(seed=2**32)], {}, "the seed of a setting is a whole number at least 0 and at most 4294967295"),
        (SETTINGS, {"log_every": 0}, "at least 1"),
        (SETTINGS[:3], {"mesh": 2}, "3 members together cannot be shared by 2 devices: choose 2 or 4"),
        (SETTINGS * 2, {"mesh": 2, "together": 5}, "cannot be shared by 2 devices: choose"),
        (SETTINGS[:1], {"mesh": 2}, "1 members together cannot be shared by 2 devices: choose 2$"),
    ],
)
def test_what_cannot_be_trained_is_refused(settings, options, message):
    if "mesh" in options:
        options = {**options, "mesh": run_mesh(jax.devices()[: options["mesh"]])}
    with pytest.raises(InputError, match=message):
        train(settings, **options)


def test_settings_may_be_dictionaries():
    found = train_population(
        lambda setting: build(Setting(**setting)),
        [setting._asdict() for setting in SETTINGS],
        rounds(),
        steps=4,
        log_every=4,
        make=MAKE,
        show=lambda line: None,
    )
    assert state_hash(found.states) == state_hash(train(steps=4).states)
    assert found.settings == [setting._asdict() for setting in SETTINGS]
