"""What may import what."""

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "gan_jax"
BASE = {"errors", "batch_axis"}
ALLOWED = {  # a module or package, and what of ours it may import beside `errors`, `batch_axis` and itself
    "batch_axis": set(),
    "losses": set(),
    "penalties": set(),
    "latents": set(),
    "images": set(),
    "layers": set(),
    "metrics": set(),
    "core": set(),
    "augment": set(),
    "resize": set(),
    "models": {"layers"},
    "objectives": {"augment", "core", "images", "latents", "losses", "penalties"},
    "parallel": {"core"},
    "checkpoint": {"core"},
    "doctor": {"core"},
    "loop": {"core"},
    "data": set(),
    "torch_files": {"models"},
    "weights": {"models", "torch_files"},
}


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def files(part: str) -> list[Path]:
    return sorted((ROOT / part).rglob("*.py")) if (ROOT / part).is_dir() else [ROOT / f"{part}.py"]


@pytest.mark.parametrize("part", ALLOWED)
def test_direction(part):
    for path in files(part):
        ours = {name.split(".")[1] for name in imports(path) if name.startswith("gan_jax.")}
        assert ours <= ALLOWED[part] | BASE | {part}, path


def test_nothing_imports_the_experiments_and_tensorflow_stays_in_data():
    for path in ROOT.rglob("*.py"):
        roots = {name.split(".")[0] for name in imports(path)}
        assert "experiments" not in roots, path
        if path.parent.name != "data":
            assert not roots & {"tensorflow", "tensorflow_datasets"}, path


def test_import_is_quick_and_light():
    code = "import sys, gan_jax; print(sum(n in sys.modules for n in ('tensorflow_datasets', 'orbax', 'matplotlib.pyplot')))"
    start = time.perf_counter()
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "0"
    assert time.perf_counter() - start < 10  # under 3 s on an idle machine
