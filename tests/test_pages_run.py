"""The commands that README and the pages show are run: on a run of four rounds, and as dry runs or two rounds."""

import dataclasses
import importlib
import itertools
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gan_jax.__main__ import COMMANDS
from gan_jax.data import digits
from tests.test_pages import README, TALKING, commands, parsed

THERE = {"RUN", "runs/demo", "my_pictures.zip", "FOLDER", "my_digit.png", "my_samples.npz"}  # what the tests have
SAID = {"cat": "3", "dog": "8", "2000": "4"}  # a page's run has classes of CIFAR-10 and many rounds, that here digits and four
LIKE_DIGITS = ("mnist", "cifar10")  # data sets that have to be downloaded, in whose place digits are as good here
LARGER = ("imagenet2012", "lsun/bedroom")  # and those in whose place they are not
DRY = {"dry_run": True, "seeds": 1, "devices": 1}
SMALL = {"steps": 2, "every": 1, "seeds": 1, "n": 60, "inversion_steps": 2, "restarts": 1}
LONG = {
    "experiments.latent_arithmetic": "trains a network first, and has tests of its own",
    "experiments.features": "trains two networks first, and has tests of its own",
    "experiments.doctor_runs": "plays 80 games",
    "experiments.own_pictures": "times rounds even in a dry run, and has tests of its own",
    "experiments.caption_scores": "asks a run by captions",
    "experiments.text_recipes": "trains a classifier and twelve games, and has tests of its own",
}


def needed(words: list[str]) -> set[str]:
    """What a command needs that the tests have not: files, runs of other data, data sets, long trainings."""
    program, rest = words[1], words[2:]
    if program in LONG or program.startswith("experiments.benchmarks"):
        return {program}
    written = {after for word, after in itertools.pairwise(rest) if word in ("--outdir", "--out")}
    places = {word for word in rest if re.fullmatch(r"[A-Z]{3,}|.*[^.\d]/.*|[a-z]\S*\.(zip|npz|png|pth|jpg)", word)}
    missing = places - written - THERE - set(rest[:1] if program == "gan_jax" else ())
    missing |= {word for word in rest if word in LARGER or word == "--coordinator"}
    if program == "gan_jax" and (rest[0] in ("hub", "compare") or "--help" in rest):
        missing.add(rest[0])
    return missing


SHOWN = list(dict.fromkeys(tuple(words) for page in (README, *TALKING) for words in commands(page.read_text())))
RUN_HERE = [words for words in SHOWN if "--help" not in words and not needed(list(words))]


@pytest.fixture
def here(conditional_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all that the commands name."""
    for name in ("RUN", "runs/demo"):
        shutil.copytree(conditional_run, tmp_path / name)
    pictures = np.asarray(digits().first(100)["image"])
    (tmp_path / "FOLDER").mkdir()
    for i, picture in enumerate(pictures):
        Image.fromarray(picture[:, :, 0]).resize((64, 64)).save(tmp_path / "FOLDER" / f"{i}.png")
    shutil.make_archive(str(tmp_path / "my_pictures"), "zip", tmp_path / "FOLDER")
    Image.fromarray(pictures[0, :, :, 0]).resize((16, 16)).save(tmp_path / "my_digit.png")
    np.savez(tmp_path / "my_samples.npz", image=pictures)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def smaller(config: Any) -> Any:
    """The same configuration with as little work as it can do."""
    names = {field.name for field in dataclasses.fields(config)}
    here = {"data": "digits"} if getattr(config, "data", "") in LIKE_DIGITS else {}
    less = DRY if "dry_run" in names else SMALL
    return dataclasses.replace(config, **{name: value for name, value in less.items() if name in names}, **here)


@pytest.mark.slow
@pytest.mark.parametrize("words", RUN_HERE, ids=lambda words: " ".join(words[1:])[:100])
def test_a_command_runs(words, here, capsys):
    _, program, *rest = (SAID.get(word, word) for word in words)
    config = smaller(parsed(("-m", program, *rest)))
    main = COMMANDS[rest[0]][0] if program == "gan_jax" else importlib.import_module(program).main
    main(config)
    assert capsys.readouterr().out


def test_most_commands_are_run():
    """The others need data or a run that is not here, or are long."""
    assert len(RUN_HERE) > 50
    assert {words[2] for words in RUN_HERE if words[1] == "gan_jax"} > {"sample", "evaluate", "doctor", "export", "report"}


def test_a_command_that_needs_what_is_not_here():
    assert needed(["-m", "experiments.dcgan", "--data", "lsun/bedroom"]) == {"lsun/bedroom"}
    assert needed(["-m", "gan_jax", "upscale", "runs/srgan", "scans/", "--out", "large/"]) == {"runs/srgan", "scans/"}
    assert not needed(["-m", "gan_jax", "data", "check", "my_pictures.zip"])
