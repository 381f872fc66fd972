"""Processes that train together end as one process does; when one is lost the others end, and the run goes on elsewhere."""

import os
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
import pytest

from gan_jax.errors import InputError
from gan_jax.parallel import processes
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.run import read_rows
from gan_jax.runs.transfer import load_weights
from tests.game import flags_of, numbers, ring

ROOT = Path(__file__).parents[2]
STEPS, BOUND = 100, 1e-4  # parameters move by more than 1e-2 in ten steps; the largest difference measured was 5e-7
FLAGS = {"steps": STEPS, "lr": 1e-2, "log_every": 10, "save_every": 10, "sample_every": 100, "eval_every": 100}


def start(outdir: Path, port: int, process: int, **changes) -> subprocess.Popen:
    """Process `process` of two, with two devices."""
    place = {"coordinator": f"127.0.0.1:{port}", "processes": 2, "process": process}
    return subprocess.Popen(
        ring(outdir, **{**FLAGS, **changes}, **place),
        cwd=ROOT,
        env={**os.environ, "XLA_FLAGS": flags_of(2)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def train(outdir: Path, devices: int) -> str:
    """One process with eight devices, of which `devices` are used (0: all); what it says."""
    done = subprocess.run(
        ring(outdir, **FLAGS, devices=devices),
        cwd=ROOT,
        env={**os.environ, "XLA_FLAGS": flags_of(8)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def difference(a: Path, b: Path, step: int | None = None) -> float:
    """The largest between the newest states of two runs, or that of the first and another's at `step`."""
    one, other = load_weights(a), load_weights(b)
    if step is not None:
        with Checkpoints(b / "checkpoints", read_only=True) as checkpoints:
            other = checkpoints.read(step)
    assert jax.tree.structure(one) == jax.tree.structure(other)
    return max(float(np.abs(x - y).max()) for x, y in zip(params(one), params(other), strict=True))


def params(state: dict) -> list[np.ndarray]:
    return numbers((state["gen"]["params"], state["disc"]["params"], state["ema_params"]))


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """A run on one device."""
    outdir = tmp_path_factory.mktemp("alone") / "run"
    train(outdir, devices=1)
    return outdir


def without_gloo(out: str) -> list[str]:
    """The lines without those of Gloo, whose threads write theirs in parts: one may stand within another, its end alone."""
    gloo = ("[Gloo]", "connected to", "peer ranks")
    return [line for line in out.splitlines() if line and not any(part in line for part in gloo)]


def test_two_processes_end_as_one_device_does(alone, free_port, tmp_path):
    started = [start(tmp_path / "run", free_port, i) for i in (0, 1)]
    said = [process.communicate(timeout=240) for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert difference(alone, tmp_path / "run") < BOUND < 1e-2 < difference(alone, alone, step=STEPS - 10)
    assert "devices     4 in 2 processes, 4 examples a round each" in said[0][0]
    first, second = (without_gloo(out) for out, _ in said)
    assert first == (tmp_path / "run" / "log.txt").read_text().splitlines()
    assert second == []
    assert [row["step"] for row in read_rows(tmp_path / "run" / "metrics.jsonl")] == list(range(10, STEPS + 1, 10))
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == ["100", "80", "90"]


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_lost_process_ends_the_other_and_the_run_goes_on_elsewhere(victim, alone, free_port, tmp_path):
    """The second process writes nothing, so that its directory may be out of reach; all devices of one process go on."""
    started = [start(tmp_path / name, free_port, i) for i, name in enumerate(("run", "nowhere"))]
    try:
        assert any(line.startswith("step 30/") for line in started[0].stdout)  # so the first checkpoints are whole
        started[victim].send_signal(signal.SIGKILL)
        _, complaint = started[1 - victim].communicate(timeout=60)
    finally:
        for process in started:
            process.kill()
            process.communicate()
    assert started[1 - victim].returncode not in (0, -signal.SIGKILL)
    assert f"process {victim} was lost" in complaint or (victim == 0 and "another task died" in complaint), complaint
    assert not (tmp_path / "nowhere").exists()
    assert 10 <= load_weights(tmp_path / "run")["step"] < STEPS
    said = train(tmp_path / "run", devices=0)
    assert f"continuing {tmp_path / 'run'} from step" in said
    assert "devices     8 in 1 process," in said
    assert difference(alone, tmp_path / "run") < BOUND
    assert [row["step"] for row in read_rows(tmp_path / "run" / "metrics.jsonl")] == list(range(10, STEPS + 1, 10))


def test_processes_of_different_flags_are_refused(free_port, tmp_path):
    """Both say so; nothing is written and nobody waits for the other."""
    started = [start(tmp_path / "run", free_port, i, lr=1e-2 * (1 + i)) for i in (0, 1)]
    said = [process.communicate(timeout=100) for process in started]
    assert [process.returncode for process in started] == [2, 2], said
    assert all("process 1 has different flags from process 0" in complaint for _, complaint in said)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_process_that_cannot_go_on_ends_the_other(free_port, tmp_path):
    """Process 0 finds its directory full of other things; the other is told instead of waiting for minutes."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    started = [start(tmp_path / "run", free_port, i) for i in (0, 1)]
    said = [process.communicate(timeout=90) for process in reversed(started)][::-1]
    assert "not empty and is no run" in said[0][1]
    assert "process 0 was lost" in said[1][1]
    assert started[1].returncode == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, 2, None), "a number of processes needs a coordinator"),
        ((None, None, 0), "a number of processes needs a coordinator"),
        (("127.0.0.1:1234", None, 0), "a coordinator needs the number of processes N"),
        (("127.0.0.1:1234", 2, None), "a coordinator needs the number of processes N"),
        (("127.0.0.1:1234", 2, 2), "0 to N - 1, not 2 and 2"),
        (("127.0.0.1", 2, 0), "HOST:PORT, such as .*, not 127.0.0.1"),
        ((":1234", 2, 0), "HOST:PORT, such as .*, not :1234"),
        (("127.0.0.1:http", 2, 0), "HOST:PORT, such as .*, not 127.0.0.1:http"),
        (("127.0.0.1:65536", 2, 0), "HOST:PORT, such as .*, not 127.0.0.1:65536"),
    ],
)
def test_what_cannot_be_an_address(arguments, message):
    with pytest.raises(InputError, match=message):
        processes.connect(*arguments, timeout=1.0)


def test_a_coordinator_that_does_not_answer(free_port):
    with pytest.raises(
        InputError, match=f"no coordinator answered at 127.0.0.1:{free_port} within 1 s .*start process 0 there"
    ):
        processes.connect(f"127.0.0.1:{free_port}", 2, 1, timeout=1.0)


def test_a_port_in_use():
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} of the coordinator cannot be opened here .*choose another"):
            processes.connect(f"127.0.0.1:{port}", 2, 0, timeout=1.0)


def test_the_missing_are_named(free_port):
    """Of four processes 0 and 2 are there, and a stranger; each says what is wrong."""
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(processes.connect, f"127.0.0.1:{free_port}", 4, 0, 1.0)
        arrived(free_port, 0).close()
        second = pool.submit(processes.connect, f"127.0.0.1:{free_port}", 4, 2, 2.0)
        error = first.exception(timeout=10)
        assert isinstance(second.exception(timeout=10), InputError)
    assert isinstance(error, InputError)
    assert f"processes 1, 3 of 4 did not connect to port {free_port} within 1 s" in str(error)
    assert processes.lost() == []


def arrived(port: int, process: int) -> socket.socket:
    """What a process's first word to process 0 is, which may not be listening yet."""
    while True:
        try:
            peer = socket.create_connection(("127.0.0.1", port), timeout=5)
            peer.sendall(process.to_bytes(4, "big"))
            return peer
        except ConnectionRefusedError:
            time.sleep(0.05)
