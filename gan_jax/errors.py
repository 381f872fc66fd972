"""Errors: the input cannot work, or a run that began cannot continue."""


class InputError(ValueError):
    """A flag, size, file or directory is unusable; the message says what is wrong and what to do. Exit status 2."""


class RunError(RuntimeError):
    """A run stopped for a reason that is not its input, such as a NaN or a full disk. Exit status 1."""


class NotFinite(RunError):
    """A metric was not finite at `step`."""

    def __init__(self, message: str, step: int):
        super().__init__(message)
        self.step = step


class Interrupted(Exception):
    """Training was stopped by a signal after the state had been saved."""

    def __init__(self, step: int):
        super().__init__(f"stopped and saved at step {step}")
        self.step = step
