"""What our programs set before the rest is imported."""

import os
import subprocess
import sys
from pathlib import Path

import gan_jax

ROOT = Path(gan_jax.__file__).parents[1]


def test_the_present_folder_is_not_searched_for_modules(tmp_path):
    """It may be the directory of anybody's run."""
    for name in ("jax", "numpy", "tyro", "mine"):
        (tmp_path / f"{name}.py").write_text("import os; os._exit(77)")
    command = [sys.executable, "-m", "gan_jax", "doctor", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, "has no metrics to read" in done.stderr) == (2, True)


def test_a_library_leaves_signals_and_the_search_path_as_they_are(tmp_path):
    code = """
import signal, sys
before = list(sys.path), signal.getsignal(2)
import gan_jax
print(before == (sys.path, signal.getsignal(2)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
