"""Pictures from the directory of a run: from a number, from latents, from classes."""

import json
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

import gan_jax
from gan_jax import core, latents, losses
from gan_jax.core import Players
from gan_jax.errors import InputError
from gan_jax.models import dcgan, mlp
from gan_jax.objectives import image_gan, image_sampler
from gan_jax.runs import Checkpoints, Run, open_trained
from gan_jax.runs.conditions import facts_of

TX = Players(gen=optax.sgd(0.1), disc=optax.sgd(0.1))


@dataclass(frozen=True)
class Config:
    lr: float = 0.1


def write_run(directory: Path, classes: tuple[str, ...] = (), **changed: object) -> Path:
    """A run that has not trained yet, its state `changed`."""
    generator = dcgan.Generator(size=(16, 16), channels=1, width=4, num_classes=len(classes))
    latent = latents.Normal(5)
    batch = {"image": np.zeros((4, 16, 16, 1), np.uint8), "label": np.zeros(4, np.int32)}
    objective = image_gan(generator, dcgan.Discriminator(width=4, norm="none"), losses.hinge, latent)
    state = core.init_state(objective, TX, jax.random.key(0), batch)
    run = Run(directory, Config(), "fingerprint")
    facts = {"statistics": "standing", "metric": None, "mode": "max", **facts_of(objective.sampler, batch, classes)}
    run.describe_model(partial(image_sampler, generator, latent), facts)
    run.accept()
    with run, run.checkpoints() as checkpoints:
        checkpoints.save(0, state._replace(**changed))
    return directory


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "plain")


@pytest.fixture(scope="module")
def conditional(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "conditional", ("a", "b", "c"))


def test_three_lines(plain):
    trained = gan_jax.runs.open_trained(str(plain))
    pictures = trained.draw(6)
    again = trained.render(z=trained.inputs(6)["z"])
    assert pictures.shape == (6, 16, 16, 1)
    assert pictures.dtype == np.uint8
    np.testing.assert_array_equal(pictures, again)
    assert (trained.draw(6, seed=1) != pictures).any()


def test_classes(conditional):
    trained = open_trained(conditional)
    assert trained.classes == ("a", "b", "c")
    z = trained.inputs(3)["z"]
    by_row = trained.draw(label=[0, 1, 2])
    np.testing.assert_array_equal(by_row, trained.render(z=z, label=np.arange(3)))
    np.testing.assert_array_equal(trained.draw(3, label="b")[1], by_row[1])
    assert (trained.draw(3, label="b")[0] != by_row[0]).any()
    np.testing.assert_array_equal(trained.draw(3), by_row)  # in turn


@pytest.mark.parametrize("nothing", [None, {}])
def test_a_run_without_averaged_weights_opens_with_the_newest(plain, tmp_path, nothing):
    run = write_run(tmp_path / "raw", ema_params=nothing)
    with pytest.raises(InputError, match="has no averaged weights: open the newest ones"):
        open_trained(run)
    np.testing.assert_array_equal(open_trained(run, averaged=False).draw(2), open_trained(plain).draw(2))


def test_norms_of_codes(plain):
    """Of N(0, I) of 5 dimensions: the root mean square is sqrt(5), and of thousands some are under 1 and some over 4."""
    norms = open_trained(plain).norms
    assert norms.typical == pytest.approx(np.sqrt(5), rel=0.02)
    assert 0 < norms.least < 1
    assert 4 < norms.largest < 7


def test_frames_of_a_walk_are_normalised_alike(plain):
    """Statistics are settled once: a latent gives the same picture whatever is rendered beside it."""
    trained = open_trained(plain)
    z = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    alone = np.concatenate([trained.render(z=z[i : i + 1]) for i in range(4)])
    assert np.abs(alone.astype(int) - trained.render(z=z)).max() <= 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.draw(), "say how many"),
        (lambda t: t.draw(3, label="a"), "makes samples of noise alone"),
        (lambda t: t.render(), "this generator takes z, not nothing"),
        (lambda t: t.render(z=np.zeros((2, 5)), label=[0, 1]), "this generator takes z, not z, label"),
        (lambda t: t.render(z=np.zeros((2, 7))), r"a row of z has the shape \(5,\), not \(7,\)"),
    ],
)
def test_says_what_it_cannot_render(plain, call, message):
    with pytest.raises(InputError, match=message):
        call(open_trained(plain))


def test_conditions_are_checked(conditional):
    trained = open_trained(conditional)
    np.testing.assert_array_equal(trained.draw(3, label=1), trained.draw(3, label="b"))
    z = trained.inputs(2)["z"]
    for labels in ([99, -5], [0.5, 1.7]):
        with pytest.raises(InputError, match="whole numbers from 0 to 2"):
            trained.render(z=z, label=labels)
    with pytest.raises(InputError, match="a row of label for each sample"):
        trained.render(z=z, label=1)


