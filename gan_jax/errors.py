"""The two ways to fail: what the user gave cannot work, or a run that began cannot go on."""


class InputError(ValueError):
    """A flag, size, file or directory is unusable; the message says what is wrong and what to do. Exit status 2."""


class RunError(RuntimeError):
    """A run stopped for a reason that is not its input, such as a NaN or a full disk. Exit status 1."""
