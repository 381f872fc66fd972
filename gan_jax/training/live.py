"""What a notebook shows of a training while it goes on, always in one place; of a run its newest sheet above the curves."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gan_jax.training.film import newest


def in_notebook() -> bool:
    """Whether this program is the kernel of a notebook, which can show pictures."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()  # of a plain script it is not imported
    return getattr(shell, "kernel", None) is not None


def in_one_place() -> Callable[[np.ndarray], None]:
    """What shows a picture, uint8 (h, w, c), in place of the one that it showed before."""
    from IPython.display import display

    shown: list[Any] = []

    def show(picture: np.ndarray) -> None:
        if shown:
            shown[0].update(Image.fromarray(picture))
        else:
            shown.append(display(Image.fromarray(picture), display_id=True))

    return show


def live_sheet(directory: Path) -> Callable[[int, object], None]:
    """What shows the newest sheet of the run, in place of the one before, whenever it is called."""
    show = in_one_place()

    def call(step: int, _: object) -> None:
        picture = newest(directory)
        if picture is not None:
            show(picture)

    return call
