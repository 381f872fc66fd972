"""A generator as one file: it opens without gan_jax, gives the same samples, and is made for each platform."""

import json
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import export

from gan_jax import core, images, latents, losses, penalties
from gan_jax.core import Players
from gan_jax.errors import InputError
from gan_jax.layers import lowerings
from gan_jax.models import dcgan, improved, mlp, r3gan, resnet, srgan, text, text_encoders
from gan_jax.objectives import image_gan, image_sampler
from gan_jax.objectives.superres import superres_sampler
from gan_jax.objectives.text import ENCODER, text_sampler
from gan_jax.runs import open_trained
from gan_jax.runs.export import PLATFORMS, encoder_program, generator_program, safetensors, stored, write_exported
from gan_jax.runs.spec import sampler_spec
from gan_jax.runs.trained import Trained
from gan_jax.sampling import render
from tests.runs.test_trained import write_run

TELLTALE = 1.2345671  # stands in what is computed on a CPU alone

ELSEWHERE = """
import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("gan_jax", "flax", "optax", "orbax", "tensorflow"):
            raise ImportError(f"{name} is not installed here")
sys.meta_path.insert(0, Refused())
sys.path = [entry for entry in sys.path if entry not in ("", "ROOT")]
import zipfile
zipfile.ZipFile("generator.zip").extract("load.py", "opened")
sys.path.insert(0, "opened")
import numpy as np
from load import load
call, card = load("generator.zip")
given = dict(np.load("given.npz"))
np.save("made.npy", np.asarray(call(**given)))
if card["encoder"]:
    embed, _ = load("generator.zip", "encoder")
    np.save("embedded.npy", np.asarray(embed(caption=np.load("caption.npy"))))
assert not {"gan_jax", "flax"} & {name.split(".")[0] for name in sys.modules}
"""


def opened_elsewhere(folder: Path, **given: np.ndarray) -> np.ndarray:
    """What generator.zip of the folder makes of these inputs in a process that has neither gan_jax nor Flax."""
    np.savez(folder / "given.npz", **given)
    program = ELSEWHERE.replace("ROOT", str(Path(__file__).parents[2]))
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return np.load(folder / "made.npy")


def described(make, variables, **facts) -> Trained:
    """A trained generator that was never trained and has no directory."""
    facts = {"classes": (), "shapes": {}, "rows": {}, **sampler_spec(make), **facts}
    return Trained(Path("none"), 0, True, "running", facts, make(), variables)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "conditional", ("a", "b", "c"))


def test_samples_elsewhere_are_the_same_to_the_bit(run, tmp_path):
    trained = open_trained(run)
    card = write_exported(trained, tmp_path / "generator.zip", "CC0-1.0")
    inputs = trained.inputs(6, seed=3)
    made = opened_elsewhere(tmp_path, **inputs)
    _, key = jax.random.split(jax.random.key(3))
    rendered = render(trained.sampler, trained.variables, inputs, key)
    assert float(np.ptp(rendered)) > 0
    np.testing.assert_array_equal(made, rendered)
    np.testing.assert_array_equal(images.to_uint8(made), trained.draw(6, seed=3))
    assert (card["licence"], card["classes"], card["parameters"]) == ("CC0-1.0", ["a", "b", "c"], 1949)
    assert {name: each["shape"] for name, each in card["inputs"].items()} == {"z": ["b", 5], "label": ["b"]}
    assert opened_elsewhere(tmp_path, z=np.zeros((1, 5)), label=[2]).shape == (1, 16, 16, 1)  # of any number, any type


