"""Hostile inputs at every door: nothing foreign runs, no file is lost, nothing hangs, no traceback, no flood of memory."""

import concurrent.futures
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hostile import ROOT, Outcome, Server
from tests.hostile_cases import (
    CANARY,
    COMMANDS,
    DAMAGES,
    MOST_MEMORY,
    MOST_OUTPUT,
    TINY,
    Case,
    asked,
    attacks,
    data,
    flags,
    pictures,
    runs,
    weights,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def hashes(folder: Path) -> dict[str, str]:
    """Of every regular file, without following links."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            found[str(path.relative_to(folder)).encode(errors="surrogateescape").decode(errors="replace")] = hashlib.sha256(
                path.read_bytes()
            ).hexdigest()
    return found


def faults(case: Case, server: Server, folder: Path, usual: int) -> list[str]:
    """What is wrong with the end of a case."""
    folder.mkdir(parents=True)
    program, args = case.make(folder)
    before = hashes(folder)
    outcome = server.run(program, args, folder)
    after = hashes(folder)
    lost = [name for name, digest in before.items() if after.get(name) != digest and not _may(name, case.may_change)]
    found = {
        f"hangs ({outcome.output[-200:]!r})": outcome.status is None,
        f"status {outcome.status}: {outcome.output[-300:]!r}": outcome.status is not None
        and outcome.status not in case.statuses,
        f"a traceback: {outcome.output[-600:]!r}": "Traceback" in outcome.output,
        f"{len(outcome.output)} characters": len(outcome.output) > MOST_OUTPUT,
        f"{outcome.peak / 2**30:.1f} GiB": outcome.peak > usual + MOST_MEMORY,
        f"changed {lost[:3]}": bool(lost),
        "foreign code ran": any(CANARY in path.name for path in [*folder.rglob("*"), *folder.parent.glob(f"{CANARY}*")]),
    }
    shutil.rmtree(folder, ignore_errors=True)
    return [text for text, so in found.items() if so]


def _may(name: str, patterns: tuple[str, ...]) -> bool:
    return any(pattern in name for pattern in patterns)


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    made = [Server(tmp_path_factory.mktemp("cache")) for _ in range(2)]
    yield made
    for server in made:
        server.close()


@pytest.fixture(scope="module")
def valid(servers, tmp_path_factory) -> tuple[Path, int]:
    """A run that every run's case begins as, and the memory that making it took."""
    folder = tmp_path_factory.mktemp("valid")
    pictures(folder / "p")
    outcome: Outcome = servers[0].run("dcgan", ["--data", "p", "--outdir", "run", *TINY, "--steps", "2"], folder, 300)
    assert outcome.status == 0, outcome.output
    for command in COMMANDS:
        assert servers[0].run(*asked(command), _with_other(folder), 300).status in (0, 2)
    shutil.rmtree(folder / "other")
    return folder, outcome.peak


def _with_other(folder: Path) -> Path:
    if not (folder / "other").exists():
        shutil.copytree(folder / "run", folder / "other")
    return folder


FAMILIES: dict[str, Callable[[Path], Iterator[Case]]] = {
    "flags": lambda valid: flags(),
    "runs": runs,
    "attacks": attacks,
    "data": lambda valid: data(),
    "weights": lambda valid: weights(),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_hostile_inputs(family, servers, valid, tmp_path):
    run, usual = valid
    cases = list(FAMILIES[family](run))
    free = list(servers)

    def attempt(numbered: tuple[int, Case]) -> tuple[str, list[str]]:
        number, case = numbered
        server = free.pop()
        try:
            return case.name, faults(case, server, tmp_path / str(number), usual)
        finally:
            free.append(server)

    with concurrent.futures.ThreadPoolExecutor(len(servers)) as pool:
        wrong = {name: found for name, found in pool.map(attempt, enumerate(cases)) if found}
    print(f"{family}: {len(cases)} cases")
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(f"{name}: {found}" for name, found in wrong.items())


VARIABLES = ("GAN_JAX_CACHE", "GAN_JAX_ARCHIVES", "JAX_COMPILATION_CACHE_DIR", "XDG_CACHE_HOME", "TFDS_DATA_DIR")


@pytest.mark.parametrize("kind", ["a file", "a pipe", "absent", "a circle"])
@pytest.mark.parametrize("variable", VARIABLES)
def test_hostile_environment(variable, kind, tmp_path):
    if (variable, kind) == ("XDG_CACHE_HOME", "a circle"):
        pytest.skip("matplotlib itself cannot be imported then")
    place = tmp_path / "place"
    {"a file": lambda path: path.write_text("x"), "absent": lambda path: None, **DAMAGES}[kind](place)
    (tmp_path / "mine").mkdir()
    for module in ("jax", "numpy", "signal", "lmdb", "tyro"):
        (tmp_path / "mine" / f"{module}.py").write_text(f"open({str(tmp_path / CANARY)!r}, 'w')\n")
    pictures(tmp_path / "mine" / "p")
    environment = {**os.environ, "GAN_JAX_CACHE": str(tmp_path / "cache"), variable: str(place), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "gan_jax", "data", "check", "p", "--out", "sheet.png"],
        cwd=tmp_path / "mine",
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode in (0, 2), done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / CANARY).exists()
