"""`data check`, `data preview` and `data cache`: what they write, and what they never write on."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gan_jax
from gan_jax.commands.data import Config, main, preview
from gan_jax.data import load
from gan_jax.errors import InputError
from tests.four_rounds import pixels


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    root = tmp_path / "pictures"
    root.mkdir()
    for i, picture in enumerate(np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)):
        Image.fromarray(picture).save(root / f"{i}.png")
    return root


def everything(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file() and "cache" not in path.parts}


@pytest.mark.parametrize("action", ["check", "preview"])
def test_a_sheet_never_lies_in_the_data_or_on_them(
    action: str, tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "set.npz", image=np.zeros((4, 8, 8), np.uint8))
    (tmp_path / "link.png").symlink_to(pictures / "0.png")
    before = everything(tmp_path)
    for data, out in ((pictures, pictures / "0.png"), (pictures, pictures / "new.png"), (pictures, Path("link.png"))):
        with pytest.raises(InputError, match="input .*pictures: choose another place with --out"):
            main(Config(action=action, path=str(data), image_size="8", out=out))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="would overwrite the input"):
        main(Config(action=action, path="set.npz", image_size="8", out=Path("set.npz")))  # type: ignore[arg-type]
    for out, message in ((Path("/dev/null"), "a device or pipe"), (tmp_path, "a folder")):
        with pytest.raises(InputError, match=message):
            main(Config(action=action, path="set.npz", image_size="8", out=out))  # type: ignore[arg-type]
    assert everything(tmp_path) == before
    monkeypatch.chdir(pictures)
    main(Config(action=action, path=".", image_size="8"))  # type: ignore[arg-type]
    assert everything(tmp_path) == before
    assert "no sheet is written, since it would lie in the data" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    main(Config(action=action, path="pictures", image_size="8"))  # type: ignore[arg-type]
    assert len(everything(tmp_path)) == len(before) + 1


def test_previews_of_any_size_are_bounded(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(data=str(pictures), image_size="8", held_out=0.0)
    assert preview(config).shape[1] == 6 * 10 + 2
    monkeypatch.setattr("gan_jax.commands.data.LARGEST_SHEET", 2 * 4 * 8 * 8 * 3)
    assert preview(config).shape[1] == 2 * 10 + 2
    monkeypatch.setattr("gan_jax.commands.data.LARGEST_SHEET", 1)
    assert preview(config).shape[1] == 1 * 10 + 2


def test_the_cache_is_listed_and_cleared(tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(pictures, (8, 8))
    cache = tmp_path / "cache"
    for name in ("features", "mine", "mine-0123456789abcdef"):
        (cache / name).mkdir()
        (cache / name / "file").write_bytes(b"x" * 2_000_000)
    main(Config(action="cache"))
    listed = capsys.readouterr().out
    assert listed.splitlines()[0].split() == ["2.0", "MB", "features"]
    assert "6 train of 8x8x3" in listed
    assert f"2.0 MB in {cache}" in listed
    main(Config(action="cache", path="clear"))
    assert "removed from" in capsys.readouterr().out
    assert sorted(path.name for path in cache.iterdir() if path.is_dir()) == ["mine", "mine-0123456789abcdef"]
    with pytest.raises(InputError, match="data cache q: choose list or clear"):
        main(Config(action="cache", path="q"))


def test_names_in_other_encodings_are_printed(tmp_path: Path, pictures: Path) -> None:
    os.link(pictures / "0.png", os.fsencode(pictures) + b"/\xb0\xa1.png")
    (Path(os.fsdecode(os.fsencode(pictures) + b"/\xc4.png"))).write_text("no picture")
    moved = pictures.rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xb0"))
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict", "PYTHONPATH": str(Path(gan_jax.__file__).parents[1])}
    command = [
        sys.executable,
        "-m",
        "gan_jax",
        "data",
        "check",
        os.fsencode(moved),
        "--out",
        os.fsencode(tmp_path) + b"/\xb1.png",
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert r"0.png = \udcb0\udca1.png" in done.stdout
    assert r"written: " in done.stdout


def test_look_at_data_before_training(stripes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(Config(action="check", path=str(stripes), image_size="32", out=tmp_path / "real.png"))
    report = capsys.readouterr().out
    assert "30 pictures" in report
    assert "not square" in report
    assert pixels(tmp_path / "real.png").shape[1] > 100
    looks = []
    for augment in ("none", "diffaugment", "ada"):
        asked = Config(
            action="preview", path=str(stripes), image_size="32", augment=augment, mirror=True, out=tmp_path / "p.png"
        )
        main(asked)
        looks.append(pixels(tmp_path / "p.png"))
    assert looks[0].shape[0] < looks[1].shape[0] == looks[2].shape[0]
    np.testing.assert_array_equal(looks[0][:60], looks[1][:60])
    assert (looks[1] != looks[2]).any()
    with pytest.raises(InputError, match=r"cannot write .*choose another --out"):
        main(Config(action="preview", path=str(stripes), out=tmp_path / "p.png" / "p.png"))
