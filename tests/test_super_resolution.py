"""The stages of super-resolution on a few small pictures, and the command that enlarges pictures with such a run."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments import super_resolution, super_resolution_report
from experiments.super_resolution_report import ZOOM, detail
from gan_jax.commands import sample, upscale
from gan_jax.errors import InputError
from gan_jax.runs.records import read_rows
from gan_jax.runs.run import read_json
from gan_jax.runs.trained import open_trained

TINY = {"width": 4, "blocks": 1, "factor": 2, "window": 32, "batch": 2, "devices": 1, "disc_width": 2}
CADENCE = {"steps": 4, "log_every": 2, "sample_every": 4, "eval_every": 4, "save_every": 2}


def picture(h, w, seed=0, channels=3):
    """Coarse noise."""
    coarse = np.random.default_rng(seed).integers(0, 256, (h // 8 + 1, w // 8 + 1, channels), np.uint8)
    return np.repeat(np.repeat(coarse, 8, axis=0), 8, axis=1)[:h, :w]


def save(path: Path, pixels: np.ndarray, **about) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **about)
    return path


def config(outdir: Path, **changes) -> super_resolution.Config:
    return super_resolution.Config(**{"outdir": outdir, **TINY, **CADENCE, **changes})


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for i in range(24):
        save(folder / f"{i}.png", picture(40 + i, 60 - i, i))
    return folder


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory) -> Path:
    outdir = tmp_path_factory.mktemp("runs") / "srresnet"
    test = save(tmp_path_factory.mktemp("sets") / "SetX" / "a.png", picture(50, 61, 99)).parent
    super_resolution.main(config(outdir, data=str(photos), test=(test,)))
    return outdir


def test_the_first_stage_leaves_what_it_promises(run):
    names = {path.name for path in run.iterdir()}
    assert {"config.json", "model.json", "metrics.jsonl", "eval.jsonl", "real.png", "asked.npz"} <= names
    rows = read_rows(run / "metrics.jsonl")
    assert [row["step"] for row in rows] == [2, 4]
    assert {"gen/psnr", "gen/content", "gen/loss"} <= rows[0].keys()
    scores = read_rows(run / "eval.jsonl")
    assert [row["step"] for row in scores] == [0, 4]
    assert {"setx/psnr_y", "setx/ssim_y", "setx/psnr_rgb", "setx/ssim_rgb"} <= scores[1].keys()
    model = read_json(run / "model.json")
    assert model["metric"] == "setx/psnr_y"
    assert model["reach"] == 10
    assert (run / "samples" / "000004.png").exists()


@pytest.mark.slow
def test_the_second_stage_begins_with_the_first(run, photos, tmp_path):
    with pytest.raises(InputError, match="name its run with --init-from"):
        super_resolution.main(config(tmp_path / "srgan", stage="srgan", data=str(photos)))
    super_resolution.main(config(tmp_path / "srgan", stage="srgan", data=str(photos), init_from=run, trunk="batch"))
    assert "began with the weights of" in (tmp_path / "srgan" / "log.txt").read_text()
    rows = read_rows(tmp_path / "srgan" / "metrics.jsonl")
    assert {"disc/real", "disc/fake", "gen/adversarial", "gen/content"} <= rows[0].keys()


@pytest.mark.slow
def test_a_discriminator_of_patches(run, photos, tmp_path):
    """ADA counts pictures, not their patches: four minibatches of the batch move p by their number over 500,000."""
    asked = {"stage": "srgan", "data": str(photos), "init_from": run, "discriminator": "patch", "augment": "ada", "r1": 0.1}
    played = config(tmp_path / "patch", **asked, steps=4, log_every=4)
    super_resolution.main(played)
    row = read_rows(tmp_path / "patch" / "metrics.jsonl")[-1]
    assert row["disc/penalty"] > 0
    assert row["augment/p"] in (0.0, pytest.approx(4 * played.batch / 500_000))
    assert row["gen/offset"] > 0  # of the features of patches


@pytest.mark.slow
def test_the_modern_row(photos, tmp_path):
    """Dense blocks without batch norm and the relativistic cost, as ESRGAN; beside it a content loss by pixels."""
    modern = {"data": str(photos), "trunk": "rrdb", "upsample": "resize", "content": "l1"}
    super_resolution.main(config(tmp_path / "first", **modern))
    asked = {"stage": "srgan", "init_from": tmp_path / "first", "loss": "relativistic_paired", "decay": "tenth"}
    super_resolution.main(config(tmp_path / "second", **modern, **asked))
    assert read_json(tmp_path / "second" / "model.json")["reach"] == 4 + 15 + 1 + 1 + 2
    row = read_rows(tmp_path / "second" / "metrics.jsonl")[-1]
    assert row["gen/adversarial"] > 0
    assert not any(name.startswith("batch_stats") for name in open_trained(tmp_path / "second").variables)


def test_the_runs_are_compared(run, tmp_path, capsys):
    save(tmp_path / "Set5" / "a.png", picture(91, 100, 7))
    save(tmp_path / "grey" / "b.png", picture(80, 70, 8, channels=1)[..., 0])
    asked = {"stage": "compare", "runs": (run,), "test": (tmp_path / "Set5", tmp_path / "grey")}
    means = super_resolution.main(config(tmp_path / "out", **asked))
    assert means.keys() == {"Set5", "grey"}
    assert means["Set5"].keys() == {"bicubic", "srresnet"}
    assert means["Set5"]["bicubic"]["psnr_y"] > means["Set5"]["srresnet"]["psnr_y"] + 1  # after four rounds
    told = capsys.readouterr().out
    assert "paper" not in told  # whose factor is 4
    assert "Set5  paper: SRGAN" in super_resolution_report.table(means, factor=4)
    assert "Set5: 1 pictures are cut below or at the right to multiples of 2" in told
    assert f"{means['grey']['bicubic']['psnr_y']:.2f}" in told
    with Image.open(tmp_path / "out" / "figure.png") as drawn:
        assert drawn.width > 800
    for changes, message in (
        ({"runs": ()}, "name the runs to compare"),
        ({"runs": (run, run)}, "a run twice"),
        ({"factor": 4}, "enlarges 2 times: give --factor 2"),
    ):
        with pytest.raises(InputError, match=message):
            super_resolution.main(config(tmp_path / "out", **{**asked, **changes}))


def test_runs_of_one_name_are_told_apart():
    assert super_resolution.distinct([Path("runs/a/0"), Path("runs/b/0")]) == ["a/0", "b/0"]
    assert super_resolution.distinct([Path("runs/srresnet"), Path("runs/srgan")]) == ["srresnet", "srgan"]
    assert super_resolution.distinct([Path("runs/bicubic")]) == ["runs/bicubic"]


def test_the_zoom_is_where_the_picture_differs_most():
    high = np.zeros((200, 300, 3), np.uint8)
    rough = high.copy()
    rough[100:120, 200:210] = 50
    top, left = detail(high, rough)
    assert 100 + 20 - ZOOM <= top <= 100
    assert 200 + 10 - ZOOM <= left <= 200


def test_given_pairs(photos, tmp_path):
    for i in range(3):
        save(tmp_path / "high" / f"{i}.png", picture(40, 48, i))
        save(tmp_path / "low" / f"{i}.png", picture(20, 24, i))
    changes = {"data": str(tmp_path / "high"), "low": str(tmp_path / "low"), "steps": 2, "eval_every": 2, "sample_every": 2}
    super_resolution.main(config(tmp_path / "run", **changes))
    assert read_rows(tmp_path / "run" / "metrics.jsonl")[-1]["step"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"content": "vgg54"}, "needs the weights of vgg19.*--content mse"),
        ({"window": 33}, "--window 33 is no multiple of --factor 2"),
        ({"window": 200}, "no picture has a window of 200x200 pixels"),
        ({"stage": "srgan", "init_from": Path("runs/none"), "window": 40}, "40x40 are no multiples of 16"),
        ({"pack": 2}, "are for games on noise"),
    ],
)
def test_what_cannot_be_trained(changes, message, photos, tmp_path):
    with pytest.raises(InputError, match=message):
        super_resolution.main(config(tmp_path / "run", data=str(photos), **changes))
    assert not (tmp_path / "run").exists()


def test_samples_of_the_runs_own_low_pictures(run, tmp_path):
    found = sample.main(sample.Config(run=run, n=3, out=tmp_path))
    assert found["images"].shape == (3, 32, 32, 3)
    assert found["low"].shape == (3, 16, 16, 3)


def test_a_picture_is_enlarged_in_tiles_as_in_one(run):
    trained, pixels = open_trained(run), picture(90, 70)
    whole = trained.upscale(pixels, tile=128)
    assert whole.shape == (180, 140, 3)
    assert np.abs(trained.upscale(pixels, tile=32).astype(int) - whole).max() <= 1
    batch = open_trained(run, statistics="batch")
    with pytest.raises(InputError, match="tiles must be normalised alike"):
        batch.upscale(pixels)


def test_upscale_keeps_kinds_and_folders(run, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 8
    save(tmp_path / "in" / "grey.png", picture(12, 9, channels=1)[..., 0])
    save(tmp_path / "in" / "deep" / "alpha.png", picture(7, 9, channels=4))
    save(tmp_path / "in" / "photo.jpg", picture(20, 16), exif=exif)
    save(tmp_path / "in" / "photo.png", picture(20, 16))
    (tmp_path / "in" / "broken.png").write_text("no picture")
    written = upscale.main(upscale.Config(run=run, pictures=(tmp_path / "in",), out=tmp_path / "out"))
    names = {str(path.relative_to(tmp_path / "out")) for path in written}
    assert names == {"grey.png", "deep/alpha.png", "photo.png", "photo-png.png"}
    found = {}
    for name in names:
        with Image.open(tmp_path / "out" / name) as opened:
            found[name] = (opened.mode, opened.size, opened.getexif().get(0x0112))
    assert found == {
        "grey.png": ("L", (18, 24), None),
        "deep/alpha.png": ("RGBA", (18, 14), None),
        "photo.png": ("RGB", (32, 40), 8),
        "photo-png.png": ("RGB", (32, 40), None),
    }


def test_upscale_says_what_it_cannot_do(run, tmp_path):
    one = save(tmp_path / "one.png", picture(8, 8))
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty").mkdir()
    for pictures, message in (
        ((), "name picture files"),
        ((tmp_path / "gone.png",), "there is no .*gone.png"),
        ((tmp_path / "text.png",), "text.png cannot be read: not a picture"),
        ((tmp_path / "empty",), "holds no pictures"),
        ((one, one, one), "two pictures would be written to"),
    ):
        with pytest.raises(InputError, match=message):
            upscale.main(upscale.Config(run=run, pictures=pictures, out=tmp_path / "out"))
    with pytest.raises(InputError, match="would overwrite the input"):
        upscale.main(upscale.Config(run=run, pictures=(one,), out=tmp_path))
    assert not (tmp_path / "out").exists()
