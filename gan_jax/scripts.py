"""The experiments: scripts beside gan_jax in its repository, and inside of it where it is installed; `experiments` in either.

An installed gan_jax takes no other top name than its own, since many projects have a folder called experiments.
"""

import ast
import difflib
import importlib.util
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from gan_jax.errors import InputError

PACKAGE = "experiments"
_HOME = Path(__file__).parent
_started: list[str] = []


def folder() -> Path:
    """Where the experiments are; raises `InputError` where they were left out."""
    for found in (_HOME / PACKAGE, _HOME.parent / PACKAGE):
        if (found / "__init__.py").is_file():
            return found
    raise InputError("the experiments are not here: install gan_jax by pip, or start this in its repository")


def names() -> dict[str, str]:
    """What can be started, such as "dcgan" or "research.cyclegan", and its first line."""
    found = {}
    for path in sorted(folder().rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if '__name__ == "__main__"' in source:
            about = ast.get_docstring(ast.parse(source)) or ""
            found[".".join(path.relative_to(folder()).with_suffix("").parts)] = about.partition("\n")[0]
    return found


def provide() -> None:
    """Make `experiments` importable, also where a folder of that name comes first on the path.

    Raises `InputError` where another package of that name is in use already, and as `folder`.
    """
    here = folder()
    if (known := sys.modules.get(PACKAGE)) is not None:
        if [Path(path).resolve() for path in getattr(known, "__path__", ())] == [here.resolve()]:
            return
        raise InputError(f"another package called {PACKAGE} is imported already, so that this one cannot be")
    spec = importlib.util.spec_from_file_location(PACKAGE, here / "__init__.py", submodule_search_locations=[str(here)])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = module
    spec.loader.exec_module(module)


def start(name: str, arguments: Sequence[str]) -> None:
    """Run an experiment as a program of its own, with these flags; raises `InputError` for a name that there is not."""
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise InputError(
            f"there is no experiment {name[:80]!r}: " + (f"the nearest is {near[0]}" if near else "`run` lists them")
        )
    provide()
    sys.argv = [f"gan_jax run {name}", *arguments]
    _started.append(sys.argv[0])
    runpy.run_module(f"{PACKAGE}.{name}", run_name="__main__", alter_sys=True)


def started() -> str | None:
    """How an experiment of this process was started by `start`; None if none was."""
    return _started[-1] if _started else None
