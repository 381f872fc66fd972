"""What a notebook shows while a run trains; IPython is not needed otherwise, and stands here as a stub of its two functions."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from gan_jax.images import save
from gan_jax.training.live import in_notebook, live_sheet


class Display:
    """Keeps what is shown, and what comes in its place."""

    def __init__(self):
        self.shown, self.updates = [], []

    def __call__(self, picture, display_id):
        assert display_id
        self.shown.append(picture)
        return SimpleNamespace(update=self.updates.append)


@pytest.fixture
def notebook(monkeypatch):
    """A notebook's kernel, by what IPython offers; the result has what was shown."""
    display = Display()
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    return display


def test_a_notebook_is_told_from_a_console_and_a_script(notebook, monkeypatch):
    assert in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace()))  # a console
    assert not in_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not in_notebook()


def test_one_picture_that_changes(notebook, tmp_path):
    show = live_sheet(tmp_path)
    show(0, None)
    assert not notebook.shown  # there is no sheet yet
    for step, grey in ((1, 0), (2, 250)):
        (tmp_path / "samples").mkdir(exist_ok=True)
        save(np.full((8, 8, 3), grey, np.uint8), tmp_path / "samples" / f"{step:06}.png")
        show(step, None)
    assert len(notebook.shown) == len(notebook.updates) == 1
    before, after = (np.asarray(picture) for picture in (notebook.shown[0], notebook.updates[0]))
    assert before.shape == after.shape
    assert after[-10:].mean() > before[-10:].mean() + 100  # the newer sheet
