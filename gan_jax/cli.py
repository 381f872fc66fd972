"""Command lines: flags from a dataclass, errors without a stack trace, exit status."""

import errno
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, TypeVar, Union

import tyro

from gan_jax import _startup, interrupts, scripts
from gan_jax.errors import InputError, Interrupted, RunError
from gan_jax.parallel import host, processes

C = TypeVar("C")


def run_command(main: Callable[[C], object], config: type[C], description: str, args: Sequence[str] | None = None) -> None:
    """Parse flags into `config` and call `main`; ends the process.

    Exit status: 0 done, 1 the run failed, 2 the input cannot work, 130 interrupted.
    """

    def call() -> None:
        asked = tyro.cli(config, prog=_program(), description=description, args=args)
        host.prepare()
        main(asked)

    _run(call)


def run_subcommand(
    commands: Mapping[str, tuple[Callable[[Any], object], Callable[..., Any]]],
    description: str,
    args: Sequence[str] | None = None,
) -> None:
    """The same with subcommands: {"sample": (main, Config), ...}; the docstring of a command's module describes it."""
    by_config: dict[Any, Callable[[Any], object]] = {config: main for main, config in commands.values()}
    choices: list[Any] = []
    for name, (_, config) in commands.items():
        about = sys.modules[config.__module__].__doc__ or ""
        choices.append(Annotated[config, tyro.conf.subcommand(name, description=about, prefix_name=False)])
    chosen: Any = Union[tuple(choices)]  # noqa: UP007

    def call() -> None:
        asked = tyro.cli(chosen, prog=_program(), description=description, args=args)
        by_config[type(asked)](asked)

    _run(call)


def _run(call: Callable[[], object]) -> None:
    _startup.loaded()
    sys.unraisablehook = partial(_told, sys.unraisablehook)
    with interrupts.program():
        try:
            status = guarded(call)
        except KeyboardInterrupt:
            processes.leave(done=False)
            sys.stdout.flush()
            interrupts.leave()  # not by the interpreter's own end, which waits for a compilation that goes on
    sys.exit(status)


def _told(hook: Callable[[Any], object], lost: Any) -> None:
    """Without what TensorStore's threads say of a write that has failed already: Orbax has closed its loop, and tells why."""
    if not (lost.exc_type is RuntimeError and str(lost.exc_value) == "Event loop is closed"):
        hook(lost)


def _program() -> str | None:
    """ "gan_jax run NAME" or "python -m PACKAGE" if the program was started so."""
    if (experiment := scripts.started()) is not None:
        return experiment
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return None if spec is None else f"python -m {spec.name.removesuffix('.__main__')}"


def guarded(call: Callable[[], object]) -> int:
    """Call and return the exit status; errors of other types, and KeyboardInterrupt, keep their stack trace."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files need not be UTF-8
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        call()
        processes.leave()
    except Interrupted:  # all processes stop
        processes.leave()
        return interrupts.STATUS
    except InputError as error:
        return _complain(str(error), 2)
    except RunError as error:
        return _complain(str(error), 1)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES):
            raise
        return _complain(f"cannot use {error.filename or 'a file'}: {error.strerror}; checkpoints written so far are safe", 1)
    return 0


def _complain(message: str, status: int) -> int:
    processes.leave(done=False)
    print(f"error: {message}", file=sys.stderr)
    return status