def test_captions_elsewhere(tmp_path):
    generator = text.Generator(size=(16, 16), channels=1, width=4, project=6)
    encoder = text_encoders.CharTransformer(alphabet=" abc", dim=8, width=8, layers=1, heads=2)
    captions = np.frombuffer(b"a cab\0\0\0bc\0\0\0\0\0\0", np.uint8).reshape(2, 8)
    variables = jax.jit(partial(generator.init, train=True))(jax.random.key(0), jnp.ones((2, 5)), jnp.ones((2, 8)))
    variables = {name: value for name, value in variables.items() if name != "losses"}
    variables[ENCODER] = encoder.init(jax.random.key(1), captions)
    make = partial(text_sampler, generator, latents.Normal(5), encoder)
    trained = described(make, variables, shapes={"caption": [8]}, rows={"caption": captions})
    write_exported(trained, tmp_path / "generator.zip")
    inputs, embedded = trained.inputs(2), trained.embed(2)
    np.save(tmp_path / "caption.npy", inputs["caption"])
    made = opened_elsewhere(tmp_path, z=inputs["z"], text=embedded)
    np.testing.assert_array_equal(images.to_uint8(made), trained.render(z=inputs["z"], text=embedded))
    np.testing.assert_array_equal(np.load(tmp_path / "embedded.npy"), embedded)
    assert (embedded[0] != embedded[1]).any()


@pytest.mark.parametrize("trunk", ["batch", pytest.param("rrdb", marks=pytest.mark.slow)])
def test_pictures_of_any_even_size_are_enlarged(trunk):
    """The width of 32 has Winograd's form on a CPU."""
    generator = srgan.Generator(factor=2, channels=1, width=32, blocks=1, trunk=trunk)
    low = np.random.default_rng(0).integers(0, 256, (2, 8, 12, 1), np.uint8)
    variables = jax.jit(partial(generator.init, train=True))(jax.random.key(0), images.to_float(low))
    trained = described(
        partial(superres_sampler, generator), variables, shapes={"low": [6, 6, 1]}, rows={"low": low[:, :6, :6]}
    )
    program = generator_program(trained)
    assert [str(side) for side in program.inputs["low"].shape] == ["b", "2*h", "2*w", "1"]
    made = np.asarray(jax.jit(program.exported.call)(stored(variables), {"low": low}))
    assert made.shape == (2, 16, 24, 1)
    np.testing.assert_array_equal(images.to_uint8(made), trained.render(low=low))


GENERATORS = {
    "dcgan": dcgan.Generator(size=(16, 16), channels=1, width=4, upsample="resize"),
    "points": mlp.Generator(width=4),
    "sngan": resnet.Generator(width=4),
    "r3gan": r3gan.Generator(width=16, blocks=1),
    "improved": improved.Generator(width=4),
    "improved, virtual batch norm": improved.Generator(width=4, norm="virtual", reference=4),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_every_generator_is_traced_for_any_number_of_samples(name):
    generator = GENERATORS[name]
    variables = jax.eval_shape(partial(generator.init, train=True), jax.random.key(0), jnp.zeros((2, 8)))
    variables = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), {k: v for k, v in variables.items() if k != "losses"})
    trained = described(partial(image_sampler, generator, latents.Normal(8)), variables)
    program = generator_program(trained)
    assert str(program.output.shape[0]) == "b"
    assert program.exported.platforms == PLATFORMS
    assert "f64" not in program.exported.mlir_module()


def test_a_network_that_takes_one_number_of_samples(monkeypatch, run):
    trained = open_trained(run)

    def sample(variables, inputs, key, train=False):
        return inputs["z"].reshape(int(inputs["z"].shape[0]), 5, 1, 1), {}

    fixed = Trained(**{**vars(trained), "sampler": trained.sampler._replace(sample=sample)})
    with pytest.raises(InputError, match="cannot be exported for any number of samples: .*--batch"):
        generator_program(fixed)
    assert generator_program(fixed, batch=3).output.shape == (3, 5, 1, 1)


def test_a_file_is_the_same_each_time_and_whole(run, tmp_path):
    trained = open_trained(run)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_exported(trained, tmp_path / name / "run.zip")
    assert (tmp_path / "a" / "run.zip").read_bytes() == (tmp_path / "b" / "run.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a" / "run.zip") as file:
        assert b"FILE = 'run.zip'" in file.read("README.md")
        assert set(file.namelist()) == {"generator.jaxexport", "weights.safetensors", "card.json", "README.md", "load.py"}
        program = export.deserialize(bytearray(file.read("generator.jaxexport")))
    assert program.platforms == PLATFORMS
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["run.zip"]


