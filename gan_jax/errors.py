"""Errors: the input cannot work, or a run that began cannot continue."""


class _OneLine:
    """An error that a notebook shows as its message, without a stack trace."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class InputError(_OneLine, ValueError):
    """A flag, size, file or directory is unusable; the message says what is wrong and what to do. Exit status 2."""


class RunError(_OneLine, RuntimeError):
    """A run stopped for a reason that is not its input, such as a NaN or a full disk. Exit status 1."""


class NotFinite(RunError):
    """A metric was not finite at `step`."""

    def __init__(self, message: str, step: int):
        super().__init__(message)
        self.step = step


class Interrupted(_OneLine, Exception):
    """Training was stopped by a signal: after the state of `step` had been saved, or at once if not `saved`."""

    def __init__(self, step: int, saved: bool = True):
        super().__init__(f"stopped and saved at step {step}" if saved else "stopped at once; checkpoints so far are whole")
        self.step, self.saved = step, saved
