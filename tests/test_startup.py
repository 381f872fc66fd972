"""What our programs set before the rest is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gan_jax
from gan_jax._search_path import program

ROOT = Path(gan_jax.__file__).parents[1]


@pytest.mark.parametrize("start", [["-m", "gan_jax"], ["-W", "ignore", "-Bumgan_jax"]])
def test_the_present_folder_is_not_searched_for_modules(tmp_path, start):
    """It may be the directory of anybody's run. `start` is how Python may be told the program."""
    for name in ("signal", "threading", "json", "tempfile", "jax", "numpy", "tyro", "mine"):
        (tmp_path / f"{name}.py").write_text("import os; os._exit(77)")
    command = [sys.executable, *start, "doctor", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, "has no metrics to read" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["-m", "gan_jax"], "gan_jax"),
        (["-um", "experiments.toy_2d", "-m", "other"], "experiments.toy_2d"),
        (["-Wdefault", "-mgan_jax.commands"], "gan_jax.commands"),
        (["--check-hash-based-pycs", "always", "-Im", "gan_jax"], "gan_jax"),
        (["-X", "-m", "gan_jax"], ""),
        (["-m", "pytest", "-m", "gan_jax"], ""),
        (["/opt/bin/gan_jax", "sample", "run"], "gan_jax"),
        (["-I", "/opt/bin/gan_jax"], "gan_jax"),
        (["-c", "/opt/bin/gan_jax"], ""),
        (["script.py", "-m", "gan_jax"], ""),
        (["-c", "0", "-m", "gan_jax"], ""),
        (["-c0", "-m", "gan_jax"], ""),
        (["-", "-m", "gan_jax"], ""),
        (["-u"], ""),
    ],
)
def test_the_program_that_python_was_started_with(monkeypatch, words, name):
    monkeypatch.setattr(sys, "orig_argv", ["python", *words])
    assert program() == name


def test_a_library_leaves_signals_and_the_search_path_as_they_are():
    """And it does not wait for matplotlib, nor for PyTorch, which TensorBoard's writer imports where it is installed."""
    code = """
import signal, sys
before = list(sys.path), signal.getsignal(2)
import gan_jax.training
print(before == (sys.path, signal.getsignal(2)), {"matplotlib", "torch"} & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "True set()\n"
