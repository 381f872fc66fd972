"""What README and the pages of docs/ show: commands parse, flags and links exist, Python runs, numbers agree."""

import dataclasses
import importlib
import importlib.util
import inspect
import os
import pkgutil
import re
import shlex
import subprocess
import sys
import tomllib
import types
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import tyro
import yaml

import experiments
import gan_jax
from gan_jax import losses
from gan_jax.__main__ import COMMANDS
from gan_jax.config import checked
from gan_jax.evaluation.evaluator import COMPARABLE
from gan_jax.training import doctor

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
TALKING = [page for page in PAGES if page.parent == DOCS]  # the pages but for README and the API's
REPEATING = [README, DOCS / "index.md", DOCS / "talk.md"]  # whose numbers were measured on the other pages
SAID = {"40 %"}  # by the talk
VERSIONS = {"3.11", "3.12", "3.13", "2.0"}  # of Python, and of the licence
NEEDS = {"experiments.benchmarks.benchmark_superres": "torch"}  # to be imported


def module_of(path: Path) -> types.ModuleType:
    """The module in a file that lies in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hooks = module_of(DOCS / "hooks.py")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


# What a page shows


def without_python(text: str) -> str:
    """A page without its blocks of Python."""
    return re.sub(r"^ *```python.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    """A page without code, the targets of links and arXiv numbers."""
    text = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^    .*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"`[^`]*`", "", text)
    return re.sub(r"\]\([^)]*\)|arXiv:\S+|https?://\S+", "", text)


def spans(text: str) -> list[str]:
    """The code within the sentences of a page."""
    text = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [" ".join(span.split()) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]


def commands(text: str) -> list[list[str]]:
    """The arguments of `python` in each command that a page shows, in a block or within a sentence."""
    text = without_python(text)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    lines = [re.sub(r"^    gan_jax ", "python -m gan_jax ", line) for line in lines]  # the command of an installation
    shown = [line.strip() for line in lines] + spans(text)
    found = [re.search(r"(?:^|[\s/])python3? (-m (?:gan_jax|experiments)\b.*)", line) for line in shown]
    words = [shlex.split(match[1], comments=True) for match in found if match and match[1] != "-m gan_jax"]
    return [[word for word in command if word != "..."] for command in words]


def flags(text: str) -> set[str]:
    """The flags that a page names within its sentences."""
    return {match[1] for span in spans(text) if (match := re.match(r"--([a-z0-9-]+)", span))}


def links(text: str) -> Iterator[tuple[str, str]]:
    """The relative links of a page, each with the heading that it leads to."""
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)(#[^)\s]*)?\)", text):
        if target or anchor:
            yield target, anchor.removeprefix("#")


def headings(text: str) -> set[str]:
    """The names that links may lead to."""
    titles = re.findall(r"^#+ (.+)$", without_python(text), flags=re.MULTILINE)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in titles}


def numbers(text: str) -> set[str]:
    """The numbers in the sentences of a page that may have been measured: decimals, shares, counts of counts, powers of ten."""
    found = re.findall(r"\d+ of \d+|\d[\d,]*\.\d+|\d[\d,]* (?:%|dB|GB|s|min)(?!\w)", prose(text))
    return {re.sub(r"\s+", " ", number) for number in found}


def test_what_a_page_shows():
    page = (
        "# Of `x`, twice\n\n    python -m gan_jax film runs/demo   # a film\n    gan_jax hub pull A/B\n\n"
        "```sh\nsrun -n 2 python -m experiments.dcgan ... --data a \\\n    --steps 3\n```\n\n"
        "Take `python -m gan_jax doctor\nRUN`, `--lr 1`; 0.5 and 7 of 8 in 3 s, [see](a.md#b), 12 %.\n\n"
        "```python\npython -m gan_jax nothing\n```\n"
    )
    assert commands(page) == [
        ["-m", "gan_jax", "film", "runs/demo"],
        ["-m", "gan_jax", "hub", "pull", "A/B"],
        ["-m", "experiments.dcgan", "--data", "a", "--steps", "3"],
        ["-m", "gan_jax", "doctor", "RUN"],
    ]
    assert flags(page) == {"lr"}
    assert list(links(page)) == [("a.md", "b")]
    assert headings(page) == {"of-x-twice"}
    assert numbers(page) == {"0.5", "7 of 8", "3 s", "12 %"}


# Commands and flags


def config_of(words: list[str]) -> tuple[Any, list[str]]:
    """The flags that a command takes, and the words that they are read from."""
    _, program, *rest = words
    if program == "gan_jax":
        return COMMANDS[rest[0]][1], rest[1:]
    if library := NEEDS.get(program):
        pytest.importorskip(library, reason=f"needs {library} to import {program}")
    return importlib.import_module(program).Config, rest


@cache
def parsed(words: tuple[str, ...]) -> Any:
    """The checked configuration of a command, or None where help is asked for; raises `SystemExit` where it is refused."""
    config, arguments = config_of(list(words))
    if "--help" in arguments:
        return None
    return checked(tyro.cli(config, args=arguments))


@every_page
def test_commands_parse(page):
    for words in commands(page.read_text()):
        try:
            parsed(tuple(words))
        except SystemExit:
            pytest.fail(f"{name_of(page)} shows python {shlex.join(words)}, which is refused")


def test_commands_are_found():
    assert len(commands(README.read_text())) > 10
    assert sum(len(commands(page.read_text())) for page in TALKING) > 100


def test_a_command_that_does_not_parse():
    with pytest.raises(SystemExit):
        parsed(("-m", "experiments.dcgan", "--no-such-flag", "1"))


@cache
def known_flags() -> set[str]:
    """The flags of all commands and experiments."""
    configs = [config for _, config in COMMANDS.values()]
    for module in pkgutil.walk_packages(experiments.__path__, "experiments."):
        source = (ROOT / f"{module.name.replace('.', '/')}.py") if not module.ispkg else ROOT / "experiments/__init__.py"
        if module.name not in NEEDS and "class Config" in source.read_text():
            configs.append(importlib.import_module(module.name).Config)
    names = {field.name for config in configs for field in dataclasses.fields(config)}
    return {name.replace("_", "-") for name in names} | {"help"}


@every_page
def test_flags_exist(page):
    assert flags(page.read_text()) <= known_flags()


@every_page
def test_targets_and_extras_exist(page):
    """`make NAME` and `pip install '.[NAME]'`."""
    text = without_python(page.read_text())
    shown = "\n".join([*re.findall(r"^    (.*)$", text, flags=re.MULTILINE), *spans(text)])
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.findall(r"^make ([a-z-]+)", shown, flags=re.MULTILINE)) <= targets
    assert set(re.findall(r"'\.\[(\w+)\]'", shown)) <= extras.keys()


# Python


def python_blocks(text: str) -> list[tuple[str, str]]:
    """(title, code) of the blocks of Python in a page."""
    return re.findall(r'^```python(?: title="([^"]*)")?\n(.*?)^```$', text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", TALKING, ids=name_of)
def test_python_compiles(page):
    for title, code in python_blocks(page.read_text()):
        compile(code, f"{page.name} {title}", "exec")


@pytest.mark.parametrize("page", ["from-pytorch.md", "objective.md"])
def test_python_runs(page, tmp_path, monkeypatch):
    """The blocks of a page one after the other, without those of PyTorch."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for title, code in python_blocks((DOCS / page).read_text()):
        if not title.startswith("PyTorch"):
            exec(compile(code, f"{page} {title}", "exec"), names)
    assert int(names["state"].step) > 0
    assert all(np.isfinite(float(value)) for value in names["metrics"].values())


