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

ROOT = Path(__file__).parents[2]
SMALL = [
    "--devices",
    "1",
    "--image-size",
    "16",
    "--width",
    "4",
    "--batch",
    "16",
    "--latent-dim",
    "8",
    "--statistics",
    "running",
]
CADENCE = ["--log-every", "10", "--save-every", "10", "--sample-every", "100", "--eval-every", "100", "--features", "pixels"]


def command(outdir: Path, steps: int, more: tuple[str, ...] = ()) -> list[str]:
    flags = [*SMALL, *CADENCE, *more, "--steps", str(steps), "--outdir", str(outdir)]
    return [sys.executable, "-m", "experiments.dcgan", *flags]


def finish(outdir: Path, steps: int, more: tuple[str, ...] = ()) -> str:
    """Run to the end; the hash of every leaf of the last state."""
    done = subprocess.run(command(outdir, steps, more), cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return state_hash(load_weights(outdir))


def stop(outdir: Path, steps: int, seconds: float, number: int, more: tuple[str, ...] = ()) -> tuple[int, list[str]]:
    """Start, wait for the first line of metrics and `seconds` more, send a signal; the exit status and temporary files left."""
    process = subprocess.Popen(
        command(outdir, steps, more), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
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
    return outdir, finish(outdir, 60)


@pytest.mark.slow
def test_killed_with_pictures_sent_from_the_host_and_augmented(tmp_path):
    """Order, mirroring, shifts, ADA's state: all go on, and the other feed gives the same."""
    varied = ("--eval-metrics=none", "--mirror", "--crop", "2", "--augment", "ada", "--disc-steps", "2")
    status, _ = stop(tmp_path / "killed", 40, 0.0, signal.SIGKILL, (*varied, "--feed", "host"))
    assert status in (-signal.SIGKILL, 0)
    again = finish(tmp_path / "killed", 40, (*varied, "--feed", "host"))
    assert again == finish(tmp_path / "whole", 40, (*varied, "--feed", "device"))


def test_killed_twice_equals_uninterrupted(whole, tmp_path):
    reference, expected = whole
    for seconds in (0.0, 0.1):
        status, _ = stop(tmp_path / "run", 60, seconds, signal.SIGKILL)
        assert status in (-signal.SIGKILL, 0)
    assert finish(tmp_path / "run", 60) == expected
    for name in ("metrics.jsonl", "eval.jsonl", "diagnosis.jsonl"):
        rows, wanted = read_rows(tmp_path / "run" / name), read_rows(reference / name)
        for row in (*rows, *wanted):
            row.pop("images_per_second", None)
        assert rows == wanted


def test_interrupt_saves_and_continues(whole, tmp_path):
    status, _ = stop(tmp_path / "run", 60, 0.0, signal.SIGINT)
    assert status == 130
    saved = (tmp_path / "run" / "log.txt").read_text()
    assert "run the same command again to go on" in saved
    assert finish(tmp_path / "run", 60) == whole[1]


def test_damaged_newest_checkpoint_is_skipped(whole, tmp_path):
    """One flipped byte in the newest: the run goes on from the one before and ends the same."""
    shutil.copytree(whole[0], tmp_path / "run")
    newest = tmp_path / "run" / "checkpoints" / "60" / "state"
    largest = max((path for path in newest.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    assert finish(tmp_path / "run", 60) == whole[1]
    assert "from step 50" in (tmp_path / "run" / "log.txt").read_text()


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_killed_twenty_times_equals_uninterrupted(tmp_path):
    expected = finish(tmp_path / "whole", 300)
    chance, kills, torn = random.Random(0), 0, 0
    while kills < 20:
        status, left = stop(tmp_path / "run", 300, chance.uniform(0, 0.25), signal.SIGKILL)
        assert status == -signal.SIGKILL, "the run ended before it had been killed twenty times"
        kills, torn = kills + 1, torn + bool(left)
    print(f"{kills} kills, {torn} of them inside a save")
    assert torn > 0
    assert finish(tmp_path / "run", 300) == expected
