"""What may import what."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "gan_jax"
BASE = {
    "arrays",
    "batch_axis",
    "config",
    "errors",
    "files",
    "host_memory",
    "interrupts",
    "keys",
    "listing",
    "locks",
    "progress",
    "rows",
    "scripts",
}
ALLOWED = {  # a module or folder of `gan_jax`, and what of ours it may import beside BASE and itself
    "arrays": set(),
    "errors": set(),
    "config": set(),
    "files": set(),
    "host_memory": set(),
    "interrupts": set(),
    "listing": set(),
    "locks": set(),
    "_search_path": set(),
    "_startup": {"_search_path"},
    "keys": set(),
    "progress": set(),
    "rows": set(),
    "scripts": set(),
    "batch_axis": set(),
    "losses": set(),
    "matching": set(),
    "penalties": set(),
    "latents": set(),
    "directions": {"latents"},
    "images": set(),
    "layers": set(),
    "metrics": set(),
    "core": set(),
    "augment": {"images"},
    "instance_noise": {"augment"},
    "data": {"images"},
    "models": {"layers", "images"},
    "objectives": {"augment", "core", "images", "latents", "losses", "matching", "penalties"},
    "dynamics": {"core"},
    "sampling": {"core"},
    "inversion": {"core", "metrics"},
    "upscaling": {"core", "images"},
    "supervised": set(),
    "parallel": {"core"},
    "runs": {"_search_path", "core", "data", "sampling", "parallel", "images", "upscaling"},
    "evaluation": {"data", "matching", "metrics", "models", "images", "supervised"},
    "training": {
        "augment",
        "core",
        "data",
        "evaluation",
        "images",
        "instance_noise",
        "layers",
        "losses",
        "parallel",
        "penalties",
        "runs",
        "sampling",
    },
    "cli": {"parallel", "_startup"},
    "commands": {
        "augment",
        "data",
        "directions",
        "evaluation",
        "images",
        "inversion",
        "latents",
        "metrics",
        "models",
        "parallel",
        "runs",
        "sampling",
        "training",
        "upscaling",
    },
    "__init__": {"core", "latents", "losses", "objectives", "parallel", "penalties", "sampling", "_search_path", "_startup"},
    "__main__": {"cli", "commands"},
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


def rooms() -> set[str]:
    """The modules and folders right below `gan_jax`."""
    return {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}


def test_every_room_is_in_the_table():
    assert set(ALLOWED) == rooms()


@pytest.mark.parametrize("part", ALLOWED)
def test_direction(part):
    found = set()
    for path in files(part):
        ours = {name.split(".")[1] for name in imports(path) if name.startswith("gan_jax.")} & rooms() - {part}
        assert ours <= ALLOWED[part] | BASE, path
        found |= ours
    assert ALLOWED[part] <= found, "an arrow that nothing uses"


def module_of(name: str) -> str | None:
    """The file of `gan_jax` that an import of this full name runs: the module itself, or the one that defines the name."""
    for candidate in (name, name.rpartition(".")[0]):
        path = ROOT.parent / candidate.replace(".", "/")
        if path.with_suffix(".py").is_file() or (path / "__init__.py").is_file():
            return candidate
    return None


def test_no_circle_of_imports():
    graph = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found = {module_of(name) for name in imports(path) if name.split(".")[0] == "gan_jax"}
        graph[module] = {name for name in found if name is not None}
    assert len(graph) == len(list(ROOT.rglob("*.py")))
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' <- '.join(error.args[1])}")


def test_nothing_imports_the_experiments_and_tensorflow_stays_in_data():
    for path in ROOT.rglob("*.py"):
        roots = {name.split(".")[0] for name in imports(path)}
        assert "experiments" not in roots, path
        if path.parent.name != "data":
            assert not roots & {"tensorflow", "tensorflow_datasets"}, path


def test_import_is_light():
    code = "import sys, gan_jax; print(sum(n in sys.modules for n in ('tensorflow_datasets', 'orbax', 'matplotlib.pyplot')))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "0"
