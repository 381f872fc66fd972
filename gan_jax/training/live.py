"""What a notebook shows of a run while it trains: the newest sheet of samples and the curves below it, always in one place."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from gan_jax.training.film import newest


def in_notebook() -> bool:
    """Whether this program is the kernel of a notebook, which can show pictures."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()  # of a plain script it is not imported
    return getattr(shell, "kernel", None) is not None


def live_sheet(directory: Path) -> Callable[[int, object], None]:
    """What shows the newest sheet of the run, in place of the one before, whenever it is called."""
    from IPython.display import display

    shown: list[Any] = []

    def call(step: int, _: object) -> None:
        picture = newest(directory)
        if picture is None:
            return
        if shown:
            shown[0].update(Image.fromarray(picture))
        else:
            shown.append(display(Image.fromarray(picture), display_id=True))

    return call
