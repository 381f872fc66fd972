"""What the README shows runs as it stands there."""

import importlib
import shlex
from pathlib import Path

import numpy as np
import tyro

from gan_jax.__main__ import COMMANDS

ROOT = Path(__file__).parents[1]


def test_the_ten_lines():
    readme = (ROOT / "README.md").read_text()
    code = readme.split("```python")[1].split("```")[0]
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert int(names["state"].step) == 1
    assert np.isfinite(float(names["metrics"]["disc/loss"]))


def test_its_files_exist():
    readme = (ROOT / "README.md").read_text()
    for part in readme.split("](")[1:]:
        assert (ROOT / part.split(")")[0]).exists()


def commands():
    """Each line of a block that starts a module, without what is left out or said beside it."""
    for line in (ROOT / "README.md").read_text().replace("\\\n", "").splitlines():
        if line.startswith(("    python -m ", "    gan_jax ")) and "..." not in line and "--help" not in line:
            words = shlex.split(line, comments=True)
            yield words if words[0] == "gan_jax" else words[2:]


def test_its_commands_are_understood():
    found = list(commands())
    assert len(found) > 20
    for module, *flags in found:
        if module == "gan_jax":
            (config, arguments) = COMMANDS[flags[0]][1], flags[1:]
        else:
            config, arguments = importlib.import_module(module).Config, flags
        tyro.cli(config, args=arguments)  # ends the program for what it does not know
