"""`interpolate`, `arithmetic`, `project`, `directions`: what they return and write, and what they say of bad input."""

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from gan_jax import core, latents, losses
from gan_jax.commands import arithmetic, directions, interpolate, project, sample
from gan_jax.commands.codes import open_codes
from gan_jax.errors import InputError
from gan_jax.evaluation.readers import READERS, Reader
from gan_jax.models import mlp, r3gan
from gan_jax.objectives import image_gan, image_sampler
from gan_jax.runs import Run, open_trained
from gan_jax.runs.between import between_classes
from tests.runs.test_trained import TX, Config, write_run

QUICK = {"search": 40, "features": "pixels", "restarts": 2, "inversion_steps": 20}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of 16x16 grey pictures that has not trained."""
    return write_run(tmp_path_factory.mktemp("runs") / "plain")


@pytest.fixture(scope="module")
def conditional(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "conditional", ("a", "b", "c"))


@pytest.fixture
def reader(monkeypatch, run):
    """Reads whether the left half is brighter than that of most samples, beside the right one; and what nothing shows."""

    def difference(images):
        return images[:, :, :8].mean(axis=(1, 2, 3)) - images[:, :, 8:].mean(axis=(1, 2, 3))

    usual = np.median(difference(open_trained(run).draw(40)))

    def read(images):
        half = difference(images) - usual
        sure = 1 / (1 + np.exp(-np.abs(half)))
        return {
            "left": half > 0,
            "left_confidence": sure,
            "wings": np.zeros(len(images), bool),
            "kind": np.full(len(images), "blue"),
        }

    monkeypatch.setitem(READERS, "halves", Reader(("left", "wings", "kind"), lambda size: read))
    return lambda images: read(images)["left"]


@pytest.fixture
def pictures(run, tmp_path) -> Path:
    """A folder of two samples, one of them enlarged."""
    made = open_trained(run).draw(2, seed=5)[..., 0]
    (tmp_path / "pics").mkdir()
    Image.fromarray(made[0]).save(tmp_path / "pics" / "0.png")
    Image.fromarray(made[1]).resize((40, 32)).save(tmp_path / "pics" / "1.png")
    return tmp_path / "pics"


def test_a_walk_from_class_to_class(conditional, run, tmp_path):
    asked = {"through": ("3", "5"), "frames": 3, **QUICK}
    config = interpolate.Config(run=conditional, label="a", to_label="c", out=tmp_path, **asked)
    found = interpolate.main(config)
    trained = open_trained(conditional)
    z = np.asarray(trained.inputs(40)["z"])[[3, 5]]
    np.testing.assert_allclose(found["z"], z)
    assert found["images"].shape == (2, 3, 16, 16, 1)
    for t, label in ((0, "a"), (2, "c")):
        expected = trained.render(z=z, label=np.full(2, "abc".index(label)))
        np.testing.assert_array_equal(found["images"][:, t], expected)
    ends = [np.abs(found["images"][:, 1].astype(int) - found["images"][:, t]).max() for t in (0, 2)]
    assert min(ends) > 0
    assert (tmp_path / "walk.webp").exists()
    with pytest.raises(InputError, match="--to-label: .* was trained without classes"):
        interpolate.main(interpolate.Config(run=run, to_label="c", **asked))
    with pytest.raises(InputError, match="no class 'd'"):
        interpolate.main(interpolate.Config(run=conditional, to_label="d", out=tmp_path / "d", **asked))
    told = json.loads((tmp_path / "interpolate.json").read_text())
    assert np.shape(told["steps"]) == (2, 2)
    pixels = found["images"].astype(float).reshape(2, 3, -1) / 255
    np.testing.assert_allclose(told["steps"], np.linalg.norm(np.diff(pixels, axis=1), axis=2), rtol=1e-4)
    alone = interpolate.main(interpolate.Config(run=conditional, to_label="c", out=tmp_path, **{**asked, "through": ("3",)}))
    np.testing.assert_array_equal(alone["images"][0], found["images"][0])


def test_embeddings_are_mixed_and_other_classes_are_not(conditional):
    """Of a network whose labels enter by embeddings: the class in the middle of two gives what the mean row gives."""
    generator = r3gan.Generator(width=4, num_classes=3)
    sampler = image_sampler(generator, latents.Normal(3))  # as many latents as classes: the first layer has 3 + 3 rows
    z = jax.random.normal(jax.random.key(1), (2, 3))
    variables = dict(jax.jit(partial(generator.init, train=False))(jax.random.key(0), z, jax.numpy.array([0, 1])))
    trained = replace(open_trained(conditional), sampler=sampler, variables=variables)
    params = between_classes(trained, 0, 2, 0.5).variables["params"]
    mixed, table = params["Embed_0"]["embedding"], variables["params"]["Embed_0"]["embedding"]
    np.testing.assert_array_equal(params["Dense_0"]["kernel"], variables["params"]["Dense_0"]["kernel"])
    np.testing.assert_allclose(mixed[0], (table[0] + table[2]) / 2)
    np.testing.assert_array_equal(mixed[1:], table[1:])


def test_a_row_a_class_and_truncation(conditional, run, tmp_path):
    found = sample.main(sample.Config(run=conditional, n=4, each_class=True, out=tmp_path / "a"))
    assert found["label"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    np.testing.assert_array_equal(found["z"][:4], found["z"][8:])
    with Image.open(tmp_path / "a" / "sheet.png") as sheet:
        assert sheet.width > sheet.height
    near = sample.main(sample.Config(run=conditional, n=4, each_class=True, truncation=0.5, out=tmp_path / "b"))
    np.testing.assert_allclose(near["z"], 0.5 * found["z"], rtol=1e-6)
    assert (near["images"] != found["images"]).any()
    with pytest.raises(InputError, match="--each-class: .* was trained without classes"):
        sample.main(sample.Config(run=run, each_class=True))
    with pytest.raises(InputError, match="leave out --label"):
        sample.main(sample.Config(run=conditional, each_class=True, label="a"))


def test_a_walk(run, tmp_path):
    config = interpolate.Config(run=run, through=("3", "seed:5", "1,2"), frames=9, out=tmp_path / "out", **QUICK)
    found = interpolate.main(config)
    trained = open_trained(run)
    z = np.asarray(trained.inputs(40)["z"])
    assert found["images"].shape == (9, 16, 16, 1)
    np.testing.assert_allclose(found["stops"][:2], z[[3, 5]])
    np.testing.assert_allclose(found["z"][0], z[3], atol=1e-5)
    mean = z[[1, 2]].mean(axis=0)
    np.testing.assert_allclose(found["z"][-1], mean * trained.norms.typical / np.linalg.norm(mean), atol=1e-5)
    np.testing.assert_array_equal(found["images"], trained.render(z=found["z"]))
    assert len(found["steps"]) == 8
    assert found["largest_over_median"] == pytest.approx(max(found["steps"]) / np.median(found["steps"]))
    written = json.loads((tmp_path / "out" / "interpolate.json").read_text())
    assert written["steps"] == found["steps"]
    assert written["features"] == "pixels"
    with Image.open(tmp_path / "out" / "walk.webp") as film:
        assert film.n_frames == 9
    assert (tmp_path / "out" / "strip.png").is_file()
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "codes.npz")["z"], found["z"])
    assert durations(tmp_path / "out" / "walk.webp")[-1] == 1000
    again = interpolate.main(
        interpolate.Config(run=run, through=(str(tmp_path / "out" / "codes.npz"), "3"), frames=2, closed=True, **QUICK)
    )
    mean = found["z"].mean(axis=0)
    np.testing.assert_allclose(again["z"][0], mean * trained.norms.typical / np.linalg.norm(mean), atol=1e-5)
    assert durations(run / "interpolate" / "walk.webp") == [4000, 4000]  # no pause where it begins again


def durations(path: Path) -> list[int]:
    """Of each frame, in milliseconds."""
    found = []
    with Image.open(path) as film:
        for i in range(film.n_frames):
            film.seek(i)
            film.load()
            found.append(film.info["duration"])
    return found


def test_arithmetic_by_attributes(run, tmp_path, reader, capsys):
    config = arithmetic.Config(run=run, a="left", b="!left", c="!left", ref="halves", k=4, ring=0.0, out=tmp_path, **QUICK)
    found = arithmetic.main(config)
    codes = open_codes(run, config, "arithmetic")
    left = reader(codes.pictures)
    arrays = np.load(tmp_path / "codes.npz")
    by_code = {tuple(z): bool(shown) for z, shown in zip(codes.z, left, strict=True)}
    assert [by_code[tuple(z)] for z in arrays["a"]] == [True] * 4
    np.testing.assert_array_equal(arrays["b"], arrays["c"])
    mean = arrays["a"].mean(axis=0)
    expected = mean * codes.trained.norms.typical / np.linalg.norm(mean)
    np.testing.assert_allclose(found["z"], np.repeat(expected[None], 9, axis=0), atol=1e-5)
    np.testing.assert_array_equal(found["means"][0], codes.render(expected[None])[0])
    assert found["wanted"] == {"left": reader(found["images"]).mean(), "all": reader(found["images"]).mean()}
    pixels = codes.render(arrays["a"]).astype(float).mean(axis=0)
    assert np.abs(found["control"] - pixels).max() <= 1
    assert found["wanted_in_pixels"]["left"] == 1
    said = capsys.readouterr().out
    assert "of 40, left by the reader of halves" in said
    figure = np.asarray(Image.open(tmp_path / "figure.png"))
    assert figure.shape[0] == (2 + 4 * 66) + 16 + (2 + 66)  # four exemplars, a gap and their means, enlarged to 64
    numbers = json.loads((tmp_path / "arithmetic.json").read_text())
    assert numbers["norm"]["a"] == pytest.approx(np.linalg.norm(mean), rel=1e-5)
    assert numbers["exemplars"] == [4, 4, 4]


def test_arithmetic_of_single_samples_as_in_the_paper(run, tmp_path):
    found = arithmetic.main(arithmetic.Config(run=run, a="0", b="1", c="2", rescale="none", out=tmp_path, **QUICK))
    z = np.asarray(open_trained(run).inputs(40)["z"])
    np.testing.assert_allclose(found["z"][4], z[0] - z[1] + z[2], atol=1e-6)
    near = np.delete(found["z"], 4, axis=0) - found["z"][4]
    assert 0.15 < np.abs(near).max() <= 0.2501
    a, b, c = open_trained(run).draw(3).astype(int)
    np.testing.assert_array_equal(found["control"], np.clip(a - b + c, 0, 255))
    np.testing.assert_array_equal(found["means"], [a, b, c])
    assert "wanted" not in found


def test_projection(run, tmp_path, pictures, capsys):
    config = project.Config(run=run, pictures=(str(pictures),), out=tmp_path / "out", **{**QUICK, "inversion_steps": 200})
    found = project.main(config)
    said = capsys.readouterr().out
    assert f"fitted      {pictures / '1.png'} (32x40) to the run's 16x16 pixels (--fit crop)" in said
    assert found["given"].shape == found["images"].shape == (2, 16, 16, 1)
    assert found["psnr"][0] > 30  # a sample of the run itself
    assert np.abs(found["images"][0].astype(int) - found["given"][0]).mean() < 5
    assert found["losses"].shape == (2, 2)
    prior = open_trained(run).norms
    norms = np.linalg.norm(found["z"], axis=1)
    assert prior.least * 0.999 <= norms.min()
    assert norms.max() <= prior.largest * 1.001
    rows = json.loads((tmp_path / "out" / "project.json").read_text())["pictures"]
    assert [Path(row["picture"]).name for row in rows] == ["0.png", "1.png"]
    assert f"{rows[0]['psnr']:6.1f} dB" in said


def test_projection_by_squeezenet(run, tmp_path, pictures, real_data, capsys):
    """How different the nearest pictures look: less for a sample of the run itself."""
    asked = {**QUICK, "features": "squeezenet", "inversion_steps": 200}
    with pytest.raises(InputError, match="squeezenet needs its weights"):
        project.main(project.Config(run=run, pictures=(str(pictures),), out=tmp_path / "out", **asked))
    weights = real_data / "weights" / "squeezenet11_imagenet_notop_hwio.npz"
    found = project.main(project.Config(run=run, pictures=(str(pictures),), out=tmp_path / "out", weights=weights, **asked))
    assert 0 <= found["features"][0] < found["features"][1]
    told = json.loads((tmp_path / "out" / "project.json").read_text())
    assert told["features"] == pytest.approx(found["features"].mean())
    assert f"features {found['features'][1]:.3f}" in capsys.readouterr().out


def test_directions(run, tmp_path, reader):
    found = directions.main(directions.Config(run=run, pca=2, columns=3, start="7", out=tmp_path, **QUICK))
    assert found["images"].shape == (2, 3, 16, 16, 1)
    z = np.asarray(open_trained(run).inputs(40)["z"])[7]
    np.testing.assert_allclose(found["z"][:, 1], [z, z], atol=1e-5)
    assert len(found["shares"]) == 2
    probed = directions.main(
        directions.Config(
            run=run, attribute="left", columns=3, start="0,1", ref="halves", out=tmp_path, **{**QUICK, "search": 100}
        )
    )
    assert probed["images"].shape == (2, 3, 16, 16, 1)
    assert probed["shares"][0] < 0.3 < 0.7 < probed["shares"][2]
    assert probed["accuracy"] > 0.7
    apart = probed["z"] @ probed["directions"][0]
    assert (np.diff(apart, axis=1) > 0.5).all()


def test_all_pictures_of_a_conditional_run_are_asked_for_one_class(conditional, tmp_path, capsys):
    config = interpolate.Config(run=conditional, through=("0", "1"), frames=2, out=tmp_path, **QUICK)
    found = interpolate.main(config)
    assert "asked for   class 'a': choose another one by --label" in capsys.readouterr().out
    trained = open_trained(conditional)
    np.testing.assert_array_equal(found["images"], trained.render(z=found["z"], label=np.zeros(2, np.int32)))
    assert np.load(tmp_path / "codes.npz")["label"].tolist() == [0, 0]
    assert json.loads((tmp_path / "interpolate.json").read_text())["label"] == "a"


def test_fewer_exemplars_than_asked_for_are_told(run, tmp_path, reader, capsys):
    interpolated(run, "0", "left", ref="halves", k=30, out=tmp_path)
    assert " and 10 more (30 were asked for) of 40, left by" in capsys.readouterr().out


def interpolated(run, *through, **changes):
    return interpolate.main(interpolate.Config(run=run, through=through, frames=2, **{**QUICK, **changes}))


@pytest.mark.parametrize(
    ("through", "message"),
    [
        (("1",), "name 2 stops or more"),
        (("1", "40"), "there is no sample 40: 40 are drawn, 0 to 39; raise --search"),
        (("1", "-1"), "there is no sample -1"),
        (("1", ","), "stop 2 names nothing"),
        (("1", "left,x.png"), "names files and other things"),
        (("1", "beard"), "nothing reads 'beard' in pictures of this run: the reader of halves reads left, wings, kind"),
        (("1", "1,left"), "nothing reads '1' in pictures"),
        (("1", "wings"), "none of 40 samples has wings: raise --search"),
        (("1", "nosuch.png"), "there is no nosuch.png"),
        (("1", "empty/"), "empty holds no pictures"),
        (("1", "torn.png"), "torn.png cannot be read: not a picture of a known kind"),
        (("1", "other.npz"), r"has codes z float64 \(2, 7\), and this run takes finite ones \(n, 5\)"),
        (("1", "none.npz"), "none.npz has no array `image`"),
        (("1", "codes.npz,torn.png"), "codes.npz, torn.png: codes and pictures are different exemplars, name either"),
        (("1", "kind=red"), r"none of 40 samples has kind=red: raise --search, or name what they have \(kind=blue\)"),
    ],
)
def test_bad_exemplars(run, tmp_path, monkeypatch, reader, through, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn.png").write_bytes(b"torn")
    np.savez("other.npz", z=np.zeros((2, 7)))
    np.savez("codes.npz", z=np.ones((2, 5)))
    np.savez("none.npz", x2=np.zeros((2, 7)))
    with pytest.raises(InputError, match=message):
        interpolated(run, *through, ref="halves", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_exemplars_are_refused_before_pictures_are_inverted(run, tmp_path, pictures, monkeypatch):
    monkeypatch.setattr("gan_jax.commands.codes.invert", lambda *args, **kwargs: pytest.fail("a search was begun"))
    with pytest.raises(InputError, match="there is no sample 40"):
        interpolated(run, f"{pictures}/", "40", out=tmp_path / "out")
    with pytest.raises(InputError, match="there is no nosuch.png"):
        arithmetic.main(arithmetic.Config(run=run, a=f"{pictures}/", b="1", c="nosuch.png", out=tmp_path / "out", **QUICK))
    with pytest.raises(InputError, match="inception needs its weights"):
        interpolated(run, f"{pictures}/", "1", features="inception", out=tmp_path / "out")
    with pytest.raises(InputError, match="1 to 5 directions, not 9"):
        directions.main(directions.Config(run=run, pca=9, start=f"{pictures}/", out=tmp_path / "out", **QUICK))
    with pytest.raises(InputError, match="there is no sample 40"):  # first
        directions.main(directions.Config(run=run, pca=9, start="40", out=tmp_path / "out", **QUICK))


def test_codes_of_several_files(run, tmp_path):
    z = np.asarray(open_trained(run).inputs(3)["z"])
    np.savez(tmp_path / "one.npz", z=z[:1])
    np.savez(tmp_path / "two.npz", z=z[1:])
    found = interpolated(run, f"{tmp_path / 'one.npz'},{tmp_path / 'two.npz'}", "0", out=tmp_path / "out")
    mean = z.mean(axis=0)
    np.testing.assert_allclose(found["stops"][0], mean * open_trained(run).norms.typical / np.linalg.norm(mean), atol=1e-5)


def test_pictures_beyond_the_largest_number_are_told(run, tmp_path, pictures, capsys):
    project.main(project.Config(run=run, pictures=(str(pictures),), n=1, out=tmp_path / "out", **QUICK))
    assert "taken       the first 1 of 2 pictures (--n)" in capsys.readouterr().out
    interpolated(run, "0", f"{pictures}/", k=1, out=tmp_path / "out")
    assert "taken       the first 1 of 2 pictures (--k)" in capsys.readouterr().out


def test_results_do_not_replace_an_input(run, tmp_path, pictures):
    (pictures / "0.png").rename(tmp_path / "pairs.png")
    before = (tmp_path / "pairs.png").read_bytes()
    with pytest.raises(InputError, match=r"pairs.png would overwrite the input .*pairs.png: choose another place with --out"):
        project.main(project.Config(run=run, pictures=(str(tmp_path / "pairs.png"),), out=tmp_path, **QUICK))
    assert (tmp_path / "pairs.png").read_bytes() == before


def test_walks_between_classes_or_captions_that_cannot_be(run, conditional, tmp_path, pictures):
    for more, message in (
        ({"to_caption": "a face"}, "was trained without captions: there are no embeddings of them"),
        ({"to_label": "b", "to_caption": "a face"}, "--to-label and --to-caption: choose one of them"),
        ({"to_label": "b", "closed": True}, "--closed is for walks through stops, and --to-label ends"),
    ):
        for of in (run, conditional):
            with pytest.raises(InputError, match=message):
                interpolated(of, "1", "2", out=tmp_path / "out", **more)
    with pytest.raises(InputError, match="this generator cannot be asked by caption: it makes samples of noise alone"):
        project.main(project.Config(run=run, pictures=(str(pictures),), to_caption=("a face",), out=tmp_path / "out", **QUICK))
    assert not (tmp_path / "out").exists()


def test_other_bad_input(run, tmp_path, pictures, reader):
    with pytest.raises(InputError, match="does not say what pictures it was trained on: name them by --ref"):
        interpolated(run, "1", "left", out=tmp_path)
    with pytest.raises(InputError, match="--statistics batch: a picture would depend"):
        interpolated(run, "1", "2", statistics="batch", out=tmp_path)
    with pytest.raises(InputError, match="lies in the input .*pics"):
        interpolated(run, "1", str(pictures) + "/", out=pictures)
    with pytest.raises(InputError, match="lies in the input .*checkpoints"):
        interpolated(run, "1", "2", out=run / "checkpoints" / "walk")
    for named, message in (
        {"wings": r"0 of 40 samples have wings: .* raise --search", "beard": "nothing reads 'beard'"}
    ).items():
        with pytest.raises(InputError, match=message):
            directions.main(directions.Config(run=run, attribute=named, ref="halves", out=tmp_path, **QUICK))
    with pytest.raises(InputError, match="--pca and --attribute: choose one"):
        directions.main(directions.Config(run=run, pca=2, attribute="left", **QUICK))
    with pytest.raises(InputError, match="squeezenet needs its weights"):
        project.main(project.Config(run=run, pictures=(str(pictures),), match="squeezenet", out=tmp_path, **QUICK))
    with pytest.raises(InputError, match="is no run that can be sampled"):
        interpolated(pictures, "1", "2")


def test_a_generator_of_points_has_nothing_to_show(tmp_path):
    generator, latent = mlp.Generator(width=4), latents.Normal(2)
    objective = image_gan(generator, mlp.Discriminator(width=4), losses.hinge, latent, real="point")
    state = core.init_state(objective, TX, jax.random.key(0), {"point": np.zeros((2, 2), np.float32)})
    run = Run(tmp_path / "points", Config(), "fingerprint")
    run.describe_model(partial(image_sampler, generator, latent), {})
    run.accept()
    with run, run.checkpoints() as checkpoints:
        checkpoints.save(0, state)
    with pytest.raises(InputError, match="makes points, not pictures"):
        interpolated(tmp_path / "points", "0", "1")


def test_pictures_are_inverted_before_they_are_stops(run, tmp_path, pictures, capsys):
    found = interpolated(run, f"{pictures}/", str(pictures / "0.png"), k=1, out=tmp_path / "out", inversion_steps=100)
    said = capsys.readouterr().out
    assert f"stop 1      1 picture ({pictures / '0.png'}), inverted to a PSNR of" in said
    np.testing.assert_array_equal(found["stops"][0], found["stops"][1])
    given = np.asarray(Image.open(pictures / "0.png")).astype(float)
    assert np.abs(found["images"][0, ..., 0] - given).mean() < 8


def test_statistics_of_batches_are_settled(run, tmp_path, capsys):
    """Frames must not depend on those beside them."""
    shutil.copytree(run, tmp_path / "run")
    model = json.loads((run / "model.json").read_text()) | {"statistics": "batch"}
    (tmp_path / "run" / "model.json").write_text(json.dumps(model))
    codes = open_codes(tmp_path / "run", interpolate.Config(run=run, **QUICK), "interpolate")
    assert "settled once" in capsys.readouterr().out
    np.testing.assert_array_equal(codes.render(codes.z[:2])[:1], codes.render(codes.z[:1]))