# Links and pages


@every_page
def test_links_lead_somewhere(page):
    for target, anchor in links(page.read_text()):
        place = (page.parent / target).resolve() if target else page
        assert place.exists(), f"{name_of(page)} links to {target}"
        if anchor:
            assert anchor in headings(place.read_text()), f"{name_of(page)} links to {target}#{anchor}"


def pages_of(nav: Any) -> Iterator[str]:
    """The pages that a table of contents names."""
    for entry in nav:
        if isinstance(entry, dict):
            for value in entry.values():
                yield from [value] if isinstance(value, str) else pages_of(value)
        else:
            yield entry


def test_every_page_is_in_the_table_of_contents():
    named = list(pages_of(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    there = [str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")] + list(hooks.PAGES.values())
    assert sorted(named) == sorted(there)


# Numbers


@pytest.mark.parametrize("page", REPEATING, ids=name_of)
def test_numbers_stand_on_a_page(page):
    """What README, the talk and the overview repeat is what the page of an experiment says."""
    said = "\n".join(other.read_text() for other in TALKING if other not in REPEATING)
    said = re.sub(r"\s+", " ", said)
    strange = {number for number in numbers(page.read_text()) if not re.search(rf"(?<![\d.]){re.escape(number)}(?!\d)", said)}
    assert strange <= SAID | VERSIONS


def test_links_in_the_site():
    """Of README they lead to pages and pictures of the site, of pages to README's page."""
    assert hooks.redirected("[a](CONTRIBUTING.md) [b](docs/fid.md#c)", "readme.md") == "[a](contributing.md) [b](fid.md#c)"
    assert hooks.redirected("![](experiments/pictures/a.png)", "readme.md") == "![](pictures/a.png)"
    assert hooks.redirected("[a](../../README.md#b) [c](game.md)", "api/index.md") == "[a](../readme.md#b) [c](game.md)"
    assert (
        hooks.redirected("![](../experiments/pictures/a.png) [b](https://c.d)", "fid.md")
        == "![](pictures/a.png) [b](https://c.d)"
    )


# What pages say of the code


def rows_of(page: str, cells: int) -> list[list[str]]:
    """The rows of the tables of a page that have so many cells."""
    lines = [line.strip().strip("|").split("|") for line in (DOCS / page).read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line] for line in lines if len(line) == cells]


def test_equilibrium():
    """The losses of an even game, as losses.md has them: logits 0, or half way between the targets."""
    table = {row[0].strip("`"): row[1:3] for row in rows_of("losses.md", 4)}
    assert losses.LOSSES.keys() <= table.keys()
    for name, loss in losses.LOSSES.items():
        even = jnp.full((4,), 0.5 if name == "least_squares" else 0.0)
        disc, gen = table[name]
        assert float(disc) == pytest.approx(float(loss.disc(even, even)), abs=5e-4)
        if name not in ("wasserstein", "hinge"):  # whose best discriminator is any constant
            assert float(gen) == pytest.approx(float(loss.gen(even, even)), abs=5e-4)


def test_states_of_the_doctor():
    """Each with its meaning and the flags that it advises; collapse has a page of its own."""
    table = {row[0]: row[1:] for row in rows_of("losses.md", 3)}
    for state, meaning in doctor.MEANINGS.items():
        assert table[state][0] == meaning
        advised = {cure.flag.replace("_", "-") for cure in doctor.CURES[state] if cure.flag}
        told = (DOCS / "collapse.md").read_text() if state == "collapsing" else table[state][1]
        assert all(f"--{flag}" in told for flag in advised)


def test_what_scores_must_share():
    told = re.findall(r"^`features`.*?\n\n", (DOCS / "fid.md").read_text(), flags=re.MULTILINE | re.DOTALL)[0]
    assert sorted(re.findall(r"`(\w+)`", told)) == sorted(COMPARABLE)


# The API


def documented() -> set[str]:
    """The modules and names that the pages of the API show."""
    return {name for page in (DOCS / "api").glob("*.md") for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)}


def test_the_api_names_what_exists():
    for name in documented():
        assert inspect.ismodule(importlib.import_module(name))


def test_the_api_is_complete():
    """All that `gan_jax` gives at once, and what each of its folders does."""
    shown = documented()
    for name in gan_jax.__all__:
        given = getattr(gan_jax, name)
        assert (given.__name__ if inspect.ismodule(given) else given.__module__) in shown or _given_by(given, name, shown)
    for folder in pkgutil.iter_modules(gan_jax.__path__, "gan_jax."):
        if folder.ispkg and folder.name != "gan_jax.commands":
            assert any(name == folder.name or name.startswith(f"{folder.name}.") for name in shown), folder.name


def _given_by(given: Any, name: str, shown: set[str]) -> bool:
    """Whether one of the modules that are shown has it among its public names."""
    modules = map(importlib.import_module, shown)
    return any(name in getattr(module, "__all__", ()) and getattr(module, name) is given for module in modules)


# The site


def test_lists_in_docstrings():
    pytest.importorskip("griffe", reason="needs the extra docs")
    listed = module_of(DOCS / "docstrings.py").listed
    assert (
        listed("What.\n\na:   one\n     more\nbc: two\n\nNote: words.")
        == "What.\n\n- `a`: one\n    more\n- `bc`: two\n\nNote: words."
    )


def test_the_site_builds(tmp_path):
    """Without a warning."""
    for name in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        pytest.importorskip(name, reason="needs the extra docs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "api" / "game.html").exists()


# The talk, statement by statement

STATEMENTS = dict(enumerate(re.split(r"^### \d+\. ", (DOCS / "talk.md").read_text(), flags=re.MULTILINE)))
UNMEASURED = {15}  # nothing yet
UNCOUNTED = {2}  # how the game is played: nothing to measure


def test_the_talk_has_its_twenty_statements():
    numbers = re.findall(r"^### (\d+)\. ", (DOCS / "talk.md").read_text(), re.MULTILINE)
    assert [int(number) for number in numbers] == list(range(1, 21))


@pytest.mark.parametrize("number", range(1, 21))
def test_each_statement_has_a_command_and_a_number_or_says_that_it_has_none(number):
    text = STATEMENTS[number]
    assert re.search(r"^    python -m |\]\([^)]*\)", text, re.MULTILINE), "neither a command nor a link to one"
    measured, gap = (
        re.search(r"^Measured\b.*?(?=^#|\Z)", text, re.MULTILINE | re.DOTALL),
        re.search(r"not\s+measured\s+yet", text, re.IGNORECASE),
    )
    if number in UNCOUNTED:
        assert not measured
    elif number in UNMEASURED:
        assert gap, "measured: take it from UNMEASURED"
    else:
        assert measured
        assert re.search(r"\d", measured[0])
