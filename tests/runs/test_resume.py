"""A run that is killed and started again ends as one that was never stopped, to the bit."""

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gan_jax.runs.checkpoint import state_hash
from gan_jax.runs.run import read_rows
from gan_jax.runs.transfer import load_weights
from tests.game import ring

ROOT = Path(__file__).parents[2]
EVERY = {"log_every": 10, "save_every": 10, "sample_every": 100, "eval_every": 100}
SMALL = {"image_size": 16, "width": 4, "batch": 16, "latent_dim": 8, "statistics": "running", "eval_metrics": "none"}


def points(outdir: Path, steps: int, **flags: object) -> list[str]:
    """The command of a run of MLPs in the plane."""
    return ring(outdir, devices=1, steps=steps, **EVERY, **flags)


def pictures(outdir: Path, steps: int, **flags: object) -> list[str]:
    """The command of a DCGAN on the digits."""
    asked = {**SMALL, **EVERY, "devices": 1, "steps": steps, "outdir": outdir, **flags}
    given = (f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}") for name, value in asked.items())
    return [sys.executable, "-m", "experiments.dcgan", *given]


def finish(outdir: Path, command: list[str]) -> str:
    """Run to the end; the hash of every leaf of the last state."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return state_hash(load_weights(outdir))


def stop(outdir: Path, command: list[str], seconds: float, number: int) -> tuple[int, list[str]]:
    """Start, wait for the first line of metrics and `seconds` more, send a signal; the exit status and temporary files left."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("step "):
            break
    time.sleep(seconds)
    process.send_signal(number)
    process.communicate(timeout=120)
    return process.returncode, [path.name for path in (outdir / "checkpoints").glob("*tmp*")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, str]:
    """A run of 60 steps that was never stopped, and its hash."""
    outdir = tmp_path_factory.mktemp("whole") / "run"
    return outdir, finish(outdir, points(outdir, 60))


@pytest.mark.slow
def test_killed_with_pictures_sent_from_the_host_and_augmented(tmp_path):
    """Order, mirroring, shifts, ADA's state: all go on, and the other feed gives the same."""
    varied = {"mirror": True, "crop": 2, "augment": "ada", "disc_steps": 2}
    killed = pictures(tmp_path / "killed", 40, **varied, feed="host")
    status, _ = stop(tmp_path / "killed", killed, 0.0, signal.SIGKILL)
    assert status in (-signal.SIGKILL, 0)
    again = finish(tmp_path / "killed", killed)
    assert again == finish(tmp_path / "whole", pictures(tmp_path / "whole", 40, **varied, feed="device"))


def test_killed_and_interrupted_equals_uninterrupted(whole, tmp_path):
    """An interrupt saves; a kill goes back to the last save."""
    reference, expected = whole
    command = points(tmp_path / "run", 60)
    status, _ = stop(tmp_path / "run", command, 0.0, signal.SIGINT)
    assert status == 130
    assert "run the same command again to go on" in (tmp_path / "run" / "log.txt").read_text()
    status, _ = stop(tmp_path / "run", command, 0.0, signal.SIGKILL)
    assert status in (-signal.SIGKILL, 0)
    assert finish(tmp_path / "run", command) == expected
    for name in ("metrics.jsonl", "eval.jsonl", "diagnosis.jsonl"):
        rows, wanted = read_rows(tmp_path / "run" / name), read_rows(reference / name)
        for row in (*rows, *wanted):
            row.pop("images_per_second", None)
        assert rows == wanted


def test_damaged_newest_checkpoint_is_skipped(whole, tmp_path):
    """One flipped byte in the newest: the run goes on from the one before and ends the same."""
    shutil.copytree(whole[0], tmp_path / "run")
    newest = tmp_path / "run" / "checkpoints" / "60" / "state"
    largest = max((path for path in newest.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    assert finish(tmp_path / "run", points(tmp_path / "run", 60)) == whole[1]
    assert "from step 50" in (tmp_path / "run" / "log.txt").read_text()


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_killed_twenty_times_equals_uninterrupted(tmp_path):
    expected = finish(tmp_path / "whole", pictures(tmp_path / "whole", 300))
    command, chance, kills, torn = pictures(tmp_path / "run", 300), random.Random(0), 0, 0
    while kills < 20:
        status, left = stop(tmp_path / "run", command, chance.uniform(0, 0.25), signal.SIGKILL)
        assert status == -signal.SIGKILL, "the run ended before it had been killed twenty times"
        kills, torn = kills + 1, torn + bool(left)
    print(f"{kills} kills, {torn} of them inside a save")
    assert torn > 0
    assert finish(tmp_path / "run", command) == expected
