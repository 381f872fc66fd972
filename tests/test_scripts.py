"""Experiments are started in the repository and where gan_jax is installed, beside any other package of their name."""

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

import gan_jax
from gan_jax import scripts
from gan_jax.commands import run
from gan_jax.errors import InputError

HOME = Path(gan_jax.__file__).parent


@pytest.fixture
def installed(tmp_path) -> Path:
    """A folder of packages as pip leaves it: the experiments are inside of gan_jax."""
    home = tmp_path / "site" / "gan_jax"
    home.mkdir(parents=True)
    for path in HOME.iterdir():
        if path.name != "__pycache__":
            (home / path.name).symlink_to(path)
    (home / "experiments").symlink_to(scripts.folder())
    return home.parent


def start(site: Path, folder: Path, *words: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])}
    program = "from gan_jax.__main__ import main; main()"
    command = [sys.executable, "-c", program, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_an_installed_experiment_is_started_beside_another_package_of_its_name(installed, tmp_path):
    other = tmp_path / "project" / "experiments"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise SystemExit('the other one')")
    done = start(installed, tmp_path / "project", "run", "mode_collapse", "--help")  # which imports others of them
    assert done.returncode == 0, done.stderr
    assert "usage: gan_jax run mode_collapse" in done.stdout
    done = start(installed, tmp_path / "project", "run", "mode_colapse")
    assert (done.returncode, done.stderr) == (2, "error: there is no experiment 'mode_colapse': the nearest is mode_collapse\n")


def test_the_list(capsys):
    found = run.main(run.Config())
    assert {"dcgan", "toy_2d", "research.cyclegan", "benchmarks.benchmark"} <= found.keys()
    assert not {"tables", "__init__", "stopwatch"} & found.keys()
    assert all(found.values())
    assert "research.cyclegan" in capsys.readouterr().out
    with pytest.raises(InputError, match="gan_jax run dcgan"):
        run.main(run.Config("dcgan"))


def test_another_package_in_use(monkeypatch):
    monkeypatch.setitem(sys.modules, "experiments", types.ModuleType("experiments"))
    with pytest.raises(InputError, match="another package called experiments is imported already"):
        scripts.provide()


def test_nowhere(monkeypatch, tmp_path):
    monkeypatch.setattr(scripts, "_HOME", tmp_path / "gan_jax")
    with pytest.raises(InputError, match="the experiments are not here: install gan_jax"):
        scripts.names()
