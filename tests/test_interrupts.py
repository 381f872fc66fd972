"""Signals: what finishes, what ends at once, and what is left as it was."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import gan_jax
from gan_jax.interrupts import deferred

ROOT = Path(gan_jax.__file__).parents[1]
PROGRAM = """
import sys, time, types
package = types.ModuleType("gan_jax")  # without its __init__, which imports jax
package.__path__ = [sys.argv[1]]
sys.modules["gan_jax"] = package
from gan_jax import interrupts
def swallowed():  # as XLA does with what its callbacks raise
    try:
        print("begun", flush=True)
        while True:
            time.sleep(0.01)
    except KeyboardInterrupt:
        pass
class Ending:
    def __del__(self):
        print("begun", flush=True)
        time.sleep(600)
with interrupts.program(), interrupts.deferred() as stop:
    if sys.argv[2] == "unraisable":
        Ending()
    elif sys.argv[2] == "lost":
        swallowed()
    else:
        stop.begun()
        print("begun", flush=True)
    if sys.argv[2] in ("playing", "saving"):
        while not stop.asked:
            time.sleep(0.01)
        time.sleep(sys.argv[2] == "saving")
        print("saved", flush=True)
        sys.exit(7)
    time.sleep(600)
"""


def program(kind: str, *signals: int, gap: float = 0.0) -> tuple[int, str, str]:
    """The exit status and the words of a program that gets these signals, one after the other."""
    command = [sys.executable, "-c", PROGRAM, str(ROOT / "gan_jax"), kind]
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup has it ignored, which a child inherits
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGHUP, before)
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        for number in signals:
            process.send_signal(number)
            time.sleep(gap)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    return process.returncode, out, err


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_round_is_finished_and_saved(kind):
    assert program("playing", kind) == (7, "saved\n", "\nfinishing this step and saving; once more to leave at once\n")


def test_a_program_ends_although_the_interrupt_was_lost_in_a_callback():
    assert program("lost", signal.SIGINT)[:2] == (130, "")


def test_an_interrupt_that_python_cannot_raise_leaves_no_trace():
    assert program("unraisable", signal.SIGINT) == (130, "", "")


def test_the_second_signal_ends_a_program_that_does_not_heed_the_first():
    assert program("deaf", signal.SIGINT, signal.SIGTERM, gap=0.03)[:2] == (130, "")


def test_a_signal_that_is_passed_on_again_counts_once():
    """As `timeout -s INT` sends it to the program and then to its group; in a second it is another one."""
    assert program("saving", signal.SIGINT, signal.SIGINT, gap=0.03)[:2] == (7, "saved\n")
    assert program("saving", signal.SIGINT, signal.SIGINT, gap=0.4)[:2] == (130, "")


def test_in_a_library_the_first_signal_is_deferred_and_handlers_come_back():
    before = signal.getsignal(signal.SIGINT)
    with deferred() as stop:
        with deferred() as inner:
            assert inner is stop
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.asked
        assert signal.getsignal(signal.SIGINT) is before  # the second one has its usual effect
    assert signal.getsignal(signal.SIGINT) is before


def test_an_ignored_hang_up_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with deferred() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.asked
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_early_interrupts_end_the_program_in_five_seconds(tmp_path):
    """With a compilation cache that is empty, so that most of them meet a compilation."""
    chance = random.Random(0)
    for i in range(20):
        home = tmp_path / str(i)
        flags = ["--data=digits", f"--outdir={home}/run", "--width=8", "--batch=16", "--steps=100000", "--eval-n=200"]
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(home / "xla")}
        command = [sys.executable, "-m", "experiments.dcgan", *flags]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
        time.sleep(chance.uniform(0.3, 10))  # Python itself takes the first moments
        process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        words = process.communicate(timeout=120)[0].decode()
        assert process.returncode == 130, words
        assert time.monotonic() - begun < 5 or "finishing this step" in words
