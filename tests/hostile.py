"""Commands of ours on hostile inputs, each in a forked child of a process that has imported everything: `python hostile.py`.

The process reads a case a line (JSON: `program`, `args`, `folder`, `seconds`) and answers with what became of it (JSON:
`status`, `output`, `peak` bytes, `seconds`); a status of None is a hang.
"""

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]


class Outcome(NamedTuple):
    """What became of a command; `status` is None where it had to be killed."""

    status: int | None
    output: str
    peak: int
    seconds: float


class Server:
    """A process that runs cases one after the other."""

    def __init__(self, cache: Path):
        environment = {**os.environ, "GAN_JAX_CACHE": str(cache), "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
        for name in ("XLA_FLAGS", "GAN_JAX_DATA", "GAN_JAX_ARCHIVES", "JAX_COMPILATION_CACHE_DIR"):
            environment.pop(name, None)
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        )

    def run(self, program: str, args: Sequence[str], folder: Path, seconds: float = 150.0) -> Outcome:
        """`program` is gan_jax or dcgan; the command is run in `folder`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        case = {"program": program, "args": list(args), "folder": str(folder), "seconds": seconds}
        self._process.stdin.write(json.dumps(case) + "\n")
        self._process.stdin.flush()
        return Outcome(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


def serve() -> None:
    """Answer cases until the input ends."""
    from experiments import dcgan
    from gan_jax import cli
    from gan_jax.__main__ import COMMANDS

    programs: dict[str, Any] = {
        "dcgan": lambda args: cli.run_command(dcgan.main, dcgan.Config, "", args),
        "gan_jax": lambda args: cli.run_subcommand(COMMANDS, "", args),
    }
    for line in sys.stdin:
        case = json.loads(line)
        print(json.dumps(_attempt(programs[case["program"]], case)), flush=True)


def _attempt(program: Any, case: dict[str, Any]) -> dict[str, Any]:
    log = Path(case["folder"]).with_suffix(".output")
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _become(program, case["args"], case["folder"], log)
    status: int | None = None
    while True:
        ended, code, usage = os.wait4(child, os.WNOHANG)
        if ended:
            status = os.waitstatus_to_exitcode(code)
            break
        if time.monotonic() - began > case["seconds"]:
            os.killpg(child, signal.SIGKILL)
            _, _, usage = os.wait4(child, 0)
            break
        time.sleep(0.02)
    output = log.read_text(errors="backslashreplace")
    log.unlink()
    return {"status": status, "output": output, "peak": usage.ru_maxrss * 1024, "seconds": time.monotonic() - began}


def _become(program: Any, args: list[str], folder: str, log: Path) -> None:
    """In the child: the program, and its end."""
    status = 1
    try:
        os.setsid()
        os.chdir(folder)
        target = os.open(log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o644)
        for descriptor in (1, 2):
            os.dup2(target, descriptor)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        sys.stdout, sys.stderr = (os.fdopen(descriptor, "w", buffering=1, errors="backslashreplace") for descriptor in (1, 2))
        program(args)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