def test_damaged_files_are_told(plain, tmp_path):
    shutil.copytree(plain, tmp_path / "run")
    (tmp_path / "run" / "asked.npz").write_bytes(b"PK torn")
    with pytest.raises(InputError, match="asked.npz is not a complete .npz file"):
        open_trained(tmp_path / "run")
    model = json.loads((tmp_path / "run" / "model.json").read_text())
    del model["parts"]
    (tmp_path / "run" / "model.json").write_text(json.dumps(model))
    with pytest.raises(InputError, match="is damaged: it lacks parts"):
        open_trained(tmp_path / "run")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"untrained": 5}, "its untrained is '5'"),
        ({"untrained": [0.5]}, r"its untrained is '\[0.5\]'"),
        ({"untrained": [0, 1, 2]}, "its untrained are not some of its 3 classes"),
        ({"untrained": [7]}, "its untrained are not some of its 3 classes"),
        ({"classes": [1, 2]}, "its classes is"),
        ({"shapes": {"caption": [2**50]}}, "its shapes is"),
        ({"shapes": {"low": [4, -4, True]}}, "its shapes is"),
        ({"shapes": {"low": [1] * 100}}, "its shapes is"),
        ({"metric": 5}, "its metric is '5'"),
        ({"mode": ["max"]}, "its mode is"),
    ],
)
def test_facts_of_another_kind_are_told(conditional, tmp_path, changed, message):
    shutil.copytree(conditional, tmp_path / "run")
    model = json.loads((tmp_path / "run" / "model.json").read_text())
    (tmp_path / "run" / "model.json").write_text(json.dumps(model | changed))
    with pytest.raises(InputError, match=f"model.json is damaged: {message}"):
        open_trained(tmp_path / "run")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2**13, 2**14), np.uint8), "asked.npz is damaged: it would unpack to 134 MB"),
        (np.zeros((0, 8), np.uint8), "asked.npz is damaged: caption has no rows"),
        (np.uint8(5), "asked.npz is damaged: caption has no rows"),
        (np.array([{}]), "holds objects"),
    ],
)
def test_rows_that_no_run_keeps_are_not_read(plain, tmp_path, array, message):
    shutil.copytree(plain, tmp_path / "run")
    np.savez_compressed(tmp_path / "run" / "asked.npz", caption=array)
    with pytest.raises(InputError, match=message):
        open_trained(tmp_path / "run")


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_are_those_that_jax_tells_apart(plain, seed):
    trained = open_trained(plain)
    z = trained.inputs(2, 2**32 - 1)["z"]
    for call in (lambda: trained.draw(2, seed), lambda: trained.inputs(2, seed), lambda: trained.render(seed, z=z)):
        with pytest.raises(InputError, match="--seed"):
            call()


def test_unequal_rows(conditional):
    with pytest.raises(InputError, match="give as many rows of each: 2 z, 3 label"):
        open_trained(conditional).render(z=np.zeros((2, 5)), label=[0, 1, 2])


def test_a_run_of_the_first_format_opens(plain, tmp_path):
    """It has no number of a format, and no shapes of what it is asked by."""
    shutil.copytree(plain, tmp_path / "old")
    model = json.loads((tmp_path / "old" / "model.json").read_text())
    del model["format"], model["shapes"]
    (tmp_path / "old" / "model.json").write_text(json.dumps(model))
    np.testing.assert_array_equal(open_trained(tmp_path / "old").draw(3), open_trained(plain).draw(3))
    (tmp_path / "old" / "model.json").write_text(json.dumps(model | {"format": 99}))
    with pytest.raises(InputError, match="made by a newer gan_jax"):
        open_trained(tmp_path / "old")


def test_reading_a_damaged_checkpoint_of_a_live_run_renames_nothing(tmp_path):
    state = core.init_state(
        image_gan(mlp.Generator(width=4), mlp.Discriminator(width=4), losses.hinge, latents.Normal(2), real="point"),
        TX,
        jax.random.key(0),
        {"point": np.zeros((2, 2), np.float32)},
    )
    with Checkpoints(tmp_path / "live") as checkpoints:
        checkpoints.save(1, state)
        checkpoints.save(2, state)
    for path in (tmp_path / "live" / "2").rglob("*"):
        if path.is_file():
            path.write_bytes(b"torn")
    with Checkpoints(tmp_path / "live", read_only=True) as checkpoints:
        restored = checkpoints.restore(state)
    assert restored is not None
    assert restored[1] == 1
    assert sorted(path.name for path in (tmp_path / "live").iterdir()) == ["1", "2"]
    with Checkpoints(tmp_path / "live") as checkpoints:  # who writes there sets it aside
        assert checkpoints.restore(state)[1] == 1
    assert not (tmp_path / "live" / "2").exists()
