"""Every public name says what it is, and what it raises."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "gan_jax"
PRIVATE = ROOT / "layers" / "lowerings"  # behind `gan_jax.layers.conv`


def public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    """Functions, classes and methods that do not begin with an underscore."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{prefix}{node.name}.")


def raised(function: ast.FunctionDef) -> set[str]:
    """The errors of ours that a function raises itself."""
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
            found.add(node.exc.func.id)
    return found & {"InputError", "RunError"}


def complaints(source: str) -> list[str]:
    """Public names without a docstring, and functions that raise without saying so."""
    found = []
    for name, node in public(ast.parse(source).body):
        text = ast.get_docstring(node) or ""
        if not text:
            found.append(f"{name} has no docstring")
        elif isinstance(node, ast.FunctionDef):
            found += [f"{name} raises {error} silently" for error in sorted(raised(node)) if error not in text]
    return found


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings(path):
    found = complaints(path.read_text())
    assert not found or PRIVATE in path.parents


def test_complaints():
    """A function without a docstring, one that raises silently, one that says so, one that nobody sees."""
    source = (
        "def a(): pass\n"
        "def b():\n    'Text.'\n    raise InputError('x')\n"
        "def c():\n    'Raises InputError.'\n    raise InputError('x')\n"
        "def _d(): pass\n"
    )
    assert complaints(source) == ["a has no docstring", "b raises InputError silently"]