def test_weights_as_safetensors(run, tmp_path):
    reader = pytest.importorskip("safetensors.numpy", reason="the package safetensors reads them too")
    trained = open_trained(run)
    weights = stored(trained.variables)
    assert {name.partition("/")[0] for name in weights} == {"params", "batch_stats"}
    content = safetensors(weights)
    assert int.from_bytes(content[:8], "little") % 8 == 0  # the arrays are aligned
    read = reader.load(content)
    assert read.keys() == weights.keys()
    for name, array in read.items():
        np.testing.assert_array_equal(array, weights[name])
        assert array.dtype == weights[name].dtype


def test_what_safetensors_do_not_have_is_widened_or_refused():
    small = {"params": {"w": jnp.array([1.5, -2.0], jnp.bfloat16)}, "stats": [np.array([True, False]), np.float32(3)]}
    found = stored(small)
    assert {name: array.dtype.name for name, array in found.items()} == {
        "params/w": "float32",
        "stats/0": "uint8",
        "stats/1": "float32",
    }
    with pytest.raises(InputError, match="is no array of numbers"):
        stored({"params": {"key": jax.random.key(0)}})
    with pytest.raises(InputError, match="numbers are wanted"):
        safetensors({"word": np.array(["a"])})


def marked(form):
    """The form, which also computes a number of its own."""

    def times(made):
        return made * TELLTALE

    return lowerings.Form(
        lambda x, kernel, stride: times(form.conv(x, kernel, stride)),
        lambda y, kernel, stride: times(form.adjoint(y, kernel, stride)),
        lambda x, y, stride, shape: times(form.correlate(x, y, stride, shape)),
    )


@pytest.fixture
def telltale(monkeypatch):
    """Whatever is computed on a CPU alone is marked; traces of other tests are forgotten, and so are these."""
    jax.clear_caches()
    for name, form in lowerings.FORMS.items():
        if name != "plain":
            monkeypatch.setitem(lowerings.FORMS, name, marked(form))
    yield f"{TELLTALE:.6f}"[:7]
    jax.clear_caches()


def dcgan_step() -> tuple[core.Step, core.TrainState, dict[str, np.ndarray]]:
    tx = Players(gen=optax.adam(2e-4), disc=optax.adam(2e-4))
    generator, discriminator = dcgan.Generator(size=(16, 16), channels=1, width=4), dcgan.Discriminator(width=4, norm="none")
    terms = ((1.0, penalties.r1),)  # gradients of gradients
    game = image_gan(generator, discriminator, losses.non_saturating, latents.Normal(5), penalties=terms)
    batch = {"image": np.zeros((4, 16, 16, 1), np.uint8)}
    return core.make_step(game, tx), jax.eval_shape(partial(core.init_state, game, tx), jax.random.key(0), batch), batch


def test_a_step_for_gpus_and_tpus_has_nothing_of_the_cpu(telltale):
    step, state, batch = dcgan_step()
    traced = jax.jit(step).trace(state, batch)
    text = {platform: traced.lower(lowering_platforms=(platform,)).as_text() for platform in PLATFORMS}
    assert telltale in text["cpu"]
    for platform in ("cuda", "tpu"):
        assert telltale not in text[platform]
        assert "stablehlo.convolution" in text[platform]
    assert not any("f64" in each for each in text.values())


def test_an_exported_generator_for_gpus_and_tpus_has_nothing_of_the_cpu(telltale, run):
    trained = open_trained(run)
    assert telltale in generator_program(trained, platforms=("cpu",)).exported.mlir_module()
    others = generator_program(trained, platforms=("cuda", "tpu")).exported.mlir_module()
    assert telltale not in others
    assert "f64" not in others


def test_no_encoder_without_captions(run):
    assert encoder_program(open_trained(run)) is None


def test_numbers_in_the_card_are_json(run, tmp_path):
    write_exported(open_trained(run), tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as file:
        card = json.loads(file.read("card.json"))
        told = file.read("README.md").decode()
    assert card["licence"] == "not stated"
    assert "| licence | not stated |" in told
    assert card["platforms"] == list(PLATFORMS)
    assert file.namelist()[0] == "card.json"
